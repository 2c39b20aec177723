package upstream

import (
	"net/http"
	"testing"
)

func TestAuthorize(t *testing.T) {
	for _, tt := range []struct {
		base, to string
		want     bool
	}{
		{"http://u:p@example.org/debian", "http://example.org/other", true},
		{"http://u:p@example.org/debian", "http://example.org:80/", true},
		{"http://u:p@example.org/debian", "https://example.org/", true},
		{"http://u:p@example.org/debian", "https://example.org:8443/", false},
		{"http://u:p@example.org/debian", "http://example.org:8080/", false},
		{"http://u:p@example.org:8080/debian", "http://example.org:8080/", true},
		{"http://u:p@example.org:8080/debian", "https://example.org/", false},
		{"http://u:p@example.org/debian", "http://www.example.org/", false},
		{"http://u:p@example.org/debian", "http://example.com/", false},
		{"https://u:p@example.org/debian", "https://example.org/", true},
		{"https://u:p@example.org/debian", "http://example.org/", false},
		{"http://example.org/debian", "http://example.org/", false},
	} {
		s, err := newSite(Source{ID: "x", URL: tt.base})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodGet, tt.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.authorize(req)
		if user, password, ok := req.BasicAuth(); ok != tt.want || ok && (user != "u" || password != "p") {
			t.Errorf("%s to %s: %q, %q, %v", tt.base, tt.to, user, password, ok)
		}
	}
}

func TestAt(t *testing.T) {
	for _, tt := range []struct{ base, rel, want string }{
		{"http://u:p@example.org", "dists/x", "http://example.org/dists/x"},
		{"http://example.org/", "dists/x", "http://example.org/dists/x"},
		{"http://example.org/a%2fb/c%20d/", "x+y~1:2_é.deb", "http://example.org/a%2fb/c%20d/x+y~1:2_%C3%A9.deb"},
		{"http://example.org/a", "b?c#d%e f", "http://example.org/a/b%3Fc%23d%25e%20f"},
	} {
		s, err := newSite(Source{ID: "x", URL: tt.base})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.at(tt.rel).String(); got != tt.want {
			t.Errorf("%s and %s: %s, want %s", tt.base, tt.rel, got, tt.want)
		}
	}
}
