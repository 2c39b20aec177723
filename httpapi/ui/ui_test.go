package ui

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func serve(method, name string, header ...string) (*httptest.ResponseRecorder, bool) {
	r := httptest.NewRequest(method, "/ui/", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	return w, Serve(w, r, name)
}

func TestServe(t *testing.T) {
	index, _ := serve("GET", "")
	if !strings.HasPrefix(index.Body.String(), "<!doctype html>") {
		t.Fatalf("the index is %.50q", index.Body)
	}
	tests := []struct {
		name, mediaType string // mediaType "": nothing is there
	}{
		{"", "text/html; charset=utf-8"},
		{"packages", "text/html; charset=utf-8"},
		{"packages/", "text/html; charset=utf-8"},
		{"packages/nginx", "text/html; charset=utf-8"},
		{"packages/nginx/1:1.0~rc1+b1", "text/html; charset=utf-8"},
		{"reset-password", "text/html; charset=utf-8"},
		{"settings/ldap", "text/html; charset=utf-8"},
		{"js/main.js", "text/javascript; charset=utf-8"},
		{"js/pages/login.js", "text/javascript; charset=utf-8"},
		{"console.css", "text/css; charset=utf-8"},
		{"icon.svg", "image/svg+xml"},
		{"settings.json", "application/json"},

		{"index.html", ""}, // the page has one address
		{"nosuch", ""},
		{"Packages", ""},
		{"packages/nginx/1.0/more", ""},
		{"/", ""},
		{"packages//1.0", ""},
		{"packages/..", ""},
		{"packages/../settings", ""},
		{"packages/.", ""},
		{`packages/..\x`, ""},
		{"login/x", ""},
		{"js", ""},
		{"js/", ""},
		{"js/pages", ""},
		{"js/nosuch.js", ""},
		{"js/../console.css", ""},
		{"./console.css", ""},
		{"/console.css", ""},
		{"../ui.go", ""},
		{"static/console.css", ""},
		{"console.css/", ""},
		{"console.css\x00", ""},
	}
	for _, test := range tests {
		w, ok := serve("GET", test.name)
		if ok != (test.mediaType != "") {
			t.Errorf("%q: served is %v", test.name, ok)
			continue
		}
		if !ok {
			if w.Body.Len() > 0 || len(w.Header()) > 0 {
				t.Errorf("%q: nothing is there, and %q was sent", test.name, w.Body)
			}
			continue
		}
		if got := w.Header().Get("Content-Type"); got != test.mediaType {
			t.Errorf("%q: type %q", test.name, got)
		}
		isIndex := w.Body.String() == index.Body.String()
		if wantsIndex := strings.HasPrefix(test.mediaType, "text/html"); isIndex != wantsIndex {
			t.Errorf("%q: the index is %v", test.name, isIndex)
		}
	}
}

func TestServeHeaders(t *testing.T) {
	for _, name := range []string{"", "js/api.js", "settings.json"} {
		w, _ := serve("GET", name)
		for field, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
				"form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control":                "no-cache",
		} {
			if got := w.Header().Get(field); got != want {
				t.Errorf("%q: %s is %q, want %q", name, field, got, want)
			}
		}
	}
}

