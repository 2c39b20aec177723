package upstream

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/repod-io/repod/deb"
)

// A Source is an archive of someone else, of which one suite is read.
type Source struct {
	ID string `json:"id"`
	// URL is that of the archive, up to before "dists/". Its user information
	// is sent to its host as basic authentication (RFC 7617). It is shown by
	// none of the methods.
	URL   string `json:"url"`
	Suite string `json:"suite"`
	// Components is {"main"} and Architectures {"amd64"} when empty. Packages
	// for all architectures are always read.
	Components    []string `json:"components"`
	Architectures []string `json:"architectures"`
	// Keyring is the name of a file with the keys of the source, see Keyrings;
	// SignedBy is such keys, armoured. Exactly one of them is set. A key counts
	// for the sources that name it and for no other.
	Keyring  string `json:"keyring"`
	SignedBy string `json:"signed_by"`

	Security bool `json:"security"`
	Enabled  bool `json:"enabled"`
	// TargetDistribution is the codename of the distribution that the source
	// serves; "" for any.
	TargetDistribution string `json:"target_distribution"`
}

// A FieldError says what is wrong with a field of a Source.
type FieldError struct {
	Field   string // as in JSON
	Message string
}

var (
	sourceID    = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	keyringName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$`)
	component   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*$`)
)

const (
	maxComponents = 20
	maxSuite      = 200
	maxURL        = 2000
)

// Validate returns what is wrong with the source, field by field, in the order
// of its fields. Whether its keys can be found is for Keyrings to tell.
func (s Source) Validate() []FieldError {
	var list []FieldError
	for _, f := range []struct{ name, message string }{
		{"id", s.checkID()},
		{"url", s.checkURL()},
		{"suite", checkSuite(s.Suite)},
		{"components", checkComponents(s.Components)},
		{"architectures", checkArchitectures(s.Architectures)},
		{"keyring", s.checkKeyring()},
		{"signed_by", s.checkSignedBy()},
		{"target_distribution", checkTarget(s.TargetDistribution)},
	} {
		if f.message != "" {
			list = append(list, FieldError{f.name, f.message})
		}
	}
	return list
}

func (s Source) checkID() string {
	if !sourceID.MatchString(s.ID) {
		return "must be 1 to 64 of a-z, 0-9, dot, dash and underscore, the first a letter or digit"
	}
	return ""
}

