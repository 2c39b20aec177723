package aptrepo

import (
	"fmt"
	"strings"
)

// KeyringPath is where client set-up puts the repository's public key.
const KeyringPath = "/etc/apt/keyrings/repod.asc"

// SourcesStanza returns the deb822-style source entry (sources.list(5)) of a
// distribution served below base, an URL that ends in "/".
func SourcesStanza(base string, d Distribution) string {
	return fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nArchitectures: %s\nSigned-By: %s\n",
		base, d.Codename, strings.Join(d.Components, " "), strings.Join(d.Architectures, " "), KeyringPath)
}
