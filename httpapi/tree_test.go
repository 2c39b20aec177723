package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

func TestTree(t *testing.T) {
	f := stocked(t)
	packages := f.do("GET", "/apt/dists/jammy/main/binary-amd64/Packages", "", nil).want(t, 200, "")
	sum := sha256.Sum256([]byte(packages.body))
	byHash := "/apt/dists/jammy/main/binary-amd64/by-hash/SHA256/" + hex.EncodeToString(sum[:])
	const immutable = "public, max-age=31536000, immutable"
	tests := []struct{ path, contentType, cache, modified string }{
		{"/apt/dists/jammy/InRelease", "text/plain; charset=utf-8", "no-cache", "exact"},
		{"/apt/dists/jammy/Release", "text/plain; charset=utf-8", "no-cache", "exact"},
		{"/apt/dists/jammy/Release.gpg", "application/pgp-signature", "no-cache", "exact"},
		{"/apt/dists/jammy/main/binary-amd64/Packages", "text/plain; charset=utf-8", "no-cache", "exact"},
		{"/apt/dists/jammy/main/binary-amd64/Packages.gz", "application/gzip", "no-cache", "exact"},
		{"/apt/dists/jammy/main/binary-amd64/Release", "text/plain; charset=utf-8", "no-cache", "exact"},
		{byHash, "application/octet-stream", immutable, "exact"},
		{"/apt/pool/main/n/nginx/nginx_1.24.0~rc1+b_amd64.deb", "application/vnd.debian.binary-package", immutable, "exact"},
		{"/apt/pool/main/n/nginx/nginx_1.24.0%7erc1%2bb_amd64.deb", "application/vnd.debian.binary-package", immutable, "exact"},
		{"/apt/repod.asc", "application/pgp-keys", "no-cache", ""},
		{"/apt/repod.gpg", "application/pgp-keys", "no-cache", ""},
		{"/apt/jammy.sources", "text/plain; charset=utf-8", "no-cache", ""},
	}
	for _, test := range tests {
		a := f.do("GET", test.path, "", nil)
		h := a.header
		if a.status != 200 || h.Get("Content-Type") != test.contentType || h.Get("Cache-Control") != test.cache || h.Get("Etag") == "" || a.body == "" {
			t.Errorf("%s: %d %v", test.path, a.status, h)
		}
		if h.Get("Content-Encoding") != "" || len(h["Set-Cookie"]) > 0 || h.Get("Content-Security-Policy") != "" {
			t.Errorf("%s: %v", test.path, h)
		}
		if (h.Get("Last-Modified") != "") != (test.modified != "") {
			t.Errorf("%s: Last-Modified is %q", test.path, h.Get("Last-Modified"))
		}
		head := f.do("HEAD", test.path, "", nil)
		if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != h.Get("Content-Length") {
			t.Errorf("HEAD %s: %d %v", test.path, head.status, head.header)
		}
		if b := f.do("GET", test.path, "", nil, "If-None-Match", `"x", `+h.Get("Etag")); b.status != 304 || b.body != "" {
			t.Errorf("%s, If-None-Match: %d", test.path, b.status)
		}
		if b := f.do("GET", test.path, "", nil, "If-None-Match", strings.Repeat(`"x",`, 5000)+`"y"`); b.status != 200 {
			t.Errorf("%s, long If-None-Match: %d", test.path, b.status)
		}
	}
	if f.do("GET", byHash, "", nil).body != packages.body {
		t.Error("by-hash serves other contents")
	}
}

func TestTreeNotFound(t *testing.T) {
	f := stocked(t)
	hash := strings.Repeat("a", 64)
	for _, path := range []string{
		"/apt", "/apt/", "/apt/dists", "/apt/dists/", "/apt/dists/jammy", "/apt/dists/jammy/", "/apt/pool", "/apt/pool/", "/apt/pool/main/",
		"/apt/dists/jammy/InRelease/", "/apt//dists//jammy//InRelease", "/apt/dists/./jammy/InRelease",
		"/apt/dists/../../etc/passwd", "/apt/%2F%2F%2F..%2F..%2Fetc%2Fpasswd", "/%2F%2F%2F..%2F..%2Fetc%2Fpasswd",
		"/apt/pool/%2e%2e/%2e%2e/repod.db", "/apt/pool/..%5c..%5cx", "/apt/pool/%252e%252e/x", "/apt/pool/main/n/../../../repod.db",
		"/apt/dists%2fjammy%2fInRelease", "/apt/dists/jammy%2fInRelease", "/apt/dists/jammy/InRelease%00.txt", "/apt/dists/%ff/InRelease",
		"/apt/index/jammy/generations", "/apt/.repod-check/x", "/apt/repod.db", "/apt/repod.db-wal", "/apt/lost+found/x", "/apt/repod.key", "/apt/.sources", "/apt/x.sources",
		"/apt/dists/jammy/main/binary-amd64/by-hash/SHA256/" + hash[1:], "/apt/dists/jammy/main/binary-amd64/by-hash/SHA256/" + hash,
		"/apt/dists/jammy/main/binary-amd64/by-hash/SHA256/" + hash + "a", "/apt/dists/jammy/main/binary-amd64/by-hash/SHA256/" + strings.ToUpper(hash),
		"/apt/dists/jammy/main/binary-amd64/by-hash/MD5Sum/" + hash[:32],
		"/apt/pool/" + strings.Repeat("a/", 5000) + "x",
	} {
		a := f.do("GET", path, "", nil)
		if a.status != 404 {
			t.Errorf("%.80s: %d %s", path, a.status, a.body)
		}
		if strings.HasPrefix(path, "/apt/") && a.body != "not found\n" {
			t.Errorf("%.80s: %s", path, a.body)
		}
	}
}

