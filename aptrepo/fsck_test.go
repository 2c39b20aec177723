package aptrepo_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// faults returns the kinds that fsck finds.
func faults(t *testing.T, f *fixture, o aptrepo.FsckOptions) []string {
	t.Helper()
	o.OrphanAge = time.Nanosecond
	report, err := f.Fsck(f.ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, fault := range report.Faults {
		kinds = append(kinds, fault.Kind)
	}
	return kinds
}

func TestFsckFindsAndRepairs(t *testing.T) {
	for _, tt := range []struct {
		kind  string
		spoil func(t *testing.T, f *fixture, file string)
		left  []string // entries of the index after the repair
	}{
		{aptrepo.FaultMissingFile, func(t *testing.T, f *fixture, file string) {
			f.files.Delete(f.ctx, file)
		}, []string{"other 1 all"}},
		{aptrepo.FaultHashMismatch, func(t *testing.T, f *fixture, file string) {
			data := read(t, f.Repo, file)
			data[len(data)/2]++ // same size, other bytes
			f.files.Put(f.ctx, file, bytes.NewReader(data))
		}, []string{"other 1 all"}},
		{aptrepo.FaultOrphanFile, func(t *testing.T, f *fixture, file string) {
			f.files.Put(f.ctx, "pool/main/x/x/x_1_all.deb", strings.NewReader("x"))
		}, []string{"hello 1.0 amd64", "other 1 all"}},
		{aptrepo.FaultStaleIndex, func(t *testing.T, f *fixture, file string) {
			g, err := f.Store.Generation(f.ctx, "jammy")
			if err != nil {
				t.Fatal(err)
			}
			f.files.Delete(f.ctx, g.Manifest)
			f.Repo = &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now, Logger: f.Logger}
		}, []string{"hello 1.0 amd64", "other 1 all"}},
	} {
		t.Run(tt.kind, func(t *testing.T) {
			f := newFixture(t)
			file := f.publish(t, build("hello", "1.0", "amd64"), "jammy").Artifact.Filename
			f.publish(t, build("other", "1", "all"), "jammy")
			if kinds := faults(t, f, aptrepo.FsckOptions{ReadFiles: true}); kinds != nil {
				t.Fatalf("before: %q", kinds)
			}
			tt.spoil(t, f, file)
			if kinds := faults(t, f, aptrepo.FsckOptions{ReadFiles: true}); !slices.Equal(kinds, []string{tt.kind}) {
				t.Errorf("found %q, want %q", kinds, tt.kind)
			}
			if kinds := faults(t, f, aptrepo.FsckOptions{ReadFiles: true, Repair: true}); !slices.Equal(kinds, []string{tt.kind}) {
				t.Errorf("repaired %q, want %q", kinds, tt.kind)
			}
			got := packages(t, f.Repo, "jammy", "amd64")
			slices.Sort(got)
			if !slices.Equal(got, tt.left) {
				t.Errorf("after the repair: %q, want %q", got, tt.left)
			}
		})
	}
}

// An orphan is moved away, not deleted, and is not served any more.
func TestOrphansAreKept(t *testing.T) {
	f := newFixture(t)
	f.files.Put(f.ctx, "pool/main/x/x/x_1_all.deb", strings.NewReader("precious"))
	faults(t, f, aptrepo.FsckOptions{Repair: true})
	if _, err := f.OpenFile(f.ctx, "pool/main/x/x/x_1_all.deb"); err == nil {
		t.Error("the orphan is still served")
	}
	if _, _, err := f.files.Open(f.ctx, "lost+found/pool/main/x/x/x_1_all.deb"); err != nil {
		t.Errorf("the orphan is lost: %v", err)
	}
}

// A young unknown file may belong to an upload that is under way.
func TestYoungFilesAreNoOrphans(t *testing.T) {
	f := newFixture(t)
	f.files.Put(f.ctx, "pool/main/x/x/x_1_all.deb", strings.NewReader("x"))
	report, err := f.Fsck(f.ctx, aptrepo.FsckOptions{})
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("Fsck = %+v, %v", report.Faults, err)
	}
}

func TestSyncIndexReports(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	lost := f.publish(t, build("lost", "1.0", "amd64"), "jammy").Artifact.Filename
	f.files.Delete(f.ctx, lost)
	before := read(t, f.Repo, "dists/focal/InRelease")
	f.clock.move(time.Second)
	report, err := f.SyncIndex(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if report.Published != 2 || !slices.Equal(report.Distributions, []string{"focal", "jammy"}) || len(report.Faults) != 1 {
		t.Errorf("report = %+v", report)
	}
	if f := report.Faults[0]; f.Kind != aptrepo.FaultMissingFile || f.Name != "lost" || f.Detail != "file lost; unpublished" {
		t.Errorf("fault = %+v", f)
	}
	if bytes.Equal(before, read(t, f.Repo, "dists/focal/InRelease")) {
		t.Error("focal was not published anew")
	}
}

// What is held back has its place: a file there that nothing names is an orphan.
func TestHeldFiles(t *testing.T) {
	g := newGuarded(t)
	g.known.set("tool", cve("CVE-1", scan.High))
	if _, err := g.try(t, toolDeb, "jammy"); err != nil {
		t.Fatal(err)
	}
	if kinds := faults(t, g.fixture, aptrepo.FsckOptions{ReadFiles: true}); kinds != nil {
		t.Errorf("a package that waits for review: %q", kinds)
	}
	g.files.Put(g.ctx, "held/00/00.deb", strings.NewReader("x"))
	for _, o := range []aptrepo.FsckOptions{{}, {Repair: true}} {
		if kinds := faults(t, g.fixture, o); !slices.Equal(kinds, []string{aptrepo.FaultOrphanFile}) {
			t.Errorf("a file that nothing names: %q", kinds)
		}
	}
	if kinds := faults(t, g.fixture, aptrepo.FsckOptions{ReadFiles: true}); kinds != nil {
		t.Errorf("after the repair: %q", kinds)
	}
}
