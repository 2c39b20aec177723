package vuln

import (
	"slices"
	"strings"
)

// A Release says under which names a vendor's release goes in the feeds.
type Release struct {
	OS string // as scan.Subject has it: "debian:12"
	// Codename is the name in Debian's tracker: "bookworm". "" for what is not
	// Debian's.
	Codename string
	// Ecosystem is the name in OSV: "Debian:12", "Ubuntu:22.04:LTS".
	Ecosystem string
}

// DefaultReleases returns the releases that are known by themselves.
func DefaultReleases() []Release {
	releases := []Release{{"debian:sid", "sid", ""}}
	for _, r := range [][2]string{
		{"8", "jessie"}, {"9", "stretch"}, {"10", "buster"}, {"11", "bullseye"},
		{"12", "bookworm"}, {"13", "trixie"}, {"14", "forky"}, {"15", "duke"},
	} {
		releases = append(releases, Release{"debian:" + r[0], r[1], "Debian:" + r[0]})
	}
	for _, number := range []string{
		"14.04:LTS", "16.04:LTS", "18.04:LTS", "20.04:LTS", "22.04:LTS", "24.04:LTS", "26.04:LTS",
		"24.10", "25.04", "25.10", "26.10",
	} {
		short, _, _ := strings.Cut(number, ":")
		releases = append(releases, Release{"ubuntu:" + short, "", "Ubuntu:" + number})
	}
	return releases
}

// place is where the data for a release are: the codename in trackers, and the
// ecosystems in OSV. A later ecosystem overrules the earlier ones where both
// speak of the same vulnerability.
type place struct {
	codename   string
	ecosystems []string
	pro        string // Ubuntu Pro's ecosystem, when it is not one of them
}

func (db *DB) place(os string) (place, bool) {
	releases := db.Releases
	if releases == nil {
		releases = DefaultReleases()
	}
	i := slices.IndexFunc(releases, func(r Release) bool { return r.OS == os })
	if os == "" || i < 0 {
		return place{}, false
	}
	p := place{codename: releases[i].Codename}
	if releases[i].Ecosystem == "" {
		return p, true
	}
	p.ecosystems = []string{releases[i].Ecosystem}
	number, isUbuntu := strings.CutPrefix(releases[i].Ecosystem, "Ubuntu:")
	if !isUbuntu {
		return p, true
	}
	for _, track := range db.UbuntuTracks {
		p.ecosystems = append(p.ecosystems, "Ubuntu:"+track+":"+number)
	}
	if pro := "Ubuntu:Pro:" + number; !slices.Contains(p.ecosystems, pro) {
		p.pro = pro
	}
	return p, true
}

// knows reports whether a release, as feeds call it, is in the table.
func (db *DB) knows(name string) bool {
	releases := db.Releases
	if releases == nil {
		releases = DefaultReleases()
	}
	return slices.ContainsFunc(releases, func(r Release) bool {
		return name != "" && (name == r.Codename || name == r.Ecosystem)
	})
}
