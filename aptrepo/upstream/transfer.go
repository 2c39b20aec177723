package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// A wanted is a file that a signed index describes.
type wanted struct {
	url    *url.URL
	size   int64
	sha256 string
}

// A transfer brings one file. What earlier attempts have brought is not
// fetched again if the server lets it be.
type transfer struct {
	wanted
	f        *os.File
	progress func(int64)

	n         int64
	sum       hash.Hash
	validator string // of the version of which n bytes are there
	resumed   bool
}

// download makes f hold exactly the wanted file, and on an error nothing. At
// most one byte more than its size is read.
func (c *Client) download(ctx context.Context, t *site, w wanted, f *os.File, progress func(int64)) error {
	tr := &transfer{wanted: w, f: f, progress: progress, sum: sha256.New()}
	err := tr.restart()
	if err == nil {
		err = c.try(ctx, func() error { return tr.attempt(ctx, c, t) })
	}
	if err == nil {
		return nil
	}
	if cut := f.Truncate(0); cut != nil {
		return errors.Join(err, cut)
	}
	return err
}

// restart forgets what there is.
func (tr *transfer) restart() error {
	tr.n, tr.validator, tr.resumed = 0, "", false
	tr.sum.Reset()
	if err := tr.f.Truncate(0); err != nil {
		return fmt.Errorf("making room for a download: %w", err)
	}
	return nil
}

func (tr *transfer) attempt(ctx context.Context, c *Client, t *site) error {
	header := make(http.Header)
	if tr.n > 0 && tr.validator != "" {
		header.Set("Range", fmt.Sprintf("bytes=%d-", tr.n))
		header.Set("If-Range", tr.validator)
	}
	a, err := c.open(ctx, t, tr.url, header)
	if err != nil {
		var s *statusError
		if errors.As(err, &s) && s.code == http.StatusRequestedRangeNotSatisfiable && len(header) > 0 {
			return errors.Join(tr.restart(), &transient{err: err})
		}
		return err
	}
	defer a.Close()
	if err := tr.accept(a, len(header) > 0); err != nil {
		return err
	}
	if err := tr.copy(a); err != nil {
		return err
	}
	return tr.verify()
}

// accept decides by the header of an answer what to do with its body.
func (tr *transfer) accept(a *answer, ranged bool) error {
	switch {
	case a.StatusCode == http.StatusOK:
		if err := tr.restart(); err != nil {
			return err
		}
	case a.StatusCode == http.StatusPartialContent && ranged:
		if want := fmt.Sprintf("bytes %d-%d/%d", tr.n, tr.size-1, tr.size); a.Header.Get("Content-Range") != want {
			return errors.Join(tr.restart(), &transient{err: errors.New("the server sent another part than it was asked for")})
		}
		tr.resumed = true
	default:
		return fail(Unreachable, "HTTP status %d to a request that does not allow it", a.StatusCode)
	}
	if left := tr.size - tr.n; a.ContentLength >= 0 && a.ContentLength != left {
		return fail(HashMismatch, "it has %d bytes in place of %d", tr.n+a.ContentLength, tr.size)
	}
	tr.validator = strongValidator(a.Header)
	return nil
}

// strongValidator returns what If-Range may carry (RFC 9110, section 13.1.5).
// A date will do here: the hash is checked anyhow.
func strongValidator(h http.Header) string {
	if etag := h.Get("ETag"); etag != "" && !strings.HasPrefix(etag, "W/") {
		return etag
	}
	return h.Get("Last-Modified")
}

func (tr *transfer) copy(a *answer) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := a.Read(buf[:min(int64(len(buf)), tr.size-tr.n+1)])
		if int64(n) > tr.size-tr.n {
			return fail(HashMismatch, "it has more than %d bytes", tr.size)
		}
		if _, err := tr.f.WriteAt(buf[:n], tr.n); err != nil {
			return fmt.Errorf("writing a download: %w", err)
		}
		tr.sum.Write(buf[:n])
		tr.n += int64(n)
		if tr.progress != nil && n > 0 {
			tr.progress(tr.n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (tr *transfer) verify() error {
	if tr.n != tr.size {
		return fail(HashMismatch, "it has %d bytes in place of %d", tr.n, tr.size)
	}
	got := hex.EncodeToString(tr.sum.Sum(nil))
	switch {
	case got == tr.sha256:
		return nil
	case tr.resumed: // of two versions, perhaps
		return errors.Join(tr.restart(), &transient{err: errors.New("the parts do not fit")})
	}
	return fail(HashMismatch, "its SHA-256 is %s in place of %s", got, tr.sha256)
}
