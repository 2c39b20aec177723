package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/deb/debtest"
)

// serial makes the names of packages unique within a run.
var serial atomic.Int64

// fresh builds a small package that no repository has, with a control file of
// ordinary size.
func fresh() []byte {
	n := serial.Add(1)
	return debtest.Package{Name: fmt.Sprintf("fresh-%06d", n), Version: "1.0-1", Fields: []string{
		"Maintainer: Test <test@example.org>", "Section: misc", "Priority: optional", "Installed-Size: 120",
		"Homepage: https://example.org/fresh",
		fmt.Sprintf("Description: package %d, made for a benchmark\n It has a description of ordinary length, so that its entry in\n"+
			" Packages is about as long as that of most packages of Debian.\n .\n Its number in hexadecimal is %x, and its square is %x.", n, n, n*n),
	}}.Build()
}

// published is what some publications cost.
type published struct {
	n       int
	cpu     time.Duration
	wall    []time.Duration
	written int64 // bytes passed to write(2)
}

func (p *published) each() time.Duration { return p.cpu / time.Duration(p.n) }

// publish adds n packages one after the other. Building them is not measured.
func (p *published) publish(b *testing.B, repo *aptrepo.Repo, n int) {
	b.Helper()
	debs := make([][]byte, n)
	for i := range debs {
		debs[i] = fresh()
	}
	cpu, written := ownCPU(), procField(b, "/proc/self/io", "wchar")
	for _, data := range debs {
		began := time.Now()
		if _, err := repo.Publish(b.Context(), bytes.NewReader(data), aptrepo.PublishOptions{Distribution: codename}); err != nil {
			b.Fatal(err)
		}
		p.wall = append(p.wall, time.Since(began))
	}
	p.cpu += ownCPU() - cpu
	p.written += procField(b, "/proc/self/io", "wchar") - written
	p.n += n
}

// BenchmarkPublishBySize publishes into a large and a small repository by
// turns (T1). 500 publications fill the tail of an index more than twice, so
// that the cost of sealing it is part of the average.
func BenchmarkPublishBySize(b *testing.B) {
	full(b)
	large, closeLarge := seeded(b, 200_000).open(b)
	defer closeLarge()
	small, closeSmall := seeded(b, 1000).open(b)
	defer closeSmall()
	var l, s published
	new(published).publish(b, large, 5) // reads the snapshots
	new(published).publish(b, small, 5)
	for range 10 {
		l.publish(b, large, 50)
		s.publish(b, small, 50)
	}
	factor := ratio(l.cpu, s.cpu)
	b.ReportMetric(factor, "200k/1k")
	report(b, figure{"T1", "CPU of publishing one package into 200,000 packages, compared with 1,000",
		fmt.Sprintf("%.2fx (%s, %s)", factor, ms(l.each()), ms(s.each())), "≤ 1.3x", factor <= 1.3})
}

// BenchmarkPublish63k compares one signed, durable publication at 63,000
// packages with making the index anew (T2), with one durable write (T3), and
// with the size of the index (T4).
func BenchmarkPublish63k(b *testing.B) {
	full(b)
	needPrograms(b, "gzip", "sha256sum")
	repo, closeRepo := seeded(b, 63_000).open(b)
	defer closeRepo()
	counted := &countingStorage{Backend: repo.Storage}
	repo.Storage = counted
	var p published
	var probes []time.Duration
	new(published).publish(b, repo, 5)
	counted.written.Store(0)
	for range 10 {
		p.publish(b, repo, 30)
		probes = append(probes, probe(b, filepath.Join(scratch, "seed-63000", "files"), 10)...)
	}
	text := packages(b, repo)
	gzipCPU, _ := discard(b, exec.Command("gzip", "-6", "-c", text))
	sumCPU, _ := discard(b, exec.Command("sha256sum", text))
	part := ratio(gzipCPU+sumCPU, p.each())
	report(b, figure{"T2", "CPU of one signed, durable publication at 63,000 packages, compared with `gzip -6` and `sha256sum` of its Packages",
		fmt.Sprintf("1/%.0f (%s, %s)", part, ms(p.each()), ms(gzipCPU+sumCPU)), "≤ 1/10", part >= 10})

	times := ratio(median(p.wall), median(probes))
	report(b, figure{"T3", "its time, compared with one write + fsync + rename + fsync of 32 KiB",
		fmt.Sprintf("%.1fx (%s, %s)", times, ms(median(p.wall)), ms(median(probes))), "≤ 4x", times <= 4})

	packed := compressedSize(b, repo)
	files := float64(packed) / (float64(counted.written.Load()) / float64(p.n))
	all := float64(packed) / (float64(p.written) / float64(p.n))
	report(b, figure{"T4", "bytes written to storage for an upload (package included), compared with Packages.gz",
		fmt.Sprintf("1/%.0f (%d KB, %.1f MB)", files, counted.written.Load()/int64(p.n)/1000, float64(packed)/1e6), "≤ 1/100", files >= 100})
	report(b, figure{"", "the same with all that the database writes",
		fmt.Sprintf("1/%.0f (%d KB)", all, p.written/int64(p.n)/1000), "", true})
	b.ReportMetric(float64(p.each())/1e6, "cpu-ms/publication")
}

func compressedSize(b *testing.B, repo *aptrepo.Repo) int64 {
	b.Helper()
	f, err := repo.OpenFile(b.Context(), "dists/"+codename+"/main/binary-amd64/Packages.gz")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	return f.Size
}

// probe times durable writes of a file of 32 KiB.
func probe(b *testing.B, dir string, n int) []time.Duration {
	b.Helper()
	data := bytes.Repeat([]byte("durable "), 4096)
	tmp, name := filepath.Join(dir, ".probe-tmp"), filepath.Join(dir, ".probe")
	defer os.Remove(name)
	var times []time.Duration
	for range n {
		began := time.Now()
		f, err := os.Create(tmp)
		if err != nil {
			b.Fatal(err)
		}
		_, err = f.Write(data)
		for _, step := range []func() error{f.Sync, f.Close, func() error { return os.Rename(tmp, name) }} {
			if err == nil {
				err = step()
			}
		}
		if err != nil {
			b.Fatal(err)
		}
		d, err := os.Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Sync(); err != nil {
			b.Fatal(err)
		}
		d.Close()
		times = append(times, time.Since(began))
	}
	return times
}

// countingStorage counts the bytes that are put.
type countingStorage struct {
	storage.Backend
	written atomic.Int64
}

func (c *countingStorage) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	if err := c.count(r); err != nil {
		return err
	}
	return c.Backend.Put(ctx, key, r)
}

// Create implements [storage.Creator].
func (c *countingStorage) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	if err := c.count(r); err != nil {
		return err
	}
	return storage.Create(ctx, c.Backend, key, r)
}

func (c *countingStorage) count(r io.ReadSeeker) error {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	c.written.Add(size)
	_, err = r.Seek(0, io.SeekStart)
	return err
}
