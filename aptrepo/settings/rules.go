package settings

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/robfig/cron/v3"
)

// A FieldError is what is wrong with one leaf.
type FieldError struct {
	Field   string // path: "smtp.port", "smtp.recipients[2]"
	Message string // "must be ...": reads on from the field's name
}

// A ValidationError lists everything that is wrong with a patch.
type ValidationError struct {
	Fields []FieldError // at least one
}

func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = f.Field + " " + f.Message
	}
	return "invalid settings: " + strings.Join(texts, "; ")
}

// faults collects what is wrong.
type faults struct{ list []FieldError }

func (f *faults) add(field, format string, args ...any) {
	f.list = append(f.list, FieldError{field, fmt.Sprintf(format, args...)})
}

func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return &ValidationError{f.list}
}

// maxText bounds texts, in code points.
const maxText = 4096

var (
	hostRE      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	ipv6RE      = regexp.MustCompile(`^[0-9A-Fa-f:.]{2,45}$`)
	keyringRE   = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}-archive-keyring$`)
	attributeRE = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)
)

// textRules are the names that the tag rule of a text can have, with what must
// hold for one that is not empty.
var textRules = map[string]struct {
	holds func(s string) bool
	must  string
}{
	"line": {isLine, "must be one line"},
	"issuer": {
		func(s string) bool { return isBaseURL(s) && scheme(s) == "https" },
		"must be the https:// address of the issuer, without trailing slash",
	},
	"baseurl":  {isBaseURL, "must be http:// or https://, a host and perhaps a path, without query or trailing slash"},
	"keyring":  {isKeyring, "must be the name of a package that ends in -archive-keyring, and no vendor's"},
	"clamav":   {isClamAV, "must be tcp://host:port or unix:///path"},
	"feedid":   {feedIDRE.MatchString, "must be 1 to 64 of a-z, 0-9, dot, dash and underscore, the first a letter or digit"},
	"feedurl":  {isFeedURL, "must be http:// or https:// and a host, without user and fragment"},
	"cron":     {isCron, "must be minute, hour, day of month, month and day of week, as in crontab"},
	"timezone": {isTimezone, "must be a time zone as Europe/Berlin"},
	"proxyurl": {isProxyURL, "must be http:// or https:// and a host, perhaps with user and password"},
	"host":     {isHost, "must be a host name or IP address"},
	"address":  {isAddress, "must be an e-mail address"},
	"ldapurl":  {isLDAPURL, "must be ldap://host[:port] or ldaps://host[:port]"},
	"pem":      {isPEM, "must be one or more certificates in PEM"},
	"filter":   {isFilter, "must be an LDAP filter in parentheses with {username} or {dn}"},
	"userfilter": {
		func(s string) bool {
			return isFilter(s) && strings.Contains(s, "{username}") && !strings.Contains(s, "{dn}")
		},
		"must be an LDAP filter in parentheses with {username}",
	},
	"attribute": {attributeRE.MatchString, "must be the name of an LDAP attribute"},
	"mailkind":  {func(s string) bool { return slices.Contains(MailKinds, s) }, "must be one of " + strings.Join(MailKinds, ", ")},
	"event":     {func(s string) bool { return slices.Contains(WebhookEvents, s) }, "must be one of " + strings.Join(WebhookEvents, ", ")},
	"hookurl":   {isHookURL, "must be http:// or https:// and a host, without user and fragment"},
	"short":     {func(s string) bool { return utf8.RuneCountInString(s) <= 256 }, "must have at most 256 characters"},
	"role":      {func(s string) bool { return slices.Contains(roles, s) }, "must be one of " + strings.Join(roles, ", ")},
}

// isKeyring takes names of packages that do not replace those of vendors.
func isKeyring(s string) bool {
	switch s {
	case "debian-archive-keyring", "debian-ports-archive-keyring", "ubuntu-archive-keyring":
		return false
	}
	return keyringRE.MatchString(s)
}

var roles = []string{"viewer", "uploader", "auditor", "maintainer", "admin"}

// checkText holds a text against a rule: a name of textRules, or words
// separated by | of which it must be one.
func checkText(f *faults, field, rule, s string) {
	if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
		f.add(field, "must be text in UTF-8 without NUL")
		return
	}
	if rule != "pem" && utf8.RuneCountInString(s) > maxText {
		f.add(field, "must have at most %d characters", maxText)
		return
	}
	if strings.Contains(rule, "|") {
		words := strings.Split(rule, "|")
		if !slices.Contains(words, s) {
			f.add(field, "must be one of %s", strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), ", "))
		}
		return
	}
	r, ok := textRules[rule]
	if rule != "" && !ok {
		panic("settings: no rule " + rule)
	}
	if ok && s != "" && !r.holds(s) {
		f.add(field, "%s", r.must)
	}
}

// checkNumber holds a number against a rule LOW..HIGH.
func checkNumber(f *faults, field, rule string, n int64) {
	first, last, _ := strings.Cut(rule, "..")
	low, err1 := strconv.ParseInt(first, 10, 64)
	high, err2 := strconv.ParseInt(last, 10, 64)
	if err1 != nil || err2 != nil {
		panic("settings: no bounds " + rule)
	}
	if n < low || n > high {
		f.add(field, "must be %d to %d", low, high)
	}
}

// checkFraction holds a number against a rule LOW..HIGH.
func checkFraction(f *faults, field, rule string, n float64) {
	first, last, _ := strings.Cut(rule, "..")
	low, err1 := strconv.ParseFloat(first, 64)
	high, err2 := strconv.ParseFloat(last, 64)
	if err1 != nil || err2 != nil {
		panic("settings: no bounds " + rule)
	}
	if !(low <= n && n <= high) {
		f.add(field, "must be %s to %s", first, last)
	}
}

func isLine(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }

// webURL parses a URL with http or https and a host, without fragment.
func webURL(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	return u, err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Fragment == "" && isLine(s)
}

func isBaseURL(s string) bool {
	u, ok := webURL(s)
	return ok && u.User == nil && u.RawQuery == "" && !u.ForceQuery && !strings.HasSuffix(s, "/") && !strings.ContainsAny(s, " '\"\\`$#")
}

