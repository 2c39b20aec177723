package vuln

import (
	"cmp"
	"slices"
)

// An event is where a range of OSV begins or ends.
type event struct {
	version string // "" before all others
	end     bound  // open: here begins a range
}

// intervals turns the events of a range into intervals. "0" is before every
// version. Ends without a beginning hold from the first version on: such a
// range is not valid, and to take it for empty would hide something.
func intervals(list []osvEvent, compare order) []interval {
	events := parseEvents(list)
	slices.SortStableFunc(events, func(a, b event) int {
		switch {
		case a.version == "" || b.version == "":
			return cmp.Compare(min(1, len(a.version)), min(1, len(b.version)))
		}
		return compare(a.version, b.version)
	})
	if !slices.ContainsFunc(events, func(e event) bool { return e.end == open }) && len(events) > 0 {
		events = slices.Insert(events, 0, event{})
	}
	var all []interval
	var current *interval
	for n := 0; n < len(events); {
		same := 1
		for n+same < len(events) && sameVersion(events[n].version, events[n+same].version, compare) {
			same++
		}
		for _, e := range eventsInTurn(events[n:n+same], current != nil) {
			switch {
			case e.end == open && current == nil:
				current = &interval{from: e.version}
			case e.end != open && current != nil:
				current.to, current.end = e.version, e.end
				all = append(all, *current)
				current = nil
			}
		}
		n += same
	}
	if current != nil {
		all = append(all, *current)
	}
	return all
}

func parseEvents(list []osvEvent) (events []event) {
	for _, e := range list {
		for _, v := range []struct {
			version string
			end     bound
		}{{e.Introduced, open}, {e.Fixed, fixedAt}, {e.LastAffected, lastKnown}} {
			switch {
			case v.end == open && v.version == "0":
				events = append(events, event{end: open})
			case validWord(v.version, maxVersion):
				events = append(events, event(v))
			}
		}
	}
	return events
}

func sameVersion(a, b string, compare order) bool {
	return a == b || a != "" && b != "" && compare(a, b) == 0
}

// eventsInTurn orders the events of one version. Inside an interval a fix comes
// first, so that the next one may begin with the same version; outside, the
// beginning does. That a version is the last comes after both.
func eventsInTurn(events []event, inside bool) []event {
	rank := func(e event) int {
		switch {
		case e.end == lastKnown:
			return 2
		case (e.end == fixedAt) == inside:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(rank(a), rank(b)) })
	return events
}

// holds reports whether a version lies in the interval.
func (i interval) holds(compare order, version string) bool {
	if i.from != "" && compare(version, i.from) < 0 {
		return false
	}
	switch i.end {
	case fixedAt:
		return compare(version, i.to) < 0
	case lastKnown:
		return compare(version, i.to) <= 0
	}
	return true
}

// hits reports whether the row calls a version affected.
func (r *row) hits(compare order, version string) bool {
	for _, i := range r.intervals {
		if i.holds(compare, version) {
			return true
		}
	}
	for _, v := range r.versions {
		if compare(version, v) == 0 {
			return true
		}
	}
	return false
}
