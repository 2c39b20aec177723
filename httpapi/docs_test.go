package httpapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

func TestDocs(t *testing.T) {
	f := newFixture(t)
	a := f.do("GET", "/docs", "", nil)
	if a.status != 308 || a.header.Get("Location") != "docs/" {
		t.Errorf("/docs: %d to %s", a.status, a.header.Get("Location"))
	}
	page := f.do("GET", "/docs/", "", nil).want(t, 200, "")
	policy := page.header.Get("Content-Security-Policy")
	for _, rule := range strings.Split(policy, ";") {
		if regexp.MustCompile(`unsafe|\*|https?:`).MatchString(rule) {
			t.Errorf("the policy has %q", rule)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none';") || page.header.Get("X-Frame-Options") != "DENY" ||
		page.header.Get("Content-Type") != "text/html; charset=utf-8" || page.header.Get("ETag") == "" {
		t.Errorf("header is %v", page.header)
	}
	for _, target := range pageLinks(t, page.body) {
		if regexp.MustCompile(`^(//|[a-z]+:)`).MatchString(target) || strings.HasPrefix(target, "/") {
			t.Errorf("the page loads %s", target)
			continue
		}
		a := f.do("GET", "/docs/"+target, "", nil)
		if strings.HasPrefix(target, "../") {
			a = f.do("GET", strings.TrimPrefix(target, ".."), "", nil)
		}
		if a.status != 200 || len(a.body) == 0 || a.header.Get("ETag") == "" {
			t.Errorf("%s: %d, %v", target, a.status, a.header)
		}
	}
	for _, target := range []string{"/docs/index.html", "/docs/oauth2-redirect.html.gz", "/docs/swagger-ui.js", "/docs/page.js/", "/docs/..%2fopenapi.json", "/docs%2f"} {
		f.do("GET", target, "", nil).want(t, 404, "route_not_found")
	}
}

// pageLinks returns what a page loads and links to, and fails the test for
// scripts and styles in the page, which the policy would refuse.
func pageLinks(t *testing.T, page string) []string {
	t.Helper()
	var links []string
	tokens := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			if len(links) < 4 {
				t.Errorf("only %q are linked", links)
			}
			return links
		}
		token := tokens.Token()
		if kind != html.StartTagToken {
			continue
		}
		source := ""
		for _, attribute := range token.Attr {
			switch {
			case attribute.Key == "src" || attribute.Key == "href":
				source = attribute.Val
				links = append(links, source)
			case attribute.Key == "style" || strings.HasPrefix(attribute.Key, "on"):
				t.Errorf("<%s> has %s", token.Data, attribute.Key)
			}
		}
		if token.Data == "style" || token.Data == "script" && source == "" {
			t.Errorf("<%s> in the page", token.Data)
		}
	}
}

func TestDocsCompressed(t *testing.T) {
	f := newFixture(t)
	plain := f.do("GET", "/docs/swagger-ui-bundle.js", "", nil).want(t, 200, "")
	zipped := f.do("GET", "/docs/swagger-ui-bundle.js", "", nil, "Accept-Encoding", "gzip").want(t, 200, "")
	z, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || string(body) != plain.body {
		t.Errorf("%v; %d bytes, want %d", err, len(body), len(plain.body))
	}
	if zipped.header.Get("Content-Encoding") != "gzip" || zipped.header.Get("Vary") != "Accept-Encoding" || plain.header.Get("Content-Encoding") != "" ||
		zipped.header.Get("ETag") == plain.header.Get("ETag") {
		t.Errorf("plain %v\nzipped %v", plain.header, zipped.header)
	}
	a := f.do("GET", "/docs/swagger-ui-bundle.js", "", nil, "Accept-Encoding", "gzip", "If-None-Match", zipped.header.Get("ETag"))
	if a.status != 304 || a.body != "" || a.header.Get("Content-Encoding") != "" {
		t.Errorf("again: %d, %v", a.status, a.header)
	}
}

// A real browser shows the operations under the policy, and asks no other host.
func TestDocsInBrowser(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("needs chromium")
	}
	f := newFixture(t)
	var dom, console bytes.Buffer
	cmd := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir="+t.TempDir(),
		"--virtual-time-budget=20000", "--timeout=60000", "--dump-dom", f.server.URL+"/docs/")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &dom, &console, time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, console.String())
	}
	for _, want := range []string{`data-path="/upload"`, `data-path="/settings"`, "listPackages", "OAS 3.1"} {
		if !strings.Contains(dom.String(), want) {
			t.Errorf("the page does not show %s", want)
		}
	}
	for line := range strings.Lines(console.String()) {
		if strings.Contains(line, "CONSOLE") || strings.Contains(line, "Refused") {
			t.Errorf("the browser says: %s", line)
		}
	}
	if t.Failed() {
		t.Logf("page:\n%.3000s", dom.String())
	}
}
