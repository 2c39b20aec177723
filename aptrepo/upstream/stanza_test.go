package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/repod-io/repod/deb"
)

const sumA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func parseOne(text string) (Package, error) {
	raw, err := deb.NewStanzaReader(strings.NewReader(text), 0).Next()
	if err != nil {
		return Package{}, err
	}
	return (&stanzaParser{sourceID: "s", component: "main", arch: "amd64"}).parse(raw)
}

func minimal(more string) string {
	return "Package: hello\nVersion: 1.0\nArchitecture: amd64\nFilename: pool/hello.deb\nSize: 10\nSHA256: " + sumA + "\n" + more
}

// What archives write in ways of their own.
func TestLenience(t *testing.T) {
	for _, tt := range []struct {
		text string
		want func(*Package)
	}{
		{minimal(""), func(*Package) {}},
		{"X: A\n" + minimal(""), func(*Package) {}},
		{strings.Replace(minimal(""), sumA, strings.ToUpper(sumA), 1), func(*Package) {}},
		{strings.Replace(minimal(""), "pool/", "./pool/", 1), func(*Package) {}},
		{strings.Replace(minimal(""), "Filename", "fileNAME", 1), func(*Package) {}},
		{minimal("Multi-Arch: no\nEssential: no\n"), func(*Package) {}},
		{minimal("Installed-Size: 12.5\n"), func(*Package) {}},
		{minimal("Installed-Size: -12\n"), func(*Package) {}},
		{minimal("Installed-Size: 99999999999999999999\n"), func(*Package) {}},
		{minimal("Source: other\n"), func(p *Package) { p.SourceName = "other" }},
		{minimal("Source: other  ( 2:1.0-1 )\n"), func(p *Package) { p.SourceName, p.SourceVersion = "other", "2:1.0-1" }},
		{minimal("Description: caf\xe9 au lait\n and more \xff\n"), func(p *Package) { p.Synopsis = "caf\uFFFD au lait" }},
		{minimal("Description: caf\u00e9\n"), func(p *Package) { p.Synopsis = "café" }},
		{minimal("Description: bell \x07\n"), func(*Package) {}},
		{minimal("Description:\n only more\n"), func(*Package) {}},
		{minimal("Maintainer: J\xf6rg\nX: \x01\n"), func(*Package) {}},
		{minimal("Depends: a,\n b (>= 1)\n"), func(p *Package) { p.Depends = "a,\n b (>= 1)" }},
		{strings.Replace(minimal(""), "pool/hello.deb", "pool/a b%2f+~é.deb", 1), func(p *Package) { p.Filename = "pool/a b%2f+~é.deb" }},
		{strings.Replace(minimal(""), "pool/hello.deb", "hello_1:2.deb", 1), func(p *Package) { p.Filename = "hello_1:2.deb" }},
	} {
		want := Package{SourceID: "s", Component: "main", Name: "hello", Version: "1.0", Arch: "amd64",
			SourceName: "hello", SourceVersion: "1.0", Filename: "pool/hello.deb", Size: 10, SHA256: sumA}
		tt.want(&want)
		if got, err := parseOne(tt.text); err != nil || got != want {
			t.Errorf("%q:\ngot  %+v, %v\nwant %+v", tt.text, got, err, want)
		}
	}
}

// FuzzStanza has whatever is accepted be what the catalogue, URLs and file
// systems may rely on, and mean the same when it is written again.
func FuzzStanza(f *testing.F) {
	f.Add([]byte(minimal("Source: a (1)\nDepends: a,\n b\nDescription: x\n y\nMulti-Arch: same\nEssential: yes\nInstalled-Size: 4\nSection: a/b\n")))
	f.Add([]byte(minimal("Provides: x (= 1)\nPre-Depends: a\nConflicts: b\nBreaks: c\nReplaces: d\nPriority: optional\n")))
	f.Add([]byte(strings.Replace(minimal(""), "pool", "..", 1)))
	f.Add([]byte(strings.Replace(minimal(""), "pool", "http:", 1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		stanzas := deb.NewStanzaReader(bytes.NewReader(text), 1<<16)
		parser := &stanzaParser{sourceID: "s", component: "main", arch: "amd64"}
		for {
			raw, err := stanzas.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				var fault *deb.FormatError
				if !errors.As(err, &fault) {
					t.Fatalf("error %v", err)
				}
				return
			}
			p, err := parser.parse(raw)
			if err != nil {
				var fault *Failure
				if !errors.As(err, &fault) || fault.Code != Rejected || fault.Reason == "" || strings.ContainsAny(fault.Detail, "\n\x00") {
					t.Fatalf("error %v", err)
				}
				continue
			}
			mustBeSound(t, p)
			again, err := parseOne(render(p))
			if err != nil || again != p {
				t.Fatalf("%+v\nwritten and read again is\n%+v, %v", p, again, err)
			}
		}
	})
}

