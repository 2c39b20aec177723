package index

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	sumA = strings.Repeat("a1", 32)
	sumB = strings.Repeat("0b", 32)
	md5A = strings.Repeat("c3", 16)
)

func testRelease() *Release {
	return &Release{
		Origin: "Example", Label: "Example", Suite: "stable", Codename: "jammy",
		Description:   "packages of example.org, größer",
		Date:          time.Date(2026, 3, 7, 9, 5, 1, 0, time.FixedZone("", 3600)),
		ValidUntil:    time.Date(2026, 3, 14, 8, 5, 1, 0, time.UTC),
		Architectures: []string{"amd64", "arm64"},
		Components:    []string{"main", "extra"},
		AcquireByHash: true,
		SignedBy:      []string{printA, printB},
		Files: []FileEntry{
			{Path: "main/binary-amd64/Packages.gz", Size: 20, SHA256: sumB},
			{Path: "main/binary-amd64/Packages", Size: 1234567, SHA256: sumA, MD5: md5A},
		},
	}
}

func TestReleaseText(t *testing.T) {
	got, err := testRelease().AppendTo([]byte("# before\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `# before
Origin: Example
Label: Example
Suite: stable
Codename: jammy
Date: Sat, 07 Mar 2026 08:05:01 UTC
Valid-Until: Sat, 14 Mar 2026 08:05:01 UTC
Signed-By: ` + printA + `,` + printB + `
Acquire-By-Hash: yes
Architectures: amd64 arm64
Components: main extra
Description: packages of example.org, größer
MD5Sum:
 ` + md5A + `          1234567 main/binary-amd64/Packages
SHA256:
 ` + sumA + `          1234567 main/binary-amd64/Packages
 ` + sumB + `               20 main/binary-amd64/Packages.gz
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

const (
	printA = "6F8A0C1D2E3F405162738495A6B7C8D9E0F152FB"
	printB = "0A1B2C3D4E5F60718293A4B5C6D7E8F901234567"
)

// Fingerprints are written in many ways; what is none tells nothing, and is no
// reason to refuse a Release.
func TestSignedBy(t *testing.T) {
	for value, want := range map[string][]string{
		printA:                                 {printA},
		printA + "," + printB:                  {printA, printB},
		printA + "!, " + printB:                {printA, printB},
		strings.ToLower(printA):                {printA},
		"":                                     nil,
		printA[1:]:                             nil,
		printA + "," + strings.Repeat("A", 64): nil,
		"/usr/share/keyrings/a.gpg":            nil,
	} {
		r, err := ParseRelease([]byte("Suite: x\nSigned-By: " + value + "\n"))
		if err != nil || !slices.Equal(r.SignedBy, want) {
			t.Errorf("%q: %q, %v; want %q", value, r.SignedBy, err, want)
		}
	}
}

func TestReleaseRoundTrip(t *testing.T) {
	for name, r := range map[string]*Release{
		"full":     testRelease(),
		"bare":     {Codename: "x"},
		"no files": {Suite: "x", Date: time.Unix(1e9, 0)},
	} {
		text, err := r.AppendTo(nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := ParseRelease(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again, err := got.AppendTo(nil)
		if err != nil || string(again) != string(text) {
			t.Errorf("%s: read back as\n%s(%v)\nfrom\n%s", name, again, err, text)
		}
	}
}

// TestReleaseInjection tries to bring a line of its own into a Release.
func TestReleaseInjection(t *testing.T) {
	evils := []string{
		"x\nSHA256: evil", "x\r", "x\x00", "x\ty", " x", "x ", "x\u2028y", "x\x85y", "x\x7f", "\xff\xfe", "x\vy",
	}
	for _, evil := range evils {
		set := map[string]func(r *Release){
			"Origin":        func(r *Release) { r.Origin = evil },
			"Label":         func(r *Release) { r.Label = evil },
			"Suite":         func(r *Release) { r.Suite = evil },
			"Codename":      func(r *Release) { r.Codename = evil },
			"Description":   func(r *Release) { r.Description = evil },
			"Architectures": func(r *Release) { r.Architectures = []string{evil} },
			"Components":    func(r *Release) { r.Components = []string{"main", evil} },
			"Signed-By":     func(r *Release) { r.SignedBy = []string{evil} },
			"path":          func(r *Release) { r.Files[0].Path = evil },
			"SHA256":        func(r *Release) { r.Files[0].SHA256 = evil },
			"MD5":           func(r *Release) { r.Files[0].MD5 = evil },
		}
		for name, f := range set {
			r := testRelease()
			f(r)
			if text, err := r.AppendTo(nil); !errors.Is(err, ErrRelease) {
				t.Errorf("%s %q: %v, wrote %q", name, evil, err, text)
			}
		}
	}
}

func TestUnfitReleases(t *testing.T) {
	for name, f := range map[string]func(r *Release){
		"path upwards":       func(r *Release) { r.Files[0].Path = "../x" },
		"path in between":    func(r *Release) { r.Files[0].Path = "main/../../x" },
		"absolute path":      func(r *Release) { r.Files[0].Path = "/etc/passwd" },
		"not simplest":       func(r *Release) { r.Files[0].Path = "main//x" },
		"dot":                func(r *Release) { r.Files[0].Path = "." },
		"backslash":          func(r *Release) { r.Files[0].Path = `main\x` },
		"space":              func(r *Release) { r.Files[0].Path = "main/x y" },
		"empty path":         func(r *Release) { r.Files[0].Path = "" },
		"twice":              func(r *Release) { r.Files[0].Path = r.Files[1].Path },
		"negative size":      func(r *Release) { r.Files[0].Size = -1 },
		"no hash":            func(r *Release) { r.Files[0].SHA256 = "" },
		"upper-case hash":    func(r *Release) { r.Files[0].SHA256 = strings.ToUpper(sumA) },
		"short hash":         func(r *Release) { r.Files[0].SHA256 = sumA[:40] },
		"empty architecture": func(r *Release) { r.Architectures = []string{""} },
		"two in one":         func(r *Release) { r.Components = []string{"main extra"} },
		"year 10000":         func(r *Release) { r.Date = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		r := testRelease()
		f(r)
		if _, err := r.AppendTo(nil); !errors.Is(err, ErrRelease) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppendPart(t *testing.T) {
	got, err := testRelease().AppendPart(nil, "extra", "arm64")
	want := "Archive: stable\nOrigin: Example\nLabel: Example\nAcquire-By-Hash: yes\nComponent: extra\nArchitecture: arm64\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
	if _, err := testRelease().AppendPart(nil, "main\nX: y", "arm64"); !errors.Is(err, ErrRelease) {
		t.Errorf("line end in component: %v", err)
	}
}

// foreignRelease has what other archives write and AppendTo does not.
var foreignRelease = `Origin: Debian
Label: Debian
Suite: stable
Version: 12.8
Codename: bookworm
Changelogs: https://metadata.ftp-master.debian.org/changelogs/@CHANGEPATH@_changelog
Date: Sat,  7 Mar 2026 10:18:36 UTC
Valid-Until: Sat, 14 Mar 2026 10:18:36 +0000
acquire-by-hash: yes
No-Support-for-Architecture-all: Packages
Architectures: all amd64
Components: main contrib
Description: Debian 12.8 Released 09 November 2024
Other:
 more
 lines
MD5Sum:
 ` + md5A + `  738242 contrib/Contents-all
 ` + md5A + `  1 only-md5
SHA1:
 da39a3ee5e6b4b0d3255bfef95601890afd80709 0 whatever
SHA256:
 ` + strings.ToUpper(sumA) + `  738242 contrib/Contents-all
 ` + sumB + `    1194 main/binary-amd64/Release
 ` + sumB + `    1194 main/binary-amd64/Release
SHA512:
 00 0 whatever
`

func TestForeignRelease(t *testing.T) {
	got, err := ParseRelease([]byte(foreignRelease))
	if err != nil {
		t.Fatal(err)
	}
	want := &Release{
		Origin: "Debian", Label: "Debian", Suite: "stable", Codename: "bookworm",
		Description:   "Debian 12.8 Released 09 November 2024",
		Date:          time.Date(2026, 3, 7, 10, 18, 36, 0, time.UTC),
		ValidUntil:    time.Date(2026, 3, 14, 10, 18, 36, 0, time.UTC),
		Architectures: []string{"all", "amd64"}, Components: []string{"main", "contrib"},
		AcquireByHash: true, AllInEach: true,
		Files: []FileEntry{
			{Path: "contrib/Contents-all", Size: 738242, SHA256: sumA, MD5: md5A},
			{Path: "main/binary-amd64/Release", Size: 1194, SHA256: sumB},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestMalformedReleases(t *testing.T) {
	entry := "SHA256:\n " + sumA + " 1 "
	for name, text := range map[string]string{
		"empty":               "",
		"newlines":            "\n\n",
		"two stanzas":         "Suite: a\n\nSuite: b\n",
		"blank line":          "Suite: a\n \nLabel: b\n",
		"leading blank line":  "\nSuite: a\n",
		"field twice":         "Suite: a\nSUITE: b\n",
		"section twice":       entry + "a\nSha256:\n " + sumA + " 1 b\n",
		"no colon":            "Suite a\n",
		"no name":             ": a\n",
		"space in name":       "Suite : a\n",
		"continued name":      "Suite: a\n b\n",
		"continued nothing":   " a\nSuite: a\n",
		"carriage return":     "Suite: a\r\n",
		"nul":                 "Suite: a\x00\n",
		"not utf-8":           "Suite: \xff\n",
		"bad date":            "Date: yesterday\n",
		"local date":          "Date: Sat, 07 Mar 2026 10:18:36 CET\n",
		"impossible date":     "Date: Sat, 37 Mar 2026 10:18:36 UTC\n",
		"entry on first line": "SHA256: " + sumA + " 1 a\n",
		"two words":           "SHA256:\n " + sumA + " 1\n",
		"four words":          entry + "a b\n",
		"short hash":          "SHA256:\n " + sumA[:62] + " 1 a\n",
		"not hexadecimal":     "SHA256:\n " + strings.Repeat("xy", 32) + " 1 a\n",
		"negative size":       "SHA256:\n " + sumA + " -1 a\n",
		"signed size":         "SHA256:\n " + sumA + " +1 a\n",
		"huge size":           "SHA256:\n " + sumA + " 9223372036854775808 a\n",
		"upwards":             entry + "../a\n",
		"hidden upwards":      entry + "a/../../b\n",
		"absolute":            entry + "/a\n",
		"disagreeing hashes":  entry + "a\n " + sumB + " 1 a\n",
		"disagreeing sizes":   entry + "a\nMD5Sum:\n " + md5A + " 2 a\n",
		"too long":            "Suite: " + strings.Repeat("x", maxRelease) + "\n",
	} {
		if r, err := ParseRelease([]byte(text)); !errors.Is(err, ErrRelease) {
			t.Errorf("%s: %v, read %+v", name, err, r)
		}
	}
}

func TestReleaseFileBound(t *testing.T) {
	var b strings.Builder
	b.WriteString("MD5Sum:\n")
	for i := range maxReleaseFiles + 1 {
		b.WriteString(" " + md5A + " 1 ")
		for ; i > 0; i /= 10 {
			b.WriteByte(byte('0' + i%10))
		}
		b.WriteString("x\n")
	}
	if _, err := ParseRelease([]byte(b.String())); !errors.Is(err, ErrRelease) {
		t.Errorf("%v", err)
	}
}

func TestByHash(t *testing.T) {
	f := FileEntry{Path: "main/binary-amd64/Packages.gz", SHA256: sumA}
	if got, want := f.ByHash(), "main/binary-amd64/by-hash/SHA256/"+sumA; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzParseRelease(f *testing.F) {
	text, err := testRelease().AppendTo(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(foreignRelease))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRelease(data)
		if err != nil {
			if !errors.Is(err, ErrRelease) {
				t.Fatalf("strange error: %v", err)
			}
			return
		}
		text, err := r.AppendTo(nil)
		if err != nil {
			t.Fatalf("cannot be written: %v", err)
		}
		if len(text) == 0 {
			return // nothing in it that Release has a place for
		}
		again, err := ParseRelease(text)
		if err != nil {
			t.Fatalf("cannot be read back: %v\n%s", err, text)
		}
		if !reflect.DeepEqual(r, again) {
			t.Fatalf("read back as %+v, was %+v", again, r)
		}
	})
}