// TestNotModified checks that a client is never told that it has the present
// state because it has another of the same second.
func TestNotModified(t *testing.T) {
	f := newFixture(t)
	const path = "/apt/dists/jammy/InRelease"
	since := func(a answer) answer {
		return f.do("GET", path, "", nil, "If-Modified-Since", a.header.Get("Last-Modified"))
	}
	f.clock.move(time.Minute)
	f.publish(pkg("one", "1.0"), "jammy")
	one := f.do("GET", path, "", nil).want(t, 200, "")
	if a := since(one); a.status != 304 {
		t.Fatalf("the same state: %d", a.status)
	}
	f.publish(pkg("two", "1.0"), "jammy") // in the same second
	two := f.do("GET", path, "", nil).want(t, 200, "")
	if a := since(one); a.status != 200 || a.body != two.body {
		t.Errorf("another state of the same second: %d", a.status)
	}
	if a := f.do("GET", path, "", nil, "If-None-Match", one.header.Get("Etag")); a.status != 200 {
		t.Errorf("the tag of another state: %d", a.status)
	}
	if a := f.do("GET", path, "", nil, "If-None-Match", two.header.Get("Etag")); a.status != 304 {
		t.Errorf("the tag of this state: %d", a.status)
	}
	for _, date := range []string{"garbage", "Thu, 01 Jan 1970 00:00:00 GMT"} {
		if a := f.do("GET", path, "", nil, "If-Modified-Since", date); a.status != 200 {
			t.Errorf("since %s: %d", date, a.status)
		}
	}
}

func TestRanges(t *testing.T) {
	f := stocked(t)
	const path = "/apt/pool/main/n/nginx/nginx_1.22.1_amd64.deb"
	whole := f.do("GET", path, "", nil).want(t, 200, "")
	tests := []struct {
		header []string
		status int
		body   string
	}{
		{[]string{"Range", "bytes=0-7"}, 206, whole.body[:8]},
		{[]string{"Range", "bytes=-8"}, 206, whole.body[len(whole.body)-8:]},
		{[]string{"Range", "bytes=8-"}, 206, whole.body[8:]},
		{[]string{"Range", "bytes=8-", "If-Range", whole.header.Get("Etag")}, 206, whole.body[8:]},
		{[]string{"Range", "bytes=8-", "If-Range", whole.header.Get("Last-Modified")}, 206, whole.body[8:]},
		{[]string{"Range", "bytes=8-", "If-Range", `"other"`}, 200, whole.body},
		{[]string{"Range", "bytes=8-", "If-Range", "Thu, 01 Jan 1970 00:00:00 GMT"}, 200, whole.body},
		{[]string{"Range", "bytes=1000000-"}, 416, ""},
		{[]string{"Range", "bytes=0-,0-"}, 200, whole.body},
		{[]string{"Range", "bytes=0-0" + strings.Repeat(",0-0", 1000)}, 200, whole.body},
		{[]string{"Range", "lines=1-2"}, 416, ""},
	}
	for _, test := range tests {
		a := f.do("GET", path, "", nil, test.header...)
		if a.status != test.status || a.status != 416 && a.body != test.body {
			t.Errorf("%.60v: %d, %d bytes", test.header, a.status, len(a.body))
		}
	}
}

func TestSourcesOfRequest(t *testing.T) {
	f := newFixture(t)
	a := f.do("GET", "/apt/jammy.sources", "", nil).want(t, 200, "")
	want := "Types: deb\nURIs: " + f.server.URL + "/apt/\nSuites: jammy\nComponents: main\nArchitectures: amd64 arm64\nSigned-By: /etc/apt/keyrings/repod.asc\n"
	if a.body != want {
		t.Errorf("sources are %q", a.body)
	}
	if a := f.do("POST", "/apt/jammy.sources", "", nil); a.status != 405 || a.header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %d %v", a.status, a.header)
	}
}

// TestTreeAlone serves the tree without the API.
func TestTreeAlone(t *testing.T) {
	f := stocked(t)
	server := httptest.NewServer(Tree(f.repo))
	defer server.Close()
	for path, status := range map[string]int{
		"/apt/dists/jammy/InRelease": 200, "/apt/repod.asc": 200, "/apt/jammy.sources": 200,
		"/apt/pool/main/n/nginx/nginx_1.22.1_amd64.deb": 200,
		"/packages": 404, "/apt/none": 404, "/": 404,
	} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, status)
		}
	}
	res, err := http.Post(server.URL+"/apt/repod.asc", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", res.StatusCode, res.Header)
	}
}

// TestTreeWithoutStore checks that what is published can be fetched while the
// database is gone.
func TestTreeWithoutStore(t *testing.T) {
	f := stocked(t)
	f.do("GET", "/apt/dists/jammy/InRelease", "", nil).want(t, 200, "")
	f.db.Close()
	f.do("GET", "/apt/dists/jammy/InRelease", "", nil).want(t, 200, "")
	f.do("GET", "/apt/pool/main/n/nginx/nginx_1.22.1_amd64.deb", "", nil).want(t, 200, "")
	a := f.get("/packages", auth.Viewer)
	if a.status != 503 && a.status != 500 {
		t.Errorf("the API: %d %s", a.status, a.body)
	}
	f.clock.move(time.Minute) // past what health remembers
	if a := f.do("GET", "/health", "", nil); a.status != 503 || !strings.Contains(a.body, `"database":"error"`) {
		t.Errorf("health: %d %s", a.status, a.body)
	}
}
