package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A balancer passes requests on to one server after the other, as nginx does with
// what compose.yaml tells it: where a server cannot be reached the next one is
// asked, and the next one too where nothing but reading was asked for.
type balancer struct {
	server // of its URL alone
	mu     sync.Mutex
	hosts  []string
	turn   int
}

func newBalancer(t *testing.T, servers ...*server) *balancer {
	t.Helper()
	b := &balancer{}
	b.set(servers...)
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.Host = "http", r.In.Host
			r.SetXForwarded()
		},
		Transport:     b,
		FlushInterval: -1,
	})
	t.Cleanup(front.Close)
	b.URL = front.URL
	return b
}

// set changes what is behind.
func (b *balancer) set(servers ...*server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hosts = nil
	for _, s := range servers {
		b.hosts = append(b.hosts, strings.TrimPrefix(s.URL, "http://"))
	}
}

// RoundTrip sends a request to a server.
func (b *balancer) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	b.mu.Lock()
	hosts := append(append([]string{}, b.hosts[b.turn%len(b.hosts):]...), b.hosts[:b.turn%len(b.hosts)]...)
	b.turn++
	b.mu.Unlock()
	for _, host := range hosts {
		out := r.Clone(r.Context())
		out.URL.Host = host
		if resp, err = http.DefaultTransport.RoundTrip(out); err == nil {
			return resp, nil
		}
		var dial *net.OpError
		unreached := errors.As(err, &dial) && dial.Op == "dial"
		if !unreached && r.Method != http.MethodGet && r.Method != http.MethodHead {
			return nil, err
		}
	}
	return nil, err
}

// machines are servers of one PostgreSQL database and one bucket.
type machines struct {
	where, args []string
	feed        *httptest.Server
	fetched     atomic.Int32 // how often the feed was
}

func newMachines(t *testing.T) *machines {
	t.Helper()
	url, _, _ := newBucket(t)
	db := startPostgres(t)
	keyFile := filepath.Join(t.TempDir(), "key")
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &machines{where: []string{"--storage-url", url + "&redirect=true", "--secret-key-file", keyFile,
		"--database-url", "postgres://postgres@" + db.address + "/postgres?sslmode=disable"}}
	m.args = append(m.where, "--distributions", both, "--outbound", "any", "--rate-limits", "upload=40", "--trusted-proxies", "127.0.0.0/8")
	m.feed = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m.fetched.Add(1)
		fmt.Fprint(w, `{"flawed":{"CVE-2024-0001":{"description":"A flaw.","releases":{"bookworm":{"status":"resolved",
			"repositories":{"bookworm":"1.0"},"fixed_version":"2.0","urgency":"high"}}}}}`)
	}))
	t.Cleanup(m.feed.Close)
	return m
}

// start starts a server with an empty directory.
func (m *machines) start(t *testing.T) *server { return serve(t, t.TempDir(), m.args...) }

