package aptrepo_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo"
)

// patchNames returns the names in a Packages.diff/Index.
func patchNames(t *testing.T, r *aptrepo.Repo) (names []string) {
	t.Helper()
	for line := range strings.SplitSeq(string(read(t, r, "dists/jammy/main/binary-amd64/Packages.diff/Index")), "\n") {
		if fields := strings.Fields(line); len(fields) == 3 && strings.HasSuffix(fields[2], ".gz") {
			names = append(names, fields[2])
		}
	}
	return names
}

// A client that has one of the latest indexes fetches what was appended since.
func TestPatches(t *testing.T) {
	f := newFixture(t)
	big := strings.Repeat("x", 40_000)
	for i := range 14 { // patches begin at 512 KiB
		f.publish(t, build("big", fmt.Sprint(i), "amd64", "X-Filler", big), "jammy")
	}
	const plain = "dists/jammy/main/binary-amd64/Packages"
	before := read(t, f.Repo, plain)
	f.publish(t, build("hello", "1", "amd64"), "jammy")
	after := read(t, f.Repo, plain)

	names := patchNames(t, f.Repo)
	if len(names) == 0 {
		t.Fatal("there is no patch")
	}
	newest := "dists/jammy/main/binary-amd64/Packages.diff/" + names[len(names)-1]
	packed := read(t, f.Repo, newest)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	script, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%da\n%s.\n", bytes.Count(before, []byte("\n")), after[len(before):])
	if string(script) != want {
		t.Errorf("patch = %.200q, want %.200q", script, want)
	}
	listed := false
	for _, e := range release(t, f.Repo, "jammy").Files {
		listed = listed || strings.HasSuffix(e.Path, "Packages.diff/Index")
	}
	if !listed {
		t.Error("Release does not list the index of patches")
	}

	restarted := &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now}
	if !bytes.Equal(read(t, restarted, newest), packed) {
		t.Error("after a restart the patch has other bytes")
	}
	f.publish(t, build("hello", "2", "amd64"), "jammy")
	if !bytes.Equal(read(t, f.Repo, newest), packed) {
		t.Error("a client that read the former index finds another patch")
	}
	if _, err := f.OpenFile(f.ctx, newest+"x"); err == nil {
		t.Error("a patch that never was is there")
	}
	packages(t, f.Repo, "jammy", "amd64")
}

// Materialise writes a tree that a plain web server can serve.
func TestMaterialise(t *testing.T) {
	f := newFixture(t)
	f.Repo = &aptrepo.Repo{Storage: f.files, Store: f.Store, Now: f.Now, Logger: f.Logger, Materialise: true}
	f.publish(t, build("hello", "1", "amd64"), "jammy")
	names := []string{"InRelease", "Release", "Release.gpg", "main/binary-amd64/Release"}
	for _, e := range release(t, f.Repo, "jammy").Files {
		names = append(names, e.Path, e.ByHash())
	}
	for _, name := range names {
		served := read(t, f.Repo, "dists/jammy/"+name)
		stored, _, err := f.files.Open(f.ctx, "dists/jammy/"+name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if data, err := io.ReadAll(stored); err != nil || !bytes.Equal(data, served) {
			t.Errorf("%s in storage differs from what is served, %v", name, err)
		}
	}
}
