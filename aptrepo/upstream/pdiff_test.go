package upstream_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// patchedWorld has synced an index of some packages and an archive with
// patches, which has since published more states.
func patchedWorld(t *testing.T, kind string, states int) *world {
	t.Helper()
	w := newWorld(t)
	w.Patches = kind
	for i := range 60 {
		w.Add("main", debtest.Package{Name: fmt.Sprintf("some-package-%d", i), Fields: []string{
			fmt.Sprintf("Depends: a%d, b%d, c%d", i*7919, i*104729, i*1299709)}})
	}
	w.Publish()
	w.sync()
	for i := range states {
		w.Add("main", debtest.Package{Name: "some-package-57", Version: fmt.Sprintf("2.%d", i)})
		w.Remove(fmt.Sprintf("some-package-%d", 54+i), "amd64")
		w.advance()
	}
	w.Requests()
	return w
}

// fetched returns what was asked for, without the Release file and what it has
// in common.
func (w *world) fetched() []string {
	var list []string
	for _, r := range w.Requests() {
		r = strings.Replace(r, w.Dist("main/binary-amd64")+"/", "", 1)
		if hash := strings.LastIndex(r, "/SHA256/"); hash > 0 {
			r = r[:hash] + "/SHA256"
		}
		list = append(list, r)
	}
	return list[1:]
}

func TestPatches(t *testing.T) {
	for _, tt := range []struct {
		kind   string
		states int
		want   []string
	}{
		{"merged", 1, []string{"200 Packages.diff/by-hash/SHA256", "200 Packages.diff/2026-01-01-0000.00.gz"}},
		{"merged", 3, []string{"200 Packages.diff/by-hash/SHA256", "200 Packages.diff/2026-01-01-0000.00.gz"}},
		{"chained", 1, []string{"200 Packages.diff/by-hash/SHA256", "200 Packages.diff/2026-01-01-0000.00.gz"}},
		{"chained", 3, []string{"200 Packages.diff/by-hash/SHA256", "200 Packages.diff/2026-01-01-0000.00.gz",
			"200 Packages.diff/2026-01-02-0000.00.gz", "200 Packages.diff/2026-01-03-0000.00.gz"}},
	} {
		t.Run(fmt.Sprint(tt.kind, tt.states), func(t *testing.T) {
			w := patchedWorld(t, tt.kind, tt.states)
			w.sync()
			if got := w.fetched(); !slices.Equal(got, tt.want) {
				t.Errorf("fetched %q, want %q", got, tt.want)
			}
			names := w.catalog.names("test")
			if len(names) != 61-tt.states || !slices.Contains(names, fmt.Sprintf("some-package-57 2.%d amd64", tt.states-1)) {
				t.Errorf("packages %q", names)
			}
			if left, _ := os.ReadDir(filepath.Join(w.syncer.Dir, "test")); len(left) != 1 {
				t.Errorf("%d files are left, want the one that is current", len(left))
			}
		})
	}
}

