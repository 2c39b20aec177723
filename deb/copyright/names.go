package copyright

import (
	"regexp"
	"strings"
)

// perl is what "the same terms as Perl itself" means.
var perl = join(opOr, leaf("Artistic-1.0-Perl"), leaf("GPL-1.0-or-later"))

// aliases are names of licences that SPDX calls otherwise, by their spelling.
var aliases = map[string]expr{
	"2-clause-bsd":        leaf("BSD-2-Clause"),
	"3-clause-bsd":        leaf("BSD-3-Clause"),
	"4-clause-bsd":        leaf("BSD-4-Clause"),
	"apache2":             leaf("Apache-2.0"),
	"artistic":            leaf("Artistic-1.0-Perl"), // the text in Debian's common-licenses
	"asl-2":               leaf("Apache-2.0"),
	"boost":               leaf("BSL-1.0"), // there is one version
	"boost-1":             leaf("BSL-1.0"),
	"bsd-2":               leaf("BSD-2-Clause"),
	"bsd-3":               leaf("BSD-3-Clause"),
	"bsd-4":               leaf("BSD-4-Clause"),
	"bsd2":                leaf("BSD-2-Clause"),
	"bsd3":                leaf("BSD-3-Clause"),
	"bsd4":                leaf("BSD-4-Clause"),
	"cc0":                 leaf("CC0-1.0"), // there is one version
	"expat":               leaf("MIT"),
	"openldap-2.8":        leaf("OLDAP-2.8"),
	"perl":                perl,
	"same-as-perl":        perl,
	"same-as-perl-itself": perl,
	"sil-1.1":             leaf("OFL-1.1"),
	"sil-ofl-1.1":         leaf("OFL-1.1"),
	"ufl-1":               leaf("Ubuntu-font-1.0"),
	"uiuc":                leaf("NCSA"),
	"wtfpl-2":             leaf("WTFPL"), // which is version 2
	"zlib/libpng":         leaf("Zlib"),  // as the Open Source Initiative calls it
}

// gnu matches the spelling of a licence of the GNU project and its version.
var gnu = regexp.MustCompile(`^(?:gnu-)?(gpl|lgpl|agpl|gfdl|fdl)(-niv|-no-invariants?)?-?v?([0-9.]+)-?(\+)?(-no-invariants?)?(-only|-or-later)?$`)

// gnuVersions are those there are. Version 1 of AGPL is not GNU's.
var gnuVersions = map[string]string{
	"gpl-1": "GPL-1.0", "gpl-2": "GPL-2.0", "gpl-3": "GPL-3.0",
	"lgpl-2": "LGPL-2.0", "lgpl-2.1": "LGPL-2.1", "lgpl-3": "LGPL-3.0",
	"agpl-3":   "AGPL-3.0",
	"gfdl-1.1": "GFDL-1.1", "gfdl-1.2": "GFDL-1.2", "gfdl-1.3": "GFDL-1.3",
}

// gnuLicense returns the identifier of a GNU licence.
func gnuLicense(key string) (id string, ok bool) {
	m := gnu.FindStringSubmatch(key)
	if m == nil {
		return "", false
	}
	family, version, plus, suffix := m[1], plainVersion(m[3]), m[4], m[6]
	if family == "fdl" {
		family = "gfdl"
	}
	noInvariants := m[2] != "" || m[5] != ""
	if id, ok = gnuVersions[family+"-"+version]; !ok || noInvariants && family != "gfdl" || plus != "" && suffix != "" {
		return "", false
	}
	if noInvariants {
		id += "-no-invariants"
	}
	if plus != "" || suffix == "-or-later" {
		return id + "-or-later", true
	}
	return id + "-only", true
}

// license returns what a name without exception stands for, and the zero expr
// when no identifier says that.
func (n *naming) license(name string) expr {
	key := spelling(name)
	for _, key := range []string{key, withoutPart(key, "license", "licence", "version")} {
		if ofMIT[key] {
			return n.quotedLicense(name)
		}
		if e, ok := aliases[key]; ok {
			return e
		}
		if id, ok := gnuLicense(key); ok {
			return leaf(id)
		}
		if id, ok := licenseIDs()[key]; ok {
			return leaf(id)
		}
		if bare, ok := strings.CutSuffix(key, "+"); ok {
			if id, ok := licenseIDs()[bare]; ok && hasVersion(id) {
				return leaf(id + "+")
			}
		}
	}
	return expr{}
}

// quotedLicense returns what the text quoted under a name is.
func (n *naming) quotedLicense(name string) expr {
	if id := n.whichText(name, licenceOfMIT); id != "" {
		return leaf(id)
	}
	return expr{}
}

// hasVersion reports whether an identifier ends in a version, which others can
// be later than.
func hasVersion(id string) bool {
	last := id[strings.LastIndexByte(id, '-')+1:]
	return last != id && strings.Trim(last, "0123456789.") == ""
}

var (
	withException = regexp.MustCompile(`(?i)^(.+?)[ ~-](?:with|w/)[ ~-](?:the )?(.+?)(?:[ ~_-]exceptions?)?$`)
	// Also without with, after a version that says where the name begins.
	bareException = regexp.MustCompile(`(?i)^([al]?gpl[ -]?v?[0-9.]+\+?)[ ~-]?(.+?)[ ~-]exceptions?$`)
)

// exceptions are names of exceptions that SPDX calls otherwise, or that mean one
// of several texts depending on the version of the licence.
var exceptions = map[string]string{
	"bison GPL-3":               "Bison-exception-2.2", // in GPL-2 it may be the one of 1.24
	"classpath GPL-2":           "Classpath-exception-2.0",
	"font GPL-2":                "Font-exception-2.0",
	"font GPL-3":                "Font-exception-2.0",
	"gcc GPL-2":                 "GCC-exception-2.0",
	"gcc GPL-3":                 "GCC-exception-3.1",
	"gcc-runtime GPL-3":         "GCC-exception-3.1",
	"gcc-runtime-3.1 GPL-3":     "GCC-exception-3.1",
	"gcc-runtime-library GPL-3": "GCC-exception-3.1",
	"gcc-rle GPL-3":             "GCC-exception-3.1",
	"gcc-rle-3.1 GPL-3":         "GCC-exception-3.1",
}

// withException returns what a name with an exception stands for. It is the
// zero expr when there is none, or no identifier for it.
func (n *naming) withException(name string) expr {
	m := withException.FindStringSubmatch(name)
	if m == nil {
		m = bareException.FindStringSubmatch(name)
	}
	if m == nil {
		return expr{}
	}
	base := n.license(m[1])
	if base.op != "" || len(base.terms) != 1 {
		return expr{}
	}
	id := base.terms[0]
	key := withoutPart(spelling(strings.ReplaceAll(m[2], "~", "-")), "exception")
	major, _, _ := strings.Cut(id, ".")
	exception := exceptions[key+" "+major]
	if key == "autoconf" {
		exception = n.whichText(name, autoconf)
	}
	if exception == "" && key != "" {
		exception = exceptionIDs()[key]
	}
	if exception == "" {
		return expr{}
	}
	return leaf(id + " WITH " + exception)
}
