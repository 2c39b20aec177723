package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/repod-io/repod/httpapi/ui"
)

// consolePath is where the console is.
const consolePath = "/ui/"

// home leads browsers to the console; programs have nothing to do here.
func (a *api) home(c *call) error {
	if !acceptsHTML(c.Header) || c.URL.EscapedPath() != "/" {
		return errRoute
	}
	return c.redirect(consolePath)
}

func acceptsHTML(h http.Header) bool {
	return strings.Contains(strings.ToLower(strings.Join(h.Values("Accept"), ",")), "text/html")
}

func (c *call) redirect(target string) error {
	setAPIHeaders(c.w.Header())
	c.w.Header().Set("Location", target)
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusFound)
	return nil
}

// consoleFiles serves the console. Without the last slash its relative addresses
// would lead elsewhere.
func (a *api) consoleFiles(c *call) error {
	encoded, below := strings.CutPrefix(c.URL.EscapedPath(), consolePath)
	if !below {
		return c.redirect(consolePath)
	}
	if encoded == "server.json" {
		return a.consoleOffer(c)
	}
	// An encoded slash is part of a name, and no name of a file has one.
	for segment := range strings.SplitSeq(encoded, "/") {
		if name, err := url.PathUnescape(segment); err != nil || strings.Contains(name, "/") {
			return errRoute
		}
	}
	if !ui.Serve(c.w, c.Request, c.URL.Path[len(consolePath):]) {
		return errRoute
	}
	return nil
}

// consoleOffer tells the console how people can log in.
func (a *api) consoleOffer(c *call) error {
	s := a.Settings.Current()
	return writeJSON(c.w, http.StatusOK, struct {
		LDAP bool `json:"ldap"`
		OIDC bool `json:"oidc"`
		Mail bool `json:"mail"` // passwords can be reset by mail
	}{s.LDAP.Enabled, a.OIDC != nil && s.OIDC.Enabled, s.SMTP.Enabled})
}
