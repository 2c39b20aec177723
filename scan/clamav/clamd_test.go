package clamav_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/clamav"
	"github.com/repod-io/repod/scan/clamav/clamdtest"
)

// scanned reads a package and returns what the scanner makes of it.
func scanned(t testing.TB, s *clamav.Scanner, pkg io.Reader) scan.Malware {
	t.Helper()
	return scannedFor(t, t.Context(), s, pkg)
}

func scannedFor(t testing.TB, ctx context.Context, s *clamav.Scanner, pkg io.Reader) scan.Malware {
	t.Helper()
	run := scan.Begin(ctx, []scan.Scanner{s}, scan.Subject{Name: "hello"})
	defer run.Abort()
	if _, err := deb.Read(pkg, &deb.Options{Visit: run.Visit}); err != nil {
		t.Fatal(err)
	}
	return run.Finish().Malware
}

func zipped(name, content string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(name)
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.String()
}

func tarGz(name, content string) string {
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	w := tar.NewWriter(g)
	err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = g.Close()
	}
	if err != nil {
		panic(err)
	}
	return b.String()
}

// encrypted marks the only file of a zip as encrypted, which is as good as
// encrypting it to who has no password.
func encrypted(archive string) string {
	b := []byte(archive)
	central := bytes.Index(b, []byte("PK\x01\x02"))
	b[6] |= 1         // of the local header
	b[central+8] |= 1 // of the central one
	return string(b)
}

func TestClamd(t *testing.T) {
	clamd := clamdtest.Start(t, "AlertEncrypted yes", "AlertExceedsMax yes")
	eicar := clamdtest.EICAR()
	data := func(c debtest.Compression) debtest.Package {
		return debtest.Package{Compression: c, Files: map[string]string{"usr/bin/bad": eicar, "usr/bin/good": "good"}}
	}
	file := func(name, content string) debtest.Package {
		return debtest.Package{Compression: debtest.Gzip, Files: map[string]string{name: content}}
	}
	deep := eicar
	for i := range 25 {
		deep = zipped(fmt.Sprint(i, ".zip"), deep)
	}
	infected := func(signature, path string) scan.Malware {
		return scan.Malware{Status: scan.Infected, Signature: signature, Path: path, Engine: "ClamAV 1.4"}
	}
	incomplete := func(path, detail string) scan.Malware {
		return scan.Malware{Status: scan.Incomplete, Path: path, Detail: detail, Engine: "ClamAV 1.4"}
	}
	for _, tt := range []struct {
		name string
		pkg  debtest.Package
		want scan.Malware // Detail: a part; Engine: a beginning
	}{
		{"clean", debtest.Package{Compression: debtest.XZ}, scan.Malware{Status: scan.Clean, Engine: "ClamAV 1.4"}},
		{"uncompressed", data(debtest.None), infected(clamdtest.BodySignature, "usr/bin/bad")},
		{"gzip", data(debtest.Gzip), infected(clamdtest.BodySignature, "usr/bin/bad")},
		{"xz", data(debtest.XZ), infected(clamdtest.BodySignature, "usr/bin/bad")},
		{"zstd", data(debtest.Zstd), infected(clamdtest.BodySignature, "usr/bin/bad")},
		{"maintainer script", debtest.Package{Compression: debtest.XZ, Scripts: map[string]string{"postinst": "#!/bin/sh\n" + eicar}},
			infected(clamdtest.BodySignature, "postinst")},
		{"zip", file("usr/a.zip", zipped("x", eicar)), infected(clamdtest.BodySignature, "usr/a.zip")},
		{"jar in jar", file("usr/a.jar", zipped("b.jar", zipped("x.class", eicar))), infected(clamdtest.BodySignature, "usr/a.jar")},
		{"tar.gz", file("usr/a.tar.gz", tarGz("x", eicar)), infected(clamdtest.BodySignature, "usr/a.tar.gz")},
		{"at the end of a long file", file("usr/long", strings.Repeat("0123456789abcdef", 1<<17)+eicar), infected(clamdtest.BodySignature, "usr/long")},
		{"encrypted", file("usr/secret.zip", encrypted(zipped("x", eicar))), incomplete("usr/secret.zip", "encrypted")},
		{"too deep", file("usr/deep.zip", deep), incomplete("usr/deep.zip", "limit")},
		{"encrypted and infected", debtest.Package{Files: map[string]string{"a.zip": encrypted(zipped("x", "y")), "b": eicar}},
			infected(clamdtest.BodySignature, "b")},
	} {
		for _, address := range []string{clamd.Unix, clamd.TCP} {
			t.Run(tt.name+" "+address[:4], func(t *testing.T) {
				s := &clamav.Scanner{Address: address}
				got := scanned(t, s, bytes.NewReader(tt.pkg.Build()))
				if !strings.HasPrefix(got.Engine, tt.want.Engine) || !strings.Contains(got.Detail, tt.want.Detail) {
					t.Errorf("engine %q, detail %q", got.Engine, got.Detail)
				}
				got.Engine, got.Detail = tt.want.Engine, tt.want.Detail
				if got != tt.want {
					t.Errorf("got  %+v\nwant %+v", got, tt.want)
				}
			})
		}
	}
}

