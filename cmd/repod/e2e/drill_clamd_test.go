package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/scan/clamav/clamdtest"
)

// TestDrillR8Clamd takes the scanner away in five ways, under load. What was not
// scanned is not published, and malware never; when the scanner is back, uploads
// are.
func TestDrillR8Clamd(t *testing.T) {
	slow(t)
	clamd := clamdtest.Start(t)
	relay := newRelay(t, strings.TrimPrefix(clamd.TCP, "tcp://"))
	dir := t.TempDir()
	s := serve(t, dir, "--distributions", both, "--outbound", "any")
	x := newSite(t, s, s.URL, sqliteLedger(t, dir))
	c := newAPI(s.URL, x.token)
	scanner := func(address string) {
		t.Helper()
		a, err := c.do(t.Context(), http.MethodPatch, "/settings/", "application/json",
			strings.NewReader(fmt.Sprintf(`{"scan":{"clamav_address":%q,"clamav_timeout_seconds":1,"fail_policy":"block"}}`, address)))
		must(t, http.StatusOK)(a, err)
	}
	scanner("tcp://" + relay.address)
	l := x.load(t)
	l.workers = 5
	l.start()
	bad := infected("infected", "1.0")
	x.must(t, "upload", bad, http.StatusUnprocessableEntity, c)

	wrong := clamdtest.Fake(t, func(c *clamdtest.Conn) { c.Say("220 mail.example.org ESMTP") })
	slowly := slowFake(t)
	var refused, recovered []time.Duration
	for i, f := range []struct {
		name        string
		begin, heal func()
	}{
		{"refuse", relay.refuse, relay.mend},
		{"hang", relay.hang, relay.mend},
		{"cut", func() { relay.cutAfter(5000) }, relay.mend},
		{"wrong protocol", func() { scanner(wrong) }, func() { scanner("tcp://" + relay.address) }},
		{"a byte a second", func() { scanner(slowly) }, func() { scanner("tcp://" + relay.address) }},
	} {
		f.begin()
		clean := newPkg(fmt.Sprintf("clean-%d", i), "1.0", 50_000)
		for until := time.Now().Add(either(time.Second, 30*time.Second)); ; {
			for _, p := range []pkg{clean, bad} {
				began := time.Now()
				a := x.ask(t, "upload", p, c)
				refused = append(refused, time.Since(began))
				// A small file may still be seen whole before the connection is cut.
				if a.Status != http.StatusServiceUnavailable && (p.Name != bad.Name || a.Status != http.StatusUnprocessableEntity) {
					t.Errorf("%s: %s: status %d, want 503: %s", f.name, p.ID(), a.Status, a.Body)
				}
			}
			if time.Now().After(until) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		absent(t, x, clean, bad)
		f.heal()
		began := time.Now()
		eventually(t, startLimit, func() error { return x.uploaded(t, c, clean) })
		recovered = append(recovered, time.Since(began))
		x.must(t, "upload", bad, http.StatusUnprocessableEntity, c)
	}
	l.stop()
	told := l.settle()
	absent(t, x, bad)
	slowest := quantile(recovered, 100)
	report(t, figure{"R8", "clamd refuses connections, hangs, is cut, speaks another protocol, answers a byte a second, under load",
		fmt.Sprintf("%s; nothing unscanned and no malware published; uploads refused with 503 in %v at most (the scanner's timeout is 1 s), published %v after its return", told, quantile(refused, 100), slowest),
		"0 lost, 0 failed; recovers ≤ 60 s", slowest > time.Minute})
}

// infected is a package with the test file that scanners take for malware.
func infected(name, version string) pkg {
	p := newPkg(name, version, 100)
	// The members before it say what the package is; this is all of its data.
	var b bytes.Buffer
	i := bytes.Index(p.Deb, []byte("data.tar.gz"))
	b.Write(p.Deb[:i])
	member(&b, "data.tar.gz", tarball("./usr/share/"+name+"/test", []byte(clamdtest.EICAR())))
	p.Deb = b.Bytes()
	return p
}

// absent fails the test if a package is listed, or known as published.
func absent(t *testing.T, x *site, packages ...pkg) {
	t.Helper()
	since := time.Now()
	st, err := x.check.verify(t.Context(), "bookworm", false)
	if err != nil {
		t.Error(err)
		return
	}
	x.history.saw("drill", "bookworm", since, st)
	for _, p := range packages {
		if _, ok := st.Packages[p.ID()]; ok {
			t.Errorf("%s is listed", p.ID())
		}
		a, err := newAPI(x.url(), x.token).do(t.Context(), http.MethodGet, "/artifacts/"+p.Name+"/"+p.Version, "", nil)
		if err != nil {
			t.Error(err)
			continue
		}
		var known struct {
			Status string `json:"status"`
		}
		if a.Status == http.StatusOK && (json.Unmarshal(a.Body, &known) != nil || known.Status != "rejected") {
			t.Errorf("%s is known: %s", p.ID(), a.Body)
		}
	}
}

// slowFake answers as clamd does, a byte each second.
func slowFake(t *testing.T) string {
	return clamdtest.Fake(t, func(c *clamdtest.Conn) {
		c.Command()
		for _, b := range []byte("1: ClamAV 1.4.3/27969/Tue May 12 06:24:30 2026\x00") {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	})
}
