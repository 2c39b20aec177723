package sbom

import (
	"math"
	"net/mail"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "",
		"  plain ":                 "plain",
		"two\nlines":               "two lines",
		"a\tb\r":                   "a b",
		"bell\a, escape\x1b[31m":   "bell, escape[31m",
		"\xff\xfe":                 "\uFFFD",
		"left\u202eright\u2066":    "leftright",
		"Übergrößenträger":         "Übergrößenträger",
		strings.Repeat("x", 2000):  strings.Repeat("x", maxLine-3) + "…",
		strings.Repeat("ä", 2000):  strings.Repeat("ä", (maxLine-3)/2) + "…",
		strings.Repeat("\a", 2000): "",

		strings.Repeat("\x80", 9000): strings.Repeat("\uFFFD", maxLine/3-1) + "…",
	} {
		if got := oneLine(in); got != want && !(in == "\xff\xfe" && got == "\uFFFD\uFFFD") {
			t.Errorf("%.40q becomes %.40q, want %.40q", in, got, want)
		}
	}
	if got := paragraph("one\n two\r\n\n"); got != "one\n two" {
		t.Errorf("lines become %q", got)
	}
}

func TestValidURL(t *testing.T) {
	for in, want := range map[string]bool{
		"https://nginx.org/": true, "http://a": true, "HTTPS://A.b:8080/x?y#z": true, "ftp://192.0.2.1/": true, "http://a./": true,
		"http://a_b.c/%C3%A4": true, "https://a/pool/g++_1%3A2~3.deb": true,
		"": false, "nginx.org": false, "//nginx.org": false, "javascript://a/%0Aalert(1)": false, "file:///etc/passwd": false, "data:text/html,x": false,
		"http://": false, "http:///x": false, "http://a b/": false, "http://a/\x00": false, "http://a/ä": false, "http://ä/": false, "http://a/%zz": false,
		"http://a/%2": false, "http://user@a/": false, "http://user:secret@a/": false, "http://a:/": false, "http://a:x/": false, "http://[::1]/": false,
		"http://a\\b": false, "http://a/<b>": false, "http://.a/": false, "http://a..b/": false, "git://a/b": false,
		"http://a/" + strings.Repeat("x", 3000): false,
	} {
		if validURL(in) != want {
			t.Errorf("%.60q is a URL: %t", in, !want)
		}
	}
	if !validVCS("git://a/b") || validVCS("javascript://a/b") {
		t.Error("repositories are told wrongly")
	}
}

func TestValidEmail(t *testing.T) {
	for in, want := range map[string]bool{
		"a@b": true, "team+nginx@tracker.debian.org": true, "a.b@c-d.e": true, "o'neill@example.org": true,
		"": false, "a": false, "@": false, "a@": false, "@b": false, "a@b@c": false, "a b@c": false, ".a@b": false, "a.@b": false, "a..b@c": false,
		"a@b.": false, "a@-b": false, "a@b-.c": false, "a@b..c": false, "a@[192.0.2.1]": false, "<a@b>": false, "a@b\n": false, "ä@b": false, "a@ä": false,
		strings.Repeat("a", 65) + "@b": false, "a@" + strings.Repeat("b", 64): false, "a@" + strings.Repeat("b.", 130) + "c": false,
	} {
		if validEmail(in) != want {
			t.Errorf("%.60q is an address: %t", in, !want)
		}
	}
}

func TestValidPURL(t *testing.T) {
	for in, want := range map[string]bool{
		"pkg:deb/debian/nginx@1%3A1.2~b?arch=amd64&distro=debian-12": true, "pkg:golang/a/b@v1#sub": true, "pkg:npm/%40a/b": true, "pkg:npm/x": true,
		"": false, "deb/nginx": false, "pkg:": false, "pkg:/x": false, "pkg:deb": false, "pkg:deb/": false, "pkg:Deb/x": false, "pkg:d+b/x": false,
		"pkg:1/x": false, "pkg:deb/x@": false, "pkg:deb/@1": false, "pkg:deb/a/": false, "pkg:deb/a b": false, "pkg:deb/a%": false, "pkg:deb/ä": false,
		"pkg:deb/a\n": false, "PKG:deb/a": false, "pkg:deb/?x": false, "pkg:deb/" + strings.Repeat("a", 3000): false,
	} {
		if validPURL(in) != want {
			t.Errorf("%.60q is a package URL: %t", in, !want)
		}
	}
}

func TestBaseName(t *testing.T) {
	for in, want := range map[string]string{
		"pool/main/a_1_all.deb": "a_1_all.deb", "a.deb": "a.deb", "a.jar!/b.jar": "b.jar", "a/": "a",
		"": "", ".": "", "..": "", "/": "", "a/..": "", "\x00": "",
	} {
		if got := baseName(in); got != want {
			t.Errorf("%q has the name %q, want %q", in, got, want)
		}
	}
}

func TestWithin(t *testing.T) {
	for in, want := range map[float64]bool{0: true, 10: true, 5.5: true, -0.1: false, 10.1: false, math.Inf(1): false, math.Inf(-1): false} {
		if (within(&in, 10) != nil) != want {
			t.Errorf("%g is within the scale: %t", in, !want)
		}
	}
	if nan := math.NaN(); within(&nan, 10) != nil || within(nil, 10) != nil {
		t.Error("no number is within the scale")
	}
}

// Whatever a text is, a document can have what becomes of it; and what passes for
// an address or a URL does so elsewhere.
func FuzzText(f *testing.F) {
	for _, s := range []string{"a\xffb\x00", "https://a:80/%41?b#c", "a.b+c@d-e.f", "pkg:deb/a@1", strings.Repeat("ä", 600), " x \n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for limit, c := range map[int]func(string) string{maxLine: oneLine, maxParagraph: paragraph} {
			text := c(s)
			if !utf8.ValidString(text) || len(text) > limit || c(text) != text || strings.TrimSpace(text) != text {
				t.Errorf("%q becomes %q, and that %q", s, text, c(text))
			}
			for _, r := range text {
				if unicode.IsControl(r) && (r != '\n' || limit == maxLine) {
					t.Errorf("%q becomes %q", s, text)
				}
			}
		}
		if validURL(s) || validVCS(s) {
			if u, err := url.Parse(s); err != nil || u.Hostname() == "" || u.User != nil {
				t.Errorf("%q passes for a URL: %v", s, err)
			}
		}
		if validEmail(s) {
			if a, err := mail.ParseAddress(s); err != nil || a.Address != s {
				t.Errorf("%q passes for an address: %v", s, err)
			}
		}
		if validPURL(s) {
			if u, err := url.Parse(s); err != nil || u.Scheme != "pkg" {
				t.Errorf("%q passes for a package URL: %v", s, err)
			}
		}
	})
}
