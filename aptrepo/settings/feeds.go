package settings

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
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
	items, ok := p.items(value, path, maxFeeds)
	if !ok {
		return
	}
	list := Feeds{}
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		object, ok := item.(map[string]any)
		if !ok {
			p.add(at, "must be an object")
			continue
		}
		f := Feed{Enabled: true}
		p.item(reflect.ValueOf(&f).Elem(), object, at)
		for _, missing := range []struct{ name, value string }{{"id", f.ID}, {"kind", f.Kind}, {"url", f.URL}} {
			if missing.value == "" {
				p.add(at+"."+missing.name, "must not be empty")
			}
		}
		if slices.ContainsFunc(list, func(o Feed) bool { return o.ID == f.ID }) {
			p.add(at+".id", "must not be there twice")
		}
		list = append(list, f)
	}
	dst.Set(reflect.ValueOf(list))
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
