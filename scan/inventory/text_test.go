package inventory

import (
	"strings"
	"testing"
	"time"
)

func TestPython(t *testing.T) {
	const name = "Name: a\nVersion: 1\n"
	for _, tt := range []struct {
		text, want string // purl and licenses
	}{
		{name, "pkg:pypi/a@1"},
		{"\xef\xbb\xbfNAME:a\r\nversion:  1 \r\n\r\n", "pkg:pypi/a@1"},
		{"Name: Zope.__Interface-x\nVersion: 5.4.0\n", "pkg:pypi/zope-interface-x@5.4.0"},
		{"Name: a\nVersion: 1.0+local\n", "pkg:pypi/a@1.0%2Blocal"},
		{"Name: a\nVersion: 1!2.0\n", "pkg:pypi/a@1%212.0"},
		{"Name: a\nName: b\nVersion: 1\n", "pkg:pypi/a@1"},
		{name + "License: MIT\nClassifier: License :: OSI Approved :: Apache Software License\n", "pkg:pypi/a@1 MIT"},
		{name + "Classifier: Topic :: X\nClassifier: License :: OSI Approved\nClassifier: License :: OSI Approved :: MIT License\n", "pkg:pypi/a@1 MIT License"},
		{name + "License: UNKNOWN\n", "pkg:pypi/a@1"},
		{name + "License: The whole\n        text\n", "pkg:pypi/a@1"},
		{name + "License: GPL\nLicense-Expression: GPL-2.0-only OR MIT\n", "pkg:pypi/a@1 GPL-2.0-only OR MIT"},
		{"Name: a\n", ""},
		{"Version: 1\n", ""},
		{"Description: x\n Name: b\nName: a\nVersion: 1\n", "pkg:pypi/a@1"},
		{"\nName: a\nVersion: 1\n", ""},
		{"Name: a b\nVersion: 1\n", ""},
		{"Name: ../a\nVersion: 1\n", ""},
	} {
		p := testPass(t)
		p.readText(pythonMetadata, "x", []byte(tt.text))
		got := ""
		for _, c := range p.found.sorted() {
			got += strings.Join(append([]string{c.PURL}, c.Licenses...), " ")
		}
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestNPM(t *testing.T) {
	for _, tt := range []struct {
		text, want string
	}{
		{`{"name":"a","version":"1.0.0"}`, "pkg:npm/a@1.0.0"},
		{"\xef\xbb\xbf" + `{"name":"a","version":"v1.0.0","private":false}`, "pkg:npm/a@1.0.0"},
		{`{"name":"@s/a","version":"1.0.0-rc.1+b"}`, "pkg:npm/%40s/a@1.0.0-rc.1%2Bb"},
		{`{"name":"a","version":"1","license":{"type":"MIT","url":"x"}}`, "pkg:npm/a@1 MIT"},
		{`{"name":"a","version":"1","licenses":[{"type":"MIT"},"ISC",[["x"]],7,null]}`, "pkg:npm/a@1 ISC MIT"},
		{`{"name":"a","version":"1","license":7}`, "pkg:npm/a@1"},
		// Node.js knows no other spelling, and takes the last of two.
		{`{"name":"a","version":"1","Name":"b","VERSION":"2"}`, "pkg:npm/a@1"},
		{`{"name":"a","name":"b","version":"1"}`, "pkg:npm/b@1"},
		{`{"name":"a","version":"1","private":true}`, ""},
		{`{"name":"a"}`, ""},
		{`{"version":"1"}`, ""},
		{`{"type":"module"}`, ""},
		{`{"name":7,"version":[]}`, ""},
		{`{"name":"a/b/c","version":"1"}`, ""},
		{`{"name":"a\u0000","version":"1"}`, ""},
		{`{"name":"a","version":"1 || 2"}`, "pkg:npm/a"},
		{`[]`, ""},
		{`{"name":"a","version":"1"`, ""},
		{strings.Repeat("[", 100_000), ""},
	} {
		p := testPass(t)
		p.readText(npmPackage, "x", []byte(tt.text))
		got := ""
		for _, c := range p.found.sorted() {
			got += strings.Join(append([]string{c.PURL}, c.Licenses...), " ")
		}
		if got != tt.want {
			t.Errorf("%.80q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestClassify(t *testing.T) {
	for path, want := range map[string]kind{
		"usr/bin/x": unknown, "x": unknown, "a.b/c": unknown, "lib/x.so.1": unknown,
		"a/b.jar": javaArchive, "b.WAR": javaArchive, "b.ear": javaArchive, "b.jpi": javaArchive,
		"b.whl": archive, "b.egg": archive, "jar": unknown, "b.jar/x": unknown,
		"a/b-1.dist-info/METADATA": pythonMetadata, "a/METADATA": unknown, "b-1.dist-info/x/METADATA": unknown,
		"b.egg-info/PKG-INFO": pythonMetadata, "b.egg/EGG-INFO/PKG-INFO": pythonMetadata, "EGG-INFO/PKG-INFO": pythonMetadata,
		"PKG-INFO": unknown, "b.egg-info": pythonMetadata, "XEGG-INFO/PKG-INFO": unknown,
		"META-INF/maven/g/a/pom.properties": pomProperties, "x/META-INF/maven/g/a/pom.properties": pomProperties,
		"pom.properties":                                       unknown,
		"package.json":                                         nothing,
		"src/package.json":                                     nothing,
		"node_modules/a/package.json":                          npmPackage,
		"x/node_modules/a/package.json":                        npmPackage,
		"x/node_modules/@s/a/package.json":                     npmPackage,
		"x/node_modules/a/node_modules/b/package.json":         npmPackage,
		"x/node_modules/.pnpm/a@1/node_modules/a/package.json": npmPackage,
		"x/node_modules/package.json":                          nothing,
		"x/node_modules/@s/package.json":                       nothing,
		"x/node_modules/a/esm/package.json":                    nothing,
		"x/node_modules/@s/a/esm/package.json":                 nothing,
		"x_node_modules/a/package.json":                        nothing,
		"usr/share/nodejs/a/package.json":                      npmPackage,
		"usr/share/nodejs/@s/a/package.json":                   npmPackage,
		"usr/share/nodejs/a/b/package.json":                    nothing,
		"opt/usr/share/nodejs/a/package.json":                  nothing,
	} {
		if got := classify(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// A header of many folded lines must not cost the square of their number.
func TestFoldedHeaders(t *testing.T) {
	text := []byte("Name: a\nVersion: 1\nLicense: x\n" + strings.Repeat(" a\n", mib/3))
	start := time.Now()
	p := testPass(t)
	p.readText(pythonMetadata, "x", text)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	wantLines(t, p.found.sorted(), "pkg:pypi/a@1 x")
	if h := readHeaders(text, " \t"); len(h.first("license")) > 2*maxHeader {
		t.Errorf("a header has grown to %d bytes", len(h.first("license")))
	}
}

// What cannot be shown or kept is no name, license or version.
func TestStrangeWords(t *testing.T) {
	cs := newComponents(10)
	for _, name := range []string{"", "a b", "a\x00", "a\xff", "a\u202e", "a\n", strings.Repeat("a", maxName+1)} {
		cs.add("x", pyPI, name, "1")
	}
	if len(cs.byPURL) > 0 {
		t.Errorf("added %v", lines(cs.sorted()))
	}
	cs.add("x", pyPI, "a", "1\x1b[0m", "MIT", "M\x00IT", strings.Repeat("M", maxLicense+1), "", " MIT ")
	got := cs.sorted()
	if len(got) != 1 || got[0].Version != "" || len(got[0].Licenses) != 1 || got[0].Licenses[0] != "MIT" {
		t.Errorf("added %+v", got)
	}
}