func (s Source) checkURL() string {
	u, err := url.Parse(s.URL)
	switch {
	case s.URL == "":
		return "is missing"
	case len(s.URL) > maxURL:
		return fmt.Sprintf("is longer than %d bytes", maxURL)
	case err != nil: // whose text would show a password
		return "is no URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return "must begin with http:// or https://"
	case u.Hostname() == "" || u.Opaque != "":
		return "has no host"
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(s.URL, "#"):
		return "must have no query and no fragment"
	case strings.Contains(u.Path+"/", "/../"), strings.Contains(u.Path, `\`), strings.ContainsFunc(u.Path, unicode.IsControl):
		return "has a path that is not in its simplest form"
	}
	return ""
}

// printable reports whether s has neither white space nor control characters.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar
	})
}

func checkSuite(s string) string {
	switch {
	case s == "":
		return "is missing"
	case len(s) > maxSuite:
		return fmt.Sprintf("is longer than %d bytes", maxSuite)
	case !printable(s), strings.Contains(s, ".."):
		return `must have neither white space nor ".."`
	case s != path.Clean(s), s[0] == '/', s == ".", strings.ContainsAny(s, `\%?#`):
		return "must be a directory below dists/"
	}
	return ""
}

func checkComponents(list []string) string {
	if len(list) > maxComponents {
		return fmt.Sprintf("has more than %d entries", maxComponents)
	}
	for i, c := range list {
		if len(c) > maxSuite || !component.MatchString(c) || strings.Contains(c, "..") {
			return fmt.Sprintf("%.100q is no component", c)
		}
		if slices.Contains(list[:i], c) {
			return fmt.Sprintf("has %s twice", c)
		}
	}
	return ""
}

func checkArchitectures(list []string) string {
	for i, a := range list {
		switch {
		case a == "all":
			return "all is included by itself"
		case !deb.KnownArchitecture(a):
			return fmt.Sprintf("%.100q is no architecture", a)
		case slices.Contains(list[:i], a):
			return fmt.Sprintf("has %s twice", a)
		}
	}
	return ""
}

func (s Source) checkKeyring() string {
	switch {
	case s.Keyring == "" && s.SignedBy == "":
		return "or signed_by must be given: unsigned sources are not read"
	case s.Keyring != "" && s.SignedBy != "":
		return "must not be given together with signed_by"
	case s.Keyring != "" && (!keyringName.MatchString(s.Keyring) || strings.Contains(s.Keyring, "..")):
		return "must be the name of a keyring, without folder"
	}
	return ""
}

func (s Source) checkSignedBy() string {
	if s.SignedBy == "" || s.Keyring != "" {
		return ""
	}
	if _, err := parseKeys([]byte(s.SignedBy)); err != nil || !strings.Contains(s.SignedBy, "-----BEGIN ") {
		return "must be armoured OpenPGP public keys"
	}
	return ""
}

func checkTarget(s string) string {
	if len(s) > maxSuite || !printable(s) || strings.Contains(s, "/") {
		return "is no codename"
	}
	return ""
}

// components and architectures return the lists with their defaults, sorted:
// their order means nothing.
func (s Source) components() []string {
	if len(s.Components) == 0 {
		return []string{"main"}
	}
	return slices.Sorted(slices.Values(s.Components))
}

func (s Source) architectures() []string {
	if len(s.Architectures) == 0 {
		return []string{"amd64"}
	}
	return slices.Sorted(slices.Values(s.Architectures))
}

// PublicURL returns the URL without its user information, and "" when the
// source's URL is none.
func (s Source) PublicURL() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// String names the source in one line, without secrets.
func (s Source) String() string {
	return fmt.Sprintf("source %s (%s %s)", s.ID, s.PublicURL(), s.Suite)
}

// GoString implements fmt.GoStringer, for the same purpose as String.
func (s Source) GoString() string { return s.String() }

// LogValue implements slog.LogValuer: ID, URL without user information, suite.
func (s Source) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", s.ID), slog.String("url", s.PublicURL()), slog.String("suite", s.Suite))
}

// place and contents identify what the source reads: a change of place makes
// it another archive, a change of contents only makes it read more or less.
func (s Source) place() string { return digest(s.PublicURL(), s.Suite) }

func (s Source) contents() string { return digest(s.components(), s.architectures()) }

// SameContents reports whether two sources read the same of the same archive,
// whoever signs it.
func (s Source) SameContents(o Source) bool {
	return s.place() == o.place() && s.contents() == o.contents()
}

func digest(parts ...any) string {
	text, err := json.Marshal(parts)
	if err != nil {
		panic(err) // strings only
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Presets returns the sources that a repository may begin with: Debian's and
// Ubuntu's current releases with their updates, for amd64, sorted by ID.
func Presets() []Source {
	var list []Source
	add := func(vendor, codename, archive, security string, components ...string) {
		for _, part := range []struct{ name, url string }{{"", archive}, {"-updates", archive}, {"-security", security}} {
			list = append(list, Source{
				ID: vendor + "-" + codename + part.name, URL: part.url, Suite: codename + part.name,
				Components: components, Architectures: []string{"amd64"}, Keyring: vendor + "-archive",
				Security: part.name == "-security", Enabled: true, TargetDistribution: codename,
			})
		}
	}
	for _, codename := range []string{"bookworm", "trixie"} {
		add("debian", codename, debianURL, debianSecurityURL, "main")
	}
	for _, codename := range []string{"jammy", "noble"} {
		add("ubuntu", codename, ubuntuURL, ubuntuSecurityURL, "main", "universe")
	}
	slices.SortFunc(list, func(a, b Source) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

const (
	debianURL         = "http://ftp.debian.org/debian/"
	debianSecurityURL = "http://security.debian.org/debian-security/"
	ubuntuURL         = "http://archive.ubuntu.com/ubuntu/"
	ubuntuSecurityURL = "http://security.ubuntu.com/ubuntu/"
)
