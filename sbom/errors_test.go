package sbom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/sbom"
)

func TestUnfitDocuments(t *testing.T) {
	for name, spoil := range map[string]func(*sbom.Document){
		"no documents of format": func(d *sbom.Document) { d.Format = "spdx3" },
		"version \"1.7\"":        func(d *sbom.Document) { d.SpecVersion = "1.7" },
		"no name":                func(d *sbom.Document) { d.Name = "\x00" },
		"no timestamp":           func(d *sbom.Document) { d.Timestamp = time.Time{} },
		"completeness":           func(d *sbom.Document) { d.Completeness = "most" },
		"absolute URI":           func(d *sbom.Document) { d.Namespace = "example.org/sbom" },
		"the namespace":          func(d *sbom.Document) { d.Namespace = "https://example.org/#x" },
	} {
		for _, d := range documents(t) {
			var out bytes.Buffer
			if spoil(&d); name == "version \"1.7\"" {
				d.Format = sbom.CycloneDX
			}
			if err := sbom.Write(&out, d, each(nil)); err == nil || !strings.Contains(err.Error(), name) || out.Len() > 0 {
				t.Errorf("%s: error %v after %d bytes", name, err, out.Len())
			}
		}
	}
}

func TestUnfitPackages(t *testing.T) {
	vulnerable := func(v sbom.Vulnerability) func(*sbom.Package) {
		return func(p *sbom.Package) { p.Vulnerabilities = []sbom.Vulnerability{v} }
	}
	for name, spoil := range map[string]func(*sbom.Package){
		"no package URL":        func(p *sbom.Package) { p.PURL = "nginx" },
		"without a subpath":     func(p *sbom.Package) { p.PURL += "#component-1" },
		"no name":               func(p *sbom.Package) { p.Name = "" },
		"or no version":         func(p *sbom.Package) { p.Version = " " },
		"no ID":                 vulnerable(sbom.Vulnerability{}),
		"unknown state":         vulnerable(sbom.Vulnerability{ID: "CVE-1", Analysis: &sbom.Analysis{State: "accepted"}}),
		"unknown justification": vulnerable(sbom.Vulnerability{ID: "CVE-1", Analysis: &sbom.Analysis{State: sbom.NotAffected, Justification: "x"}}),
		"unknown response":      vulnerable(sbom.Vulnerability{ID: "CVE-1", Analysis: &sbom.Analysis{State: sbom.Exploitable, Responses: []sbom.Response{"x"}}}),
	} {
		for _, d := range documents(t) {
			list := packages()
			spoil(&list[1])
			if err := sbom.Write(io.Discard, d, each(list)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	}
}

func TestDuplicate(t *testing.T) {
	for _, d := range documents(t) {
		list := append(packages(), packages()[2])
		err := sbom.Write(io.Discard, d, each(list))
		if !errors.Is(err, sbom.ErrDuplicate) || !strings.Contains(err.Error(), list[2].PURL) {
			t.Errorf("%s: error %v", d.Format, err)
		}
	}
}

// The error of the sequence is the caller's own, and what was written is no
// document.
func TestErrorOfSequence(t *testing.T) {
	gone := errors.New("the database is gone")
	for _, d := range documents(t) {
		for n := range packages() {
			var out bytes.Buffer
			err := sbom.Write(&out, d, func(yield func(sbom.Package, error) bool) {
				for _, p := range packages()[:n] {
					if !yield(p, nil) {
						return
					}
				}
				if yield(sbom.Package{}, gone) {
					t.Error("the walk goes on after an error")
				}
			})
			if err != gone {
				t.Errorf("%s: error %v", d.Format, err)
			}
			if json.Valid(out.Bytes()) {
				t.Errorf("%s: after an error there is a document: %s", d.Format, out.Bytes())
			}
		}
	}
}

// failingWriter fails when it was given so many bytes.
type failingWriter struct{ left int }

var errFull = errors.New("disk full")

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

// Wherever the output ends, the error tells, and nobody is asked for more
// packages than fit into the buffers.
func TestErrorOfOutput(t *testing.T) {
	for _, d := range documents(t) {
		size := &bytes.Buffer{}
		if err := sbom.Write(size, d, invented(500)); err != nil {
			t.Fatal(err)
		}
		for left := 0; left < size.Len(); left += 50_000 {
			err := sbom.Write(&failingWriter{left}, d, invented(500))
			if !errors.Is(err, errFull) || !strings.Contains(err.Error(), "write the document") {
				t.Errorf("%s: error %v after %d bytes of %d", d.Format, err, left, size.Len())
			}
		}
		asked := 0
		sbom.Write(&failingWriter{}, d, func(yield func(sbom.Package, error) bool) {
			for p, err := range invented(500) {
				if asked++; !yield(p, err) {
					return
				}
			}
		})
		if asked > 250 {
			t.Errorf("%s: %d packages were asked for after the output had failed", d.Format, asked)
		}
	}
}

func TestTemporaryFiles(t *testing.T) {
	for _, d := range documents(t) {
		d.TempDir = filepath.Join(t.TempDir(), "absent")
		if err := sbom.Write(io.Discard, d, each(packages())); err != nil {
			t.Errorf("%s: a small document needs a file: %v", d.Format, err)
		}
		err := sbom.Write(io.Discard, d, invented(2000))
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "spool") {
			t.Errorf("%s: error %v without a directory for files", d.Format, err)
		}
		if err := os.Mkdir(d.TempDir, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, w := range []io.Writer{io.Discard, &failingWriter{1_000_000}} {
			sbom.Write(w, d, invented(2000))
			if left, err := os.ReadDir(d.TempDir); err != nil || len(left) > 0 {
				t.Errorf("%s: temporary files are left: %v, %v", d.Format, left, err)
			}
		}
	}
}

// The same graph is written, whether it goes through files or not.
func TestSpools(t *testing.T) {
	for _, d := range documents(t) {
		text := writeWhole(t, d, collect(t, invented(1000)))
		if n := bytes.Count(text, []byte("CVE-2026-")); n == 0 {
			t.Errorf("%s: no vulnerabilities", d.Format)
		}
		relations := 0
		for _, line := range bytes.Split(text, []byte("\n")) {
			switch {
			case d.Format == sbom.SPDX && bytes.Contains(line, []byte("DEPENDS_ON")) && !bytes.Contains(line, []byte("NONE")):
				relations++
			case d.Format == sbom.CycloneDX && bytes.Contains(line, []byte(`{"ref":"pkg:`)) && bytes.Contains(line, []byte("dependsOn")):
				relations += bytes.Count(line, []byte("pkg:")) - 1
			}
		}
		if want := 5*1000 - (5 + 4 + 3 + 2 + 1); relations != want {
			t.Errorf("%s: %d dependencies, want %d", d.Format, relations, want)
		}
	}
}
