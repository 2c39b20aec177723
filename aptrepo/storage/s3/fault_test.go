package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/s3"
	"github.com/repod-io/repod/aptrepo/storage/s3/s3test"
)

type writer = func(*s3.Bucket, context.Context, string, io.ReadSeeker) error

var writers = map[string]writer{"Put": (*s3.Bucket).Put, "Create": (*s3.Bucket).Create}

// What passes is tried again until it works, and what was done and not told of
// counts as done.
func TestPassingFaults(t *testing.T) {
	srv := s3test.Start(t)
	small, large := noise(200_000), noise(2*partSize+17)
	for _, tt := range []struct {
		name string
		op   string
		body []byte
		do   []fault
	}{
		{"busy", "PUT", small, repeat(refuse(503, "SlowDown"), 3)},
		{"busy, by 429", "PUT", small, repeat(refuse(429, "TooManyRequests"), 3)},
		{"conflict", "PUT", small, repeat(refuse(409, "ConditionalRequestConflict"), 2)},
		{"error 500", "PUT", small, repeat(refuse(500, "InternalError"), 3)},
		{"bad gateway", "PUT", small, repeat(page(502), 3)},
		{"cut", "PUT", small, repeat(cutRequest, 3)},
		{"answer lost", "PUT", small, repeat(lose, 1)},
		{"damaged on the way", "PUT", small, []fault{cutRequest, lose}},
		{"uploads: busy", "POST uploads", large, repeat(refuse(503, "SlowDown"), 3)},
		{"part: busy", "PUT part", large, repeat(refuse(503, "SlowDown"), 3)},
		{"part: cut", "PUT part", large, []fault{cutRequest, nil, cutRequest, cutRequest, nil}},
		{"part: answer lost", "PUT part", large, repeat(lose, 2)},
		{"complete: error 500", "POST complete", large, repeat(refuse(500, "InternalError"), 3)},
		{"complete: error in 200", "POST complete", large, repeat(refuse(200, "InternalError"), 3)},
		{"complete: answer lost", "POST complete", large, repeat(lose, 1)},
		{"complete: cut", "POST complete", large, repeat(cutRequest, 2)},
	} {
		for name, write := range writers {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				p, b, c := behind(t, srv)
				p.plan(tt.op, tt.do...)
				must(t, write(b, t.Context(), "k", bytes.NewReader(tt.body)))
				if !p.used() {
					t.Errorf("the faults did not all happen: %v", p.requests)
				}
				want(t, b, "k", tt.body)
				wantNoUploads(t, srv, c.Bucket)
			})
		}
	}
}

// A repeated Create whose earlier attempt was lost before it got there finds
// the file of somebody else.
func TestCreateLosesAgain(t *testing.T) {
	srv := s3test.Start(t)
	for _, size := range []int{100, 2*partSize + 1} {
		p, b, c := behind(t, srv)
		rival := func(p *proxy, w http.ResponseWriter, req *http.Request) {
			c.Endpoint = srv.Endpoint
			put(t, open(t, c), "k", "the other's")
			panic(http.ErrAbortHandler)
		}
		op := "PUT"
		if size > partSize {
			op = "POST complete"
		}
		p.plan(op, rival)
		if err := b.Create(t.Context(), "k", bytes.NewReader(noise(size))); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%d bytes: %v, want that the file exists", size, err)
		}
		want(t, b, "k", []byte("the other's"))
		wantNoUploads(t, srv, c.Bucket)
	}
}

