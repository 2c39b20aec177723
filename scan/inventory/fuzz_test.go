package inventory

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/package-url/packageurl-go"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/scan"
)

// fuzz feeds content as the file at path, and checks what every report keeps to.
func fuzz(f *testing.F, path string) {
	f.Fuzz(func(t *testing.T, content []byte) {
		p := testPass(t)
		file := deb.File{Path: path, Size: int64(len(content))}
		if err := feed(p, file, bytes.NewReader(content)); err != nil {
			t.Fatalf("malformed content is no failure: %v", err)
		}
		for _, c := range p.Finish(nil).Components {
			checkComponent(t, path, c)
		}
	})
}

func checkComponent(t *testing.T, path string, c scan.Component) {
	t.Helper()
	u, err := packageurl.FromString(c.PURL)
	if err != nil {
		t.Fatalf("%q: %v", c.PURL, err)
	}
	if again := u.ToString(); again != c.PURL || u.Type != purlTypes[c.Ecosystem] || u.Version != c.Version {
		t.Errorf("%+v: its package URL reads as %+v, and is written as %s", c, u, again)
	}
	if c.Name == "" || len(c.Paths) == 0 {
		t.Errorf("%+v has no name or path", c)
	}
	for _, p := range c.Paths {
		inner, ok := strings.CutPrefix(p, path)
		if !ok || strings.Contains(inner, "/../") || len(p) > maxPath {
			t.Errorf("%+v has a strange path", c)
		}
	}
	for _, s := range append(append([]string{c.Name, c.Version}, c.Paths...), c.Licenses...) {
		if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\n\x1b") {
			t.Errorf("%q cannot be kept", s)
		}
	}
}

func FuzzELF(f *testing.F) {
	f.Add([]byte(rustProgram(f)))
	f.Add([]byte(elfFile(false, goInfo("go1.20", "mod\ta.b/c\tv1.0.0\ndep\ta.b/d\tv1.0.0\n=>\ta.b/e\tv1.2.0\th\n"))))
	f.Add([]byte(elfFile(true, goInfo("go1.20", "mod\ta.b/c\tv1.0.0\n"), section{".bss", ""})))
	bare := []byte(elfFile(true, goInfo("go1.20", "mod\ta.b/c\tv1.0.0\n")))
	clear(bare[0x28:0x30])
	clear(bare[0x3c:0x40])
	f.Add(bare)
	fuzz(f, "bin/x")
}

// Modules alone: the fuzzer seldom gets through the headers of ELF to them.
func FuzzGoModules(f *testing.F) {
	f.Add("go1.20", "path\ta.b/c\nmod\ta.b/c\tv1.0.0\ndep\ta.b/d\tv1.0.0\n=>\t./e\t(devel)\t\nbuild\tA=b\n")
	f.Fuzz(func(t *testing.T, release, modules string) {
		p := testPass(t)
		file := []byte(elfFile(true, goInfo(release, modules)))
		p.readProgram("x", bytes.NewReader(file), int64(len(file)))
		for _, c := range p.Finish(nil).Components {
			checkComponent(t, "x", c)
		}
	})
}

func FuzzCrates(f *testing.F) {
	f.Add([]byte(`{"packages":[{"name":"a","version":"1.0.0","source":"crates.io","kind":"build","dependencies":[1],"root":true}]}`))
	f.Fuzz(func(t *testing.T, list []byte) {
		p := testPass(t)
		// Any error but these is noted and left at that; none is a panic.
		if err := p.addCrates("x", list); errors.Is(err, context.Canceled) || errors.Is(err, io.EOF) {
			t.Error(err)
		}
		for _, c := range p.Finish(nil).Components {
			checkComponent(t, "x", c)
		}
	})
}

func FuzzDepV0(f *testing.F) {
	f.Add([]byte(crates(f, `{"packages":[{"name":"a","version":"1.0.0"}]}`)))
	f.Fuzz(func(t *testing.T, content []byte) {
		p := testPass(t)
		file := []byte(elfFile(true, section{".dep-v0", string(content)}))
		p.readProgram("x", bytes.NewReader(file), int64(len(file)))
		for _, c := range p.Finish(nil).Components {
			checkComponent(t, "x", c)
		}
	})
}

func FuzzArchive(f *testing.F) {
	inner := zipFile(f, pom("g", "a", "1"), manifest("Implementation-Title: b"))
	f.Add([]byte(zipFile(f, entry{"../x.jar", inner}, manifest("Bundle-SymbolicName: a.b", "Bundle-Version: 1"))))
	f.Add([]byte(zipBy(f, zip.Store, entry{"lib/x-1.0.jar", inner}, entry{"a-1.dist-info/METADATA", metadata})))
	f.Add([]byte(zipBy(f, zip.Store, entry{"node_modules/a/package.json", `{"name":"a","version":"1"}`})))
	fuzz(f, "lib/a-1.0.jar")
}

func FuzzManifest(f *testing.F) {
	f.Add("a-1.0.jar", []byte(manifest("Bundle-SymbolicName: a.b;x", "Bundle-Version: 1", " .0").content))
	f.Add("a.jar", []byte(manifest("Implementation-Title: a", "Implementation-Version: 1", "Implementation-Vendor-Id: b").content))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		p := testPass(t)
		path := "a.jar!/" + cleanEntry(name+".jar")
		if len(path) > maxPath {
			t.Skip("archives are not opened below such paths")
		}
		p.addByName(path, text)
		for _, c := range p.Finish(nil).Components {
			checkComponent(t, "a.jar!/", c)
		}
	})
}

func FuzzPOM(f *testing.F) {
	f.Add([]byte(pom("g", "a", "1").content))
	f.Add([]byte("groupId : g\\:h\n! x\nversion=1\\=2"))
	fuzz(f, "META-INF/maven/g/a/pom.properties")
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(metadata))
	f.Add([]byte("Name: a\nVersion: 1\nLicense: x\n y\nClassifier: License :: OSI Approved :: MIT License\n"))
	fuzz(f, "a-1.dist-info/METADATA")
}

func FuzzPackageJSON(f *testing.F) {
	f.Add([]byte(`{"name":"@a/b","version":"v1.0.0","license":{"type":"MIT"},"private":false}`))
	f.Add([]byte(`{"name":"a","version":"1","licenses":[{"type":"MIT"},"ISC"]}`))
	fuzz(f, "node_modules/a/package.json")
}
