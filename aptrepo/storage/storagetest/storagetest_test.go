package storagetest

import (
	"context"
	"io"
	"slices"
	"testing"

	"github.com/repod-io/repod/aptrepo/storage"
)

// Each broken backend fails the rules named, and no others unless it is wide.
var broken = []struct {
	name  string
	make  func(t *testing.T) storage.Backend
	wide  bool
	fails []string
}{
	{name: "wrongSize", wide: true, fails: []string{"RoundTrip", "Overwrite", "Probe"},
		make: func(*testing.T) storage.Backend { return wrongSize{plain()} }},
	{name: "rewinding", fails: []string{"PutFromOffset"},
		make: func(*testing.T) storage.Backend { return rewinding{plain()} }},
	{name: "plainErrors", wide: true, fails: []string{"Missing"},
		make: func(*testing.T) storage.Backend { return plainErrors{new(storage.Mem)} }},
	{name: "sloppyKeys", fails: []string{"InvalidKeys"},
		make: func(*testing.T) storage.Backend { return sloppyKeys{plain()} }},
	{name: "strictNames", fails: []string{"APTNames"},
		make: func(*testing.T) storage.Backend { return strictNames{plain()} }},
	{name: "foldingCase", fails: []string{"CaseSensitive"},
		make: func(*testing.T) storage.Backend { return foldingCase{plain()} }},
	{name: "sharedReader", wide: true, fails: []string{"IndependentReaders"},
		make: func(*testing.T) storage.Backend {
			return &sharedReader{Backend: plain(), open: map[string]io.ReadCloser{}}
		}},
	{name: "wrongSeek", fails: []string{"SeekIfOffered"},
		make: func(*testing.T) storage.Backend { return wrongSeek{plain()} }},
	{name: "strictDelete", wide: true, fails: []string{"DeleteIdempotent"},
		make: func(*testing.T) storage.Backend { return strictDelete{plain()} }},
	{name: "deletesTree", fails: []string{"DeleteOneKey"},
		make: func(*testing.T) storage.Backend { return deletesTree{plain()} }},
	{name: "deafToCancel", fails: []string{"Canceled", "CanceledPutInvisible", "FailedCreateInvisible", "ListCanceled"},
		make: func(*testing.T) storage.Backend { return deafToCancel{plain()} }},
	{name: "noDotFiles", fails: []string{"Probe"},
		make: func(*testing.T) storage.Backend { return noDotFiles{plain()} }},

	{name: "keepsFirst", fails: []string{"Overwrite", "FailedPutInvisible", "CanceledPutInvisible", "ReadDuringReplace"},
		make: func(*testing.T) storage.Backend { return keepsFirst{plain()} }},
	{name: "takesErrorForEnd", fails: []string{"FailedPutInvisible", "FailedCreateInvisible"},
		make: func(*testing.T) storage.Backend { return takesErrorForEnd{plain()} }},
	{name: "lateReader", wide: true, fails: []string{"ReadDuringReplace"},
		make: func(*testing.T) storage.Backend { return lateReader{plain()} }},
	{name: "torn", fails: []string{"ConcurrentPuts"},
		make: func(*testing.T) storage.Backend { return torn{plain()} }},
	{name: "oneWriter", fails: []string{"ConcurrentPuts", "ConcurrentTrees"},
		make: func(*testing.T) storage.Backend { return &oneWriter{Backend: plain()} }},
	{name: "naive", wide: true, fails: []string{"InvalidKeys", "FailedPutInvisible", "CanceledPutInvisible",
		"ReadDuringReplace", "DeleteIdempotent", "ListPrefixAndOrder", "ListInfo"},
		make: func(t *testing.T) storage.Backend { return naive{t.TempDir()} }},

	{name: "walkOrder", fails: []string{"ListPrefixAndOrder"},
		make: func(*testing.T) storage.Backend { return walkOrder{plain()} }},
	{name: "wildcards", wide: true, fails: []string{"ListPrefixAndOrder"},
		make: func(*testing.T) storage.Backend { return wildcards{plain()} }},
	{name: "noListTimes", fails: []string{"ListInfo"},
		make: func(*testing.T) storage.Backend { return noListTimes{plain()} }},
	{name: "neverStops", fails: []string{"ListStopsEarly"},
		make: func(*testing.T) storage.Backend { return neverStops{plain()} }},
	{name: "offsetPages", fails: []string{"ListWhileDeleting"},
		make: func(*testing.T) storage.Backend { return offsetPages{plain()} }},

	{name: "createOnce", fails: []string{"CreateNew"},
		make: func(*testing.T) storage.Backend { return creator{new(storage.Mem), createOnce()} }},
	{name: "createReplacing", wide: true, fails: []string{"CreateExisting", "CreateRace"},
		make: func(*testing.T) storage.Backend {
			return creator{plain(), func(ctx context.Context, b storage.Backend, key string, r io.ReadSeeker) error {
				return b.Put(ctx, key, r)
			}}
		}},
	{name: "createReserving", wide: true, fails: []string{"FailedCreateInvisible"},
		make: func(*testing.T) storage.Backend { return creator{new(storage.Mem), createReserving} }},
	{name: "createAfterLook", fails: []string{"CreateRace"},
		make: func(*testing.T) storage.Backend { return creator{plain(), createAfterLook} }},
}

func TestRulesCatchBrokenBackends(t *testing.T) {
	caught := make(map[string]bool)
	for _, tt := range broken {
		for _, r := range Rules() {
			err := r.Check(t.Context(), tt.make(t))
			expected := slices.Contains(tt.fails, r.Name)
			switch {
			case err == nil && expected:
				t.Errorf("%s: %s passed", tt.name, r.Name)
			case err != nil && !expected && !tt.wide:
				t.Errorf("%s: %s failed: %v", tt.name, r.Name, err)
			}
			caught[r.Name] = caught[r.Name] || expected
		}
	}
	for _, r := range Rules() {
		if !caught[r.Name] {
			t.Errorf("no broken backend is meant to fail %s", r.Name)
		}
	}
}

// The broken backends are broken by what they wrap around these.
func TestRulesPassWholeBackends(t *testing.T) {
	t.Run("plain", func(t *testing.T) { Run(t, func(*testing.T) storage.Backend { return plain() }) })
	t.Run("creator", func(t *testing.T) {
		Run(t, func(*testing.T) storage.Backend { return creator{new(storage.Mem), storage.Create} })
	})
}

func TestRuleNamesDiffer(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range Rules() {
		if seen[r.Name] {
			t.Errorf("two rules are named %s", r.Name)
		}
		seen[r.Name] = true
	}
}
