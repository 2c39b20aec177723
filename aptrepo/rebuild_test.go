package aptrepo_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/index"
)

// furnished is a repository with everything that is kept in storage: large and small
// indexes, patches, whole files, bills of materials.
func furnished(t *testing.T) *fixture {
	f := newFixture(t)
	f.Materialise = true
	noise := rand.New(rand.NewPCG(1, 2))
	for i := range 3 { // more than fits into the manifest
		text := make([]byte, 60<<10)
		for j := range text {
			text[j] = "0123456789abcdef"[noise.IntN(16)]
		}
		f.publish(t, build(fmt.Sprintf("package-%d", i), "1.0", "amd64", "Description", string(text)), "jammy")
	}
	f.publish(t, build("everywhere", "2", "all"), "focal")
	if err := f.PublishBills(f.ctx, aptrepo.BillQuery{BaseURL: "https://repo.example.com", ToolVersion: "1"}); err != nil {
		t.Fatal(err)
	}
	return f
}

// restarted is the same repository in a program that knows nothing of it yet.
func (f *fixture) restarted() *aptrepo.Repo {
	return &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now, Logger: f.Logger, SecretKey: f.SecretKey, Materialise: f.Materialise}
}

// tree returns what clients fetch, by name.
func tree(t *testing.T, r *aptrepo.Repo) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	for _, codename := range []string{"jammy", "focal"} {
		for _, arch := range []string{"amd64", "arm64"} {
			all[codename+" "+arch] = []byte(strings.Join(packages(t, r, codename, arch), "\n"))
		}
		for _, e := range release(t, r, codename).Files {
			read(t, r, "dists/"+codename+"/"+e.Path)
		}
	}
	return all
}

// Whatever single file of storage is lost or damaged, fsck tells of it and
// rebuilds it, or takes its package out; only a package can be lost for good.
func TestAnyFileCanBeRebuilt(t *testing.T) {
	keys := func(f *fixture) (all []string) {
		for info, err := range f.files.List(f.ctx, "") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, info.Key)
		}
		return all
	}
	spoils := map[string]func(f *fixture, key string) error{
		"lost": func(f *fixture, key string) error { return f.files.Delete(f.ctx, key) },
		"damaged": func(f *fixture, key string) error {
			body, _, err := f.files.Open(f.ctx, key)
			if err != nil {
				return err
			}
			data, err := io.ReadAll(body)
			if err != nil {
				return err
			}
			if len(data) == 0 {
				data = []byte{0}
			}
			data[len(data)/2] ^= 0x55
			return f.files.Put(f.ctx, key, bytes.NewReader(data))
		},
	}
	f := furnished(t)
	want := tree(t, f.restarted())
	kinds := make(map[string]int)
	for i := range len(keys(f)) {
		for _, how := range []string{"lost", "damaged"} {
			key := keys(f)[i]
			if err := spoils[how](f, key); err != nil {
				t.Fatal(err)
			}
			dir, rest, _ := strings.Cut(key, "/")
			if strings.Contains(rest, "/blobs/") {
				dir = "blobs"
			}
			kinds[dir] += f.repaired(t, key+" "+how, dir == "pool", want)
			if dir == "bills" || dir == "dists" {
				f.rewritten(t, key, how)
			}
			f = furnished(t)
		}
	}
	t.Logf("faults found: %v", kinds)
	for _, dir := range []string{"pool", "index", "blobs", "dists", "bills"} {
		if kinds[dir] == 0 {
			t.Errorf("fsck has told of nothing below %s/", dir)
		}
	}
}

// repaired has fsck repair what was spoilt, and returns how many faults it told
// of. What is served afterwards is as before; only a package is lost for good.
func (f *fixture) repaired(t *testing.T, what string, lost bool, want map[string][]byte) int {
	t.Helper()
	report, err := f.restarted().Fsck(f.ctx, aptrepo.FsckOptions{ReadFiles: true, Repair: true})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	again, err := f.restarted().Fsck(f.ctx, aptrepo.FsckOptions{ReadFiles: true})
	if err != nil || len(again.Faults) > 0 != lost {
		t.Errorf("%s: after the repair: %+v, %v", what, again.Faults, err)
	}
	for name, text := range tree(t, f.restarted()) {
		if !lost && !bytes.Equal(text, want[name]) {
			t.Errorf("%s: %s lists %q", what, name, text)
		}
	}
	return len(report.Faults)
}

// rewritten checks that a file which is served as it lies in storage is there
// again. Bills are made anew by the server, whose state they have changed with.
func (f *fixture) rewritten(t *testing.T, key, how string) {
	t.Helper()
	if err := f.PublishBills(f.ctx, aptrepo.BillQuery{BaseURL: "https://repo.example.com", ToolVersion: "1"}); err != nil {
		t.Fatal(err)
	}
	body, _, err := f.files.Open(f.ctx, key)
	if errors.Is(err, fs.ErrNotExist) && strings.Contains(key, "/by-hash/") && !f.listed(t, key) {
		return // of a former generation
	}
	if err != nil {
		t.Errorf("%s %s: not rebuilt: %v", key, how, err)
		return
	}
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	signature, ok := strings.CutSuffix(key, ".asc")
	if ok {
		key = signature
	}
	if _, hash, ok := strings.Cut(key, "/by-hash/SHA256/"); ok && fmt.Sprintf("%x", sha256.Sum256(data)) != hash {
		t.Errorf("%s %s: still damaged", key, how)
	}
	if strings.HasPrefix(key, "bills/") && !strings.HasSuffix(key, ".tag") {
		ring, err := f.Keys(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := index.ParseKeyring(ring.Armored)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(key, "bills/")
		if _, err := index.VerifyDetached(read(t, f.Repo, name), read(t, f.Repo, name+".asc"), keys, f.Now()); err != nil {
			t.Errorf("%s %s: %v", key, how, err)
		}
	}
}

// listed reports whether a Release lists the file of a by-hash key.
func (f *fixture) listed(t *testing.T, key string) bool {
	t.Helper()
	for _, codename := range []string{"jammy", "focal"} {
		for _, e := range release(t, f.restarted(), codename).Files {
			if "dists/"+codename+"/"+e.ByHash() == key {
				return true
			}
		}
	}
	return false
}
