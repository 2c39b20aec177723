package deb_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
)

// An unusual package looks odd but is sound: dpkg installs it, and all
// programs read it alike.
type unusual struct {
	name  string
	build func() []byte
	// check, if set, looks at what was read.
	check func(*deb.Package) error
}

func built(p debtest.Package) func() []byte { return p.Build }

func fileNames(want ...string) func(*deb.Package) error {
	return func(pkg *deb.Package) error {
		var got []string
		for _, f := range pkg.Files {
			got = append(got, f.Path)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			return fmt.Errorf("files are %q, want %q", got, want)
		}
		return nil
	}
}

func members(want string) func(*deb.Package) error {
	return func(pkg *deb.Package) error {
		var got []string
		for _, m := range pkg.Members {
			got = append(got, m.Name)
		}
		if strings.Join(got, " ") != want {
			return fmt.Errorf("members are %q, want %q", got, want)
		}
		return nil
	}
}

func unusualPackages() []unusual {
	all := unusualArchives()
	all = append(all, unusualCompression()...)
	all = append(all, unusualTars()...)
	return append(all, unusualControl()...)
}

func unusualArchives() []unusual {
	binary := []byte("2.0\n")
	control := debtest.Package{}.ControlTar()
	forged := func(h debtest.ArHeader) func() []byte {
		h.Name, h.Size = "data.tar", fmt.Sprint(len(data()))
		return bytesOf(start().Forge(h, data()))
	}
	return []unusual{
		{"GNU slashes after member names", bytesOf(new(debtest.Ar).Member("debian-binary/", binary).Member("control.tar/", control).
			Member("data.tar/", data())), members("debian-binary control.tar data.tar")},
		{"signature after data", bytesOf(start().Member("data.tar", data()).Member("_gpgbuilder", []byte("-----BEGIN PGP"))),
			members("debian-binary control.tar data.tar _gpgbuilder")},
		{"underscore member before control", bytesOf(new(debtest.Ar).Member("debian-binary", binary).Member("_x", []byte("odd")).
			Member("control.tar", control).Member("data.tar", data())), nil},
		{"underscore member between", bytesOf(start().Member("_gpgorigin", []byte("12345")).Member("data.tar", data())), nil},
		{"underscore member twice", bytesOf(start().Member("data.tar", data()).Member("_x", nil).Member("_x", nil)), nil},
		{"format 2.1", withParts(func(p *parts) { p.version = "2.1\n" }), nil},
		{"format with more lines", withParts(func(p *parts) { p.version = "2.0\nmore to come\n" }), nil},
		{"blank numbers in a member header", forged(debtest.ArHeader{Date: " ", UID: " ", GID: " ", Mode: " "}), nil},
		{"short mode in a member header", forged(debtest.ArHeader{Date: "1700000000", UID: "1000", GID: "1000", Mode: "0"}), nil},
	}
}

func unusualCompression() []unusual {
	xz := func(check byte, b xzBlock) func() []byte { return compressedData(".xz", xzOf(check, b)) }
	return []unusual{
		{"no compression", built(debtest.Package{}), nil},
		{"gzip", built(debtest.Package{Compression: debtest.Gzip}), nil},
		{"xz", built(debtest.Package{Compression: debtest.XZ}), nil},
		{"zstd", built(debtest.Package{Compression: debtest.Zstd}), nil},
		{"gzip control, xz data", withParts(func(p *parts) {
			p.controlName, p.control = "control.tar.gz", debtest.Compress(debtest.Gzip, p.control)
			p.dataName, p.data = "data.tar.xz", debtest.Compress(debtest.XZ, p.data)
		}), nil},
		{"gzip of several members", compressedData(".gz", inTwo(debtest.Gzip)), nil},
		{"gzip with an empty member", compressedData(".gz", func(tar []byte) []byte {
			return join(debtest.Compress(debtest.Gzip, nil), debtest.Compress(debtest.Gzip, tar))
		}), nil},
		{"xz with padding after the stream", compressedData(".xz", with(debtest.XZ, trailing("\x00\x00\x00\x00"))), nil},
		{"xz of several streams, the archive in the first", compressedData(".xz", func(tar []byte) []byte {
			return join(debtest.Compress(debtest.XZ, tar), make([]byte, 8), debtest.Compress(debtest.XZ, make([]byte, 1024)), xzStream(4))
		}), nil},
		{"xz of several blocks", compressedData(".xz", func(tar []byte) []byte { return xzStream(4, split(string(tar), 9, xzBlock{dict: dict64KiB})...) }), nil},
		{"xz with sizes in the block header", xz(4, xzBlock{sizes: true}), nil},
		{"xz without check", xz(0, xzBlock{}), nil},
		{"xz with CRC32", xz(1, xzBlock{}), nil},
		{"xz with SHA-256", xz(10, xzBlock{}), nil},
		{"xz with a dictionary of 64 MiB", xz(4, xzBlock{dict: dict64MiB, sizes: true}), nil},
		{"xz with an idle x86 filter", xz(4, xzBlock{filters: []byte{1, 4, 0}}), nil},
		{"zstd of several frames, the archive in the first", compressedData(".zst", func(tar []byte) []byte {
			skippable := []byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc")
			return join(debtest.Compress(debtest.Zstd, tar), skippable, debtest.Compress(debtest.Zstd, make([]byte, 1024)))
		}), nil},
		{"zstd with a window of 128 MiB", compressedData(".zst", zstdWindow(17)), nil},
	}
}