// TestMachines works with three servers through a balancer as if they were one. One
// of them is killed in the middle, and one comes that has nothing; apt does not
// notice.
func TestMachines(t *testing.T) {
	slow(t)
	m := newMachines(t)
	servers := []*server{m.start(t), m.start(t), m.start(t)}
	front := newBalancer(t, servers...)
	token := newToken(t, &front.server)
	c := newAPI(front.URL, token)
	check := newChecker(t, &front.server)
	root := newAptRoot(t, check.base, "bookworm", check.keyring)

	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", newPkg("first", "1.0", 1000).Deb))
	ctx, stop := context.WithCancel(t.Context())
	var apt sync.WaitGroup
	updates := 0
	apt.Go(func() {
		for ; ctx.Err() == nil; updates++ {
			if err := root.update(t.Context()); err != nil {
				t.Errorf("update %d: %v", updates+1, err)
				return
			}
		}
	})

	everywhere(t, c, servers)
	sessions(t, front, servers)
	limited(t, c)
	var packages []pkg
	for n := range 8 {
		packages = append(packages, newPkg(fmt.Sprintf("tool-%d", n), "1.0", 1000))
	}
	for _, p := range packages[:4] {
		must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", p.Deb))
		must(t, http.StatusOK)(c.promote(t.Context(), p, "bookworm", "trixie"))
	}
	m.scheduled(t, c, servers)

	servers[0].kill()
	for _, p := range packages[4:6] { // while the balancer still tries it
		eventually(t, startLimit, func() error { return uploaded(t.Context(), c, p) })
	}
	servers = append(servers[1:], m.start(t))
	front.set(servers...)
	fresh := newAPI(servers[2].URL, token)
	a := must(t, http.StatusAccepted)(fresh.upload(t.Context(), "bookworm", newPkg("flawed", "1.0", 1000).Deb))
	if !strings.Contains(string(a.Body), `"scanned":true`) {
		t.Errorf("the new server has no vulnerability data: %s", a.Body)
	}
	for _, p := range packages[6:] {
		must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", p.Deb))
		must(t, http.StatusOK)(c.promote(t.Context(), p, "bookworm", "trixie"))
	}
	for _, s := range servers {
		at := check.at(s)
		eventually(t, startLimit, func() error {
			st, err := at.verify(t.Context(), "bookworm", true)
			if err == nil && len(st.Packages) != len(packages)+1 {
				err = fmt.Errorf("%d packages", len(st.Packages))
			}
			return err
		})
	}
	stop()
	apt.Wait()
	t.Logf("%d updates of apt beside all this", updates)
	redirected(t, c, check, root, packages[7])
	for _, s := range servers {
		s.stop(t)
	}
	if report := fsck(t, servers[2].Dir, m.where...); report.Published != len(packages)+1 {
		t.Errorf("fsck counts %d publications", report.Published)
	}
}

// everywhere changes a setting through the balancer: all servers have it within
// five seconds. Their promise is two, between reads of the database.
func everywhere(t *testing.T, c *api, servers []*server) {
	t.Helper()
	must(t, http.StatusOK)(c.do(t.Context(), http.MethodPatch, "/settings/", "application/json", strings.NewReader(`{"retention_days":77}`)))
	began := time.Now()
	for _, s := range servers {
		at := newAPI(s.URL, c.token)
		eventually(t, 5*time.Second, func() error {
			a, err := at.do(t.Context(), http.MethodGet, "/settings/", "", nil)
			if err == nil && !strings.Contains(string(a.Body), `"retention_days":77`) {
				err = errors.New("it has the former setting")
			}
			return err
		})
	}
	t.Logf("a setting is everywhere after %v", time.Since(began).Round(10*time.Millisecond))
}

// sessions logs in and out through the balancer. After that no server knows the
// session.
func sessions(t *testing.T, front *balancer, servers []*server) {
	t.Helper()
	c := newAPI(front.URL, "")
	a := must(t, http.StatusOK)(c.post(t.Context(), "/auth/token", map[string]string{"username": "admin", "password": adminPassword}))
	var login struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(a.Body, &login); err != nil {
		t.Fatal(err)
	}
	c.token = login.AccessToken
	me := func(want int) {
		t.Helper()
		for _, s := range servers {
			must(t, want)(newAPI(s.URL, c.token).do(t.Context(), http.MethodGet, "/auth/me", "", nil))
		}
	}
	me(http.StatusOK)
	if a, err := c.do(t.Context(), http.MethodPost, "/auth/logout", "", nil); err != nil || a.Status >= 300 {
		t.Fatalf("logout: %v %+v", err, a)
	}
	me(http.StatusUnauthorized)
}

