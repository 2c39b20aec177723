package settings

import (
	"reflect"
	"regexp"
)

// A Feed is a source of vulnerability data; see package scan/vuln.
type Feed struct {
	ID      string `json:"id" rule:"feedid"`
	Kind    string `json:"kind" rule:"debian|ubuntu|osv|kev|epss"`
	URL     string `json:"url" rule:"feedurl"`
	Enabled bool   `json:"enabled"`
}

// Feeds are the sources of vulnerability data.
type Feeds []Feed

var feedIDRE = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

const maxFeeds = 100

// feeds reads a list of feeds.
func (p *patcher) feeds(dst reflect.Value, value any, path string) {
	id := func(f *Feed) string { return f.ID }
	list, ok := objects(p, value, path, maxFeeds, id, func(object map[string]any, at string) (Feed, bool) {
		f := Feed{Enabled: true}
		p.item(reflect.ValueOf(&f).Elem(), object, at)
		p.required(at, "id", f.ID)
		p.required(at, "kind", f.Kind)
		p.required(at, "url", f.URL)
		return f, true
	}, nil)
	if ok {
		dst.Set(reflect.ValueOf(Feeds(list)))
	}
}

// presetFeeds are those that a repository begins with.
func presetFeeds() Feeds {
	return Feeds{
		{"debian", "debian", "https://security-tracker.debian.org/tracker/data/json", true},
		{"ubuntu", "ubuntu", "https://osv-vulnerabilities.storage.googleapis.com/Ubuntu/all.zip", true},
		{"kev", "kev", "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json", true},
		{"epss", "epss", "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz", true},
	}
}