// Patches that do not do cost a full fetch, and nothing else.
func TestPatchesThatFail(t *testing.T) {
	const (
		name  = "main/binary-amd64/Packages.diff/Index"
		first = "main/binary-amd64/Packages.diff/2026-01-01-0000.00.gz"
	)
	for label, spoil := range map[string]func(*world){
		"index missing": func(w *world) {
			w.EditFiles = func(files map[string][]byte) {
				delete(files, w.Dist(mirrortest.Entry(name, files[w.Dist(name)]).ByHash()))
				delete(files, w.Dist(name))
			}
			w.Publish()
		},
		"patch missing":      func(w *world) { w.Put(w.Dist(first), nil) },
		"patch changed":      func(w *world) { w.Put(w.Dist(first), bytes.Repeat([]byte("x"), len(w.Get(w.Dist(first))))) },
		"index not a stanza": func(w *world) { w.editPatchIndex(func([]byte) []byte { return []byte("nonsense") }) },
		"index of another state": func(w *world) {
			w.editPatchIndex(func(b []byte) []byte {
				return bytes.Replace(b, []byte("Current: "), []byte("Current: "+strings.Repeat("a", 64)+" 1\nX: "), 1)
			})
		},
		"name leads elsewhere": func(w *world) {
			w.editPatchIndex(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("2026-01-01"), []byte("../2026-01-01")) })
		},
		"signed patch is no patch":     func(w *world) { w.forgePatch([]byte("rm -rf /\n")) },
		"signed patch leads elsewhere": func(w *world) { w.forgePatch([]byte("1,2d\n")) },
		"signed patch beyond the text": func(w *world) { w.forgePatch([]byte("999999d\n")) },
		"cache damaged": func(w *world) {
			for _, f := range w.cached() {
				text, err := os.ReadFile(f)
				if err != nil {
					w.t.Fatal(err)
				}
				text[5]++
				if err := os.WriteFile(f, text, 0o600); err != nil {
					w.t.Fatal(err)
				}
			}
		},
		"cache gone": func(w *world) {
			for _, f := range w.cached() {
				os.Remove(f)
			}
		},
	} {
		t.Run(label, func(t *testing.T) {
			w := patchedWorld(t, "merged", 1)
			spoil(w)
			w.Requests()
			w.sync()
			got := w.fetched()
			if last := got[len(got)-1]; last != "200 by-hash/SHA256" {
				t.Errorf("fetched %q, want the whole file at last", got)
			}
			if names := w.catalog.names("test"); len(names) != 60 || !slices.Contains(names, "some-package-57 2.0 amd64") {
				t.Errorf("packages %q", names)
			}
			if left := w.cached(); len(left) != 1 {
				t.Errorf("%q are left", left)
			}
		})
	}
}

// cached returns the files that the syncer keeps of the source.
func (w *world) cached() []string {
	list, err := filepath.Glob(filepath.Join(w.syncer.Dir, "test", "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

// editPatchIndex publishes another index of patches, under its right hash.
func (w *world) editPatchIndex(edit func([]byte) []byte) {
	const name = "main/binary-amd64/Packages.diff/Index"
	body := edit(bytes.Clone(w.Get(w.Dist(name))))
	w.EditRelease = func(r *index.Release) {
		for i := range r.Files {
			if r.Files[i].Path == name {
				r.Files[i] = mirrortest.Entry(name, body)
			}
		}
	}
	w.EditFiles = func(files map[string][]byte) {
		files[w.Dist(name)] = body
		files[w.Dist(mirrortest.Entry(name, body).ByHash())] = body
		if w.forged != nil {
			files[w.Dist("main/binary-amd64/Packages.diff/forged.gz")] = w.forged
		}
	}
	w.Publish()
}

// forgePatch publishes another patch, with all hashes right.
func (w *world) forgePatch(script []byte) {
	w.forged = debtest.Compress(debtest.Gzip, script)
	row := func(name string, body []byte) string {
		e := mirrortest.Entry(name, body)
		return fmt.Sprintf(" %s %d %s\n", e.SHA256, e.Size, e.Path)
	}
	w.editPatchIndex(func(b []byte) []byte {
		head, _, _ := bytes.Cut(b, []byte("SHA256-Patches:"))
		head = bytes.ReplaceAll(head, []byte("2026-01-01-0000.00"), []byte("forged"))
		return fmt.Appendf(head, "SHA256-Patches:\n%sSHA256-Download:\n%sX-Patch-Precedence: merged\n",
			row("forged", script), row("forged.gz", w.forged))
	})
}

func TestCache(t *testing.T) {
	t.Run("damaged", func(t *testing.T) {
		w := newWorld(t)
		w.sync()
		text, err := os.ReadFile(w.cached()[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.cached()[0], bytes.ReplaceAll(text, []byte("hello"), []byte("jello")), 0o600); err != nil {
			t.Fatal(err)
		}
		w.source.Components = []string{"main", "contrib"}
		w.Release.Components = []string{"main", "contrib"}
		w.advance()
		w.sync()
		w.wantPackages(helloLine)
	})
	t.Run("none", func(t *testing.T) {
		w := newWorld(t)
		w.syncer.Dir = ""
		tmp := t.TempDir()
		t.Setenv("TMPDIR", tmp)
		w.sync()
		w.changed()
		w.sync()
		w.wantPackages("added 1.0 amd64", helloLine)
		if left, _ := os.ReadDir(tmp); len(left) != 0 {
			t.Errorf("%d files are left", len(left))
		}
	})
}
