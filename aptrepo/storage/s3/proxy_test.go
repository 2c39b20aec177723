package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/repod-io/repod/aptrepo/storage/s3"
	"github.com/repod-io/repod/aptrepo/storage/s3/s3test"
)

// A proxy stands between a Bucket and its store and does what networks do.
type proxy struct {
	t     *testing.T
	store http.Handler
	over  chan struct{} // closed at the end of the test

	mu       sync.Mutex
	faults   []fault // for the next requests that match
	match    func(*http.Request) bool
	requests []string // as method and what of the query says which operation it is
}

// A fault treats a request; nil is none.
type fault func(p *proxy, w http.ResponseWriter, req *http.Request)

// behind returns a bucket of srv behind a new proxy.
func behind(t *testing.T, srv *s3test.Server) (*proxy, *s3.Bucket, s3.Config) {
	t.Helper()
	target, err := url.Parse(srv.Endpoint)
	must(t, err)
	p := &proxy{t: t, over: make(chan struct{}), store: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	front := httptest.NewServer(p)
	t.Cleanup(func() {
		close(p.over)
		front.CloseClientConnections()
		front.Close()
	})
	c := at(srv)
	c.Endpoint = front.URL
	return p, open(t, c).Hasty(), c
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, operation(req))
	var f fault
	if len(p.faults) > 0 && p.match(req) {
		f, p.faults = p.faults[0], p.faults[1:]
	}
	p.mu.Unlock()
	if f == nil {
		p.store.ServeHTTP(w, req)
		return
	}
	f(p, w, req)
}

// operation names what a request does: "PUT", "PUT part", "POST uploads",
// "POST complete", "DELETE upload" ...
func operation(req *http.Request) string {
	q := req.URL.Query()
	switch {
	case q.Has("partNumber"):
		return req.Method + " part"
	case q.Has("uploads"):
		return req.Method + " uploads"
	case q.Has("uploadId") && req.Method == http.MethodPost:
		return "POST complete"
	case q.Has("uploadId"):
		return req.Method + " upload"
	case q.Has("list-type"):
		return "LIST"
	}
	return req.Method
}

// plan makes the next requests of an operation go wrong, one fault for each.
func (p *proxy) plan(op string, faults ...fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults, p.requests = faults, nil
	p.match = func(req *http.Request) bool { return operation(req) == op }
}

// count returns how many requests of an operation there have been since plan.
func (p *proxy) count(op string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if r == op {
			n++
		}
	}
	return n
}

// used reports whether all faults have happened.
func (p *proxy) used() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.faults) == 0
}

func repeat(f fault, n int) []fault {
	all := make([]fault, n)
	for i := range all {
		all[i] = f
	}
	return all
}

// refuse answers in the store's place.
func refuse(status int, code string) fault {
	return func(_ *proxy, w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		// A store that repeats what it was sent.
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, req.Header.Get("Authorization"))
	}
}

// page answers as a web server that knows nothing of S3.
func page(status int) fault {
	return func(_ *proxy, w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<h1>%d</h1><p>%s", status, req.Header.Get("Authorization"))
	}
}

// lose lets the store do it and cuts the connection before the answer.
func lose(p *proxy, _ http.ResponseWriter, req *http.Request) {
	rec := httptest.NewRecorder()
	p.store.ServeHTTP(rec, req)
	if rec.Code >= 300 {
		p.t.Errorf("%s was to work: %d %s", operation(req), rec.Code, rec.Body)
	}
	panic(http.ErrAbortHandler)
}

// cutRequest breaks off in the middle of what is sent.
func cutRequest(_ *proxy, _ http.ResponseWriter, req *http.Request) {
	_, _ = io.CopyN(io.Discard, req.Body, req.ContentLength/2)
	panic(http.ErrAbortHandler)
}

// cutAnswer breaks off after n bytes of the body.
func cutAnswer(n int64) fault {
	return func(p *proxy, w http.ResponseWriter, req *http.Request) {
		rec := httptest.NewRecorder()
		p.store.ServeHTTP(rec, req)
		copyHeader(w, rec)
		_, _ = io.CopyN(w, rec.Body, n)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// hangAnswer sends n bytes of the body and then nothing more.
func hangAnswer(n int64) fault {
	return func(p *proxy, w http.ResponseWriter, req *http.Request) {
		rec := httptest.NewRecorder()
		p.store.ServeHTTP(rec, req)
		copyHeader(w, rec)
		_, _ = io.CopyN(w, rec.Body, n)
		_ = http.NewResponseController(w).Flush()
		hang(p, w, req)
	}
}

// flip changes a byte of the answer.
func flip(at int) fault {
	return func(p *proxy, w http.ResponseWriter, req *http.Request) {
		rec := httptest.NewRecorder()
		p.store.ServeHTTP(rec, req)
		copyHeader(w, rec)
		body := rec.Body.Bytes()
		body[at] ^= 1
		_, _ = w.Write(body)
	}
}

// flipSent changes a byte of the request.
func flipSent(p *proxy, w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	body[len(body)/2] ^= 1
	req.Body = io.NopCloser(bytes.NewReader(body))
	p.store.ServeHTTP(w, req)
}

// hang takes the request and says nothing more.
func hang(p *proxy, _ http.ResponseWriter, req *http.Request) {
	select {
	case <-req.Context().Done():
	case <-p.over:
	}
	panic(http.ErrAbortHandler)
}

func copyHeader(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
	w.WriteHeader(rec.Code)
}

// leaks reports whether an error tells what is secret, or an address.
func leaks(c s3.Config, err error) bool {
	text := fmt.Sprintf("%v %+v %#v %+v", err, err, c, c)
	for _, secret := range []string{c.SecretAccessKey, c.AccessKeyID, "Signature=", "Credential"} {
		if strings.Contains(text, secret) {
			return true
		}
	}
	return false
}