func unusualTars() []unusual {
	long := strings.Repeat("long-directory-name/", 10) + "file"
	openTar := func(t *debtest.Tar) []byte { return t.Open() }
	return []unusual{
		{"control without dot", withTar(new(debtest.Tar).File("control", minimal)), nil},
		{"control after other files", withTar(new(debtest.Tar).Dir("./").File("./md5sums", "").File("./control", minimal)), nil},
		{"control without permissions", withTar(new(debtest.Tar).Dir("./").Add(debtest.Header{Name: "./control", Content: minimal, Edit: field(100, "0000000\x00")})), nil},
		{"no files", withParts(func(p *parts) { p.data = new(debtest.Tar).Bytes() }), fileNames()},
		{"archives without end marker", withParts(func(p *parts) {
			p.control, p.data = openTar(new(debtest.Tar).File("./control", minimal)), openTar(new(debtest.Tar).File("./f", "x"))
		}), fileNames("f")},
		{"one empty block at the end", withParts(func(p *parts) { p.data = append(new(debtest.Tar).File("./f", "x").Open(), make([]byte, 512)...) }), nil},
		{"padding to a record of tar", withParts(func(p *parts) { p.data = append(p.data, make([]byte, 20*512)...) }), nil},
		{"names without dot", inData(debtest.Header{Name: "usr/", Type: '5'}, file("usr/f")), fileNames(".", "usr", "usr/f")},
		{"directories not listed", inData(file("./usr/share/f")), fileNames(".", "usr/share/f")},
		{"directory twice", inData(debtest.Header{Name: "./d/", Type: '5'}, debtest.Header{Name: "./d/", Type: '5'}), nil},
		{"directory after what is in it", inData(file("./d/f"), debtest.Header{Name: "./d/", Type: '5'}), nil},
		{"directory without slash", inData(debtest.Header{Name: "./d", Type: '5'}, file("./d/f")), nil},
		{"long name of GNU", inData(file("./" + long)), fileNames(".", long)},
		{"long link target of GNU", inData(debtest.Header{Name: "./l", Link: strings.Repeat("../", 60) + "f", Type: '2'}), nil},
		{"long name and target of GNU", inData(debtest.Header{Name: "./" + long, Link: strings.Repeat("x", 200), Type: '2'}), nil},
		{"name split as in POSIX", inData(debtest.Header{Name: "f", Format: debtest.POSIX, Edit: field(345, "./usr/share")}), fileNames(".", "usr/share/f")},
		{"POSIX header", inData(debtest.Header{Name: "./f", Format: debtest.POSIX, Content: "x"}), nil},
		{"V7 header", inData(debtest.Header{Name: "./f", Format: debtest.V7, Edit: func(b []byte) { b[156] = 0 }}), fileNames(".", "f")},
		{"V7 directory", inData(debtest.Header{Name: "./d/", Format: debtest.V7, Edit: func(b []byte) { b[156] = 0 }}), func(pkg *deb.Package) error {
			if pkg.Files[1].Type != deb.Directory {
				return fmt.Errorf("the directory is a %s", pkg.Files[1].Type)
			}
			return nil
		}},
		{"owner beyond octal digits", inData(debtest.Header{Name: "./f", UID: 1 << 30, GID: 1 << 30}), func(pkg *deb.Package) error {
			if f := pkg.Files[1]; f.UID != 1<<30 || f.GID != 1<<30 {
				return fmt.Errorf("owner is %d, group %d", f.UID, f.GID)
			}
			return nil
		}},
		{"size in binary", inData(edited(func(b []byte) { copy(b[124:136], "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01") })), nil},
		{"blanks around numbers", inData(edited(field(100, "   644 \x00"))), nil},
		{"set-uid program", inData(debtest.Header{Name: "./su", Mode: 0o4755}), func(pkg *deb.Package) error {
			if pkg.Files[1].Mode != 0o4755 {
				return fmt.Errorf("mode is %o", pkg.Files[1].Mode)
			}
			return nil
		}},
		{"symbolic links that lead anywhere", inData(debtest.Header{Name: "./a", Link: "/etc/passwd", Type: '2'},
			debtest.Header{Name: "./b", Link: "../../x", Type: '2'}, debtest.Header{Name: "./c", Link: "c", Type: '2'}), nil},
		{"hard links", inData(file("./f"), debtest.Header{Name: "./g", Link: "./f", Type: '1'}, debtest.Header{Name: "./h", Link: "g", Type: '1'}),
			func(pkg *deb.Package) error {
				if f := pkg.Files[3]; f.Type != deb.Hardlink || f.Target != "g" || pkg.InstalledBytes != 1 {
					return fmt.Errorf("got %+v, %d bytes", f, pkg.InstalledBytes)
				}
				return nil
			}},
		{"names in UTF-8", inData(file("./usr/share/日本語/größe")), fileNames(".", "usr/share/日本語/größe")},
		{"names with blanks and quotes", inData(file(`./a b'c"d\e%2f$(f)`)), fileNames(".", `a b'c"d\e%2f$(f)`)},
		{"names that look like others", inData(file("./..."), file("./..a"), file("./-rf"), file("./~")), fileNames(".", "...", "..a", "-rf", "~")},
		{"time before 1970 is not, after 2106 is", inData(debtest.Header{Name: "./f", ModTime: 1 << 33}), nil},
	}
}

