package httpapi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

// talk sends bytes as they are and returns the answer's status (0: closed
// without one) and what else came until the server closed the connection.
func (f *fixture) talk(send string) (status int, rest string) {
	f.t.Helper()
	conn := f.dial()
	go io.WriteString(conn, send) // ends when the server closes
	return readAnswer(f.t, conn)
}

func (f *fixture) dial() net.Conn {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		f.t.Fatal(err)
	}
	return conn
}

func readAnswer(t testing.TB, conn net.Conn) (status int, rest string) {
	t.Helper()
	all, err := io.ReadAll(conn)
	if e, ok := err.(net.Error); ok && e.Timeout() {
		t.Errorf("the server keeps the connection open; it sent %q", all)
	}
	fmt.Sscanf(string(all), "HTTP/1.1 %d", &status)
	_, body, _ := bytes.Cut(all, []byte("\r\n\r\n"))
	return status, string(body)
}

// TestFraming sends requests that no two programs might read alike.
func TestFraming(t *testing.T) {
	f := newFixture(t)
	const post = "POST /auth/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	for name, test := range map[string]struct {
		send string
		want int
	}{
		// RFC 9112, section 6.3: the chunks count. Read by length it would be 400.
		"length and chunked":       {post + "Content-Type: application/json\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 422},
		"two lengths":              {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
		"negative length":          {post + "Content-Length: -1\r\n\r\n", 400},
		"signed length":            {post + "Content-Length: +5\r\n\r\nxxxxx", 400},
		"hexadecimal length":       {post + "Content-Length: 0x5\r\n\r\nxxxxx", 400},
		"list of lengths":          {post + "Content-Length: 5,5\r\n\r\nxxxxx", 400},
		"chunk of 2^68":            {post + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400},
		"endless chunk extension":  {post + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 1<<20) + "\r\n", 400},
		"unknown transfer coding":  {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
		"folded field":             {"GET /health/live HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\nConnection: close\r\n\r\n", 200},
		"no host":                  {"GET /health/live HTTP/1.1\r\n\r\n", 400},
		"two hosts":                {"GET /health/live HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"NUL in host":              {"GET /health/live HTTP/1.1\r\nHost: evil\"\x00\r\n\r\n", 400},
		"tab in the request line":  {"GET\t/health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		"space before the colon":   {"GET /health/live HTTP/1.1\r\nHost : x\r\n\r\n", 400},
		"lower-case method":        {"get /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405},
		"64 KiB of header":         {"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
		"64 KiB of path":           {"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		"HTTP/2 without agreement": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404},
		"not HTTP":                 {"\x16\x03\x01\x00\xa5\x01\x00\x00\r\n\r\n", 400},
		"unread body":              {"GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\nxxx", 200},
	} {
		t.Run(name, func(t *testing.T) {
			f.t = t
			if status, body := f.talk(test.send); status != test.want || internals.MatchString(body) {
				t.Errorf("%d %s, want %d", status, body, test.want)
			}
		})
	}
}

// TestSmuggling checks that what lies beyond a body's length is no part of it.
func TestSmuggling(t *testing.T) {
	f := newFixture(t)
	whole, contentType := multipartBody(part{"distribution", "jammy"}, part{"file", string(pkg("hello", "1.0").Build())})
	data, _ := io.ReadAll(whole)
	status, _ := f.talk(fmt.Sprintf("POST /upload/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		f.tokens[auth.Uploader], contentType, len(data)-20, data))
	if status != 422 {
		t.Errorf("a length below the body's: %d", status)
	}
	f.spooled()
}

// TestSlowClients checks that clients which send nothing are cut off, and
// leave nothing behind.
func TestSlowClients(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.BodyTimeout = 200 * time.Millisecond })
	upload := func(token string, length int) string {
		return fmt.Sprintf("POST /upload/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n", token, length)
	}
	file := "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"
	for name, test := range map[string]struct {
		send string
		want int
	}{
		"silence":                   {"", 0},
		"half a header":             {"GET /health/live HT", 400},
		"silent upload":             {upload(f.tokens[auth.Uploader], 1<<30), 422},
		"upload that stops":         {upload(f.tokens[auth.Uploader], 1<<30) + file + strings.Repeat("x", 1<<20), 422},
		"silent login":              {"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", 400},
		"refused, and then silent":  {upload("garbage", 1000), 401},
		"no route, and then silent": {"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 404},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := fixture{t: t, server: f.server, config: f.config}
			if status, body := g.talk(test.send); status != test.want {
				t.Errorf("%d %s, want %d", status, body, test.want)
			}
			g.spooled()
		})
	}
}

// TestSteadyUpload checks that an upload may take longer than the timeout, as
// long as it moves, and that its end does not end what follows.
func TestSteadyUpload(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.BodyTimeout = 300 * time.Millisecond })
	pr, pw := io.Pipe()
	go func() {
		io.WriteString(pw, "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n")
		for range 8 {
			pw.Write(make([]byte, bodyStep))
			time.Sleep(100 * time.Millisecond)
		}
		io.WriteString(pw, "\r\n--b\r\nContent-Disposition: form-data; name=\"distribution\"\r\n\r\njammy\r\n--b--\r\n")
		pw.Close()
	}()
	f.do("POST", "/upload/", f.tokens[auth.Uploader], pr, "Content-Type", "multipart/form-data; boundary=b").want(t, 422, "invalid_deb")
}

// TestCutUploads drops connections in the middle of uploads.
func TestCutUploads(t *testing.T) {
	f := newFixture(t)
	whole, contentType := multipartBody(part{"file", string(pkg("hello", "1.0").Build())}, part{"distribution", "jammy"})
	data, _ := io.ReadAll(whole)
	head := fmt.Sprintf("POST /upload/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		f.tokens[auth.Uploader], contentType, len(data))
	var wg sync.WaitGroup
	for _, sent := range []int{0, 1, 60, 200, len(data) / 2, len(data) - 1, len(data)} {
		conn := f.dial()
		wg.Go(func() {
			io.WriteString(conn, head)
			conn.Write(data[:sent])
			conn.Close()
		})
	}
	wg.Wait()
	f.server.Close() // waits for the requests to end
	f.spooled()
	// The client that was gone after its last byte has published all or nothing.
	rows, err := f.repo.Artifacts(t.Context(), "hello")
	if err == nil && (len(rows) != 1 || len(rows[0].Publications) != 1) {
		t.Errorf("half a publication: %+v", rows)
	}
}

// TestKeptAlive sends request after request on one connection, bodies and
// refusals among them.
func TestKeptAlive(t *testing.T) {
	f := newFixture(t)
	conn := f.dial()
	answers := bufio.NewReader(conn)
	for _, test := range []struct {
		send string
		want int
	}{
		{"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", 422},
		{"HEAD /apt/dists/jammy/InRelease HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"POST /upload/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nxxxxx", 401},
		{"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 200},
	} {
		if _, err := io.WriteString(conn, test.send); err != nil {
			t.Fatal(err)
		}
		method, _, _ := strings.Cut(test.send, " ")
		res, err := http.ReadResponse(answers, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%.30s: %v", test.send, err)
		}
		io.Copy(io.Discard, res.Body)
		if res.StatusCode != test.want {
			t.Errorf("%.30s: %d, want %d", test.send, res.StatusCode, test.want)
		}
	}
}

// TestExpectContinue checks that the body is asked for when it is wanted, and
// only then.
func TestExpectContinue(t *testing.T) {
	f := newFixture(t)
	head := "POST /upload/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\nAuthorization: Bearer "
	for token, want := range map[string]string{
		f.tokens[auth.Uploader]: "HTTP/1.1 100 Continue",
		f.tokens[auth.Viewer]:   "HTTP/1.1 403 Forbidden",
		"garbage":               "HTTP/1.1 401 Unauthorized",
	} {
		conn := f.dial()
		io.WriteString(conn, head+token+"\r\n\r\n")
		line, err := bufio.NewReader(conn).ReadString('\n')
		if strings.TrimSpace(line) != want {
			t.Errorf("%q %v, want %q", line, err, want)
		}
		conn.Close()
	}
	huge := strings.Replace(head, "1000", "2000000000", 1)
	if status, _ := f.talk(huge + f.tokens[auth.Uploader] + "\r\n\r\n"); status != 413 {
		t.Errorf("a body that is announced too large: %d", status)
	}
}

// TestIdleConnections checks that connections without requests keep nobody
// else from the server.
func TestIdleConnections(t *testing.T) {
	f := newFixture(t)
	for range 500 {
		f.dial()
	}
	f.do("GET", "/health/live", "", nil).want(t, 200, "")
}

func TestServerBounds(t *testing.T) {
	s := NewServer(http.NotFoundHandler())
	if s.ReadHeaderTimeout != 5*time.Second || s.IdleTimeout <= 0 || s.MaxHeaderBytes != 32<<10 {
		t.Errorf("server is %+v", s)
	}
}
