package httpapi

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	writeTimeout = time.Minute // for the first and each further writeStep
	writeStep    = 1 << 20
)

// A recorder notes what is answered, for the access log, and cuts off clients
// that do not take it. It keeps the way from a file to the socket that the
// kernel offers: see ReadFrom.
type recorder struct {
	http.ResponseWriter
	deadlines *http.ResponseController
	status    int   // 0: nothing sent yet
	bytes     int64 // of the body
	redirect  int64 // bytes of the file to which the client was sent
	step      int64 // bytes since the deadline was set

	route    string // pattern, "" when none matched
	who      string // principal, "" for none
	code     string // of the problem that was answered, "" for none
	uploaded int64  // bytes of a package that has arrived
}

func newRecorder(w http.ResponseWriter) *recorder {
	r := &recorder{ResponseWriter: w, deadlines: http.NewResponseController(w)}
	r.extend()
	return r
}

// expect gives the client time to send a body, from now. Where nobody reads
// it, net/http does, up to 256 KiB, before it answers: without a deadline a
// silent client would hold the connection for ever.
func (r *recorder) expect(timeout time.Duration) {
	_ = r.deadlines.SetReadDeadline(time.Now().Add(timeout))
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// extend gives the client time for the next step. Writers without deadlines,
// such as those of tests, go without.
func (r *recorder) extend() {
	r.step = 0
	_ = r.deadlines.SetWriteDeadline(time.Now().Add(writeTimeout))
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
		r.extend()
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	n, err := r.ResponseWriter.Write(p)
	r.count(int64(n))
	return n, err
}

func (r *recorder) count(n int64) {
	r.bytes += n
	if r.step += n; r.step >= writeStep {
		r.extend()
	}
}

// ReadFrom sends files by sendfile(2), a step at a time. What comes from
// memory goes through Write, where net/http puts it into one packet with the
// header.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	to, ok := r.ResponseWriter.(io.ReaderFrom)
	limited, isLimited := src.(*io.LimitedReader)
	if ok && isLimited {
		if _, ok := limited.R.(*os.File); ok {
			return r.sendFile(to, limited)
		}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(writerOnly{r}, src, *buf)
}

func (r *recorder) sendFile(to io.ReaderFrom, src *io.LimitedReader) (sent int64, err error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	for src.N > 0 && err == nil {
		step := &io.LimitedReader{R: src.R, N: min(src.N, writeStep)}
		var n int64
		n, err = to.ReadFrom(step)
		src.N -= n
		sent += n
		r.count(n)
		if n == 0 { // the file has become shorter
			break
		}
	}
	return sent, err
}

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

var buffers = sync.Pool{New: func() any {
	b := make([]byte, 32<<10)
	return &b
}}
