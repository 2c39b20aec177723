package sbom_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/sbom"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// sizes are the numbers of packages that are measured: few, and those of Debian 12
// main on amd64.
var sizes = []int{1000, 63440}

// real yields the first n packages of the Packages file that REPOD_PACKAGES names,
// and invented ones when it names none.
func real(n int) iter.Seq2[sbom.Package, error] {
	name := os.Getenv("REPOD_PACKAGES")
	if name == "" {
		return invented(n)
	}
	return func(yield func(sbom.Package, error) bool) {
		f, err := os.Open(name)
		if err != nil {
			yield(sbom.Package{}, err)
			return
		}
		defer f.Close()
		stanzas := deb.NewStanzaReader(f, 1<<20)
		for last := ""; n > 0; n-- {
			s, err := stanzas.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			p := fromStanza(s)
			if p.Name == last { // another version
				continue
			}
			if last = p.Name; !yield(p, err) {
				return
			}
		}
	}
}

func fromStanza(s deb.RawStanza) sbom.Package {
	get := func(field string) string { return string(s.Get(field)) }
	p := sbom.Package{
		Name: get("Package"), Version: get("Version"), Arch: get("Architecture"), Distribution: "bookworm",
		Section: get("Section"), Status: "indexed", Description: get("Description"), Homepage: get("Homepage"),
		Filename: path.Base(get("Filename")), Download: "https://deb.debian.org/debian/" + get("Filename"),
		Distributor: sbom.Contact{Name: "Debian"}, License: "GPL-2.0-or-later AND MIT",
	}
	p.PURL = debURL(p.Name, "")
	p.Hashes = sbom.Hashes{MD5: get("MD5sum"), SHA256: get("SHA256"), SHA512: get("SHA256") + get("SHA256")}
	who, mail, _ := strings.Cut(get("Maintainer"), " <")
	p.Maintainer = sbom.Contact{Name: who, Email: strings.TrimSuffix(mail, ">")}
	p.Source = sbom.Source{Name: p.Name, Version: p.Version}
	if source, version, ok := strings.Cut(get("Source"), " ("); source != "" {
		if p.Source.Name = source; ok {
			p.Source.Version = strings.TrimSuffix(version, ")")
		}
	}
	p.Source.PURL = debURL(p.Source.Name, "@"+escape.Replace(p.Source.Version))
	for clause := range strings.SplitSeq(get("Depends"), ",") {
		if name, _, _ := strings.Cut(strings.TrimSpace(clause), " "); name != "" {
			p.DependsOn = append(p.DependsOn, debURL(name, ""))
		}
	}
	return p
}

var escape = strings.NewReplacer("+", "%2B", ":", "%3A")

// debURL returns a package URL. Those of packages have no version here, so that
// they can be told from dependencies.
func debURL(name, version string) string {
	return "pkg:deb/debian/" + escape.Replace(name) + version + "?distro=debian-12"
}