// cronSyntax is that of package jobs.
var cronSyntax = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

func isCron(s string) bool {
	if strings.Contains(s, "=") { // begins a time zone; the parser panics on "TZ=0"
		return false
	}
	_, err := cronSyntax.Parse(s)
	return err == nil
}

func isTimezone(s string) bool {
	_, err := time.LoadLocation(s)
	return err == nil && s != "Local"
}

func isProxyURL(s string) bool {
	u, ok := webURL(s)
	return ok && (u.Path == "" || u.Path == "/") && u.RawQuery == "" && !u.ForceQuery
}

func isClamAV(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || !isLine(s) {
		return false
	}
	if u.Scheme == "unix" {
		return u.Host == "" && strings.HasPrefix(u.Path, "/") && len(u.Path) > 1
	}
	return u.Scheme == "tcp" && isHost(u.Hostname()) && u.Port() != "" && u.Path == ""
}

func isFeedURL(s string) bool {
	u, ok := webURL(s)
	return ok && u.User == nil
}

// isHookURL refuses what two programs may read in two ways, too.
func isHookURL(s string) bool {
	u, ok := webURL(s)
	return ok && u.User == nil && isHost(u.Hostname()) && !strings.ContainsAny(s, "\\ #")
}

func isHost(s string) bool { return hostRE.MatchString(s) || ipv6RE.MatchString(s) }

func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && len(s) <= 254 && isLine(s) && strings.IndexFunc(s, func(r rune) bool { return r > 0x7e }) < 0
}

func isLDAPURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "ldap" || u.Scheme == "ldaps") && isHost(u.Hostname()) && u.User == nil &&
		(u.Path == "" || u.Path == "/") && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

func isPEM(s string) bool {
	rest := []byte(s)
	n := 0
	for len(strings.TrimSpace(string(rest))) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return false
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return false
		}
		n++
	}
	return n > 0 && len(s) <= 1<<20
}

// isFilter looks at the form only: parentheses that match, and a placeholder.
func isFilter(s string) bool {
	depth := 0
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 || depth == 0 && i < len(s)-1 {
			return false
		}
	}
	return depth == 0 && s[0] == '(' && isLine(s) && (strings.Contains(s, "{username}") || strings.Contains(s, "{dn}"))
}

func scheme(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Scheme
}

// authority is the server that a URL leads to, and whether the way there is
// encrypted from the first byte.
func authority(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}
