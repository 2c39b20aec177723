package sbom

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxSpooled is how much of a spool stays in memory. Documents of a few packages
// need no file.
const maxSpooled = 64 << 10

// A spool keeps what has to be said later: in memory as long as it is little, in
// a temporary file after that.
type spool struct {
	dir  string // of the file
	buf  []byte
	file *os.File
}

func (s *spool) Write(b []byte) (int, error) {
	if len(s.buf)+len(b) > maxSpooled {
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	s.buf = append(s.buf, b...)
	return len(b), nil
}

// flush moves to the file what is in memory.
func (s *spool) flush() (err error) {
	if s.file == nil {
		if s.file, err = os.CreateTemp(s.dir, "sbom-*"); err != nil {
			return fmt.Errorf("spool a part of the document: %w", err)
		}
		// Where open files can be removed, a crash leaves nothing behind. close
		// removes it elsewhere.
		os.Remove(s.file.Name())
	}
	if _, err := s.file.Write(s.buf); err != nil {
		return fmt.Errorf("spool a part of the document: %w", err)
	}
	s.buf = s.buf[:0]
	return nil
}

// reader returns what was written. It may be called again, but nothing may be
// written after it.
func (s *spool) reader() (*bufio.Reader, error) {
	if s.file == nil {
		return bufio.NewReader(&memory{s.buf}), nil
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read a part of the document again: %w", err)
	}
	return bufio.NewReaderSize(s.file, maxSpooled), nil
}

// memory reads from bytes.
type memory struct{ rest []byte }

func (m *memory) Read(b []byte) (int, error) {
	if len(m.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}

// A link is what a package says of others. It is written when the package is, and
// made a part of the document when it is known which others there are.
type link struct {
	ref       string
	source    string // PURL of the source package, "" if it is no part of the document
	embedded  int    // number of components that are part of the document
	unknown   bool   // nobody looked for dependencies
	missing   bool   // some are satisfied by nothing
	dependsOn []string
}

// A linkSpool keeps links.
type linkSpool struct {
	spool
	record []byte
}

func (s *linkSpool) put(l link) error {
	b := binary.AppendUvarint(s.record[:0], uint64(l.embedded)<<2|bit(l.unknown)<<1|bit(l.missing))
	b = binary.AppendUvarint(b, uint64(2+len(l.dependsOn)))
	b = appendString(appendString(b, l.ref), l.source)
	for _, ref := range l.dependsOn {
		b = appendString(b, ref)
	}
	s.record = b
	for len(b) > 0 { // in parts that the spool can hold
		n := min(len(b), maxSpooled)
		if _, err := s.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// each calls f for every link, in their order. The dependencies are good until it
// returns.
func (s *linkSpool) each(f func(link) error) error {
	r, err := s.reader()
	if err != nil {
		return err
	}
	var texts []string
	for {
		l, n, err := readHead(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		texts = texts[:0]
		for ; err == nil && n > 0; n-- {
			var text string
			text, err = s.readString(r)
			texts = append(texts, text)
		}
		if err != nil {
			return fmt.Errorf("read a part of the document again: %w", noEOF(err))
		}
		l.ref, l.source, l.dependsOn = texts[0], texts[1], texts[2:]
		if err := f(l); err != nil {
			return err
		}
	}
}

// readHead returns a link without its texts, and how many there are.
func readHead(r *bufio.Reader) (l link, texts uint64, err error) {
	flags, err := binary.ReadUvarint(r)
	if err != nil {
		return l, 0, err
	}
	l.embedded, l.unknown, l.missing = int(flags>>2), flags>>1&1 == 1, flags&1 == 1
	texts, err = binary.ReadUvarint(r)
	return l, texts, noEOF(err)
}

func (s *linkSpool) readString(r *bufio.Reader) (string, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return "", err
	}
	if uint64(cap(s.record)) < n {
		s.record = make([]byte, n)
	}
	b := s.record[:n]
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// noEOF makes the end of a file in the middle of a link an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
