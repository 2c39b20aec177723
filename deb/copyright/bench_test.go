package copyright_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/copyright"
	"github.com/repod-io/repod/deb/debtest"
)

// largeFile has as many paragraphs and texts as large packages do: 100 KiB.
func largeFile() []byte {
	names := []string{"GPL-2+", "LGPL-2.1+", "Expat", "BSD-3-clause", "MIT", "Foo", "GPL-2+ with Libtool exception", "ISC and/or Zlib"}
	var b strings.Builder
	b.WriteString(format)
	for i := range 400 {
		fmt.Fprintf(&b, "\nFiles: src/%d/*\nCopyright: 2001-2024 Somebody <somebody@example.org>\nLicense: %s\n", i, names[i%len(names)])
	}
	for i, name := range names {
		fmt.Fprintf(&b, "\nLicense: %s%s", name, strings.Repeat(expatText, 5+i))
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	text := largeFile()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		copyright.Parse(text)
	}
}

// BenchmarkFinder reads a package without a Finder and with one. The difference
// is what the Finder costs.
func BenchmarkFinder(b *testing.B) {
	files := map[string]string{"usr/share/doc/hello/copyright": string(largeFile())}
	for i := range 200 {
		files[fmt.Sprintf("usr/lib/hello/%d", i)] = strings.Repeat(fmt.Sprintln(i, i*i), 1000)
	}
	file := debtest.Package{Files: files, Compression: debtest.XZ}.Build()
	discard := func(_ deb.File, content io.Reader) error {
		_, err := io.Copy(io.Discard, content)
		return err
	}
	read := func(b *testing.B, options func() *deb.Options) {
		for b.Loop() {
			if _, err := deb.Read(bytes.NewReader(file), options()); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("without", func(b *testing.B) {
		read(b, func() *deb.Options { return &deb.Options{Visit: discard} })
	})
	b.Run("with", func(b *testing.B) {
		read(b, func() *deb.Options {
			var finder copyright.Finder
			return &deb.Options{Visit: finder.Visit(discard), VisitLink: finder.VisitLink}
		})
	})
}
