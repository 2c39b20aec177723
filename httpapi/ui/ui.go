// Package ui holds the web console: a page, a style sheet and ES modules that
// are written by hand, served as they are, and talk to the API as any other
// client does. Nothing of it comes from another host.
//
// # What keeps it safe
//
// Text from packages and archives reaches the page as text nodes only; there is
// no place where a string becomes markup, which [Policy] enforces in browsers
// (Trusted Types) and a test in the sources. The session token is kept in the
// tab's sessionStorage and sent in a header: a page of another site cannot make
// a browser send it, so that there is nothing for a forged request to ride on.
// It ends with the tab, and with the session at the latest. A cookie that
// scripts cannot read would not be safer: a script that runs in the console can
// call the API with either, and a cookie goes along by itself.
package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// Policy is the Content-Security-Policy of the console: its own scripts, styles,
// images and API, and nothing that makes markup or scripts of strings.
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// pages are the pages of the console by the first segment of their address, and
// how many more it may have. Each is index.html, and the scripts show the rest.
// The table in js/routes.js is the same; a test holds them against each other.
var pages = map[string]int{
	"": 0, "login": 0, "forgot-password": 0, "reset-password": 0, "account": 0,
	"packages": 2, "upload": 0, "distributions": 1, "imports": 1, "security": 1,
	"downloads": 0, "audit": 0, "users": 0, "tokens": 0, "settings": 1, "keys": 0, "jobs": 1,
}

// A file is one that is served, with its validator.
type file struct {
	body      []byte
	mediaType string
	etag      string
}

// mediaTypes does not depend on what the system has in its tables.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
}

var files = load()

// load reads all files; what is not in the map cannot be asked for, however
// its name is written.
func load() map[string]file {
	loaded := map[string]file{}
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := static.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
		loaded[strings.TrimPrefix(name, "static/")] = file{body, mediaTypes[path.Ext(name)], etag}
		return nil
	})
	if err != nil {
		panic(err) // an embedded file that cannot be read is a broken program
	}
	return loaded
}

// find returns the file at a path below /ui/.
func find(name string) (file, bool) {
	if f, ok := files[name]; ok && name != "index.html" {
		return f, true
	}
	segments := strings.Split(strings.TrimSuffix(name, "/"), "/")
	more, known := pages[segments[0]]
	if !known || name == "/" || len(segments)-1 > more {
		return file{}, false
	}
	for _, s := range segments[1:] {
		if s == "" || s == "." || s == ".." || strings.Contains(s, `\`) {
			return file{}, false
		}
	}
	return files["index.html"], true
}

// Serve answers a GET or HEAD for a path below /ui/, such as "" or
// "js/dom.js", decoded. It reports false, and has sent nothing, when there is
// no such file and no such page. It may be called concurrently.
func Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	f, ok := find(name)
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Security-Policy", Policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-cache") // asked again each time: mostly 304
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
	return true
}
