package backup

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"
)

// An entry of a backup. Its body is valid until the next one is asked for.
type entry struct {
	name string
	size int64
	body io.Reader
}

// A source yields the entries of a backup in the order in which they were
// written, then io.EOF.
type source interface {
	next() (entry, error)
	close() error
}

// A Backup is one that is read.
type Backup struct {
	Header Header
	source source

	sums    []string // of the entries since the last list, as lines
	allSums hash.Hash
	entries int64
	files   int64
}

// Open opens the backup in a file, the newest one in the folder of a [Dir], or one
// of those by its own folder, and reads its header.
func Open(path string) (*Backup, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		s, err := newDirSource(path)
		if err != nil {
			return nil, err
		}
		return open(s)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := Read(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.source = closing{b.source, f}
	return b, nil
}

// closing closes a file after a source.
type closing struct {
	source
	file io.Closer
}

func (c closing) close() error { return errors.Join(c.source.close(), c.file.Close()) }

// Read begins to read what [Tar] has written.
func Read(r io.Reader) (*Backup, error) {
	s, err := newTarSource(r)
	if err != nil {
		return nil, err
	}
	return open(s)
}

// open reads the header.
func open(s source) (*Backup, error) {
	b := &Backup{source: s, allSums: sha256.New()}
	err := b.readHeader()
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return b, nil
}

func (b *Backup) readHeader() error {
	e, err := b.source.next()
	if errors.Is(err, io.EOF) {
		return ErrIncomplete
	}
	if err != nil {
		return err
	}
	if e.name != headerName {
		return errors.New("this is no backup of repod: its first entry is another")
	}
	data, err := b.small(e)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &b.Header); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, headerName, err)
	}
	if b.Header.Format != format {
		return fmt.Errorf("the backup has form %d, and this program knows %d: a newer one is needed", b.Header.Format, format)
	}
	return nil
}

// Close ends reading.
func (b *Backup) Close() error { return b.source.close() }

// CheckKey returns ErrWrongKey for a secret key that is not the repository's.
func (b *Backup) CheckKey(key []byte) error {
	if !hmac.Equal([]byte(keyCheck(key, b.Header.ID)), []byte(b.Header.KeyCheck)) {
		return ErrWrongKey
	}
	return nil
}

// small reads an entry whole and notes its sum.
func (b *Backup) small(e entry) ([]byte, error) {
	if e.size > maxSmall {
		return nil, fmt.Errorf("%w: %.100q has %d bytes", ErrDamaged, e.name, e.size)
	}
	data, err := io.ReadAll(io.LimitReader(e.body, e.size))
	if err != nil {
		return nil, readError(err)
	}
	if int64(len(data)) < e.size {
		return nil, ErrIncomplete
	}
	sum := sha256.Sum256(data)
	b.note(e, hex.EncodeToString(sum[:]))
	return data, nil
}

// readError says what the error of a stream that ends too early is.
func readError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrIncomplete
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// note keeps the sum of an entry until the list of sums comes.
func (b *Backup) note(e entry, sum string) {
	b.sums = append(b.sums, sumLine(sum, e.size, e.name))
	b.entries++
}

func sumLine(sum string, size int64, name string) string {
	return fmt.Sprintf("%s  %d  %s\n", sum, size, name)
}

func parseSum(line string) (sum string, size int64, name string, err error) {
	sum, rest, _ := strings.Cut(line, "  ")
	digits, name, ok := strings.Cut(rest, "  ")
	size, err = strconv.ParseInt(digits, 10, 64)
	if _, bad := hex.DecodeString(sum); !ok || err != nil || bad != nil || len(sum) != 2*sha256.Size {
		return "", 0, "", fmt.Errorf("%w: a list of sums has the line %.100q", ErrDamaged, line)
	}
	return sum, size, name, nil
}

// A handler takes the entries of a backup. What it returns ends reading.
type handler interface {
	database(data []byte) error
	// file takes a file, reads it whole and returns its SHA-256.
	file(ctx context.Context, key string, size int64, body io.Reader) (sum string, err error)
}

// each goes through the entries behind the header, and returns the manifest once
// everything was found to be what was written.
func (b *Backup) each(ctx context.Context, h handler) (m Manifest, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return m, err
		}
		e, err := b.source.next()
		switch {
		case errors.Is(err, io.EOF):
			return m, ErrIncomplete
		case err != nil:
			return m, err
		case e.name == manifestName:
			return b.end(e)
		}
		if err := b.one(ctx, e, h); err != nil {
			return m, err
		}
	}
}

func (b *Backup) one(ctx context.Context, e entry, h handler) error {
	if key, ok := strings.CutPrefix(e.name, filesDir); ok {
		sum, err := h.file(ctx, key, e.size, e.body)
		if err == nil {
			b.note(e, sum)
			b.files++
		}
		return err
	}
	switch {
	case strings.HasPrefix(e.name, sumsDir):
		return b.checkSums(e)
	case strings.HasPrefix(e.name, databaseDir):
		data, err := b.small(e)
		if err != nil {
			return err
		}
		return h.database(data)
	}
	return fmt.Errorf("%w: it has an entry %.100q", ErrDamaged, e.name)
}

// checkSums compares a list of sums with those of the entries before it.
func (b *Backup) checkSums(e entry) error {
	if e.size > maxSmall {
		return fmt.Errorf("%w: %.100q has %d bytes", ErrDamaged, e.name, e.size)
	}
	want, err := io.ReadAll(io.LimitReader(e.body, e.size))
	if err != nil {
		return readError(err)
	}
	got := strings.Join(b.sums, "")
	if got != string(want) {
		return fmt.Errorf("%w: %s", ErrDamaged, difference(b.sums, string(want)))
	}
	b.allSums.Write(want)
	b.sums = b.sums[:0]
	return nil
}

// difference names the first entry that is not what its list says.
func difference(got []string, want string) string {
	for _, line := range got {
		expected, rest, _ := strings.Cut(want, "\n")
		if expected+"\n" != line {
			if _, _, name, err := parseSum(strings.TrimSuffix(line, "\n")); err == nil {
				return fmt.Sprintf("%.200q is not what was written", name)
			}
			break
		}
		want = rest
	}
	return "entries are missing"
}

// end reads the manifest, which vouches for the lists.
func (b *Backup) end(e entry) (m Manifest, err error) {
	if e.size > maxSmall {
		return m, fmt.Errorf("%w: the manifest has %d bytes", ErrDamaged, e.size)
	}
	data, err := io.ReadAll(io.LimitReader(e.body, e.size))
	if err != nil {
		return m, readError(err)
	}
	if int64(len(data)) < e.size {
		return m, ErrIncomplete
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%w: the manifest: %w", ErrDamaged, err)
	}
	switch {
	case len(b.sums) > 0:
		return m, fmt.Errorf("%w: the last sums are missing", ErrDamaged)
	case m.ID != b.Header.ID, m.Entries != b.entries, m.Files != b.files, m.Sums != hex.EncodeToString(b.allSums.Sum(nil)):
		return m, fmt.Errorf("%w: the manifest is of other entries", ErrDamaged)
	}
	return m, nil
}