func mustBeSound(t *testing.T, p Package) {
	t.Helper()
	if _, err := deb.ParseVersion(p.Version); err != nil || !deb.ValidPackageName(p.Name) || p.Arch != "amd64" && p.Arch != "all" {
		t.Errorf("identity of %+v", p)
	}
	if !deb.ValidPackageName(p.SourceName) || p.SourceVersion == "" {
		t.Errorf("source of %+v", p)
	}
	if clean := path.Join("/root", p.Filename); !strings.HasPrefix(clean, "/root/") || clean != "/root/"+p.Filename || strings.Contains(p.Filename, `\`) {
		t.Errorf("file name %q", p.Filename)
	}
	site, err := newSite(Source{URL: "http://example.org/debian"})
	if err != nil {
		t.Fatal(err)
	}
	u := site.at(p.Filename)
	if u.Host != "example.org" || u.Path != "/debian/"+p.Filename || u.RawQuery != "" || u.Fragment != "" {
		t.Errorf("URL %q of file name %q", u, p.Filename)
	}
	if reparsed, err := u.Parse(u.String()); err != nil || reparsed.Path != u.Path || reparsed.Host != u.Host || reparsed.RawQuery != "" {
		t.Errorf("URL %q of file name %q reads as %q, %v", u, p.Filename, reparsed, err)
	}
	if p.Size <= 0 || len(p.SHA256) != 64 || p.InstalledSize < 0 {
		t.Errorf("size or hash of %+v", p)
	}
	if all := fmt.Sprint(p); !utf8.ValidString(all) || strings.ContainsRune(all, 0) {
		t.Errorf("text of %+v", p)
	}
}

// render writes a package as a stanza.
func render(p Package) string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	field("Package", p.Name)
	field("Version", p.Version)
	field("Architecture", p.Arch)
	field("Filename", p.Filename)
	field("Size", fmt.Sprint(p.Size))
	field("SHA256", p.SHA256)
	field("Source", fmt.Sprintf("%s (%s)", p.SourceName, p.SourceVersion))
	field("Section", p.Section)
	field("Priority", p.Priority)
	field("Essential", yesNo(p.Essential))
	field("Multi-Arch", p.MultiArch)
	field("Installed-Size", fmt.Sprint(p.InstalledSize))
	field("Description", p.Synopsis)
	field("Pre-Depends", p.PreDepends)
	field("Depends", p.Depends)
	field("Provides", p.Provides)
	field("Conflicts", p.Conflicts)
	field("Breaks", p.Breaks)
	field("Replaces", p.Replaces)
	return b.String()
}

// FuzzPatchIndex has no index of patches lead out of its folder or ask for more
// than the whole file.
func FuzzPatchIndex(f *testing.F) {
	p := packagesFile{}
	p.plain.Path, p.plain.SHA256, p.plain.Size = "main/binary-amd64/Packages", sumA, 100
	p.forms = []form{{FileEntry: p.plain}}
	old := memoIndex{"main/binary-amd64/Packages", strings.Repeat("b", 64), 90}
	rows := func(names ...string) string {
		var b strings.Builder
		for _, n := range names {
			fmt.Fprintf(&b, " %s 90 %s\n", old.SHA256, n)
		}
		return b.String()
	}
	seed := "SHA256-Current: " + sumA + " 100\nSHA256-History:\n" + rows("a", "b") + "SHA256-Patches:\n" +
		rows("a", "b") + "SHA256-Download:\n" + rows("a.gz", "b.gz")
	f.Add([]byte(seed + "X-Patch-Precedence: merged\n"))
	f.Add([]byte(seed))
	f.Add([]byte(strings.ReplaceAll(seed, " 90 b", " 5 ../b")))
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, err := parsePatchIndex(text, old, p)
		if err != nil {
			if !errors.Is(err, errPatchIndex) {
				t.Fatalf("error %v", err)
			}
			return
		}
		var total int64
		for _, patch := range chain {
			total += patch.file.Size
			if path.Dir(patch.file.Path) != "main/binary-amd64/Packages.diff" || patch.script.Size > maxPatch || len(patch.file.SHA256) != 64 {
				t.Errorf("patch %+v", patch)
			}
		}
		if total > p.forms[0].Size || len(chain) == 0 || len(chain) > maxPatches {
			t.Errorf("%d patches of %d bytes", len(chain), total)
		}
	})
}
