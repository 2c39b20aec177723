package deb_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/repod-io/repod/deb"
)

func TestStanzaReader(t *testing.T) {
	const text = "\n\nPackage: a\nDepends: b,\n c\n\n\n\nPackage: d\nEmpty:\n\nPackage: e"
	for name, r := range map[string]io.Reader{
		"whole":     strings.NewReader(text),
		"by byte":   iotest.OneByteReader(strings.NewReader(text)),
		"data, EOF": iotest.DataErrReader(strings.NewReader(text)),
	} {
		t.Run(name, func(t *testing.T) {
			sr := deb.NewStanzaReader(r, 0)
			var got []string
			for {
				s, err := sr.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%s %q %d", s.Get("package"), s.Get("Depends"), len(s.Fields)))
				if p, err := s.Parse(); err != nil || p.Len() != len(s.Fields) {
					t.Errorf("Parse of %q: %v", s.Text, err)
				}
			}
			if want := `a "b,\n c" 2|d "" 2|e "" 1`; strings.Join(got, "|") != want {
				t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
			}
			if _, err := sr.Next(); err != io.EOF {
				t.Errorf("after the end: %v", err)
			}
		})
	}
}

func TestStanzaReaderErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	// Half a stanza before the fault must not pass for a whole one.
	sr := deb.NewStanzaReader(iotest.DataErrReader(io.MultiReader(strings.NewReader("A: b\n\nC: d\n"), iotest.ErrReader(broken))), 0)
	if _, err := sr.Next(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := sr.Next(); err != broken {
			t.Errorf("got %v, want the source's error", err)
		}
	}
	sr = deb.NewStanzaReader(strings.NewReader("A: b\n\nno colon\n\nC: d\n"), 0)
	sr.Next()
	for range 2 {
		_, err := sr.Next()
		wantReason(t, err, "stanza-field-name")
	}
}

// endless is a stanza that does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestStanzaReaderIsBounded(t *testing.T) {
	const limit = 1 << 18
	sr := deb.NewStanzaReader(endless{}, limit)
	_, err := sr.Next()
	wantReason(t, err, "stanza-too-large")
	if !errors.Is(err, deb.ErrTooLarge) {
		t.Errorf("%v is not ErrTooLarge", err)
	}
	long := "A: " + strings.Repeat("x", limit-4) + "\n"
	if got := readStanzas(t, []byte(long+"\nB: c\n"), limit); len(got) != 2 {
		t.Errorf("a stanza as long as the limit: got %d stanzas, want 2", len(got))
	}
	if got := readStanzas(t, []byte("A: x"+long[3:]+"\nB: c\n"), limit); len(got) != 0 {
		t.Errorf("a stanza longer than the limit passed")
	}
}

// packagesFile makes an index of n stanzas like Debian's.
func packagesFile(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "Package: libexample%d-dev\nSource: example%d\nVersion: 1.%d.0-%d+deb12u1\nInstalled-Size: %d\n", i, i/3, i, i%7, i*13)
		fmt.Fprintf(&b, "Maintainer: Debian Example Maintainers <pkg-example@lists.example.org>\nArchitecture: amd64\n")
		fmt.Fprintf(&b, "Depends: libc6 (>= 2.34), libexample%d (= 1.%d.0-%d+deb12u1), zlib1g (>= 1:1.2.3.3)\n", i, i, i%7)
		fmt.Fprintf(&b, "Description: an example library - development files\nMulti-Arch: same\nHomepage: https://example.org/%d\n", i)
		fmt.Fprintf(&b, "Description-md5: 6f1ef41a4a4f3a0fbd1b2a34a2ec1b6e\nTag: devel::library, role::devel-lib\nSection: libdevel\nPriority: optional\n")
		fmt.Fprintf(&b, "Filename: pool/main/e/example%d/libexample%d-dev_1.%d.0-%d+deb12u1_amd64.deb\nSize: %d\n", i/3, i, i, i%7, i*1000)
		fmt.Fprintf(&b, "MD5sum: 6f1ef41a4a4f3a0fbd1b2a34a2ec1b6e\nSHA256: %064x\n\n", i)
	}
	return b.Bytes()
}

func TestStanzaReaderDoesNotAllocate(t *testing.T) {
	text := packagesFile(1000)
	sr := deb.NewStanzaReader(bytes.NewReader(text), 0)
	n := testing.AllocsPerRun(5, func() {
		for range 150 { // six times that stay within the file
			if s, err := sr.Next(); err != nil || s.Get("filename") == nil {
				t.Fatalf("%v, or no field", err)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for 150 stanzas", n)
	}
}

func BenchmarkStanzaReader(b *testing.B) {
	text := packagesFile(20000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		sr := deb.NewStanzaReader(bytes.NewReader(text), 0)
		for {
			s, err := sr.Next()
			if err == io.EOF {
				break
			}
			if err != nil || len(s.Get("Package")) == 0 {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkScannerParser reads the same with bufio.Scanner and strings, as a
// simple parser would.
func BenchmarkScannerParser(b *testing.B) {
	text := packagesFile(20000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		sc := bufio.NewScanner(bytes.NewReader(text))
		fields := map[string]string{}
		for sc.Scan() {
			line := sc.Text()
			if line == "" {
				fields = map[string]string{}
				continue
			}
			if name, value, ok := strings.Cut(line, ":"); ok {
				fields[name] = strings.TrimSpace(value)
			}
		}
	}
}
