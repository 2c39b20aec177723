package httpapi

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/auth"
)

// signing is a backend that hands out addresses.
type signing struct{ storage.Backend }

func (s signing) URL(_ context.Context, key string) (string, error) {
	return "https://store.example/" + url.PathEscape(key) + "?signature=x", nil
}

// A package is fetched from the store where the storage signs addresses, and
// nothing else is: not indices, not what a client may have already, not what does
// not exist.
func TestRedirect(t *testing.T) {
	f := stocked(t, counted)
	size := int64(len(f.do("GET", nginxPool, "", nil).want(t, 200, "").body))
	tag := f.do("HEAD", nginxPool, "", nil).header.Get("Etag")
	f.repo.Storage = signing{f.repo.Storage}
	f.clock.move(24 * time.Hour) // what was counted so far was yesterday
	const location = "https://store.example/pool%2Fmain%2Fn%2Fnginx%2Fnginx_1.24.0~rc1+b_amd64.deb?signature=x"
	downloads, bytes := int64(0), int64(0)
	for _, test := range []struct {
		method, path string
		header       []string
		status       int
		downloads    int64 // by how much they grow
		bytes        int64
	}{
		{"GET", nginxPool, nil, 307, 1, size},
		{"GET", strings.ReplaceAll(nginxPool, "+", "%2b"), nil, 307, 1, size},
		{"GET", nginxPool, []string{"Range", "bytes=0-9"}, 307, 1, 10},
		{"GET", nginxPool, []string{"Range", "bytes=10-"}, 307, 0, size - 10},
		{"GET", nginxPool, []string{"Range", "bytes=-5"}, 307, 0, 5},
		{"GET", nginxPool, []string{"Range", "bytes=999999-"}, 307, 0, 0},
		{"HEAD", nginxPool, nil, 200, 0, 0},
		{"GET", nginxPool, []string{"If-None-Match", tag}, 304, 0, 0},
		{"GET", nginxPool, []string{"If-None-Match", `"other"`}, 200, 1, size},
		{"GET", nginxPool, []string{"Range", "bytes=5-", "If-Range", tag}, 206, 0, size - 5},
		{"GET", "/apt/pool/main/n/nginx/none_1_all.deb", nil, 404, 0, 0},
		{"GET", "/apt/pool/../vulnerabilities/x", nil, 404, 0, 0},
		{"GET", "/apt/vulnerabilities/x", nil, 404, 0, 0},
		{"GET", "/apt/audit/archive/x", nil, 404, 0, 0},
		{"GET", "/apt/dists/jammy/InRelease", nil, 200, 0, 0},
		{"GET", "/apt/dists/jammy/main/binary-amd64/Packages.gz", nil, 200, 0, 0},
		{"GET", "/apt/repod.asc", nil, 200, 0, 0},
	} {
		a := f.do(test.method, test.path, "", nil, test.header...)
		if a.status != test.status {
			t.Errorf("%s %s %q: %d", test.method, test.path, test.header, a.status)
		}
		want, cache := "", a.header.Get("Cache-Control")
		if test.status == 307 {
			want = location
			if cache != "no-store" || a.body != "" || a.header.Get("Etag") != "" {
				t.Errorf("%s %q: a redirect with %v", test.path, test.header, a.header)
			}
		}
		if got := a.header.Get("Location"); got != want {
			t.Errorf("%s %s %q: sent to %q", test.method, test.path, test.header, got)
		}
		s := f.downloads("?days=1", auth.Viewer).Summary
		if s.Total-downloads != test.downloads || s.Bytes-bytes != test.bytes {
			t.Errorf("%s %s %q: %d downloads and %d bytes more, want %d and %d",
				test.method, test.path, test.header, s.Total-downloads, s.Bytes-bytes, test.downloads, test.bytes)
		}
		downloads, bytes = s.Total, s.Bytes
	}
	if log := f.log.String(); strings.Contains(log, "signature=x") {
		t.Error("the log has a signed address")
	}
}

func TestElsewhere(t *testing.T) {
	for _, test := range []struct {
		field  string
		begins bool
		n      int64
	}{
		{"", true, 100}, {"bytes=0-", true, 100}, {"bytes=0-0", true, 1}, {"bytes=99-", false, 1}, {"bytes=5-7", false, 3},
		{"bytes=5-999", false, 95}, {"bytes=100-", false, 0}, {"bytes=-100", true, 100}, {"bytes=-200", true, 100}, {"bytes=-1", false, 1},
		{"bytes=x-", true, 100}, {"bytes=5-2", true, 100}, {"bytes=-", true, 100}, {"bytes=0-1,5-6", true, 100}, {"lines=5-", true, 100},
	} {
		if begins, n := elsewhere(test.field, 100); begins != test.begins || n != test.n {
			t.Errorf("%q: %v, %d; want %v, %d", test.field, begins, n, test.begins, test.n)
		}
	}
}
