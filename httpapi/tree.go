package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/sbom"
)

// Tree returns a handler for the APT tree of a repository and what clients
// need to use it, below /apt/: "/apt/dists/...", "/apt/pool/...", the public
// keys "/apt/repod.asc" and "/apt/repod.gpg", published bills of materials, and
// "/apt/CODENAME.sources", whose URL is made of the request's scheme and host. It knows no users and
// writes nothing but causes of failures, to repo.Logger.
//
// A program behind a proxy that ends TLS, or that bounds the time of slow
// clients, uses [New] instead.
func Tree(repo *aptrepo.Repo) http.Handler {
	logger := repo.Logger
	if logger == nil {
		logger = slog.Default()
	}
	return &tree{
		repo: repo,
		base: func(r *http.Request) string { return requestURL(r, r.TLS != nil) },
		fault: func(_ string, err error) {
			logger.Error("request for the APT tree failed", "error", err)
		},
	}
}

// A tree serves the files that apt reads.
type tree struct {
	repo  *aptrepo.Repo
	base  func(*http.Request) string      // what the client calls the server
	fault func(requestID string, _ error) // is told of failures
	// pull gets a file of the pool that is not there, if anybody offers it.
	pull func(r *http.Request, name string) error
}

// errPull is the error of a file that is offered and could not be got.
var errPull = errors.New("fetching what is offered")

func (a *api) aptTree(c *call) error {
	a.tree.ServeHTTP(c.w, c.Request)
	a.countDownload(c)
	return nil
}

func (t *tree) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		text(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	err := fs.ErrNotExist
	if name, ok := treePath(r.URL.EscapedPath()); ok {
		err = t.serve(w, r, name)
	}
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, aptrepo.ErrUnknownDistribution):
		text(w, http.StatusNotFound, "not found")
	case errors.Is(err, aptrepo.ErrUnavailable), errors.Is(err, context.Canceled):
		t.fault(w.Header().Get("X-Request-ID"), err)
		w.Header().Set("Retry-After", strconv.Itoa(int(storageRetry/time.Second)))
		text(w, http.StatusServiceUnavailable, "temporarily unavailable")
	case errors.Is(err, errPull):
		t.fault(w.Header().Get("X-Request-ID"), err)
		text(w, http.StatusBadGateway, "the package is offered, but could not be fetched or may not be published")
	default:
		t.fault(w.Header().Get("X-Request-ID"), err)
		text(w, http.StatusInternalServerError, "internal server error")
	}
}

// text answers what is no file: programs look at the status.
func text(w http.ResponseWriter, status int, message string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, message+"\n")
}

// treePath decodes what follows /apt/, segment by segment: an encoded slash
// separates nothing, and names nothing either.
func treePath(escaped string) (string, bool) {
	name, ok := strings.CutPrefix(escaped, "/apt/")
	if !ok || !strings.Contains(name, "%") {
		return name, ok
	}
	segments := strings.Split(name, "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil || strings.Contains(decoded, "/") {
			return "", false
		}
		segments[i] = decoded
	}
	return strings.Join(segments, "/"), true
}

func (t *tree) serve(w http.ResponseWriter, r *http.Request, name string) error {
	if !strings.Contains(name, "/") && !strings.Contains(name, ".json") {
		return t.serveSetup(w, r, name)
	}
	if t.redirect(w, r, name) {
		return nil
	}
	f, err := t.repo.OpenFile(r.Context(), name)
	if errors.Is(err, fs.ErrNotExist) && t.pull != nil && strings.HasPrefix(name, "pool/") {
		if err := t.pull(r, name); err != nil {
			return err
		}
		if t.redirect(w, r, name) {
			return nil
		}
		f, err = t.repo.OpenFile(r.Context(), name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	h := w.Header()
	h["Content-Type"] = []string{contentTypeOf(name, f.Immutable)}
	h["Cache-Control"] = []string{cacheControl(f.Immutable)}
	h["Etag"] = []string{entityTag(f)}
	modified := f.ModTime
	if !f.Exact {
		// Two generations share this second: a client that has one of them
		// must not be told that it has the other.
		h["Last-Modified"] = []string{modified.UTC().Format(http.TimeFormat)}
		modified = time.Time{}
	}
	// The bare reader lets a file reach the socket by sendfile(2).
	http.ServeContent(w, singleRange(r), "", modified, f.ReadSeekCloser)
	return nil
}

// entityTag returns the file's tag. Only a pool file has none of its own; it
// never changes.
func entityTag(f *aptrepo.File) string {
	if f.ETag != "" {
		return f.ETag
	}
	return `"` + strconv.FormatInt(f.ModTime.Unix(), 16) + "-" + strconv.FormatInt(f.Size, 16) + `"`
}

// singleRange drops a field Range that asks for several: apt never does, and
// RFC 9110, section 14.2, lets a server ignore it.
func singleRange(r *http.Request) *http.Request {
	if !strings.Contains(r.Header.Get("Range"), ",") {
		return r
	}
	whole := *r
	whole.Header = r.Header.Clone()
	whole.Header.Del("Range")
	return &whole
}

func cacheControl(immutable bool) string {
	if immutable {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

// contentTypeOf returns the media type of a file in the tree. A by-hash name
// tells nothing of the contents.
func contentTypeOf(name string, immutable bool) string {
	switch path.Ext(name) {
	case ".deb":
		return "application/vnd.debian.binary-package"
	case ".gz":
		return "application/gzip"
	case ".xz":
		return "application/x-xz"
	case ".gpg", ".asc":
		return "application/pgp-signature"
	case ".json":
		if strings.HasSuffix(name, sbom.SPDX.Extension()) {
			return "application/spdx+json"
		}
		return "application/vnd.cyclonedx+json"
	}
	if immutable {
		return "application/octet-stream"
	}
	return "text/plain; charset=utf-8"
}

// serveSetup serves the keys and sources directly below /apt/.
func (t *tree) serveSetup(w http.ResponseWriter, r *http.Request, name string) error {
	contentType := "application/pgp-keys"
	var body []byte
	switch codename, ok := strings.CutSuffix(name, ".sources"); {
	case ok:
		d, err := t.repo.Distribution(r.Context(), codename)
		if err != nil {
			return err
		}
		contentType = "text/plain; charset=utf-8"
		body = []byte(aptrepo.SourcesStanza(t.base(r)+"/apt/", d))
	case name == "repod.asc" || name == "repod.gpg":
		ring, err := t.repo.Keys(r.Context())
		if err != nil {
			return err
		}
		body = ring.Armored
		if name == "repod.gpg" {
			body = ring.Binary
		}
	}
	if len(body) == 0 {
		return fs.ErrNotExist
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, singleRange(r), "", time.Time{}, bytes.NewReader(body))
	return nil
}