// What lasts is an error in the end, and leaves what was there and no parts.
func TestLastingFaults(t *testing.T) {
	srv := s3test.Start(t)
	small, large := noise(1000), noise(2*partSize+17)
	for _, tt := range []struct {
		name  string
		op    string
		body  []byte
		fault fault
		times int // how many requests there are
		says  string
		full  bool
	}{
		{"busy", "PUT", small, refuse(503, "SlowDown"), s3.Attempts, "SlowDown (503)", false},
		{"error 500", "PUT", small, refuse(500, "InternalError"), s3.Attempts, "InternalError (500)", false},
		{"gateway", "PUT", small, page(504), s3.Attempts, "(504)", false},
		{"cut", "PUT", small, cutRequest, s3.Attempts, "", false},
		{"forbidden", "PUT", small, refuse(403, "AccessDenied"), 1, "may not do this", false},
		{"forbidden by a proxy", "PUT", small, page(403), 1, "AccessDenied (403)", false},
		{"unknown key", "PUT", small, refuse(403, "InvalidAccessKeyId"), 1, "does not know the access key", false},
		{"not implemented", "PUT", small, refuse(501, "NotImplemented"), 1, "NotImplemented (501)", false},
		{"full", "PUT", small, refuse(507, "InsufficientStorage"), 1, "InsufficientStorage (507)", true},
		{"over the quota", "PUT", small, refuse(403, "QuotaExceeded"), 1, "QuotaExceeded (403)", true},
		{"damaged on the way", "PUT", small, flipSent, 1, "(400)", false},
		{"code that is none", "PUT", small, refuse(400, "\x1b[31mAuthorization: AWS4"), 1, "an error", false},
		{"redirected", "PUT", small, refuse(301, "PermanentRedirect"), 1, "check the endpoint", false},
		{"uploads: forbidden", "POST uploads", large, refuse(403, "AccessDenied"), 1, "AccessDenied", false},
		{"part: full", "PUT part", large, refuse(507, "InsufficientStorage"), 1, "InsufficientStorage", true},
		{"part: busy", "PUT part", large, refuse(503, "SlowDown"), s3.Attempts, "SlowDown", false},
		{"part: damaged on the way", "PUT part", large, flipSent, 1, "(400)", false},
		{"complete: refused", "POST complete", large, refuse(400, "InvalidPart"), 1, "InvalidPart", false},
		{"complete: error in 200", "POST complete", large, refuse(200, "InternalError"), s3.Attempts, "InternalError", false},
	} {
		for name, write := range writers {
			t.Run(name+", "+tt.name, func(t *testing.T) {
				t.Parallel()
				p, b, c := behind(t, srv)
				if name == "Put" {
					put(t, b, "k", "old")
				}
				p.plan(tt.op, repeat(tt.fault, 20)...)
				err := write(b, t.Context(), "k", bytes.NewReader(tt.body))
				if err == nil || !strings.Contains(err.Error(), tt.says) || storage.IsFull(err) != tt.full || errors.Is(err, fs.ErrExist) {
					t.Errorf("error %v, want %q", err, tt.says)
				}
				if n := p.count(tt.op); n != tt.times {
					t.Errorf("%d requests, want %d", n, tt.times)
				}
				if leaks(c, err) || strings.ContainsRune(fmt.Sprint(err), '\x1b') {
					t.Errorf("the error tells too much: %q", err)
				}
				p.plan("")
				if name == "Put" {
					want(t, b, "k", []byte("old"))
				} else {
					wantMissing(t, b, "k")
				}
				wantNoUploads(t, srv, c.Bucket)
			})
		}
	}
}