// Of several infected files, the first of the package is reported each time,
// though clamd answers in any order.
func TestFirstInfectedFile(t *testing.T) {
	clamd := clamdtest.Start(t)
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("f%02d", i)] = fmt.Sprint(i) + clamdtest.EICAR()
	}
	// The first takes clamd longer than all the others.
	files["f00"] = strings.Repeat("0123456789abcdef", 1<<15) + clamdtest.EICAR()
	pkg := debtest.Package{Files: files}.Build()
	for range 10 {
		if got := scanned(t, &clamav.Scanner{Address: clamd.Unix}, bytes.NewReader(pkg)); got.Path != "f00" {
			t.Fatalf("got %+v", got)
		}
	}
}

// A file that is longer than clamd takes makes the package Incomplete, whether
// we know clamd's limit or not, and what comes after it is scanned.
func TestStreamMaxLength(t *testing.T) {
	clamd := clamdtest.Start(t, "StreamMaxLength 2M")
	large := strings.Repeat("0123456789abcdef", 3<<16) // 3 MiB
	for _, tt := range []struct {
		name  string
		most  int64
		files map[string]string
		want  scan.Malware
	}{
		{"clamd's", 0, map[string]string{"a": "a", "large": large, "z": "z"}, scan.Malware{Status: scan.Incomplete, Path: "large"}},
		{"ours", 2 << 20, map[string]string{"a": "a", "large": large, "z": "z"}, scan.Malware{Status: scan.Incomplete, Path: "large"}},
		{"exactly", 2 << 20, map[string]string{"large": large[:2<<20]}, scan.Malware{Status: scan.Clean}},
		{"one more", 0, map[string]string{"large": large[:2<<20+1]}, scan.Malware{Status: scan.Incomplete, Path: "large"}},
		{"infected after", 0, map[string]string{"large": large, "z": clamdtest.EICAR()},
			scan.Malware{Status: scan.Infected, Path: "z", Signature: clamdtest.BodySignature}},
		{"infected before", 0, map[string]string{"a": clamdtest.EICAR(), "large": large},
			scan.Malware{Status: scan.Infected, Path: "a", Signature: clamdtest.BodySignature}},
		{"two", 0, map[string]string{"large": large, "larger": large}, scan.Malware{Status: scan.Incomplete, Path: "large"}},
	} {
		for _, address := range []string{clamd.Unix, clamd.TCP} {
			t.Run(tt.name+" "+address[:4], func(t *testing.T) {
				pkg := debtest.Package{Files: tt.files}.Build()
				got := scanned(t, &clamav.Scanner{Address: address, MaxStream: tt.most}, bytes.NewReader(pkg))
				if (got.Detail == "") != (got.Status != scan.Incomplete) {
					t.Errorf("detail %q", got.Detail)
				}
				got.Detail, got.Engine = "", ""
				if got != tt.want {
					t.Errorf("got  %+v\nwant %+v", got, tt.want)
				}
			})
		}
	}
}

