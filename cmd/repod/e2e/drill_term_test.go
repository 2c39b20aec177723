package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDrillR17Terms ends a server in good order under load, over and over:
// requests under way are answered or cut, and nothing is half done. A second
// signal ends it at once, whatever is under way.
func TestDrillR17Terms(t *testing.T) {
	slow(t)
	s, x, again := comesAndGoes(t)
	l := x.load(t)
	l.cuts = true
	l.start()
	var ends []time.Duration
	for range either(4, 30) {
		time.Sleep(2 * time.Second)
		began := time.Now()
		s.stop(t)
		ends = append(ends, time.Since(began))
		if err := s.cmd.ProcessState; !err.Success() {
			t.Errorf("after SIGTERM: %v", err)
		}
		s = again()
	}
	l.stop()
	told := l.settle()
	twice := secondTerm(t, s, x.token)
	s = again()
	still(t, x.check.at(s))
	slowest := quantile(ends, 100)
	report(t, figure{"R17", "SIGTERM under load (10 uploads a second), started again at once",
		fmt.Sprintf("%d times: %s; ended in %v at most; a second signal during an upload ends it in %v", len(ends), told, slowest, twice),
		"0 lost, 0 failed; ends ≤ 30 s", slowest > 30*time.Second || twice > time.Second})
}

// secondTerm sends two signals while an upload is under way and returns how long
// the server takes to end after the second.
func secondTerm(t *testing.T, s *server, token string) time.Duration {
	t.Helper()
	r, w := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/upload/", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	req.Header.Set("Authorization", "Bearer "+token)
	var sending sync.WaitGroup
	sending.Go(func() {
		if resp, err := newAPI("", "").http.Do(req); err == nil {
			resp.Body.Close()
			t.Errorf("half an upload is answered with %d", resp.StatusCode)
		}
	})
	// The server has the beginning when this returns, and waits for the rest.
	fmt.Fprintf(w, "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.deb\"\r\n\r\n%s", bytes.Repeat([]byte("x"), 1<<20))
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
		t.Error("the first SIGTERM does not wait for an upload")
	case <-time.After(time.Second):
	}
	began := time.Now()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(startLimit):
		t.Fatal("a second SIGTERM does not end the server")
	}
	took := time.Since(began).Round(time.Millisecond)
	w.Close()
	sending.Wait()
	return took
}

// TestDrillR18Aborted breaks uploads off, thousands of them, at any point. What
// a server uses for each is given back: connections, files, goroutines.
func TestDrillR18Aborted(t *testing.T) {
	slow(t)
	uploads := either(1000, 10_000)
	idle := serve(t, t.TempDir(), "--distributions", both)
	dir := t.TempDir()
	s := serve(t, dir, "--distributions", both)
	c := newAPI(s.URL, newToken(t, s))
	check := newChecker(t, s)
	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", newPkg("first", "1.0", 1000).Deb))
	c.http.CloseIdleConnections()
	pid := s.cmd.Process.Pid
	before := descriptors(t, pid)

	abortAll(t, s, c.token, uploads)
	began := time.Now()
	var after int
	eventually(t, 60*time.Second, func() error {
		if after = descriptors(t, pid); after > before+5 {
			return fmt.Errorf("%d descriptors are open, it were %d", after, before)
		}
		if left := leftovers(t, dir); len(left) > 0 {
			return fmt.Errorf("left behind: %v", left)
		}
		return nil
	})
	settled := time.Since(began).Round(time.Millisecond)
	still(t, check)
	c.http.CloseIdleConnections()
	check.http.CloseIdleConnections()
	time.Sleep(time.Second) // the server sees that they are closed
	resident := procStatus(t, pid, "VmRSS")
	base, now := goroutines(t, idle), goroutines(t, s)
	if now > base+5 {
		t.Errorf("%d goroutines after aborted uploads, %d in a server that had none", now, base)
	}
	fsck(t, dir)
	report(t, figure{"R18", fmt.Sprintf("%d uploads that clients break off", uploads),
		fmt.Sprintf("descriptors %d before, %d after %v; goroutines %d, in an idle server %d; no file left; %d MiB resident", before, after, settled, now, base, resident>>10),
		"back to base ±5 in 60 s", false})
}

// abortAll begins uploads, 50 at a time, and closes the connection somewhere in
// the middle.
func abortAll(t *testing.T, s *server, token string, n int) {
	t.Helper()
	p := newPkg("aborted", "1.0", 100_000)
	var body bytes.Buffer
	fmt.Fprintf(&body, "--x\r\nContent-Disposition: form-data; name=\"distribution\"\r\n\r\nbookworm\r\n"+
		"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.deb\"\r\n\r\n%s\r\n--x--\r\n", p.Deb)
	head := fmt.Sprintf("POST /upload/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n", token, body.Len())
	slots := make(chan bool, 50)
	var all sync.WaitGroup
	for i := range n {
		slots <- true
		all.Go(func() {
			defer func() { <-slots }()
			// Never the whole: the last byte is held back at least.
			text := append([]byte(head), body.Bytes()[:(i*7919)%body.Len()]...)
			if err := abort(s.URL, text); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// abort sends a part of a request and closes the connection, at which data that
// the server has not read yet is lost to it.
func abort(base string, text []byte) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(requestLimit))
	_, err = conn.Write(text)
	return err
}

// descriptors counts the open files of a process.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// procStatus returns a number of /proc/PID/status.
func procStatus(t *testing.T, pid int, name string) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			var n int64
			if _, err := fmt.Sscan(value, &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

var goroutine = regexp.MustCompile(`(?m)^goroutine \d+ `)

// goroutines ends a server with SIGQUIT, at which the Go runtime prints all
// goroutines, and counts them.
func goroutines(t *testing.T, s *server) int {
	t.Helper()
	s.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.done:
	case <-time.After(startLimit):
		t.Fatal("SIGQUIT does not end the server")
	}
	text := s.Log.String()
	s.Log.reset() // what is in there is no crash
	n := len(goroutine.FindAllString(text, -1))
	if n == 0 {
		t.Fatalf("no goroutines in %s", tail(text, 1000))
	}
	return n
}