func TestServeConditional(t *testing.T) {
	first, _ := serve("GET", "console.css")
	etag := first.Header().Get("ETag")
	if len(etag) < 20 || !strings.HasPrefix(etag, `"`) {
		t.Fatalf("ETag %q", etag)
	}
	if w, _ := serve("GET", "console.css", "If-None-Match", etag); w.Code != http.StatusNotModified || w.Body.Len() > 0 ||
		w.Header().Get("Content-Security-Policy") != Policy {
		t.Errorf("with its ETag: %d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
	other, _ := serve("GET", "js/api.js")
	if w, _ := serve("GET", "console.css", "If-None-Match", other.Header().Get("ETag")); w.Code != http.StatusOK || w.Body.Len() == 0 {
		t.Errorf("with another's ETag: %d", w.Code)
	}
	if w, _ := serve("HEAD", "console.css"); w.Code != http.StatusOK || w.Body.Len() > 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("HEAD: %d, %d bytes", w.Code, w.Body.Len())
	}
}

// sources returns the embedded files of a kind by name.
func sources(t *testing.T, ext string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, f := range files {
		if path.Ext(name) == ext {
			found[name] = string(f.body)
		}
	}
	if len(found) == 0 {
		t.Fatalf("there are no files %s", ext)
	}
	return found
}

// Nothing in the scripts makes markup or code of a string, runs what a page
// says, or asks another host.
func TestScripts(t *testing.T) {
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|setHTML|` +
		`\beval\b|new Function|Function\(|set(?:Timeout|Interval)\(\s*['"` + "`" + `]|importScripts|localStorage|document\.cookie|javascript:|` +
		`setAttribute\(['"](?:on|style)`)
	for name, text := range sources(t, ".js") {
		if found := forbidden.FindString(text); found != "" {
			t.Errorf("%s has %s", name, found)
		}
		if lines := strings.Count(text, "\n"); lines > 400 {
			t.Errorf("%s has %d lines", name, lines)
		}
		if name != "js/dom.js" && strings.Contains(text, "createElement") {
			t.Errorf("%s makes elements: that is for js/dom.js", name)
		}
	}
	for _, bad := range []string{"x.innerHTML = y", "setTimeout('x', 1)", "new Function('x')", "a.setAttribute('onclick', x)"} {
		if !forbidden.MatchString(bad) {
			t.Errorf("%s would not be found", bad)
		}
	}
}

// The page has no script or style of its own, and all that it refers to is here.
func TestPage(t *testing.T) {
	index := files["index.html"].body
	if found := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script[^>]*>[^<]|https?:|//[a-z]`).Find(index); found != nil {
		t.Errorf("the page has %q", found)
	}
	for name, text := range sources(t, ".css") {
		if found := regexp.MustCompile(`url\(|@import|https?:`).FindString(text); found != "" {
			t.Errorf("%s has %s", name, found)
		}
	}
	refers := regexp.MustCompile(`(?:href|src)="/ui/([^"]+)"`).FindAllSubmatch(index, -1)
	if len(refers) < 3 {
		t.Errorf("the page refers to %q", refers)
	}
	for _, r := range refers {
		if _, ok := files[string(r[1])]; !ok {
			t.Errorf("the page refers to %s, which is not there", r[1])
		}
	}
}

// What a module imports is there, and exports it.
func TestModules(t *testing.T) {
	scripts := sources(t, ".js")
	imports := regexp.MustCompile(`(?m)^import (?:\{([^}]*)\}|\* as \w+) from '([^']+)';`)
	used := map[string]bool{"js/main.js": true}
	for name, text := range scripts {
		for _, m := range imports.FindAllStringSubmatch(text, -1) {
			target := path.Join(path.Dir(name), m[2])
			used[target] = true
			other, ok := scripts[target]
			if !ok {
				t.Errorf("%s imports %s, which is not there", name, target)
				continue
			}
			for _, what := range strings.Split(m[1], ",") {
				what = strings.TrimSpace(what)
				exported := regexp.MustCompile(`export (?:async )?(?:function|const|class) ` + what + `\b|export \{[^}]*\b` + what + `\b`)
				if what != "" && !exported.MatchString(other) {
					t.Errorf("%s imports %s, which %s does not export", name, what, target)
				}
				if what != "" && len(regexp.MustCompile(`\b`+what+`\b`).FindAllString(text, 2)) < 2 {
					t.Errorf("%s imports %s for nothing", name, what)
				}
			}
		}
	}
	for _, m := range regexp.MustCompile(`page: '(\w+)'`).FindAllStringSubmatch(scripts["js/routes.js"], -1) {
		used["js/pages/"+m[1]+".js"] = true
		if page, ok := scripts["js/pages/"+m[1]+".js"]; !ok || !regexp.MustCompile(`export (?:async )?function page\(`).MatchString(page) {
			t.Errorf("there is no page %s", m[1])
		}
	}
	for name := range scripts {
		if !used[name] {
			t.Errorf("nobody uses %s", name)
		}
	}
}

// The two tables of pages are the same.
func TestRoutesOfScripts(t *testing.T) {
	found := map[string]int{}
	for _, m := range regexp.MustCompile(`at: '([^']*)'`).FindAllStringSubmatch(string(files["js/routes.js"].body), -1) {
		segments := strings.Split(m[1], "/")
		found[segments[0]] = max(found[segments[0]], len(segments)-1)
	}
	for segment, more := range pages {
		if got, ok := found[segment]; !ok || got != more {
			t.Errorf("%q has %d more segments here, and %d in the scripts (%v)", segment, more, got, ok)
		}
		delete(found, segment)
	}
	if len(found) > 0 {
		t.Errorf("only the scripts have %v", found)
	}
}

// All that is embedded has a type that browsers take it for.
func TestMediaTypes(t *testing.T) {
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && mediaTypes[path.Ext(name)] == "" {
			t.Errorf("%s has no type", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
