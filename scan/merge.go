package scan

import (
	"cmp"
	"slices"
)

// strictness orders the statuses: of two, the greater one counts. One that is
// not known is a failure.
func strictness(s MalwareStatus) int {
	switch s {
	case NotScanned:
		return 0
	case Clean:
		return 1
	case Incomplete:
		return 3
	case Infected:
		return 4
	}
	return 2 // Failed
}

// merge makes one report of several. Of equally strict ones, the first counts.
func merge(reports []Report) (all Report) {
	for _, r := range reports {
		if strictness(r.Malware.Status) > strictness(all.Malware.Status) {
			all.Malware = r.Malware
		}
		all.Components = append(all.Components, r.Components...)
	}
	all.Components = unite(all.Components)
	return all
}

// unite sorts components and makes one of those that are the same software,
// with all their paths and licences. The slices of its argument stay as they
// are.
func unite(components []Component) []Component {
	slices.SortStableFunc(components, func(a, b Component) int {
		return cmp.Or(
			cmp.Compare(a.Ecosystem, b.Ecosystem),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.PURL, b.PURL),
		)
	})
	united := components[:0:0]
	for _, c := range components {
		if last := len(united) - 1; last >= 0 && same(&united[last], &c) {
			united[last].Paths = append(united[last].Paths, c.Paths...)
			united[last].Licenses = append(united[last].Licenses, c.Licenses...)
			continue
		}
		c.Paths = slices.Clone(c.Paths)
		c.Licenses = slices.Clone(c.Licenses)
		united = append(united, c)
	}
	for i := range united {
		united[i].Paths = sortedSet(united[i].Paths)
		united[i].Licenses = sortedSet(united[i].Licenses)
	}
	return united
}

func same(a, b *Component) bool {
	return a.Ecosystem == b.Ecosystem && a.Name == b.Name && a.Version == b.Version && a.PURL == b.PURL
}

func sortedSet(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
