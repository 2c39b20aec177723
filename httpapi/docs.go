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

// A docsFile is a part of the page. zipped is nil where that gains nothing.
type docsFile struct {
	contentType  string
	body, zipped []byte
}

// docsFiles returns the parts of the page by name, "" the page itself.
var docsFiles = sync.OnceValues(func() (map[string]docsFile, error) {
	const script = "text/javascript; charset=utf-8"
	files := map[string]docsFile{}
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
		file := docsFile{contentType: f.contentType, body: body}
		if strings.HasSuffix(f.path, ".gz") {
			file.zipped = body
			if file.body, err = unzip(body); err != nil {
				return nil, fmt.Errorf("%s: %w", f.path, err)
			}
		}
		files[f.name] = file
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
	body := f.body
	if f.zipped != nil {
		c.w.Header().Set("Vary", "Accept-Encoding")
		if acceptsGzip(c.Request) {
			c.w.Header().Set("Content-Encoding", "gzip")
			body = f.zipped
		}
	}
	sendStatic(c, docsPolicy, f.contentType, body)
	return nil
}

// openAPI answers with the description of the API.
func (a *api) openAPI(c *call) error {
	doc, err := a.description()
	if err != nil {
		return err
	}
	sendStatic(c, "", jsonMedia, doc)
	return nil
}

// sendStatic sends what stays the same as long as the program does; policy is its
// Content-Security-Policy, "" that of the API.
func sendStatic(c *call, policy, contentType string, body []byte) {
	sum := sha256.Sum256(body)
	tag := hex.EncodeToString(sum[:16])
	h := c.w.Header()
	setAPIHeaders(h)
	if policy != "" {
		h.Set("Content-Security-Policy", policy)
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", etagOf(tag, false))
	if unchanged(c.Request, tag) {
		h.Del("Content-Encoding")
		c.w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", fmt.Sprint(len(body)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(body) // a client that has gone needs no answer
}