func unusualControl() []unusual {
	description := "Description: long\n" + strings.Repeat(" "+strings.Repeat("x", 70)+"\n .\n", 1500)
	cases := []unusual{
		{"only what dpkg needs", withControl(minimal), func(pkg *deb.Package) error {
			if pkg.Source != "hello" || pkg.SourceVersion != "1.0" || pkg.Maintainer != "" || pkg.Description != "" {
				return fmt.Errorf("got %+v", pkg)
			}
			return nil
		}},
		{"empty lines at the end", withControl(minimal + "\n\n"), nil},
		{"field names in other case", withControl("package: hello\nVERSION: 1.0\nArchitecture: all\n"), nil},
		{"blanks around values", withControl("Package:hello\nVersion: \t1.0  \nArchitecture: amd64\t\n"), nil},
		{"long description", withControl(minimal + description), nil},
		{"description in UTF-8", withField("Description: Größe, 大きさ, \u2028 and \U0001f600"), nil},
		{"empty fields", withField("Homepage:\nDepends:\nMulti-Arch:\nEssential: \nSection:\nSource:\nInstalled-Size:\nXY: z"), func(pkg *deb.Package) error {
			if pkg.Source != "hello" || pkg.Relations("Depends") != nil {
				return fmt.Errorf("source %q, Depends %q", pkg.Source, pkg.Relations("Depends"))
			}
			return nil
		}},
		{"user-defined fields", withField("X-Foo: bar\nXB-Baz: 1\nOriginal-Maintainer: a\nBuild-Ids: 0123"), nil},
		{"folded Depends", withField("Depends: a,\n b (>= 1) |\n c"), nil},
		{"obsolete operators", withField("Depends: a (< 1), b (> 2), c (3)"), nil},
		{"all relations", withField("Pre-Depends: a:any\nRecommends: b | c\nSuggests: d\nEnhances: e\nBreaks: f (<< 1)\nConflicts: g\n" +
			"Replaces: h\nProvides: i (= 1), j\nBuilt-Using: gcc-12 (= 12.2.0-14)"), func(pkg *deb.Package) error {
			if got := pkg.Relations("provides").String(); got != "i (= 1), j" {
				return fmt.Errorf("Provides is %s", got)
			}
			return nil
		}},
		{"source with version", withField("Source: hello-src (1:2.0-1)"), func(pkg *deb.Package) error {
			if pkg.Source != "hello-src" || pkg.SourceVersion != "1:2.0-1" {
				return fmt.Errorf("source is %s %s", pkg.Source, pkg.SourceVersion)
			}
			return nil
		}},
		{"flags", withField("Essential: yes\nProtected: yes\nMulti-Arch: foreign\nPriority: required\nSection: contrib/net\nInstalled-Size: 0"),
			func(pkg *deb.Package) error {
				if !pkg.Essential || pkg.MultiArch != "foreign" || pkg.Priority != "required" || pkg.Section != "contrib/net" {
					return fmt.Errorf("got %+v", pkg)
				}
				return nil
			}},
		{"section of an application store", withField("Section: Applications/My_Tools"), nil},
		{"name with plus and dots", replaced("hello", "libstdc++6-4.7-pic"), nil},
		{"name of a digit", replaced("hello", "0ad"), nil},
		{"name of 128 characters", replaced("hello", strings.Repeat("a", 128)), nil},
		{"unusual architecture", replaced("amd64", "musl-linux-armhf"), nil},
		{"control scripts", built(debtest.Package{Scripts: map[string]string{"postinst": "#!/bin/sh\n", "prerm": "", "templates": "", "triggers": ""}}),
			func(pkg *deb.Package) error {
				if strings.Join(pkg.Scripts, " ") != "postinst prerm" || len(pkg.ControlFiles) != 5 {
					return fmt.Errorf("scripts are %q, control files %q", pkg.Scripts, pkg.ControlFiles)
				}
				return nil
			}},
		{"configuration files", built(debtest.Package{Scripts: map[string]string{"conffiles": "/etc/a\n/etc/b c\nremove-on-upgrade /etc/d\n"},
			Files: map[string]string{"etc/a": "", "etc/b c": ""}}), func(pkg *deb.Package) error {
			if strings.Join(pkg.Conffiles, ":") != "/etc/a:/etc/b c:/etc/d" {
				return fmt.Errorf("conffiles are %q", pkg.Conffiles)
			}
			return nil
		}},
		{"digests", built(debtest.Package{Scripts: map[string]string{"md5sums": "D41D8CD98F00B204E9800998ECF8427E  usr/f\nnonsense\n" +
			"d41d8cd98f00b204e9800998ecf8427e */usr/g\n"}}), func(pkg *deb.Package) error {
			if len(pkg.MD5Sums) != 2 || pkg.MD5Sums["usr/f"] != "d41d8cd98f00b204e9800998ecf8427e" || pkg.MD5Sums["usr/g"] == "" {
				return fmt.Errorf("digests are %q", pkg.MD5Sums)
			}
			return nil
		}},
	}
	for _, v := range []string{"0", "1:1.0", "0:1.0", "1.0~rc1-1~bpo12+1", "1.0+dfsg-1", "1.0-2-3", "2:1:3", "20240101.abcdef", "1.", "2147483647:1"} {
		cases = append(cases, unusual{"version " + v, replaced("1.0", v), func(pkg *deb.Package) error {
			if pkg.Version.String() != v {
				return fmt.Errorf("version is %s", pkg.Version)
			}
			return nil
		}})
	}
	return cases
}

