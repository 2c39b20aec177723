package index

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/repod-io/repod/deb"
)

func parseControl(t testing.TB, text string) *deb.Stanza {
	t.Helper()
	s, err := deb.ParseStanza([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var testFile = PackageFile{
	Filename: "pool/main/h/hello/hello_2.10-3_amd64.deb",
	Size:     53080,
	SHA256:   sumA,
	MD5:      md5A,
}

func TestAppendStanza(t *testing.T) {
	control := parseControl(t, `Description: example package
 Longer text,
 .
 in two paragraphs.
X-Custom: kept
Version: 2.10-3
package: hello
Architecture: amd64
SHA256: forged
filename: pool/evil.deb
Size: 1
Depends: libc6 (>= 2.34),
 libfoo
Conffiles:
 /etc/x 0123
Empty:
`)
	got, err := AppendStanza([]byte("before\n\n"), control, testFile)
	if err != nil {
		t.Fatal(err)
	}
	want := `before

Package: hello
Version: 2.10-3
Architecture: amd64
Depends: libc6 (>= 2.34),
 libfoo
X-Custom: kept
Filename: pool/main/h/hello/hello_2.10-3_amd64.deb
Size: 53080
MD5sum: ` + md5A + `
SHA256: ` + sumA + `
Description: example package
 Longer text,
 .
 in two paragraphs.
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := cleanStanza(got[len("before\n\n"):]); err != nil {
		t.Errorf("not fit for a Log: %v", err)
	}
}

func TestAppendStanzaRefusals(t *testing.T) {
	control := parseControl(t, "Package: a\nVersion: 1\nArchitecture: all\n")
	for name, change := range map[string]func(f *PackageFile){
		"line end":      func(f *PackageFile) { f.Filename = "pool/a\nPackage: b" },
		"upwards":       func(f *PackageFile) { f.Filename = "../a.deb" },
		"no name":       func(f *PackageFile) { f.Filename = "" },
		"negative size": func(f *PackageFile) { f.Size = -1 },
		"no SHA256":     func(f *PackageFile) { f.SHA256 = "" },
		"bad MD5":       func(f *PackageFile) { f.MD5 = "x\ny" },
	} {
		file := testFile
		change(&file)
		if got, err := AppendStanza(nil, control, file); !errors.Is(err, ErrStanza) {
			t.Errorf("%s: %v, wrote %q", name, err, got)
		}
	}
}

func TestReadPackages(t *testing.T) {
	control := parseControl(t, "Package: hello\nVersion: 2.10-3\nArchitecture: amd64\nDescription: x\n")
	entry, err := AppendStanza(nil, control, testFile)
	if err != nil {
		t.Fatal(err)
	}
	flat := "Package: flat\nVersion: 1\nArchitecture: all\nFilename: ./flat.deb\nSize: 1\nSHA256: " + strings.ToUpper(sumB) + "\n"
	bad := map[string]string{
		"no version":  strings.Replace(flat, "Version: 1\n", "", 1),
		"no size":     strings.Replace(flat, "Size: 1\n", "", 1),
		"no hash":     strings.Replace(flat, "SHA256", "SHA1", 1),
		"size twice":  flat + "SIZE: 1\n",
		"upwards":     strings.Replace(flat, "./flat", "a/../../flat", 1),
		"bad size":    strings.Replace(flat, "Size: 1", "Size: 0x1", 1),
		"two words":   strings.Replace(flat, "Package: flat", "Package: flat out", 1),
		"second line": strings.Replace(flat, "Package: flat", "Package: flat\n out", 1),
	}
	for name, b := range bad {
		r := strings.NewReader(b + "\n\n\n" + string(entry) + "\n" + flat)
		var ids []string
		faults := 0
		for p, err := range ReadPackages(iotest.OneByteReader(r)) {
			if errors.Is(err, ErrStanza) {
				faults++
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, p.ID.String())
			if p.Package == "hello" && (p.File != testFile || string(p.Stanza.Text) != string(entry)) {
				t.Errorf("read %+v", p)
			}
			if p.Package == "flat" && (p.File != PackageFile{Filename: "flat.deb", Size: 1, SHA256: sumB}) {
				t.Errorf("read %+v", p.File)
			}
		}
		if got, want := strings.Join(ids, ", "), "hello 2.10-3 amd64, flat 1 all"; got != want || faults != 1 {
			t.Errorf("%s: read %s and %d faults, want %s and 1", name, got, faults, want)
		}
	}
}

func TestReadPackagesErrors(t *testing.T) {
	for name, r := range map[string]io.Reader{
		"reader":    iotest.ErrReader(io.ErrClosedPipe),
		"malformed": strings.NewReader("nonsense\n"),
	} {
		n := 0
		for _, err := range ReadPackages(r) {
			n++
			var format *deb.FormatError
			if !errors.Is(err, io.ErrClosedPipe) && !errors.As(err, &format) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d results", name, n)
		}
	}
}
