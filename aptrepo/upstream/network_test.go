package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
)

// What servers may do to requests, and clients must not.

func TestI17ThreeRedirects(t *testing.T) {
	w := newWorld(t)
	body := w.Get(w.Dist("InRelease"))
	for hops := range 5 {
		w.Handle(w.Dist("InRelease"), redirect("hop1"))
		for i := 1; i < hops; i++ {
			w.Handle(w.Dist(fmt.Sprintf("hop%d", i)), redirect(fmt.Sprintf("hop%d", i+1)))
		}
		last := fmt.Sprintf("hop%d", hops)
		if hops == 0 {
			last = "InRelease"
		}
		w.Handle(w.Dist(last), plain(body))
		if hops > 3 {
			w.mustFail(upstream.Unreachable, "")
			continue
		}
		w.sync()
	}
}

func TestI17HTTPSToHTTP(t *testing.T) {
	w := newWorld(t)
	secure := httptest.NewTLSServer(redirect(w.URL + w.Dist("InRelease")))
	defer secure.Close()
	w.source.URL = secure.URL
	w.syncer.Client.Transport = secure.Client().Transport
	f := w.mustFail(upstream.Unreachable, "")
	if !strings.Contains(f.Detail, "plain HTTP") {
		t.Errorf("detail %q", f.Detail)
	}
}

// Where connections may go is decided by the transport, for redirects too.
func TestI17PolicyOfTransport(t *testing.T) {
	w := newWorld(t)
	allowed := strings.TrimSuffix(strings.TrimPrefix(w.URL, "http://"), "/debian/")
	refused := errors.New("refused by policy")
	w.syncer.Client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != allowed {
			return nil, fmt.Errorf("%s: %w", address, refused)
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	w.sync()
	w.Handle(w.Dist("InRelease"), redirect("http://169.254.169.254/latest/meta-data/"))
	f := w.mustFail(upstream.Unreachable, "")
	if !errors.Is(f, refused) {
		t.Errorf("error %v is not that of the policy", f)
	}
}

// Credentials go to the source's host and nowhere else.
func TestCredentials(t *testing.T) {
	w := newWorld(t)
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.Header.Get("Authorization")+r.Header.Get("Referer")+r.URL.RawQuery)
		rw.Write(w.Get(w.Dist("Elsewhere")))
	}))
	defer other.Close()
	inRelease := w.Get(w.Dist("InRelease"))
	w.Put(w.Dist("Elsewhere"), inRelease)
	var user, password string
	w.Handle(w.Dist("InRelease"), func(rw http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		// A redirect on the same host, then to another.
		redirect("Second")(rw, r)
	})
	var again bool
	w.Handle(w.Dist("Second"), func(rw http.ResponseWriter, r *http.Request) {
		_, _, again = r.BasicAuth()
		redirect(other.URL+"/InRelease")(rw, r)
	})
	w.source.URL = strings.Replace(w.URL, "://", "://alice:s3cret@", 1)
	w.sync()
	if user != "alice" || password != "s3cret" || !again {
		t.Errorf("the host got %q, %q, after the redirect %v", user, password, again)
	}
	if !slices.Equal(elsewhere, []string{""}) {
		t.Errorf("another host got %q", elsewhere)
	}

	w.Handle(w.Dist("InRelease"), status(http.StatusForbidden))
	_, err := w.syncer.Sync(t.Context(), w.source)
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v", w.source, w.source, w.source), w.catalog.state("test").Detail,
		string(w.catalog.state("test").Memo)} {
		if strings.Contains(text, "s3cret") || strings.Contains(text, "alice") {
			t.Errorf("credentials in %q", text)
		}
	}
}

func TestI18NotModifiedUnasked(t *testing.T) {
	w := newWorld(t)
	w.Handle(w.Dist("InRelease"), status(http.StatusNotModified))
	w.mustFail(upstream.Unreachable, "")
}

// A file that may still change within the second of its date has no validator.
func TestUnsettledValidators(t *testing.T) {
	for age, want := range map[time.Duration]string{0: "200", time.Minute: "304"} {
		w := newWorld(t)
		body, at := w.Get(w.Dist("InRelease")), time.Now().Add(-age)
		w.Handle(w.Dist("InRelease"), func(rw http.ResponseWriter, r *http.Request) {
			http.ServeContent(rw, r, "", at, bytes.NewReader(body))
		})
		w.sync()
		w.Requests()
		if !w.sync().NotModified {
			t.Error("modified")
		}
		if got := w.Requests(); !strings.HasPrefix(got[0], want) {
			t.Errorf("after %v: requests %q, want status %s", age, got, want)
		}
	}
}

func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		code   int
		after  string
		pauses []time.Duration
	}{
		{http.StatusInternalServerError, "", []time.Duration{time.Second, 4 * time.Second}},
		{http.StatusServiceUnavailable, "7", []time.Duration{7 * time.Second, 7 * time.Second}},
		{http.StatusTooManyRequests, "86400", []time.Duration{time.Minute, time.Minute}},
		{http.StatusNotFound, "", nil},
	} {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			w := newWorld(t)
			w.Handle(w.Dist("InRelease"), func(rw http.ResponseWriter, _ *http.Request) {
				if tt.after != "" {
					rw.Header().Set("Retry-After", tt.after)
				}
				rw.WriteHeader(tt.code)
			})
			f := w.mustFail(upstream.Unreachable, "")
			if !slices.Equal(w.pauses, tt.pauses) {
				t.Errorf("pauses %v, want %v", w.pauses, tt.pauses)
			}
			if tt.code != http.StatusNotFound && !strings.Contains(f.Detail, fmt.Sprint(tt.code)) {
				t.Errorf("detail %q does not name the status", f.Detail)
			}

			failures := 2
			w.Handle(w.Dist("InRelease"), func(rw http.ResponseWriter, r *http.Request) {
				if failures--; failures >= 0 && tt.code != http.StatusNotFound {
					rw.WriteHeader(tt.code)
					return
				}
				rw.Write(w.Get(w.Dist("InRelease")))
			})
			w.sync()
		})
	}
}

func TestNobodyListens(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.source.URL = "http://" + l.Addr().String()
	l.Close()
	f := w.mustFail(upstream.Unreachable, "")
	if !strings.Contains(f.Detail, "connection refused") || len(w.pauses) != 2 {
		t.Errorf("%v after pauses %v", f, w.pauses)
	}
}

// A proxy in the environment is none of the Client's.
func TestS10NoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	w := newWorld(t)
	w.source.URL = strings.Replace(w.URL, "127.0.0.1", "localhost", 1)
	w.sync()
}