// limited sends more uploads than a minute allows: all servers together let no
// more through.
func limited(t *testing.T, admin *api) {
	t.Helper()
	a := must(t, http.StatusCreated)(admin.post(t.Context(), "/auth/api-tokens", map[string]any{"name": "limited", "roles": []string{"uploader"}}))
	c := newAPI(admin.base, "")
	var token struct{ Token string }
	if err := json.Unmarshal(a.Body, &token); err != nil {
		t.Fatal(err)
	}
	c.token = token.Token
	refused := 0
	began := time.Now()
	for range 50 {
		a, err := c.do(t.Context(), http.MethodPost, "/upload/", "application/x-none", nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status == http.StatusTooManyRequests {
			refused++
		}
	}
	if took := time.Since(began); took < 50*time.Second && refused != 10 {
		t.Errorf("of 50 uploads within %v, %d were refused, want 10", took, refused)
	}
}

// scheduled has feeds fetched every minute: one server does it, and all have the
// data.
func (m *machines) scheduled(t *testing.T, c *api, servers []*server) {
	t.Helper()
	must(t, http.StatusOK)(c.do(t.Context(), http.MethodPatch, "/settings/", "application/json",
		strings.NewReader(fmt.Sprintf(`{"scan":{"rescan_cron":"* * * * *","cve":{"feeds":[{"id":"debian","kind":"debian","url":%q,"enabled":true}]}}}`, m.feed.URL))))
	eventually(t, 90*time.Second, func() error {
		if m.fetched.Load() == 0 {
			return errors.New("the schedule does nothing")
		}
		return nil
	})
	time.Sleep(10 * time.Second) // others would have followed by now
	if n := m.fetched.Load(); n != 1 {
		t.Errorf("%d servers have fetched the feed", n)
	}
	must(t, http.StatusOK)(c.do(t.Context(), http.MethodPatch, "/settings/", "application/json", strings.NewReader(`{"scan":{"rescan_cron":"0 0 1 1 *"}}`)))
	for i, s := range servers {
		at := newAPI(s.URL, c.token)
		n := 0
		eventually(t, startLimit, func() error {
			time.Sleep(time.Duration(min(n, 1)) * time.Second) // there is a limit
			n++
			a, err := at.upload(t.Context(), "bookworm", newPkg("probe", fmt.Sprintf("1.%d.%d", i, n), 100).Deb)
			if err != nil {
				return err
			}
			must(t, http.StatusNoContent)(at.remove(t.Context(), newPkg("probe", fmt.Sprintf("1.%d.%d", i, n), 100)))
			if !strings.Contains(string(a.Body), `"scanned":true`) {
				return fmt.Errorf("server %d: %d %s", i, a.Status, a.Body)
			}
			return nil
		})
	}
}

// redirected has apt fetch a package, for which the servers send it to the bucket,
// and looks at what they send nobody to.
func redirected(t *testing.T, c *api, check *checker, root *aptRoot, p pkg) {
	t.Helper()
	if err := root.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	output(t, root.command(t.Context(), "apt-get", "-y", "install", "--download-only", p.Name))
	if got := root.archives(t); len(got) != 1 {
		t.Errorf("apt has downloaded %v", got)
	}
	direct := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	st, err := check.verify(t.Context(), "bookworm", true)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		st.Packages[p.ID()]["Filename"]: http.StatusTemporaryRedirect, "dists/bookworm/InRelease": http.StatusOK,
		"vulnerabilities/": http.StatusNotFound, "pool/none.deb": http.StatusNotFound, "pool/../vulnerabilities": http.StatusNotFound,
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, check.base, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Path += path
		resp, err := direct.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want || (want == http.StatusTemporaryRedirect) != strings.Contains(resp.Header.Get("Location"), "X-Amz-Signature=") {
			t.Errorf("%s: %d, %s", path, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	eventually(t, startLimit, func() error { // counts are late by seconds
		a, err := c.do(t.Context(), http.MethodGet, "/downloads/stats", "", nil)
		if err == nil && !strings.Contains(string(a.Body), `"per_package":[{"name":"`+p.Name+`"`) {
			err = fmt.Errorf("the download is not counted: %s", a.Body)
		}
		return err
	})
}
