package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

// ErrChanged stops an upload whose file is shorter than it was when it began.
var ErrChanged = errors.New("the file changed while it was uploaded")

// An Upload is a package on its way.
type Upload struct {
	Distribution string // codename
	Component    string // "": main
	// File holds the package. It is read from its beginning, anew at each attempt,
	// and not closed.
	File io.ReaderAt
	// Size is that of the package, in bytes. 0: that of File, which must be an
	// *os.File then.
	Size int64
	// Sent is told how many bytes have gone, and a negative number when some have
	// to go again. Nil: nobody is. It is called by one goroutine at a time.
	Sent func(n int64)
}

// Upload publishes a package. It is streamed: no more than a buffer of it is in
// memory. A large one is sent only once the server has said that it takes it.
// Uploading the same again changes nothing.
func (c *Client) Upload(ctx context.Context, u Upload) (Published, error) {
	var out Published
	if err := ctx.Err(); err != nil {
		return out, err
	}
	size, name := u.Size, "package.deb"
	if file, ok := u.File.(*os.File); ok && size == 0 {
		info, err := file.Stat()
		if err != nil {
			return out, err
		}
		if !info.Mode().IsRegular() {
			return out, &os.PathError{Op: "upload", Path: file.Name(), Err: errors.New("not a regular file")}
		}
		size = info.Size()
	}
	if file, ok := u.File.(*os.File); ok {
		name = filepath.Base(file.Name()) // for who reads the traffic; the server does not look at it
	}
	head, tail, contentType, err := u.envelope(name)
	if err != nil {
		return out, err
	}
	sent := u.Sent
	if sent == nil {
		sent = func(int64) {}
	}
	var last *countingReader
	err = c.exchange(ctx, request{
		method: http.MethodPost, path: "/upload", safe: true,
		body: func() (io.Reader, int64, string, error) {
			if last != nil {
				sent(-last.stop())
			}
			// A section of its own for each attempt: the transport may still
			// read the former one for a moment.
			last = &countingReader{r: io.NewSectionReader(u.File, 0, size), left: size, sent: sent}
			body := io.MultiReader(bytes.NewReader(head), last, bytes.NewReader(tail))
			return body, int64(len(head)) + size + int64(len(tail)), contentType, nil
		},
	}, &out)
	return out, err
}

// envelope returns the multipart text before and after the file's bytes, so
// that a file of any size is sent without holding it in memory.
func (u *Upload) envelope(name string) (head, tail []byte, contentType string, err error) {
	var text bytes.Buffer
	w := multipart.NewWriter(&text)
	if err := w.WriteField("distribution", u.Distribution); err != nil {
		return nil, nil, "", err
	}
	if u.Component != "" {
		if err := w.WriteField("component", u.Component); err != nil {
			return nil, nil, "", err
		}
	}
	if _, err := w.CreateFormFile("file", name); err != nil {
		return nil, nil, "", err
	}
	n := text.Len()
	if err := w.Close(); err != nil {
		return nil, nil, "", err
	}
	return text.Bytes()[:n:n], text.Bytes()[n:], w.FormDataContentType(), nil
}

// A countingReader tells how many bytes were read of a file, and refuses one
// that turns out shorter than it was.
type countingReader struct {
	r    io.Reader
	left int64
	sent func(int64)

	mu      sync.Mutex
	total   int64
	stopped bool
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return 0, io.ErrClosedPipe
	}
	c.total += int64(n)
	c.left -= int64(n)
	if n > 0 {
		c.sent(int64(n))
	}
	if err == io.EOF && c.left > 0 {
		return n, ErrChanged
	}
	return n, err
}

// stop ends the reader and returns how many bytes it told.
func (c *countingReader) stop() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	return c.total
}
