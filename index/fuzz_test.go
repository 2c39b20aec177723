package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/repod-io/repod/deb"
)

// FuzzLoadLog puts a chunk list between two parts of a state, with hashes that
// fit, so that mutations get past them.
func FuzzLoadLog(f *testing.F) {
	blobs := newMemBlobs()
	add := func(l *Log) {
		state := l.State()
		body := state[:len(state)-sha256.Size]
		var list []byte
		before, after := body, []byte{}
		if len(l.segs) > 0 {
			last := l.segs[len(l.segs)-1]
			list = blobs.data[last.id.String()]
			before, after, _ = bytes.Cut(body, last.id[:])
		}
		f.Add(before, list, after)
	}
	stanzas := makeStanzas(0, 20)
	l := newLog(small)
	add(l)
	for _, s := range stanzas {
		l = mustApply(f, blobs, l, Edit{Add: [][]byte{s}})
		add(l)
	}
	add(mustApply(f, blobs, newLog(small, Zstd), Edit{Add: stanzas}))

	f.Fuzz(func(t *testing.T, before, list, after []byte) {
		body := bytes.Clone(before)
		here := newMemBlobs()
		for id, data := range blobs.data {
			here.data[id] = data
		}
		if len(list) > 0 {
			id := blobID(sha256.Sum256(list))
			here.data[id.String()] = list
			body = append(body, id[:]...)
		}
		body = append(body, after...)
		sum := sha256.Sum256(body)
		l, err := loadLog(t.Context(), here, small, append(body, sum[:]...))
		if err != nil {
			mustBeKnown(t, err)
			return
		}
		for i := range l.files {
			r, err := l.Open(t.Context(), here, l.ext(i))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r); err != nil {
				mustBeKnown(t, err)
			} else if n != l.files[i].Size {
				t.Fatalf("%q has %d bytes, want %d", l.ext(i), n, l.files[i].Size)
			}
		}
		for _, err := range l.Stanzas(t.Context(), here) {
			mustBeKnown(t, err)
		}
		h := History{{Size: l.PlainSize() - int64(small.patch)}, {Size: -1}, {Size: l.PlainSize() + 1}, {SHA256: l.files[0].SHA256}}
		for _, name := range h.PatchNames(l) {
			if _, _, err := h.Patch(l, name); err != nil {
				mustBeKnown(t, err)
			}
		}
		if _, err := l.Apply(t.Context(), here, Edit{Remove: idsOf(stanzas[0]), Add: stanzas[:3]}); err != nil {
			mustBeKnown(t, err)
		}
		if _, err := l.Compact(t.Context(), here); err != nil {
			mustBeKnown(t, err)
		}
	})
}

func mustBeKnown(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("strange error: %v", err)
	}
}

// FuzzCleanStanza makes sure that what a Log takes is one stanza for a strict
// reader as well, as far as its structure goes.
func FuzzCleanStanza(f *testing.F) {
	f.Add(makeStanza(1))
	f.Add([]byte("Package: a\nVersion: 1\nArchitecture: all\nX:\n y\n .\n"))
	f.Add([]byte("Package:a\nVersion:1\nArchitecture:all\n continued"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := cleanStanza(data)
		if err != nil {
			if !errors.Is(err, ErrStanza) {
				t.Fatalf("strange error: %v", err)
			}
			return
		}
		file := text([][]byte{s, s})
		first, rest := nextStanza(file)
		second, rest := nextStanza(rest)
		if !bytes.Equal(first, s) || !bytes.Equal(second, s) || len(rest) > 0 {
			t.Fatalf("%q is not read back", s)
		}
		r := deb.NewStanzaReader(bytes.NewReader(file), maxStanza+2)
		for range 2 {
			raw, err := r.Next()
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			id := ID{string(raw.Get("Package")), string(raw.Get("Version")), string(raw.Get("Architecture"))}
			if id != stanzaID(s) {
				t.Fatalf("%q has the ID %q, or %q", s, stanzaID(s), id)
			}
		}
		if raw, err := r.Next(); err != io.EOF {
			t.Fatalf("%q: third stanza %q, %v", s, raw.Text, err)
		}
	})
}

func FuzzReadPackages(f *testing.F) {
	f.Add(text(makeStanzas(0, 3)))
	f.Add([]byte("Package: a\nVersion: 1\nArchitecture: all\nFilename: ./a\nSize: 1\nSHA256: " + sumA + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for p, err := range ReadPackages(bytes.NewReader(data)) {
			var format *deb.FormatError
			switch {
			case err == nil:
				if p.Package == "" || p.Version == "" || p.Architecture == "" || p.File.check() != nil {
					t.Fatalf("read %+v", p)
				}
			case !errors.Is(err, ErrStanza) && !errors.As(err, &format):
				t.Fatalf("strange error: %v", err)
			}
		}
	})
}
