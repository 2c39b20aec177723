package scan

import (
	"net/url"
	"strings"
)

// PURL returns the package URL of the package, of type deb (ECMA-427): with the
// release as "distro" when it is known, and without the source package.
func (s Subject) PURL() string {
	// Names and versions have no spaces: the escapes of a query are those of a
	// package URL.
	family, release, _ := strings.Cut(s.OS, ":")
	purl := "pkg:deb/"
	if family != "" {
		purl += url.QueryEscape(strings.ToLower(family)) + "/"
	}
	purl += url.QueryEscape(strings.ToLower(s.Name)) + "@" + url.QueryEscape(s.Version) + "?arch=" + url.QueryEscape(s.Arch)
	if release != "" {
		purl += "&distro=" + url.QueryEscape(family+"-"+release)
	}
	return purl
}