// clamd gives up on archives of more than 10,000 files. A package is none to it.
func TestManyFiles(t *testing.T) {
	clamd := clamdtest.Start(t, "AlertExceedsMax yes")
	files := map[string]string{}
	for i := range 12000 {
		files[fmt.Sprintf("usr/share/many/f%05d", i)] = fmt.Sprint("file ", i)
	}
	files["usr/share/many/z"] = clamdtest.EICAR()
	pkg := debtest.Package{Files: files}.Build()
	start := time.Now()
	got := scanned(t, &clamav.Scanner{Address: clamd.Unix}, bytes.NewReader(pkg))
	if got.Status != scan.Infected || got.Path != "usr/share/many/z" {
		t.Errorf("got %+v", got)
	}
	t.Logf("%.0f files per second", 12001/time.Since(start).Seconds())
}

func TestLargePackage(t *testing.T) {
	size := int64(20 << 20)
	if os.Getenv("REPOD_LONG") != "" || os.Getenv("CI") == "true" {
		size = 200 << 20
	}
	clamd := clamdtest.Start(t, "StreamMaxLength 500M", "MaxFileSize 500M", "MaxScanSize 500M", "AlertExceedsMax yes")
	s := &clamav.Scanner{Address: clamd.Unix, MaxStream: 500 << 20}
	if got := scanned(t, s, debtest.Large(debtest.Package{}, size, "clean")); got.Status != scan.Clean {
		t.Errorf("clean: got %+v", got)
	}
	if got := scanned(t, s, debtest.Large(debtest.Package{}, size, clamdtest.EICAR())); got.Status != scan.Infected || got.Path != "usr/big" {
		t.Errorf("infected: got %+v", got)
	}
}

// clamd is restarted between two packages, and in the middle of one.
func TestRestart(t *testing.T) {
	clamd := clamdtest.Start(t)
	s := &clamav.Scanner{Address: clamd.Unix}
	pkg := debtest.Package{Files: map[string]string{"a": "a", "b": strings.Repeat("b", 1<<20), "c": clamdtest.EICAR()}}.Build()
	if got := scanned(t, s, bytes.NewReader(pkg)); got.Status != scan.Infected {
		t.Fatalf("before: got %+v", got)
	}
	clamd.Restart()
	if got := scanned(t, s, bytes.NewReader(pkg)); got.Status != scan.Infected {
		t.Errorf("after: got %+v", got)
	}
	stop := func(when string) scan.Malware {
		run := scan.Begin(t.Context(), []scan.Scanner{s}, scan.Subject{})
		defer run.Abort()
		_, err := deb.Read(bytes.NewReader(pkg), &deb.Options{Visit: func(f deb.File, content io.Reader) error {
			if f.Path != when {
				return run.Visit(f, content)
			}
			return run.Visit(f, io.MultiReader(io.LimitReader(content, f.Size/2), readerFunc(func() { clamd.Restart() }), content))
		}})
		if err != nil {
			t.Fatal(err)
		}
		return run.Finish().Malware
	}
	if got := stop("b"); got.Status != scan.Failed || got.Detail == "" {
		t.Errorf("in the middle of a file: got %+v", got)
	}
	if got := scanned(t, s, bytes.NewReader(pkg)); got.Status != scan.Infected {
		t.Errorf("another scan: got %+v", got)
	}
	clamd.Stop()
	if got := scanned(t, s, bytes.NewReader(pkg)); got.Status != scan.Failed || strings.Contains(got.Detail, "/") {
		t.Errorf("stopped: got %+v", got)
	}
}

