package httpapi

import (
	"crypto/tls"
	"github.com/repod-io/repod/aptrepo/settings"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func proxies() *api {
	return &api{Config: Config{TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"),
	}}}
}

func TestClientIP(t *testing.T) {
	tests := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "192.0.2.1:99", nil, "192.0.2.1"},
		{"forged by a stranger", "192.0.2.1:99", []string{"198.51.100.1"}, "192.0.2.1"},
		{"one proxy", "10.0.0.1:99", []string{"198.51.100.1"}, "198.51.100.1"},
		{"forged through a proxy", "10.0.0.1:99", []string{"127.0.0.1, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1:99", []string{"203.0.113.1, 198.51.100.1, 10.9.9.9"}, "198.51.100.1"},
		{"several fields", "10.0.0.1:99", []string{"203.0.113.1", "198.51.100.1"}, "198.51.100.1"},
		{"only proxies", "10.0.0.1:99", []string{"10.0.0.2"}, "10.0.0.2"},
		{"garbage", "10.0.0.1:99", []string{"198.51.100.1, x"}, "10.0.0.1"},
		{"empty", "10.0.0.1:99", []string{""}, "10.0.0.1"},
		{"a port", "10.0.0.1:99", []string{"198.51.100.1:80"}, "10.0.0.1"},
		{"IPv6 with a zone", "[fd00::1%eth0]:99", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:99", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"Unix socket", "@", []string{"198.51.100.1"}, "198.51.100.1"},
	}
	for _, test := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = test.peer
		r.Header["X-Forwarded-For"] = test.forwarded
		if got := proxies().clientIP(r).String(); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "@"
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	if ip := new(api).clientIP(r); ip.IsValid() {
		t.Errorf("without trusted proxies a Unix socket's client is %s", ip)
	}
}

func TestClientKey(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::255": "2001:db8:1:2::/64",
	} {
		if got := clientKey(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %s, want %s", ip, got, want)
		}
	}
}

func TestBaseURL(t *testing.T) {
	tests := []struct {
		name, peer, host, proto string
		tls                     bool
		want                    string
	}{
		{"plain", "192.0.2.1:9", "repo.example.com", "", false, "http://repo.example.com"},
		{"port", "192.0.2.1:9", "repo.example.com:8000", "", false, "http://repo.example.com:8000"},
		{"IPv6", "192.0.2.1:9", "[::1]:8000", "", false, "http://[::1]:8000"},
		{"TLS", "192.0.2.1:9", "repo.example.com", "", true, "https://repo.example.com"},
		{"proto of a proxy", "10.0.0.1:9", "repo.example.com", "https", false, "https://repo.example.com"},
		{"nearest proto", "10.0.0.1:9", "repo.example.com", "https, http", false, "http://repo.example.com"},
		{"proto of a stranger", "192.0.2.1:9", "repo.example.com", "https", false, "http://repo.example.com"},
		{"strange proto", "10.0.0.1:9", "repo.example.com", "javascript", true, "http://repo.example.com"},
		{"shell in host", "192.0.2.1:9", "a$(reboot)", "", false, "http://localhost"},
		{"quote in host", "192.0.2.1:9", "a'b", "", false, "http://localhost"},
		{"user info", "192.0.2.1:9", "good@evil", "", false, "http://localhost"},
		{"path", "192.0.2.1:9", "evil/x", "", false, "http://localhost"},
		{"no host", "192.0.2.1:9", "", "", false, "http://localhost"},
	}
	for _, test := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = test.peer, test.host
		if test.proto != "" {
			r.Header.Set("X-Forwarded-Proto", test.proto)
		}
		if test.tls {
			r.TLS = &tls.ConnectionState{}
		}
		a := proxies()
		a.Settings = new(settings.Service)
		if got := a.baseURL(r); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		a.Settings = &settings.Service{Defaults: &settings.Settings{PublicURL: "https://configured.example.com"}}
		if got := a.baseURL(r); got != "https://configured.example.com" {
			t.Errorf("%s: %s in spite of the configured URL", test.name, got)
		}
	}
}
