package inventory

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/package-url/packageurl-go"

	"github.com/repod-io/repod/scan"
)

// Bounds on what is kept of one component, which no real one comes near.
const (
	maxName     = 1024 // bytes
	maxVersion  = 256
	maxLicense  = 256
	maxLicenses = 20
	maxPaths    = 100
	maxPath     = 4096
	// maxFound bounds all names and paths of a package together, in bytes.
	maxFound = 64 * mib
)

// The ecosystems, spelled as in OSV.
const (
	goModules = "Go"
	pyPI      = "PyPI"
	npm       = "npm"
	maven     = "Maven"
	cratesIO  = "crates.io"
)

// purlTypes are the types of package URLs of the ecosystems.
var purlTypes = map[string]string{
	goModules: packageurl.TypeGolang,
	pyPI:      packageurl.TypePyPi,
	npm:       packageurl.TypeNPM,
	maven:     packageurl.TypeMaven,
	cratesIO:  packageurl.TypeCargo,
}

// Components collects what is found in a package.
type components struct {
	most    int
	room    int // bytes left of maxFound
	byPURL  map[string]*scan.Component
	skipped map[string]int
}

func newComponents(most int) *components {
	return &components{
		most:    most,
		room:    maxFound,
		byPURL:  make(map[string]*scan.Component),
		skipped: make(map[string]int),
	}
}

// add notes that a component was found at path. What cannot be a name is left
// out; what cannot be a version counts as none.
func (cs *components) add(path, ecosystem, name, version string, licenses ...string) {
	if !isToken(name, maxName) {
		return
	}
	if !isToken(version, maxVersion) {
		version = ""
	}
	purl, ok := packageURL(ecosystem, name, version)
	if !ok {
		return
	}
	c := cs.byPURL[purl]
	if c == nil {
		if len(cs.byPURL) >= cs.most || !cs.take(len(name)+len(version)+len(purl)) {
			cs.skipped["components"]++
			return
		}
		c = &scan.Component{Ecosystem: ecosystem, Name: name, Version: version, PURL: purl}
		cs.byPURL[purl] = c
	}
	cs.addPath(c, path)
	cs.addLicenses(c, licenses)
}

func (cs *components) addPath(c *scan.Component, path string) {
	i, known := slices.BinarySearch(c.Paths, path)
	switch {
	case known:
	case len(c.Paths) >= maxPaths || !cs.take(len(path)):
		cs.skipped["paths"]++
	default:
		c.Paths = slices.Insert(c.Paths, i, path)
	}
}

func (cs *components) addLicenses(c *scan.Component, licenses []string) {
	for _, l := range licenses {
		l = strings.TrimSpace(l)
		i, known := slices.BinarySearch(c.Licenses, l)
		if l != "" && !known && isLine(l, maxLicense) && len(c.Licenses) < maxLicenses && cs.take(len(l)) {
			c.Licenses = slices.Insert(c.Licenses, i, l)
		}
	}
}

func (cs *components) take(n int) bool {
	if n > cs.room {
		return false
	}
	cs.room -= n
	return true
}

// sorted returns the components in the order of their package URLs.
func (cs *components) sorted() []scan.Component {
	var list []scan.Component
	for _, c := range cs.byPURL {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b scan.Component) int { return strings.Compare(a.PURL, b.PURL) })
	return list
}

// isToken reports whether s can be a name or a version: a short word without
// blanks, fit for a database, a document and a terminal.
func isToken(s string, most int) bool {
	return s != "" && isLine(s, most) && !strings.Contains(s, " ")
}

// isLine reports whether s is short and printable.
func isLine(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// packageURL returns the canonical package URL of a component.
func packageURL(ecosystem, name, version string) (string, bool) {
	namespace := ""
	switch ecosystem {
	case goModules, npm:
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			namespace, name = name[:i], name[i+1:]
		}
	case maven:
		if group, artifact, ok := strings.Cut(name, ":"); ok {
			namespace, name = group, artifact
		}
	}
	purl := packageurl.PackageURL{
		Type: purlTypes[ecosystem], Namespace: namespace, Name: name, Version: version,
	}
	if err := purl.Normalize(); err != nil {
		return "", false
	}
	return purl.ToString(), true
}
