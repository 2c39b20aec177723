package httpapi

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/swaggest/swgui/v5/static"
)

// The page /docs/ is Swagger UI, from a module that embeds it compressed, with a
// page and a script of ours: the viewer's own have scripts inline, which the
// policy below refuses.

//go:embed docs/index.html docs/page.js
var docsFS embed.FS

// docsPolicy lets the page load what lies beside it, read the API of its server,
// and nothing else. The viewer has its icons in data: URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// A fixed is a body that stays the same as long as the program runs. zipped is
// nil where that gains nothing.
type fixed struct {
	contentType string
	plain       []byte
	zipped      []byte
	tags        [2]string // of plain and zipped
}

func newFixed(contentType string, plain, zipped []byte) fixed {
	tag := func(body []byte) string {
		sum := sha256.Sum256(body)
		return hex.EncodeToString(sum[:16])
	}
	return fixed{contentType, plain, zipped, [2]string{tag(plain), tag(zipped)}}
}

// send answers with the body; policy is its Content-Security-Policy, "" that of the
// API.
func (f *fixed) send(c *call, policy string) {
	h := c.w.Header()
	setAPIHeaders(h)
	if policy != "" {
		h.Set("Content-Security-Policy", policy)
	}
	h.Set("Cache-Control", "no-cache")
	body, tag, encoding := f.plain, f.tags[0], ""
	if f.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(c.Request) {
			body, tag, encoding = f.zipped, f.tags[1], "gzip"
		}
	}
	h.Set("ETag", etagOf(tag, false))
	if unchanged(c.Request, tag) {
		c.w.WriteHeader(http.StatusNotModified)
		return
	}
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(body) // a client that has gone needs no answer
}

// docsFiles returns the parts of the page by name, "" the page itself.
var docsFiles = sync.OnceValues(func() (map[string]fixed, error) {
	const script = "text/javascript; charset=utf-8"
	files := map[string]fixed{}
	for _, f := range []struct {
		name, contentType string
		from              fs.FS
		path              string
	}{
		{"", "text/html; charset=utf-8", docsFS, "docs/index.html"},
		{"page.js", script, docsFS, "docs/page.js"},
		{"swagger-ui-bundle.js", script, static.FS, "swagger-ui-bundle.js.gz"},
		{"swagger-ui.css", "text/css; charset=utf-8", static.FS, "swagger-ui.css.gz"},
		{"favicon.png", "image/png", static.FS, "favicon-32x32.png"},
	} {
		body, err := fs.ReadFile(f.from, f.path)
		if err != nil {
			return nil, err
		}
		var zipped []byte
		if strings.HasSuffix(f.path, ".gz") {
			zipped = body
			if body, err = unzip(zipped); err != nil {
				return nil, fmt.Errorf("%s: %w", f.path, err)
			}
		}
		files[f.name] = newFixed(f.contentType, body, zipped)
	}
	return files, nil
})

func unzip(zipped []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// docs answers with the page. Its links are relative, to /docs/.
func (a *api) docs(c *call) error {
	if !strings.HasSuffix(c.URL.Path, "/") {
		setAPIHeaders(c.w.Header())
		c.w.Header().Set("Location", "docs/")
		c.w.Header().Set("Content-Length", "0")
		c.w.WriteHeader(http.StatusPermanentRedirect)
		return nil
	}
	return serveDocs(c, "")
}

func (a *api) docsAsset(c *call) error {
	if strings.HasSuffix(c.URL.Path, "/") {
		return errRoute
	}
	return serveDocs(c, c.vars["asset"])
}

func serveDocs(c *call, name string) error {
	files, err := docsFiles()
	if err != nil {
		return err
	}
	f, ok := files[name]
	if !ok {
		return errRoute
	}
	f.send(c, docsPolicy)
	return nil
}

// makeDescription returns the description of the API, as it is sent.
func makeDescription(version string, limits RateLimits) (fixed, error) {
	text, err := describe(version, limits)
	if err != nil {
		return fixed{}, err
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(text); err != nil {
		return fixed{}, err
	}
	if err := z.Close(); err != nil {
		return fixed{}, err
	}
	return newFixed(jsonMedia, text, zipped.Bytes()), nil
}

// openAPI answers with the description of the API.
func (a *api) openAPI(c *call) error {
	doc, err := a.description()
	if err != nil {
		return err
	}
	doc.send(c, "")
	return nil
}