// invented yields n packages that are like those of a distribution: each of five
// sources, and in need of some of those before.
func invented(n int) iter.Seq2[sbom.Package, error] {
	return func(yield func(sbom.Package, error) bool) {
		for i := range n {
			p := pkg(fmt.Sprintf("lib%d", i), "1.0-1")
			p.Description, p.License = strings.Repeat("It does this and that. ", 10), "GPL-2.0-or-later AND MIT"
			p.Source = sbom.Source{Name: "source", Version: "1", PURL: fmt.Sprintf("pkg:deb/debian/source%d@1?arch=source", i/5)}
			for back := 1; back <= 5 && back <= i; back++ {
				p.DependsOn = append(p.DependsOn, purl(fmt.Sprintf("lib%d", i-back)))
			}
			if i%100 == 0 {
				p.Vulnerabilities = []sbom.Vulnerability{{ID: fmt.Sprintf("CVE-2026-%d", i), Severity: sbom.Low, CVSS: number(3)}}
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

func collect(tb testing.TB, packages iter.Seq2[sbom.Package, error]) []sbom.Package {
	var list []sbom.Package
	for p, err := range packages {
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

// BenchmarkWrite measures the writing of packages that lie in memory, and what the
// formats' libraries need to write the same document from memory.
func BenchmarkWrite(b *testing.B) {
	for _, f := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		for _, n := range sizes {
			list := collect(b, real(n))
			doc := document(b, f)
			write := func(w io.Writer) error { return sbom.Write(w, doc, each(list)) }
			b.Run(fmt.Sprintf("%s/%d/streamed", f, n), func(b *testing.B) { benchmark(b, write) })
			encode := library(b, doc, list)
			list = nil
			b.Run(fmt.Sprintf("%s/%d/library", f, n), func(b *testing.B) { benchmark(b, encode) })
		}
	}
}

// benchmark measures the computing time as well, of all threads: a busy machine
// does not change that.
func benchmark(b *testing.B, write func(io.Writer) error) {
	b.ReportAllocs()
	runtime.GC()
	before := cpuTime()
	for b.Loop() {
		if err := write(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
}

// library returns what writes the same document by the library of the format.
func library(tb testing.TB, doc sbom.Document, list []sbom.Package) func(io.Writer) error {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(sbom.Write(pw, doc, each(list))) }()
	if doc.Format == sbom.SPDX {
		var d v2_3.Document
		if err := spdxjson.ReadInto(pr, &d); err != nil {
			tb.Fatal(err)
		}
		return func(w io.Writer) error { return spdxjson.Write(&d, w) }
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(pr, cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		tb.Fatal(err)
	}
	return func(w io.Writer) error {
		return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).EncodeVersion(&bom, cdx.SpecVersion1_6)
	}
}

// peak returns the most bytes that the heap had, over what it had before, while a
// document was written. With collect it is the most that could not be freed.
func peak(tb testing.TB, doc sbom.Document, packages iter.Seq2[sbom.Package, error], collect bool) uint64 {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	most := uint64(0)
	look := func() uint64 {
		if collect {
			runtime.GC()
		}
		metrics.Read(heap)
		most = max(most, heap[0].Value.Uint64())
		return heap[0].Value.Uint64()
	}
	runtime.GC()
	before := look()
	count, interval := 0, 4
	if collect {
		interval = 100
	}
	watch := func() {
		if count++; count%interval == 0 {
			look()
		}
	}
	watched := func(yield func(sbom.Package, error) bool) {
		i := 0
		for p, err := range packages {
			if i++; i%(interval*10) == 0 {
				watch()
			}
			if !yield(p, err) {
				return
			}
		}
		look()
	}
	out := writerFunc(func(b []byte) (int, error) {
		watch()
		return len(b), nil
	})
	if err := sbom.Write(out, doc, watched); err != nil {
		tb.Fatal(err)
	}
	return most - before
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// BenchmarkPeak measures the memory that a document needs whose packages come one
// by one: what the heap had at most, and what of it was in use.
func BenchmarkPeak(b *testing.B) {
	for _, f := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", f, n), func(b *testing.B) {
				var most, used uint64
				for b.Loop() {
					most = max(most, peak(b, document(b, f), real(n), false))
					used = max(used, peak(b, document(b, f), real(n), true))
				}
				b.ReportMetric(float64(most)/1e6, "peak-MB")
				b.ReportMetric(float64(used)/1e6, "used-MB")
			})
		}
	}
}

// What a document of a whole distribution needs more than one of a thousand
// packages is the hashes of its references.
func TestMemory(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("takes long, and memory is not what it is elsewhere")
	}
	const perReference = 14
	for _, f := range []sbom.Format{sbom.CycloneDX, sbom.SPDX} {
		few, many := peak(t, document(t, f), invented(sizes[0]), true), peak(t, document(t, f), invented(sizes[1]), true)
		references := sizes[1]
		if f == sbom.SPDX {
			references += sizes[1] / 5 // sources
		}
		t.Logf("%s: %d packages need %d KB, %d need %d KB", f, sizes[0], few/1000, sizes[1], many/1000)
		if allowed := few + perReference*uint64(references) + 100_000; many > allowed {
			t.Errorf("%s: %d packages need %d bytes, and not %d at most", f, sizes[1], many, allowed)
		}
	}
}