// The same for the other methods.
func TestReadingFaults(t *testing.T) {
	srv := s3test.Start(t)
	calls := map[string]func(*s3.Bucket, context.Context) error{
		"GET": func(b *s3.Bucket, ctx context.Context) error {
			r, _, err := b.Open(ctx, "k")
			if err == nil {
				r.Close()
			}
			return err
		},
		"DELETE": func(b *s3.Bucket, ctx context.Context) error { return b.Delete(ctx, "k") },
		"LIST": func(b *s3.Bucket, ctx context.Context) error {
			for _, err := range b.List(ctx, "") {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"GET uploads": func(b *s3.Bucket, ctx context.Context) error {
			_, err := b.CleanTemp(ctx, time.Now())
			return err
		},
	}
	for op, call := range calls {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			p, b, c := behind(t, srv)
			put(t, b, "k", "x")
			for name, f := range map[string]fault{
				"busy": refuse(503, "SlowDown"), "500": page(500), "no store": page(404), "cut": cutAnswer(0),
			} {
				if name == "cut" && (op == "GET" || op == "DELETE") {
					continue // the header has arrived, which is all
				}
				p.plan(op, repeat(f, 3)...)
				if err := call(b, t.Context()); err != nil || !p.used() {
					t.Errorf("%s: %v after %v", name, err, p.requests)
				}
				put(t, b, "k", "x")
				p.plan(op, repeat(f, 20)...)
				if err := call(b, t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) || leaks(c, err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			for _, f := range []fault{refuse(403, "AccessDenied"), page(403), refuse(404, "NoSuchBucket")} {
				p.plan(op, repeat(f, 20)...)
				err := call(b, t.Context())
				if err == nil || errors.Is(err, fs.ErrNotExist) || p.count(op) != 1 || leaks(c, err) {
					t.Errorf("%v after %d requests", err, p.count(op))
				}
			}
		})
	}
}

// A reader whose connection breaks asks for the rest.
func TestReadGoesOn(t *testing.T) {
	srv := s3test.Start(t)
	p, b, _ := behind(t, srv)
	body := noise(3 << 20)
	must(t, b.Put(t.Context(), "k", bytes.NewReader(body)))
	p.plan("GET", cutAnswer(1<<20), refuse(503, "SlowDown"), cutAnswer(1<<20), cutAnswer(0))
	want(t, b, "k", body)
	if n := p.count("GET"); n != 5 {
		t.Errorf("%d requests: %v", n, p.requests)
	}

	p.plan("GET", repeat(cutAnswer(1), 1000)...)
	r, _, err := b.Open(t.Context(), "k")
	must(t, err)
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); err == nil || n > 200 {
		t.Errorf("a connection that breaks after each byte: %d bytes, %v", n, err)
	}
}

// So does one whose connection stands still.
func TestReadHangs(t *testing.T) {
	srv := s3test.Start(t)
	p, _, c := behind(t, srv)
	c.Stall = 500 * time.Millisecond
	b := open(t, c).Hasty()
	body := noise(3 << 20)
	must(t, b.Put(t.Context(), "k", bytes.NewReader(body)))
	p.plan("GET", hangAnswer(1<<20), hangAnswer(1<<20))
	want(t, b, "k", body)
	if n := p.count("GET"); n != 3 {
		t.Errorf("%d requests: %v", n, p.requests)
	}
}

// A changed byte is noticed before the last bytes are handed out.
func TestReadDamaged(t *testing.T) {
	srv := s3test.Start(t)
	p, b, _ := behind(t, srv)
	body := noise(1 << 20)
	must(t, b.Put(t.Context(), "k", bytes.NewReader(body)))
	for _, at := range []int{0, 500_000, len(body) - 1} {
		p.plan("GET", flip(at))
		r, _, err := b.Open(t.Context(), "k")
		must(t, err)
		n, err := io.Copy(io.Discard, io.LimitReader(r, int64(len(body))))
		if err == nil || n == int64(len(body)) {
			t.Errorf("byte %d changed: %d bytes were read, %v", at, n, err)
		}
		if _, err := r.Read(make([]byte, 1)); err == nil {
			t.Error("the reader goes on after damage")
		}
		r.Close()
	}
}

// A list that breaks goes on after the last key.
func TestListGoesOn(t *testing.T) {
	srv := s3test.Start(t)
	p, _, c := behind(t, srv)
	c.PageSize = 10
	b := open(t, c).Hasty()
	for i := range 35 {
		put(t, b, fmt.Sprintf("k%02d", i), "x")
	}
	p.plan("LIST", nil, refuse(500, "InternalError"), nil, cutAnswer(300), nil, page(502))
	i := 0
	for info, err := range b.List(t.Context(), "k") {
		must(t, err)
		if info.Key != fmt.Sprintf("k%02d", i) {
			t.Errorf("key %d is %s", i, info.Key)
		}
		i++
	}
	if i != 35 || !p.used() {
		t.Errorf("%d keys", i)
	}
}

// A context that ends in the middle of a file ends the call.
func TestContextEnds(t *testing.T) {
	srv := s3test.Start(t)
	for _, op := range []string{"PUT part", "POST uploads", "POST complete", "HEAD"} {
		for name, write := range writers {
			t.Run(name+", "+op, func(t *testing.T) {
				t.Parallel()
				p, b, c := behind(t, srv)
				put(t, b, "k", "old")
				key := "k"
				if name == "Create" {
					key = "fresh"
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stop := func(p *proxy, w http.ResponseWriter, req *http.Request) {
					_, _ = io.CopyN(io.Discard, req.Body, 100)
					cancel()
					hang(p, w, req)
				}
				p.plan(op, stop)
				err := write(b, ctx, key, bytes.NewReader(noise(2*partSize+1)))
				if !errors.Is(err, context.Canceled) {
					t.Errorf("error %v, want context.Canceled", err)
				}
				if op != "HEAD" || name == "Create" {
					want(t, b, "k", []byte("old"))
				}
				wantNoUploads(t, srv, c.Bucket)
			})
		}
	}
}

// A store that says nothing is given up after a while, and at once when the
// caller has waited long enough.
func TestHangs(t *testing.T) {
	srv := s3test.Start(t)
	p, b, c := behind(t, srv)
	put(t, b, "k", "x")
	calls := map[string]func(*s3.Bucket, context.Context) error{
		"PUT": func(b *s3.Bucket, ctx context.Context) error { return b.Put(ctx, "k", bytes.NewReader(noise(4<<20))) },
		"GET": func(b *s3.Bucket, ctx context.Context) error { _, _, err := b.Open(ctx, "k"); return err },
		"HEAD": func(b *s3.Bucket, ctx context.Context) error {
			return b.Create(ctx, "l", bytes.NewReader(noise(1<<20)))
		},
	}
	for op, call := range calls {
		p.plan(op, repeat(hang, 20)...)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		err := call(b, ctx)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %v", op, err, time.Since(began))
		}
		c.Stall = time.Second
		p.plan(op, hang)
		must(t, b.Delete(t.Context(), "l"))
		began = time.Now()
		if err := call(open(t, c).Hasty(), t.Context()); err != nil || time.Since(began) > 20*time.Second {
			t.Errorf("%s, once: %v after %v", op, err, time.Since(began))
		}
	}
}

// A transfer that is slow and does not stand still is not given up.
func TestSlow(t *testing.T) {
	srv := s3test.Start(t)
	p, _, c := behind(t, srv)
	c.Stall, c.PartSize = 2*time.Second, 64<<20
	b := open(t, c)
	body := noise(40 << 20) // of which the kernel takes a part at once
	crawl := func(_ *proxy, _ http.ResponseWriter, req *http.Request) {
		for range 8 {
			_, _ = io.CopyN(io.Discard, req.Body, 5<<20)
			time.Sleep(400 * time.Millisecond)
		}
	}
	p.plan("PUT", crawl)
	must(t, b.Put(t.Context(), "k", bytes.NewReader(body)))
	if n := p.count("PUT"); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// A store that is away for a short time is waited for.
func TestStoreRestarts(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	b := open(t, c) // with real pauses
	put(t, b, "k", "old")
	srv.Stop()
	back := make(chan struct{})
	timer := time.AfterFunc(300*time.Millisecond, func() { defer close(back); srv.Start() })
	defer timer.Stop()
	err := b.Put(t.Context(), "k", strings.NewReader("new"))
	<-back
	must(t, err)
	want(t, b, "k", []byte("new"))

	srv.Stop()
	err = b.Hasty().Put(t.Context(), "k", strings.NewReader("newer"))
	if err == nil || leaks(c, err) {
		t.Errorf("without a store: %v", err)
	}
	for _, err := range b.List(t.Context(), "") {
		if err == nil {
			t.Error("listed without a store")
		}
	}
}

// The reader of the caller fails in a part that is not the first, or the file
// gets shorter while it is sent.
func TestReaderFails(t *testing.T) {
	srv := s3test.Start(t)
	for name, write := range writers {
		p, b, c := behind(t, srv)
		broken := &failing{Reader: bytes.NewReader(noise(3 * partSize)), limit: partSize + 1000}
		err := write(b, t.Context(), "k", broken)
		if !errors.Is(err, errDisk) {
			t.Errorf("%s: %v, want the error of the reader", name, err)
		}
		p.plan("")
		shrinking := &failing{Reader: bytes.NewReader(noise(2 * partSize)), limit: 2 * partSize, shrinks: true}
		err = write(b, t.Context(), "k", shrinking)
		if !errors.Is(err, io.ErrUnexpectedEOF) || p.count("PUT part") > 1 {
			t.Errorf("%s: %v after %v, want that the file got shorter", name, err, p.requests)
		}
		wantMissing(t, b, "k")
		wantNoUploads(t, srv, c.Bucket)
	}
}

var errDisk = errors.New("the disk of the sender is broken")

// failing fails at an offset, or ends in the middle of what it had when it is
// read for the second time.
type failing struct {
	*bytes.Reader
	limit   int64
	shrinks bool
	seeks   int
}

func (f *failing) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		f.seeks++
	}
	if f.shrinks && f.seeks > 1 {
		f.limit = 1000
	}
	return f.Reader.Seek(offset, whence)
}

