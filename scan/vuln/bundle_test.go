package vuln_test

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/scan/vuln"
)

// keys sign and verify with a key that is always the same.
func keys() (sign func([]byte) ([]byte, error), verify func(data, sig []byte) error) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	sign = func(data []byte) ([]byte, error) { return ed25519.Sign(key, data), nil }
	verify = func(data, sig []byte) error {
		if !ed25519.Verify(key.Public().(ed25519.PublicKey), data, sig) {
			return errors.New("bad signature")
		}
		return nil
	}
	return sign, verify
}

func exported(t testing.TB, db *vuln.DB) []byte {
	t.Helper()
	sign, _ := keys()
	var b bytes.Buffer
	if err := db.Export(t.Context(), &b, sign); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBundle(t *testing.T) {
	_, verify := keys()
	from, to := newDB(t), newDB(t)
	mustImport(t, from, feed(t, vuln.Debian, "tracker.json"), feed(t, vuln.OSV, "languages-osv.json"), feed(t, vuln.KEV, "kev.json"))
	bundle := exported(t, from)
	if !bytes.Equal(bundle, exported(t, from)) {
		t.Error("the same generation makes two bundles")
	}
	for _, want := range []vuln.State{vuln.OK, vuln.Unchanged} {
		results, err := to.ImportBundle(t.Context(), bytes.NewReader(bundle), verify, false)
		if err != nil || len(results) != 3 || results[0].State != want {
			t.Fatalf("%+v, %v, want %s", results, err, want)
		}
		a, _ := from.Data(t.Context())
		b, err := to.Data(t.Context())
		if err != nil || a.Generation != b.Generation || !a.Date.Equal(b.Date) {
			t.Errorf("data %+v, %v, want %+v", b, err, a)
		}
	}
	inv := subject("debian:12", "nginx", "1.22.1-9")
	if got, want := ids(match(t, to, inv)), ids(match(t, from, inv)); got != want || want == "" {
		t.Errorf("found %q, want %q", got, want)
	}
}

// members returns the files of a bundle.
func members(t testing.TB, bundle []byte) (headers []*tar.Header, contents [][]byte) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(bundle))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		headers, contents = append(headers, h), append(contents, b)
	}
}

func TestForgedBundles(t *testing.T) {
	sign, verify := keys()
	from := newDB(t)
	mustImport(t, from, feed(t, vuln.Debian, "tracker.json"), feed(t, vuln.KEV, "kev.json"))
	bundle := exported(t, from)
	for name, forge := range map[string]func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte){
		"manifest":  func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) { c[0] = append(c[0], ' '); return h, c },
		"signature": func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) { c[1][0]++; return h, c },
		"segment":   func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) { c[2][9]++; return h, c },
		// A text, which opening a segment does not look at.
		"text": func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) { c[3][9]++; return h, c },
		"swapped": func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) {
			h[2], h[3], c[2], c[3] = h[3], h[2], c[3], c[2]
			return h, c
		},
		"missing":         func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) { return h[:3], c[:3] },
		"only a manifest": func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) { return h[:1], c[:1] },
		"a link": func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) {
			h[2].Typeflag, h[2].Linkname, c[2] = tar.TypeSymlink, "/etc/passwd", nil
			return h, c
		},
		"a name that leads out": func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) { h[2].Name = "../evil"; return h, c },
		"a signed name that leads out": func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) {
			c[0] = bytes.ReplaceAll(c[0], []byte(`"0.seg"`), []byte(`"../evil"`))
			c[1], _ = sign(c[0])
			h[2].Name = "../evil"
			return h, c
		},
		"a signed segment that is none": func(h []*tar.Header, c [][]byte) ([]*tar.Header, [][]byte) {
			c[0] = bytes.ReplaceAll(c[0], []byte(`"format": 1`), []byte(`"format": 2`))
			c[1], _ = sign(c[0])
			return h, c
		},
	} {
		t.Run(name, func(t *testing.T) {
			headers, contents := forge(members(t, bundle))
			var forged bytes.Buffer
			w := tar.NewWriter(&forged)
			for i, h := range headers {
				h.Size = int64(len(contents[i]))
				if err := w.WriteHeader(h); err != nil {
					t.Fatal(err)
				}
				w.Write(contents[i])
			}
			w.Close()
			db := newDB(t)
			mustImport(t, db, text("tracker", vuln.Debian, trackerOf(1, "bookworm")))
			if _, err := db.ImportBundle(t.Context(), &forged, verify, true); err == nil {
				t.Error("it was taken")
			}
			if n := len(match(t, db, subject("debian:12", "pkg", "1"))); n != 1 {
				t.Errorf("%d findings afterwards, want 1", n)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(db.Dir), "evil")); err == nil {
				t.Error("a file was written outside")
			}
		})
	}
	for n := 0; n < len(bundle)-1024; n += 997 {
		db := newDB(t)
		if _, err := db.ImportBundle(t.Context(), bytes.NewReader(bundle[:n]), verify, true); err == nil {
			t.Errorf("the first %d bytes were taken", n)
		}
	}
}

// A bundle that was true once must not bring old data back.
func TestOldBundle(t *testing.T) {
	_, verify := keys()
	db := newDB(t)
	clock := now
	db.Now = func() time.Time { return clock }
	mustImport(t, db, text("tracker", vuln.Debian, trackerOf(10, "bookworm")))
	old := exported(t, db)
	clock = clock.Add(time.Hour)
	mustImport(t, db, text("tracker", vuln.Debian, trackerOf(11, "bookworm")))
	if _, err := db.ImportBundle(t.Context(), bytes.NewReader(old), verify, false); !errors.Is(err, vuln.ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
	if _, err := db.ImportBundle(t.Context(), bytes.NewReader(old), verify, true); err != nil {
		t.Errorf("forced: %v", err)
	}
	// One that is newer, but has lost much.
	other := newDB(t)
	other.Now = func() time.Time { return now.Add(time.Hour * 2) }
	mustImport(t, other, text("tracker", vuln.Debian, trackerOf(1, "bookworm")))
	if _, err := db.ImportBundle(t.Context(), bytes.NewReader(exported(t, other)), verify, false); !errors.Is(err, vuln.ErrRefused) {
		t.Errorf("a bundle that lost records: %v, want ErrRefused", err)
	}
}

func TestExportFails(t *testing.T) {
	sign, _ := keys()
	db := newDB(t)
	if err := db.Export(t.Context(), io.Discard, sign); !errors.Is(err, vuln.ErrNoData) {
		t.Errorf("without data: %v", err)
	}
	mustImport(t, db, feed(t, vuln.KEV, "kev.json"))
	err := db.Export(t.Context(), io.Discard, func([]byte) ([]byte, error) { return nil, errors.New("no key") })
	if err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("without a key: %v", err)
	}
}
