package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDrillR7Postgres takes the database away in four ways, and lets commits be
// made whose answer is lost, under load. Changes are then refused with 503 in
// short time, published files go on being served, and when the database is back
// nobody has to do anything.
func TestDrillR7Postgres(t *testing.T) {
	slow(t)
	db := startPostgres(t)
	relay := newRelay(t, db.address)
	dir := t.TempDir()
	store := []string{"--secret-key-file", secretKey(t), "--database-url", db.url(relay.address)}
	s := serve(t, dir, append(store, "--distributions", both)...)
	x := newSite(t, s, s.URL, openLedger(t, "pgx", db.url(db.address), filepath.Join(dir, "files")), store...)
	l := x.load(t)
	l.start()
	o := outage{site: x, api: newAPI(s.URL, x.token), lasts: either(2*time.Second, time.Minute)}
	o.drill(t, "connections are refused", relay.refuse, relay.mend)
	o.drill(t, "packets vanish", relay.hang, relay.mend)
	o.drill(t, "the server stops", func() { db.stop(t) }, func() { db.start(t) })

	relay.forget()
	time.Sleep(either(4*time.Second, time.Minute))
	relay.mend()
	o.healed(t, newPkg("forgotten", "1.0", 1000))
	l.stop()
	told := l.settle()
	if n := relay.forgotten.Load(); n < 5 {
		t.Errorf("only %d answers to COMMIT were lost", n)
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	report(t, figure{"R7", fmt.Sprintf("PostgreSQL refuses connections, hangs, and is stopped, %v each, and %d answers to COMMIT are lost, under load", o.lasts, relay.forgotten.Load()),
		fmt.Sprintf("%s; %s", told, &o), "0 lost, 0 failed; refuses ≤ 5 s; not ready ≤ 5 s; recovers ≤ 10 s", o.missed()})
}

// secretKey writes a key that servers of a database share.
func secretKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An outage is a time without something that changes need, and how long things
// took: changes until they were refused, readiness to fall, everything to be well
// again.
type outage struct {
	site                      *site
	api                       *api
	lasts                     time.Duration
	refused, unready, healing []time.Duration
}

func (o *outage) String() string {
	return fmt.Sprintf("changes refused with 503 in %v at most, not ready after %v, recovered after %v",
		quantile(o.refused, 100), quantile(o.unready, 100), quantile(o.healing, 100))
}

func (o *outage) missed() bool {
	return quantile(o.refused, 100) > 5*time.Second || quantile(o.unready, 100) > 5*time.Second || quantile(o.healing, 100) > 10*time.Second
}

// drill lets an outage begin, sees to it that changes are refused and reads work,
// and ends it.
func (o *outage) drill(t *testing.T, name string, begin, heal func()) {
	t.Helper()
	p, former := newPkg("package-"+strings.ReplaceAll(name, " ", "-"), "1.0", 1000), newPkg("former-"+strings.ReplaceAll(name, " ", "-"), "1.0", 1000)
	o.site.must(t, "upload", former, http.StatusCreated, o.api)
	begin()
	until := time.Now().Add(o.lasts)
	began := time.Now()
	eventually(t, startLimit, func() error { return ready(t.Context(), o.api, http.StatusServiceUnavailable) })
	o.unready = append(o.unready, time.Since(began))
	for {
		o.unavailable(t, name, "upload", p)
		o.unavailable(t, name, "promote", former)
		if _, err := o.site.check.verify(t.Context(), "bookworm", false); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if time.Now().After(until) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	heal()
	o.healed(t, p)
	o.site.must(t, "promote", former, http.StatusOK, o.api)
}

// healed waits until an upload works and the server is ready.
func (o *outage) healed(t *testing.T, p pkg) {
	t.Helper()
	began := time.Now()
	eventually(t, startLimit, func() error { return o.site.uploaded(t, o.api, p) })
	eventually(t, startLimit, func() error { return ready(t.Context(), o.api, http.StatusOK) })
	o.healing = append(o.healing, time.Since(began))
}

// unavailable sends a change that must be refused with 503 and a time to come
// back.
func (o *outage) unavailable(t *testing.T, name, op string, p pkg) {
	t.Helper()
	began := time.Now()
	a := o.site.ask(t, op, p, o.api)
	o.refused = append(o.refused, time.Since(began))
	refusal, err := a.refusal()
	if err != nil || refusal.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s, %s: status %d, Retry-After %q (%v), want 503: %s", name, op, a.Status, a.Header.Get("Retry-After"), err, a.Body)
	}
}

// ready reports whether /health/ready answers with a status.
func ready(ctx context.Context, c *api, want int) error {
	a, err := c.do(ctx, http.MethodGet, "/health/ready", "", nil)
	if err == nil && a.Status != want {
		err = fmt.Errorf("/health/ready answers %d: %s", a.Status, a.Body)
	}
	return err
}

// A postgres is a private cluster.
type postgres struct {
	address string // host:port
	dir     string
	bin     string
}

// startPostgres starts a cluster that forgets everything with the test.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	needRoot(t) // it runs as the user postgres
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		lacking(t, "PostgreSQL is not installed")
	}
	slices.Sort(found)
	p := &postgres{bin: filepath.Dir(found[len(found)-1]), address: freeAddress(t)}
	var err error
	if p.dir, err = os.MkdirTemp("", "repod-postgres-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	output(t, exec.Command("chown", "postgres", p.dir))
	output(t, p.command("initdb", "-D", filepath.Join(p.dir, "data"), "-A", "trust", "-U", "postgres",
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync"))
	p.start(t)
	t.Cleanup(func() { p.command("pg_ctl", "-D", filepath.Join(p.dir, "data"), "-m", "immediate", "stop").Run() })
	return p
}

// command returns a program of PostgreSQL's, run as its own user.
func (p *postgres) command(name string, args ...string) *exec.Cmd {
	as := []string{"--reuid=postgres", "--regid=postgres", "--init-groups", filepath.Join(p.bin, name)}
	cmd := exec.Command("setpriv", append(as, args...)...)
	cmd.Dir, cmd.Env = p.dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "LC_ALL=C.UTF-8"}
	return cmd
}

func (p *postgres) start(t *testing.T) {
	t.Helper()
	_, port, _ := net.SplitHostPort(p.address)
	options := fmt.Sprintf("-p %s -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c fsync=off", port, p.dir)
	cmd := p.command("pg_ctl", "-w", "-D", filepath.Join(p.dir, "data"), "-l", filepath.Join(p.dir, "log"), "-o", options, "start")
	// The server would keep a pipe open.
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
		t.Fatalf("starting PostgreSQL: %v\n%s", err, text)
	}
}

