package upstream

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A site is the archive that a source's URL leads to, with the credentials for
// its host set apart, so that they get into no error and to no other host.
type site struct {
	base url.URL // without user information
	user *url.Userinfo
}

func newSite(s Source) (*site, error) {
	u, err := url.Parse(s.URL)
	if err != nil || s.checkURL() != "" {
		return nil, fmt.Errorf("source %s: the URL %s", s.ID, s.checkURL())
	}
	t := &site{base: *u, user: u.User}
	t.base.User = nil
	return t, nil
}

// at returns the URL of a path below the base. Every byte that has a meaning in
// URLs is escaped: a path can lead nowhere else, whatever is in it.
func (t *site) at(rel string) *url.URL {
	u := t.base
	escaped := strings.TrimSuffix(t.base.EscapedPath(), "/") + "/" + (&url.URL{Path: rel}).EscapedPath()
	u.Path = strings.TrimSuffix(t.base.Path, "/") + "/" + rel
	u.RawPath = escaped
	return &u
}

// authorize adds the credentials to a request to the site's host. One that
// goes from plain HTTP to HTTPS on the same host keeps them.
func (t *site) authorize(req *http.Request) {
	if t.user == nil || req.URL.Hostname() != t.base.Hostname() {
		return
	}
	upgrade := t.base.Scheme == "http" && req.URL.Scheme == "https" && port(&t.base) == "80" && port(req.URL) == "443"
	if !upgrade && (req.URL.Scheme != t.base.Scheme || port(req.URL) != port(&t.base)) {
		return
	}
	password, _ := t.user.Password()
	req.SetBasicAuth(t.user.Username(), password)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}
