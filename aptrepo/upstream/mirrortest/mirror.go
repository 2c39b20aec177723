// Package mirrortest makes APT archives and serves them on loopback, for tests
// of what reads other people's archives: ordinary ones, with by-hash names,
// patches, conditional requests and ranges, and, through its hooks, hostile
// ones.
//
//	m := mirrortest.New(t)
//	m.Add("main", debtest.Package{Name: "hello"})
//	m.Publish()
//	// m.URL, m.Suite and m.PublicKey() are what a source needs.
package mirrortest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// A Mirror is an archive with one suite. Fields may be changed before each
// Publish, by the goroutine that calls it.
type Mirror struct {
	// URL is that of the archive, with a slash at its end.
	URL string
	// Suite is the folder below dists.
	Suite string
	// Release is the head of what is published next: names, dates, components,
	// architectures. Publish fills in Files.
	Release index.Release
	// Keys sign. New makes one.
	Keys []*index.Key
	// Compressions are those of Packages files; debtest.None is the plain one.
	Compressions []debtest.Compression
	// Patches is "merged" or "chained" for patches of that kind, else "".
	Patches string
	// Detached publishes Release and Release.gpg in place of InRelease.
	Detached bool
	// SignedAt dates the signatures. The zero time is Release.Date.
	SignedAt time.Time

	// Hooks change what is published, before it is hashed and signed. Nil ones
	// change nothing. EditPackages gets a Packages file, EditRelease the
	// finished Release, EditText its text, EditFiles all files by path, signed.
	EditPackages func(component, arch string, text []byte) []byte
	EditRelease  func(*index.Release)
	EditText     func([]byte) []byte
	EditFiles    func(map[string][]byte)

	tb     testing.TB
	pool   []entry
	texts  map[string][][]byte // former states of Packages files, oldest first
	serial int

	mu       sync.Mutex
	files    map[string]file
	handlers map[string]http.HandlerFunc
	requests []string
}

type entry struct {
	component string
	pkg       *deb.Package
	file      index.PackageFile
	bytes     []byte
}

type file struct {
	body []byte
	etag string
	time time.Time
}

// New returns an empty mirror of suite "stable", codename "bookworm", component
// main, architecture amd64, dated one hour ago. It ends with the test.
func New(tb testing.TB) *Mirror {
	tb.Helper()
	m := &Mirror{
		Suite: "bookworm",
		Release: index.Release{
			Origin: "Test", Label: "Test", Suite: "stable", Codename: "bookworm",
			Date:          time.Now().UTC().Truncate(time.Second).Add(-time.Hour),
			Architectures: []string{"amd64"}, Components: []string{"main"}, AcquireByHash: true,
		},
		Keys:         []*index.Key{NewKey(tb, time.Now().Add(-48*time.Hour))},
		Compressions: []debtest.Compression{debtest.XZ, debtest.Gzip},
		tb:           tb,
		texts:        make(map[string][][]byte),
		files:        make(map[string]file),
		handlers:     make(map[string]http.HandlerFunc),
	}
	server := httptest.NewServer(m)
	tb.Cleanup(server.Close)
	m.URL = server.URL + "/debian/"
	return m
}

// NewKey returns a key that was made at a time.
func NewKey(tb testing.TB, at time.Time) *index.Key {
	tb.Helper()
	key, err := index.GenerateKey(index.KeyOptions{Name: "Mirror", Email: "mirror@example.com", Now: func() time.Time { return at }})
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// PublicKey returns the keys that sign now, armoured.
func (m *Mirror) PublicKey() string {
	var ring index.Keyring
	for _, k := range m.Keys {
		ring = append(ring, k.Public())
	}
	return string(ring.Armored())
}

// Add puts a package into a component of what is published next, in place of
// one of the same name and architecture. It returns what the index says of it.
func (m *Mirror) Add(component string, p debtest.Package) index.PackageFile {
	m.tb.Helper()
	data := p.Build()
	pkg, err := deb.Read(bytes.NewReader(data), nil)
	if err != nil {
		m.tb.Fatal(err)
	}
	sum, weak := sha256.Sum256(data), md5.Sum(data)
	e := entry{component, pkg, index.PackageFile{
		Filename: path.Join("pool", component, pkg.Source[:1], pkg.Source, p.FileName()),
		Size:     int64(len(data)), SHA256: hex.EncodeToString(sum[:]), MD5: hex.EncodeToString(weak[:]),
	}, data}
	m.Remove(pkg.Name, pkg.Architecture)
	m.pool = append(m.pool, e)
	return e.file
}

// Remove takes a package out of what is published next.
func (m *Mirror) Remove(name, arch string) {
	m.pool = slices.DeleteFunc(m.pool, func(e entry) bool { return e.pkg.Name == name && e.pkg.Architecture == arch })
}

// Handle makes f answer the requests for a path below the archive's root, until
// the next call for it; nil gives the path back to the archive.
func (m *Mirror) Handle(path string, f http.HandlerFunc) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f == nil {
		delete(m.handlers, path)
		return
	}
	m.handlers[path] = f
}

// Requests returns the paths that were asked for since the last call, with the
// status of each: "200 dists/bookworm/InRelease".
func (m *Mirror) Requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.requests
	m.requests = nil
	return list
}

// Put makes the archive serve a file as it is, until the next Publish. A nil
// body takes the file away.
func (m *Mirror) Put(name string, body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if body == nil {
		delete(m.files, name)
		return
	}
	m.files[name] = m.newFile(body)
}

// Get returns a file that is published, or nil.
func (m *Mirror) Get(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.files[name].body
}

// Dist returns the path of a file of the suite.
func (m *Mirror) Dist(name string) string { return path.Join("dists", m.Suite, name) }

func (m *Mirror) newFile(body []byte) file {
	sum := sha256.Sum256(body)
	// Distinct times: If-Modified-Since has a grain of one second.
	m.serial++
	return file{body, fmt.Sprintf(`"%x"`, sum[:8]), time.Unix(1_700_000_000+int64(m.serial), 0)}
}

// ServeHTTP implements http.Handler.
func (m *Mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/debian/")
	m.mu.Lock()
	f, found := m.files[name]
	handler := m.handlers[name]
	m.mu.Unlock()
	rec := &recorder{ResponseWriter: w, note: func(status int) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.requests = append(m.requests, fmt.Sprintf("%d %s", status, name))
	}}
	switch {
	case handler != nil:
		handler(rec, r)
	case !found:
		http.NotFound(rec, r)
	default:
		rec.Header().Set("ETag", f.etag)
		http.ServeContent(rec, r, "", f.time, bytes.NewReader(f.body))
	}
}

// A recorder notes the status before anything of the answer is sent: once a
// client has its answer, it is in the list of requests.
type recorder struct {
	http.ResponseWriter
	note  func(status int)
	noted bool
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if !r.noted {
		r.noted = true
		r.note(code)
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	if !r.noted {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController the writer.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