func (p *postgres) stop(t *testing.T) {
	t.Helper()
	output(t, p.command("pg_ctl", "-w", "-D", filepath.Join(p.dir, "data"), "-m", "immediate", "stop"))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// url is how a server is told of the database, at an address.
func (p *postgres) url(address string) string {
	return "postgres://postgres@" + address + "/postgres?sslmode=disable"
}

// A relay passes connections on to another address until it is told to break.
type relay struct {
	address string
	target  string
	// patience is how long a new connection waits for a target that is not
	// there, as a load balancer lets it wait. Set it before the first one.
	patience time.Duration

	mu      sync.Mutex
	fault   string // "", "refuse", "hang", "forget" or "cut"
	resume  chan struct{}
	current map[net.Conn]bool

	forgotten atomic.Int64 // answers to COMMIT
	limit     atomic.Int64
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: l.Addr().String(), target: target, current: make(map[net.Conn]bool)}
	t.Cleanup(func() {
		l.Close()
		r.refuse()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.pass(c)
		}
	}()
	return r
}

// refuse cuts all connections and takes no new ones.
func (r *relay) refuse() { r.set("refuse") }

// hang lets no byte through any more and cuts nothing.
func (r *relay) hang() { r.set("hang") }

// forget lets each COMMIT through and cuts the connection before the answer:
// whoever sent it cannot know whether it was done.
func (r *relay) forget() { r.set("forget") }

// cutAfter cuts each new connection when so many bytes have come over it.
func (r *relay) cutAfter(bytes int) {
	r.limit.Store(int64(bytes))
	r.set("cut")
}

// mend makes all well; connections that hung are cut.
func (r *relay) mend() { r.set("") }

func (r *relay) set(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.fault
	r.fault = fault
	switch {
	case fault == "hang":
		r.resume = make(chan struct{})
		return
	case fault == "forget":
		return
	case was == "hang":
		close(r.resume)
	}
	for c := range r.current {
		c.Close()
	}
}

// state returns the fault and, while connections hang, what ends that.
func (r *relay) state() (string, chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault, r.resume
}

func (r *relay) pass(c net.Conn) {
	defer c.Close()
	fault, resume := r.state()
	switch fault {
	case "refuse":
		return
	case "hang":
		<-resume
		return
	}
	to, err := r.dial()
	if err != nil {
		return
	}
	defer to.Close()
	for _, c := range []net.Conn{c, to} {
		r.mu.Lock()
		r.current[c] = true
		r.mu.Unlock()
		defer func() {
			r.mu.Lock()
			delete(r.current, c)
			r.mu.Unlock()
		}()
	}
	var copies sync.WaitGroup
	copies.Go(func() { r.copy(to, c) })
	copies.Go(func() { r.copy(c, to) })
	copies.Wait()
}

func (r *relay) dial() (net.Conn, error) {
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		to, err := net.Dial("tcp", r.target)
		if err == nil || time.Since(began) >= r.patience {
			return to, err
		}
	}
}

func (r *relay) copy(to io.WriteCloser, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	total := int64(0)
	for {
		n, err := from.Read(buf)
		fault, resume := r.state()
		if total += int64(n); fault == "cut" && total > r.limit.Load() {
			from.Close()
			return
		}
		if fault == "hang" {
			<-resume
			return
		}
		if fault == "forget" && bytes.Contains(bytes.ToLower(buf[:n]), []byte("commit")) {
			to.Write(buf[:n])
			r.forgotten.Add(1)
			time.Sleep(50 * time.Millisecond) // so that the commit is made
			from.Close()
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
