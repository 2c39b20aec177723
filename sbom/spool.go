package sbom

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
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
		return bufio.NewReader(bytes.NewReader(s.buf)), nil
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read a part of the document again: %w", err)
	}
	return bufio.NewReaderSize(s.file, maxSpooled), nil
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
	record []byte // the last one
	size   []byte // of it, encoded
}

func (s *linkSpool) put(l link) error {
	b := binary.AppendUvarint(s.record[:0], uint64(l.embedded)<<2|bit(l.unknown)<<1|bit(l.missing))
	b = appendString(appendString(b, l.ref), l.source)
	for _, ref := range l.dependsOn {
		b = appendString(b, ref)
	}
	s.record = b
	s.size = binary.AppendUvarint(s.size[:0], uint64(len(b)))
	if _, err := s.Write(s.size); err != nil {
		return err
	}
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

// each calls f for every link, in their order. The list of dependencies is good
// until it returns.
func (s *linkSpool) each(f func(link) error) error {
	var texts []string
	return s.records(func(record []byte) error {
		flags, n := binary.Uvarint(record)
		l := link{embedded: int(flags >> 2), unknown: flags>>1&1 == 1, missing: flags&1 == 1}
		texts = texts[:0]
		for rest := string(record[n:]); rest != ""; {
			var text string
			text, rest = cutString(rest)
			texts = append(texts, text)
		}
		l.ref, l.source, l.dependsOn = texts[0], texts[1], texts[2:]
		return f(l)
	})
}

// eachRef calls f for the package of every link.
func (s *linkSpool) eachRef(f func(ref string) error) error {
	return s.records(func(record []byte) error {
		_, n := binary.Uvarint(record)
		size, m := binary.Uvarint(record[n:])
		return f(string(record[n+m : n+m+int(size)]))
	})
}

// cutString returns what appendString has appended, and what follows it.
func cutString(s string) (text, rest string) {
	var size, shift uint64
	for i := range len(s) {
		size |= uint64(s[i]&0x7f) << shift
		if shift += 7; s[i] < 0x80 {
			return s[i+1 : i+1+int(size)], s[i+1+int(size):]
		}
	}
	return s, ""
}

// records calls f for every link as it was written.
func (s *linkSpool) records(f func([]byte) error) error {
	r, err := s.reader()
	if err != nil {
		return err
	}
	for {
		size, err := binary.ReadUvarint(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			s.record = slices.Grow(s.record[:0], int(size))[:size]
			_, err = io.ReadFull(r, s.record)
		}
		if err != nil {
			return fmt.Errorf("read a part of the document again: %w", err)
		}
		if err := f(s.record); err != nil {
			return err
		}
	}
}
