package e2e

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestDrillR11Bucket puts something between a server and its bucket that answers
// some requests with an error, slowly, with half of a file, or not at all after
// all was done. Reads may fail with 503 then, but never give other bytes.
func TestDrillR11Bucket(t *testing.T) {
	slow(t)
	url, files, store := newBucket(t)
	between := newMiddle(t, store.Endpoint)
	url = strings.Replace(url, store.Endpoint, between.url, 1)
	dir := t.TempDir()
	where := []string{"--storage-url", url}
	s := serve(t, dir, append(where, "--distributions", both)...)
	books := sqliteLedger(t, dir)
	books.files = files
	x := newSite(t, s, s.URL, books, where...)
	c := newAPI(s.URL, x.token)
	l := x.load(t)
	l.workers, l.busy = 5, true
	l.start()
	var recovered []time.Duration
	for i, fault := range []string{"500", "503", "slow", "truncated", "lost"} {
		between.fault.Store(&fault)
		time.Sleep(either(3*time.Second, time.Minute))
		between.fault.Store(nil)
		began := time.Now()
		eventually(t, startLimit, func() error { return x.uploaded(t, c, newPkg(fmt.Sprintf("after-%d", i), "1.0", 1000)) })
		recovered = append(recovered, time.Since(began))
		t.Logf("%s: %d requests spoilt", fault, between.spoilt.Swap(0))
	}
	l.stop()
	told := l.settle()
	slowest := quantile(recovered, 100)
	report(t, figure{"R11", "the bucket answers a third of the requests with 500, with 503, slowly, with half a file, or not at all after a PUT was done",
		fmt.Sprintf("%s; %d reads answered with 503, none with other bytes; uploads again %v after", told, l.refused, slowest),
		"0 lost, 0 failed; recovers ≤ 10 s", slowest > 10*time.Second})
}

// A middle passes requests to a store and spoils some.
type middle struct {
	url    string
	to     string
	http   *http.Client
	fault  atomic.Pointer[string]
	spoilt atomic.Int64
}

func newMiddle(t *testing.T, to string) *middle {
	m := &middle{to: to, http: newAPI("", "").http}
	m.http.Transport.(*http.Transport).DisableCompression = true
	m.url = listen(t, m)
	return m
}

func (m *middle) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := ""
	if p := m.fault.Load(); p != nil && rand.IntN(3) == 0 {
		fault = *p
	}
	switch fault {
	case "500", "503":
		m.spoilt.Add(1)
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		if fault == "500" {
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, "<Error><Code>InternalError</Code><Message>try again</Message></Error>")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "<Error><Code>SlowDown</Code><Message>slow down</Message></Error>")
		return
	case "slow":
		m.spoilt.Add(1)
		time.Sleep(time.Second)
	}
	resp, err := m.pass(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	switch {
	case fault == "lost" && r.Method == http.MethodPut:
		m.spoilt.Add(1)
		panic(http.ErrAbortHandler)
	case fault == "truncated" && r.Method == http.MethodGet && resp.ContentLength > 1:
		m.spoilt.Add(1)
		w.WriteHeader(resp.StatusCode)
		io.CopyN(w, resp.Body, resp.ContentLength/2)
		panic(http.ErrAbortHandler) // closes the connection, short of what was announced
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}

// pass sends a request on as it is: its signature covers the name of the host.
func (m *middle) pass(r *http.Request) (*http.Response, error) {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, m.to+r.URL.RequestURI(), r.Body)
	if err != nil {
		return nil, err
	}
	out.Header, out.Host, out.ContentLength = r.Header.Clone(), r.Host, r.ContentLength
	if r.ContentLength == 0 {
		out.Body = nil
	}
	return m.http.Do(out)
}
