package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
)

// takes reads whatever comes.
type takes struct{ files map[string]string }

func (takes) database([]byte) error { return nil }

func (h takes) file(_ context.Context, key string, size int64, body io.Reader) (string, error) {
	var text strings.Builder
	sum := sha256.New()
	got, err := sumOf(sum.Sum, io.MultiWriter(&text, sum), body, size)
	h.files[key] = text.String()
	return got, err
}

// small makes a backup without a repository.
func small(t testing.TB, compressed bool) []byte {
	t.Helper()
	var out bytes.Buffer
	target, err := NewTar(&out, compressed)
	if err != nil {
		t.Fatal(err)
	}
	w := &writer{target: target, allSums: sha256.New(), manifest: Manifest{ID: "id", Files: 1}}
	err = errors.Join(
		w.addJSON(t.Context(), headerName, Header{Format: format, ID: "id"}),
		w.addData(t.Context(), databaseDir+"001-x/000001.jsonl", []byte("{}\n[]\n")),
		w.addData(t.Context(), filesDir+"pool/x", []byte("contents")),
		w.end(t.Context()),
	)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// FuzzRead looks for a backup that is taken for whole with other contents than it
// was made with, and for a crash.
func FuzzRead(f *testing.F) {
	data := small(f, false)
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add(small(f, true))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		defer b.Close()
		h := takes{make(map[string]string)}
		m, err := b.each(t.Context(), h)
		if err != nil {
			return
		}
		if m.ID != b.Header.ID || int64(len(h.files)) > m.Files {
			t.Errorf("%+v of %+v has %q", m, b.Header, h.files)
		}
	})
}

func TestSmall(t *testing.T) {
	for _, compressed := range []bool{false, true} {
		b, err := Read(bytes.NewReader(small(t, compressed)))
		if err != nil {
			t.Fatal(err)
		}
		h := takes{make(map[string]string)}
		if _, err := b.each(t.Context(), h); err != nil || h.files["pool/x"] != "contents" {
			t.Errorf("compressed %t: %q, %v", compressed, h.files, err)
		}
	}
}
