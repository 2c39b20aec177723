// Package retention says which versions of a package leave a distribution.
//
// It is pure: it knows neither a store nor a clock. What it is asked about is
// one name in one architecture of one distribution, and all versions that are
// published there; what other distributions hold makes no difference.
//
//	rules := retention.Rules{Keep: 3, After: 90 * 24 * time.Hour}
//	for i, reason := range rules.Plan(versions, time.Now()) {
//		if reason != retention.Stays {
//			// versions[i] leaves
//		}
//	}
//
// Whatever the rules: the newest version never leaves, so that no plan empties
// what it is made for, and what was promoted by hand stays until a hand takes it
// out. A plan does not depend on the order of the versions, and once it has been
// carried out a second one for the same moment is empty.
package retention

import (
	"slices"
	"time"

	"github.com/repod-io/repod/deb"
)

// A Version is a version of a package where it is published.
type Version struct {
	Version deb.Version
	// Published is since when it has been there.
	Published time.Time
	// Promoted: somebody has chosen it for this distribution. It never leaves.
	Promoted bool
}

// Rules say what leaves. The zero value lets everything stay.
type Rules struct {
	// Keep is how many of the newest versions stay, with those that were
	// promoted counted among them. 0 or less: all.
	Keep int
	// After is how long a version stays that has been superseded: that is
	// published together with a newer one. 0 or less: for ever.
	After time.Duration
}

// None reports whether the rules let everything stay.
func (r Rules) None() bool { return r.Keep <= 0 && r.After <= 0 }

// A Reason is why a version leaves.
type Reason string

// The reasons. Who leaves for both is told the first one.
const (
	Stays   Reason = ""               // it does not leave
	ByCount Reason = "keep_versions"  // Keep newer ones are there
	ByAge   Reason = "retention_days" // it was superseded that long ago
)

// Plan returns for each version, in the order given, why it leaves at a time.
//
// A version was superseded when the next newer one of those given was published,
// or when it was published itself, if that came later: somebody may put an old
// version beside a new one, and has the same time to use it. Versions that are
// equal in dpkg's order (deb-version(7): 1.0 and 1.0-0) are one version here,
// published when the first of them was.
func (r Rules) Plan(versions []Version, now time.Time) []Reason {
	plan := make([]Reason, len(versions))
	newer := 0 // how many distinct versions are newer
	var next time.Time
	for _, same := range newestFirst(versions) {
		since := published(versions, same)
		if newer > 0 {
			superseded := since
			if next.After(since) {
				superseded = next
			}
			for _, i := range same {
				plan[i] = r.reason(versions[i], newer, now.Sub(superseded))
			}
		}
		newer++
		next = since
	}
	return plan
}

// reason says why a version leaves that has a number of newer ones beside it,
// and has had one for a time.
func (r Rules) reason(v Version, newer int, superseded time.Duration) Reason {
	switch {
	case v.Promoted:
		return Stays
	case r.Keep > 0 && newer >= r.Keep:
		return ByCount
	case r.After > 0 && superseded >= r.After:
		return ByAge
	}
	return Stays
}

// newestFirst returns the places of versions in dpkg's order, those of equal
// ones together.
func newestFirst(versions []Version) [][]int {
	order := make([]int, len(versions))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return versions[b].Version.Compare(versions[a].Version) })
	var groups [][]int
	for first := 0; first < len(order); {
		end := first + 1
		for end < len(order) && versions[order[end]].Version.Compare(versions[order[first]].Version) == 0 {
			end++
		}
		groups = append(groups, order[first:end])
		first = end
	}
	return groups
}

// published returns when the first of some versions was published.
func published(versions []Version, places []int) time.Time {
	first := versions[places[0]].Published
	for _, i := range places[1:] {
		if at := versions[i].Published; at.Before(first) {
			first = at
		}
	}
	return first
}
