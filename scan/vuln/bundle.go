package vuln

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// A bundle is a tar of the manifest, its signature, and the segments in the
// manifest's order. The signature is over the manifest, which has their sums.
const signatureName = "manifest.sig"

// maxSignature bounds a signature, in bytes.
const maxSignature = 64 << 10

// ErrNoData is returned by Export when there is nothing to export.
var ErrNoData = errors.New("there are no vulnerability data")

// Export writes the generation in use as a tar, for ImportBundle of another
// database. It calls sign once, with the manifest. What it wrote is of no use
// when it fails.
func (db *DB) Export(ctx context.Context, w io.Writer, sign func(data []byte) (signature []byte, err error)) error {
	s, err := db.acquire()
	if err != nil {
		return err
	}
	if s == nil {
		return fmt.Errorf("exporting: %w", ErrNoData)
	}
	defer db.release(s)
	if err := db.export(ctx, w, s, sign); err != nil {
		return fmt.Errorf("exporting vulnerability data: %w", err)
	}
	return nil
}

// Digest returns the SHA-256, in hexadecimal, of what Export would have signed: it
// stands for the data and their dates, and two databases have the same one after
// what Export wrote for one was imported into the other. It is empty when there are
// no data.
func (db *DB) Digest(ctx context.Context) (string, error) {
	s, err := db.acquire()
	if err != nil || s == nil {
		return "", err
	}
	defer db.release(s)
	text, err := db.manifestText(s)
	if err != nil {
		return "", fmt.Errorf("reading vulnerability data: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// manifestText is the manifest that a bundle has, with the dates of today.
func (db *DB) manifestText(s *snapshot) ([]byte, error) {
	states, err := readStates(db.root)
	if err != nil {
		return nil, err
	}
	m := s.manifest
	m.Feeds = slices.Clone(m.Feeds)
	for n, f := range m.Feeds {
		m.Feeds[n].Date = states.date(f)
	}
	return json.MarshalIndent(m, "", "\t")
}

func (db *DB) export(ctx context.Context, w io.Writer, s *snapshot, sign func([]byte) ([]byte, error)) error {
	m := s.manifest
	text, err := db.manifestText(s)
	if err != nil {
		return err
	}
	signature, err := sign(text)
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	t := tar.NewWriter(w)
	for _, part := range []struct {
		name string
		b    []byte
	}{{manifestName, text}, {signatureName, signature}} {
		if err := writeHeader(t, part.name, int64(len(part.b)), m.Created); err != nil {
			return err
		}
		if _, err := t.Write(part.b); err != nil {
			return err
		}
	}
	for _, f := range s.feeds {
		if err := writeHeader(t, f.File, f.Size, m.Created); err != nil {
			return err
		}
		if _, err := io.Copy(t, contextReader{ctx, io.NewSectionReader(f.file, 0, f.Size)}); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeHeader(t *tar.Writer, name string, size int64, date time.Time) error {
	return t.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: date.Truncate(time.Second), Format: tar.FormatPAX,
	})
}

// ImportBundle makes what Export wrote the generation in use. All feeds are
// replaced. Nothing of the bundle but manifest and signature is read before
// verify, which must not be nil, has accepted them. A bundle that is older than
// the data in use is refused, as are feeds that Import would refuse for what they
// lost, unless force is set.
func (db *DB) ImportBundle(ctx context.Context, r io.Reader, verify func(data, signature []byte) error, force bool) ([]Result, error) {
	var results []Result
	err := db.change(ctx, func(s *stage, states feedStates) (bool, error) {
		t := tar.NewReader(contextReader{ctx, r})
		m, err := readSigned(t, verify)
		if err != nil {
			return false, err
		}
		if !force {
			if err := db.compareBundle(s.had, m); err != nil {
				return false, err
			}
		}
		if err := db.takeBundle(s, t, m); err != nil {
			return false, err
		}
		clear(states)
		for _, f := range m.Feeds {
			r := Result{ID: f.ID, State: OK, Records: f.Records, Date: f.Date}
			if had, ok := s.had.feed(f.ID); ok && had.SHA256 == f.SHA256 {
				r.State = Unchanged
			}
			states.record(r, f.Kind, db.now().UTC())
			results = append(results, r)
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("importing a bundle of vulnerability data: %w", err)
	}
	return results, nil
}

// readSigned reads the manifest and has its signature checked.
func readSigned(t *tar.Reader, verify func(data, signature []byte) error) (manifest, error) {
	var m manifest
	text, err := readPart(t, manifestName, maxManifest)
	if err != nil {
		return m, err
	}
	signature, err := readPart(t, signatureName, maxSignature)
	if err != nil {
		return m, err
	}
	if err := verify(text, signature); err != nil {
		return m, fmt.Errorf("the signature is not valid: %w", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	return m, m.check()
}

func readPart(t *tar.Reader, name string, limit int64) ([]byte, error) {
	h, err := t.Next()
	if err != nil {
		return nil, whole(err)
	}
	if h.Typeflag != tar.TypeReg || h.Name != name || h.Size > limit {
		return nil, fmt.Errorf("found %q of %d bytes, want %s", plain(h.Name, 100), h.Size, name)
	}
	return io.ReadAll(t)
}

// takeBundle copies the segments into the stage, under names of its own.
func (db *DB) takeBundle(s *stage, t *tar.Reader, m manifest) error {
	s.next.Feeds, s.created = nil, m.Created
	for n, f := range m.Feeds {
		h, err := t.Next()
		if err != nil {
			return whole(err)
		}
		if h.Typeflag != tar.TypeReg || h.Name != f.File || h.Size != f.Size || f.Size > db.Limits.feed() {
			return fmt.Errorf("found %q of %d bytes, want %s of %d", plain(h.Name, 100), h.Size, f.File, f.Size)
		}
		file := fmt.Sprintf("new-%d", n)
		if err := copyTo(s.dir, file, t); err != nil {
			return err
		}
		size, digest, err := sum(s.dir, file)
		if err != nil {
			return err
		}
		if size != f.Size || digest != f.SHA256 {
			return fmt.Errorf("feed %s is not what was signed", f.ID)
		}
		if err := checkSegment(s.dir, file); err != nil {
			return fmt.Errorf("feed %s: %w", f.ID, err)
		}
		s.take(f, file)
	}
	return nil
}

func copyTo(root *os.Root, name string, r io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

func checkSegment(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = openSegment(f, info.Size())
	return err
}

// compareBundle refuses what would be a step back.
func (db *DB) compareBundle(had, m manifest) error {
	if m.Created.Before(had.Created) {
		return fmt.Errorf("%w: the bundle is of %s, the data in use of %s", ErrRefused,
			m.Created.Format(time.RFC3339), had.Created.Format(time.RFC3339))
	}
	for _, former := range had.Feeds {
		f, ok := m.feed(former.ID)
		if !ok {
			return fmt.Errorf("%w: feed %s is missing", ErrRefused, former.ID)
		}
		if f.Kind == former.Kind {
			if err := db.compare(former, f); err != nil {
				return fmt.Errorf("feed %s: %w", f.ID, err)
			}
		}
	}
	return nil
}