func TestUnusualPackages(t *testing.T) {
	for _, u := range unusualPackages() {
		t.Run(u.name, func(t *testing.T) {
			b := u.build()
			pkg := read(t, b)
			if u.check != nil {
				if err := u.check(pkg); err != nil {
					t.Error(err)
				}
			}
			control, err := deb.ReadControl(bytes.NewReader(b), nil)
			if err != nil {
				t.Fatal(err)
			}
			if control.Control.String() != pkg.Control.String() || control.Name != pkg.Name || control.Version != pkg.Version {
				t.Errorf("ReadControl sees another package: %s", control.Control)
			}
		})
	}
}

// TestUnusualPackagesLikeDpkg verifies that dpkg-deb takes the same packages
// and reads the same fields and files.
func TestUnusualPackagesLikeDpkg(t *testing.T) {
	needProgram(t, "dpkg-deb")
	dir := t.TempDir()
	for i, u := range unusualPackages() {
		t.Run(u.name, func(t *testing.T) {
			t.Parallel()
			b := u.build()
			pkg := read(t, b)
			path := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			theirs, err := deb.ParseStanza(dpkgDeb(t, "-I", path, "control"))
			if err != nil {
				t.Fatalf("what dpkg-deb prints: %v", err)
			}
			if theirs.String() != pkg.Control.String() {
				t.Errorf("dpkg-deb reads %q, we %q", theirs, pkg.Control)
			}
			if got := bytes.Count(dpkgDeb(t, "-c", path), []byte("\n")); got != len(pkg.Files) {
				t.Errorf("dpkg-deb lists %d files, we %d", got, len(pkg.Files))
			}
		})
	}
}

func dpkgDeb(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("dpkg-deb", args...).Output()
	if err != nil {
		t.Fatalf("dpkg-deb %s: %v", args[0], err)
	}
	return out
}