func (f *failing) Read(p []byte) (int, error) {
	at, _ := f.Reader.Seek(0, io.SeekCurrent)
	if at >= f.limit {
		if f.shrinks {
			return 0, io.EOF
		}
		return 0, fmt.Errorf("%w: %w", errDisk, io.EOF)
	}
	return f.Reader.Read(p[:min(int64(len(p)), f.limit-at)])
}

// A store that puts the parts together wrongly, as one was seen to do, is found
// out.
func TestStoreManglesParts(t *testing.T) {
	srv := s3test.Start(t)
	for name, write := range writers {
		p, b, _ := behind(t, srv)
		longer := func(p *proxy, w http.ResponseWriter, req *http.Request) {
			rec := httptest.NewRecorder()
			p.store.ServeHTTP(rec, req)
			rec.Header().Set("Content-Length", fmt.Sprint(2*partSize+1000))
			maps.Copy(w.Header(), rec.Header())
			w.WriteHeader(rec.Code)
		}
		faults := []fault{longer}
		if name == "Create" {
			faults = []fault{nil, longer} // it asks first
		}
		p.plan("HEAD", faults...)
		err := write(b, t.Context(), "k", bytes.NewReader(noise(2*partSize+17)))
		if err == nil || !strings.Contains(err.Error(), "made a file of") {
			t.Errorf("%s: %v, want that the store made another file", name, err)
		}
	}
}

// What is there already is not sent again.
func TestCreateAsksFirst(t *testing.T) {
	srv := s3test.Start(t)
	p, b, _ := behind(t, srv)
	put(t, b, "k", "old")
	p.plan("")
	for _, size := range []int{100_000, 2*partSize + 1} {
		if err := b.Create(t.Context(), "k", bytes.NewReader(noise(size))); !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	if p.count("PUT")+p.count("POST uploads") > 0 {
		t.Errorf("%v", p.requests)
	}
}