// A readerFunc does something and is at its end.
type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestManyPackagesAtOnce(t *testing.T) {
	clamd := clamdtest.Start(t, "MaxThreads 4", "MaxQueue 8")
	s := &clamav.Scanner{Address: clamd.Unix}
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("f%03d", i)] = strings.Repeat(fmt.Sprint(i), 1000)
	}
	clean := debtest.Package{Files: files}.Build()
	files["f050"] = clamdtest.EICAR()
	infected := debtest.Package{Files: files}.Build()
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			pkg, want := clean, scan.Clean
			if i%2 == 1 {
				pkg, want = infected, scan.Infected
			}
			if got := scanned(t, s, bytes.NewReader(pkg)); got.Status != want {
				t.Errorf("package %d: got %+v", i, got)
			}
		})
	}
	all.Wait()
}

func TestProbe(t *testing.T) {
	for _, alerts := range []bool{false, true} {
		options := []string{"MaxRecursion 100"}
		if alerts {
			options = append(options, "AlertExceedsMax yes")
		}
		clamd := clamdtest.Start(t, options...)
		got, err := (&clamav.Scanner{Address: clamd.Unix}).Probe(t.Context())
		if err != nil || got != alerts {
			t.Errorf("alerts %v: got %v, %v", alerts, got, err)
		}
	}
}

// A clamd that does not say so when it stops at a limit has to be believed for
// files within its limits only.
func TestSilentClamd(t *testing.T) {
	gz := func(content string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, content) // a Buffer takes everything
		_ = w.Close()
		return b.String()
	}
	deep := clamdtest.EICAR()
	for i := range 25 {
		deep = zipped(fmt.Sprint(i, ".zip"), deep)
	}
	for _, tt := range []struct {
		name, content string
		want          scan.MalwareStatus // where clamd alerts, it is clean
	}{
		{"plain", "plain", scan.Clean},
		{"text.gz", gz("a changelog"), scan.Clean},
		{"bomb.gz", gz(strings.Repeat("x", 1<<20)) + strings.Repeat("y", 100<<10), scan.Incomplete},
		{"a.tar.gz", tarGz("x", "y"), scan.Incomplete},
		{"a.gz.gz", gz(gz("text")), scan.Incomplete},
		{"a.zip", zipped("x", "y"), scan.Incomplete},
		{"deep.zip", deep, scan.Incomplete},
		{"secret.zip", encrypted(zipped("x", "y")), scan.Incomplete},
		{"late.zip", zipped("x", "y") + encrypted(zipped("x", "y")), scan.Incomplete},
	} {
		pkg := debtest.Package{Files: map[string]string{"usr/" + tt.name: tt.content}}.Build()
		for _, alerts := range []bool{false, true} {
			clamd := clamdtest.Start(t, fmt.Sprintf("AlertExceedsMax %v", alerts))
			s := &clamav.Scanner{Address: clamd.Unix}
			want := tt.want
			if alerts && !strings.Contains("deep.zip secret.zip late.zip", tt.name) {
				want = scan.Clean
			}
			got := scanned(t, s, bytes.NewReader(pkg))
			if got.Status != want || want == scan.Incomplete && got.Path != "usr/"+tt.name {
				t.Errorf("%s, alerts %v: got %+v, want %s", tt.name, alerts, got, want)
			}
			if st := s.Status(t.Context()); !st.Available || (st.Detail == "") != alerts {
				t.Errorf("alerts %v: status %+v", alerts, st)
			}
		}
	}
}

func BenchmarkSmallFiles(b *testing.B) {
	clamd := clamdtest.Start(b)
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("f%03d", i)] = string(binary.BigEndian.AppendUint32(nil, uint32(i)))
	}
	pkg := debtest.Package{Files: files}.Build()
	s := &clamav.Scanner{Address: clamd.Unix}
	for b.Loop() {
		if got := scanned(b, s, bytes.NewReader(pkg)); got.Status != scan.Clean {
			b.Fatal(got)
		}
	}
	b.ReportMetric(float64(b.N*1000)/b.Elapsed().Seconds(), "files/s")
}
