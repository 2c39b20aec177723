package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/httpapi"
)

// serveFor runs serveHTTP with a handler on a free port until ctx ends.
func serveFor(t *testing.T, ctx context.Context, cert *certificate, h http.Handler, stopping func()) (address string, done chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done = make(chan error, 1)
	c := serveConfig{log: slog.New(slog.DiscardHandler), tls: cert}
	go func() { done <- serveHTTP(ctx, c, l, h, stopping) }()
	return l.Addr().String(), done
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	arrived, release, stopping := make(chan bool), make(chan bool), make(chan bool)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		_, _ = io.WriteString(w, "whole")
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address, done := serveFor(t, ctx, nil, h, func() { close(stopping) })
	answer := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + address)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		answer <- fmt.Sprint(string(text), err)
	}()
	<-arrived
	cancel()
	<-stopping
	for { // no new connections are taken
		conn, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		conn.Close()
	}
	select {
	case err := <-done:
		t.Fatalf("ended with %v before the request did", err)
	default:
	}
	close(release)
	if got := <-answer; got != "whole<nil>" {
		t.Errorf("the request got %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestServeTLS(t *testing.T) {
	certFile, keyFile := writePair(t, t.TempDir(), "repo")
	cert, err := loadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	address, done := serveFor(t, ctx, cert, h, func() {})
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(certFile)
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	resp, err := (&http.Client{Transport: transport}).Get("https://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if proto, err := io.ReadAll(resp.Body); err != nil || string(proto) != "HTTP/2.0" {
		t.Errorf("%s, %v", proto, err)
	}
	transport.CloseIdleConnections()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A second SIGTERM must not wait for the upload that the first one waits for.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	s := startServer(t)
	token, err := makeToken(s.url, "uploader", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /upload/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n", token)
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100"))); err != nil {
		t.Fatal(err) // the server now waits for the body
	}
	var exit *exec.ExitError
	for {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails once it has ended
		select {
		case err := <-s.ended:
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
				t.Errorf("ended with %v, not by the second signal", err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestServeConfig(t *testing.T) {
	s, err := testSettings(t, map[string]string{
		"REPOD_TRUSTED_PROXIES": "10.1.2.3/8, ::1, 192.0.2.1",
		"REPOD_DISTRIBUTIONS":   " jammy,,bookworm ",
		"REPOD_RATE_LIMITS":     "upload=200",
		"REPOD_PUBLIC_URL":      "https://repo.example.com/",
		"REPOD_DATABASE_URL":    "sqlite:/a/b.db",
		"REPOD_STORAGE_URL":     "file:/c",
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.serveConfig(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.1/32")}
	for name, pair := range map[string][2]any{
		"proxies":       {c.trustedProxies, proxies},
		"distributions": {c.distributions, []string{"jammy", "bookworm"}},
		"rate limits":   {c.rateLimits, httpapi.RateLimits{"upload": 200}},
		"public URL":    {c.publicURL, "https://repo.example.com"},
		"database":      {c.sqlite, "/a/b.db"},
		"storage":       {c.files, "/c"},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestRateLimitsOff(t *testing.T) {
	limits, err := parseRateLimits("off")
	if err != nil || len(limits) != len(httpapi.DefaultRateLimits()) {
		t.Fatalf("%v, %v", limits, err)
	}
	for class, n := range limits {
		if n != 0 {
			t.Errorf("%s is limited to %d", class, n)
		}
	}
}
