package vuln_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/vuln"
)

// The property test holds Match against the plainest reading of the formats: all
// records in memory, all versions small numbers, and each question answered by
// trying. It shares no code with the package.

type naiveEvent struct {
	Introduced string `json:"introduced,omitempty"`
	Fixed      string `json:"fixed,omitempty"`
	Last       string `json:"last_affected,omitempty"`
}

func (e naiveEvent) at() int {
	n, _ := strconv.Atoi(e.Introduced + e.Fixed + e.Last)
	return n
}

type naiveRange struct {
	Type   string       `json:"type"`
	Events []naiveEvent `json:"events"`
}

type naivePackage struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
}

type naiveAffected struct {
	Package  naivePackage `json:"package"`
	Ranges   []naiveRange `json:"ranges,omitempty"`
	Versions []string     `json:"versions,omitempty"`
}

type naiveRecord struct {
	ID        string          `json:"id"`
	Withdrawn string          `json:"withdrawn,omitempty"`
	Upstream  []string        `json:"upstream"`
	Affected  []naiveAffected `json:"affected"`
}

const naiveTop = 12 // the greatest version

// affects is the evaluation that the OSV schema gives in pseudo-code.
func (a naiveAffected) affects(version int) bool {
	for _, r := range a.Ranges {
		events := slices.Clone(r.Events)
		slices.SortFunc(events, func(a, b naiveEvent) int { return cmp.Compare(a.at(), b.at()) })
		vulnerable := false
		for _, e := range events {
			switch {
			case e.Introduced != "":
				vulnerable = vulnerable || version >= e.at()
			case e.Fixed != "":
				vulnerable = vulnerable && version < e.at()
			default:
				vulnerable = vulnerable && version <= e.at()
			}
		}
		if vulnerable {
			return true
		}
	}
	return slices.Contains(a.Versions, strconv.Itoa(version))
}

func randomAffected(r *rand.Rand, ecosystem string) naiveAffected {
	a := naiveAffected{Package: naivePackage{ecosystem, "pkg-" + strconv.Itoa(r.IntN(3))}}
	for range r.IntN(3) {
		var g naiveRange
		g.Type = "ECOSYSTEM"
		places := r.Perm(naiveTop)[:1+r.IntN(4)]
		slices.Sort(places)
		for i, at := range places {
			v := strconv.Itoa(at)
			switch {
			case i%2 == 0:
				g.Events = append(g.Events, naiveEvent{Introduced: v})
			case r.IntN(5) == 0 && at > 0:
				g.Events = append(g.Events, naiveEvent{Last: v})
			default:
				g.Events = append(g.Events, naiveEvent{Fixed: v})
			}
		}
		r.Shuffle(len(g.Events), func(i, j int) { g.Events[i], g.Events[j] = g.Events[j], g.Events[i] })
		a.Ranges = append(a.Ranges, g)
	}
	for range r.IntN(2) {
		a.Versions = append(a.Versions, strconv.Itoa(1+r.IntN(naiveTop)))
	}
	return a
}

func randomRecords(r *rand.Rand) (records []naiveRecord) {
	for n := range 12 {
		rec := naiveRecord{ID: fmt.Sprintf("DSA-%d-1", n)}
		for range 1 + r.IntN(2) {
			rec.Upstream = append(rec.Upstream, fmt.Sprintf("CVE-2024-%d", 1000+r.IntN(6)))
		}
		if r.IntN(8) == 0 {
			rec.Withdrawn = "2026-01-01T00:00:00Z"
		}
		for range 1 + r.IntN(3) {
			rec.Affected = append(rec.Affected, randomAffected(r, []string{"Debian:12", "Debian:12", "Debian:11"}[r.IntN(3)]))
		}
		records = append(records, rec)
	}
	return records
}

// naive returns the entries that speak of a package, by CVE.
func naive(records []naiveRecord, ecosystem, name string) map[string][]naiveAffected {
	all := make(map[string][]naiveAffected)
	for _, rec := range records {
		for _, a := range rec.Affected {
			if rec.Withdrawn == "" && a.Package == (naivePackage{ecosystem, name}) {
				for _, cve := range rec.Upstream {
					all[cve] = append(all[cve], a)
				}
			}
		}
	}
	return all
}

func anyAffects(entries []naiveAffected, version int) bool {
	return slices.ContainsFunc(entries, func(a naiveAffected) bool { return a.affects(version) })
}

// endsWithFixes reports whether only fixes end what is affected, so that the
// first version which is not must be one.
func endsWithFixes(entries []naiveAffected) bool {
	for _, a := range entries {
		for _, r := range a.Ranges {
			if slices.ContainsFunc(r.Events, func(e naiveEvent) bool { return e.Last != "" }) {
				return false
			}
		}
		if len(a.Versions) > 0 {
			return false
		}
	}
	return true
}

func checkFix(t *testing.T, f scan.Finding, entries []naiveAffected, version int) {
	t.Helper()
	if !endsWithFixes(entries) {
		if v, err := strconv.Atoi(f.FixedVersion); err == nil && (v <= version || anyAffects(entries, v)) {
			t.Errorf("%s %d of %s is fixed by %s, which is affected", f.Package, version, f.ID, f.FixedVersion)
		}
		return
	}
	want, state := "", scan.NotFixed
	for v := version; v <= naiveTop; v++ {
		if !anyAffects(entries, v) {
			want, state = strconv.Itoa(v), scan.Fixed
			break
		}
	}
	if f.FixedVersion != want || f.FixState != state {
		t.Errorf("%s %d of %s: %s %q, want %s %q", f.Package, version, f.ID, f.FixState, f.FixedVersion, state, want)
	}
}

func TestMatchLikeNaive(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 1))
		records := randomRecords(r)
		raw, err := json.Marshal(records)
		if err != nil {
			t.Fatal(err)
		}
		db := newDB(t)
		mustImport(t, db, text("x", vuln.OSV, string(raw)))
		for _, ecosystem := range []string{"12", "11"} {
			for name := range 3 {
				source := "pkg-" + strconv.Itoa(name)
				entries := naive(records, "Debian:"+ecosystem, source)
				for version := range naiveTop + 1 {
					findings, _, err := db.Match(t.Context(), subject("debian:"+ecosystem, source, strconv.Itoa(version)))
					if err != nil {
						t.Fatal(err)
					}
					var want []string
					for _, cve := range slices.Sorted(maps.Keys(entries)) {
						if anyAffects(entries[cve], version) {
							want = append(want, cve)
						}
					}
					var got []string
					for _, f := range findings {
						got = append(got, f.ID)
						checkFix(t, f, entries[f.ID], version)
					}
					if !slices.Equal(got, want) {
						t.Errorf("seed %d: %s %d in %s: found %q, want %q", seed, source, version, ecosystem, got, want)
					}
				}
			}
		}
		db.Close()
		if t.Failed() {
			t.Fatalf("data: %s", raw)
		}
	}
}
