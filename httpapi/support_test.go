package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/sqlstore/sqlitetest"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
)

// password is that of the user admin.
const password = "Admin1234!"

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A fixture is a server on a loopback port with a repository that has the
// distributions jammy and focal, a user admin, and an API token for each role.
type fixture struct {
	t      testing.TB
	repo   *aptrepo.Repo
	users  *auth.Service
	db     *sqlstore.DB
	dbPath string
	clock  *clock
	config Config
	server *httptest.Server
	log    *lockedBuffer
	tokens map[auth.Role]string

	handler atomic.Pointer[http.Handler]
}

// ServeHTTP lets a test put another handler behind a running server.
func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*f.handler.Load()).ServeHTTP(w, r)
}

// restart makes a handler of a configuration, and lets a test change it.
func (f *fixture) restart(c Config, change func(*api)) {
	f.t.Helper()
	h, err := New(c)
	if err != nil {
		f.t.Fatal(err)
	}
	if change != nil {
		change(h.(*api))
	}
	f.handler.Store(&h)
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// newFixture starts a server whose configuration the functions may change.
func newFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{
		t: t, clock: &clock{at: time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)},
		log: &lockedBuffer{}, tokens: map[auth.Role]string{},
	}
	logger := slog.New(slog.NewJSONHandler(f.log, nil))
	f.dbPath = filepath.Join(t.TempDir(), "repod.db")
	f.db = sqlitetest.Open(t, f.dbPath)
	f.repo = &aptrepo.Repo{Storage: new(storage.Mem), Store: f.db, Now: f.clock.now, Logger: logger}
	f.users = &auth.Service{
		Store: f.db, Key: make([]byte, auth.KeySize), Now: f.clock.now,
		Argon2id: auth.Argon2id{Memory: 8, Time: 1, Threads: 1},
	}
	t.Cleanup(func() { f.users.Close(t.Context()) })
	f.config = Config{
		Repo: f.repo, Auth: f.users, Logger: logger, Now: f.clock.now, SpoolDir: t.TempDir(),
		RateLimits: RateLimits{"upload": 0},
		Settings:   &settings.Service{Store: f.db, Key: make([]byte, 32), Defaults: settings.Default(), Logger: logger},
	}
	for _, c := range change {
		c(&f.config)
	}
	f.populate()
	if err := f.config.Settings.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.restart(f.config, nil)
	f.server = httptest.NewUnstartedServer(f)
	f.server.Config = NewServer(f)
	if f.config.BodyTimeout != 0 {
		f.server.Config.ReadHeaderTimeout = f.config.BodyTimeout
	}
	f.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	f.server.Start()
	t.Cleanup(f.server.Close)
	return f
}

func (f *fixture) populate() {
	f.t.Helper()
	ctx := f.t.Context()
	for _, codename := range []string{"jammy", "focal"} {
		if _, err := f.repo.Init(ctx, aptrepo.Distribution{Codename: codename}); err != nil {
			f.t.Fatal(err)
		}
	}
	if _, _, err := f.users.Bootstrap(ctx, "admin", password); err != nil {
		f.t.Fatal(err)
	}
	for role := auth.Viewer; role <= auth.Admin; role++ {
		f.tokens[role] = f.newToken(auth.TokenSpec{Name: "role-" + role.String(), Roles: []auth.Role{role}})
	}
}

func (f *fixture) newToken(spec auth.TokenSpec) string {
	f.t.Helper()
	by := auth.Principal{Kind: auth.KindSession, Name: "admin", Roles: []auth.Role{auth.Admin}}
	text, _, err := f.users.CreateToken(f.t.Context(), by, spec, auth.Client{})
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// An answer is a response whose body has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

// internals is what no error body may tell.
var internals = regexp.MustCompile(`(?i)/tmp|\.go:|sql|panic|goroutine|/home|/var/|no such file`)

// do sends a request. Its target is taken as it stands, without cleaning.
func (f *fixture) do(method, target, token string, body io.Reader, header ...string) answer {
	f.t.Helper()
	req, err := http.NewRequest(method, f.server.URL+target, body)
	if err != nil {
		f.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return f.send(req)
}

// noRedirects is a client that shows redirects, and asks for no compression.
var noRedirects = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (f *fixture) send(req *http.Request) answer {
	f.t.Helper()
	res, err := noRedirects.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	a := answer{res.StatusCode, res.Header, string(body)}
	f.inspect(req, a)
	f.conform(req, a)
	return a
}

// inspect holds every answer of every test against what all have in common.
func (f *fixture) inspect(req *http.Request, a answer) {
	f.t.Helper()
	if !requestIDPattern.MatchString(a.header.Get("X-Request-ID")) || a.header.Get("X-Content-Type-Options") != "nosniff" {
		f.t.Errorf("%s %s: header is %v", req.Method, req.URL, a.header)
	}
	if a.status < 400 {
		return
	}
	if leak := internals.FindString(a.body); leak != "" {
		f.t.Errorf("%s %s: the body tells %q: %s", req.Method, req.URL, leak, a.body)
	}
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") || req.Method == http.MethodHead || strings.HasPrefix(req.URL.Path, "/health") {
		return
	}
	var p problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		f.t.Errorf("%s %s: %v in %q", req.Method, req.URL, err, a.body)
	}
	if a.header.Get("Content-Type") != "application/problem+json" || p.Status != a.status ||
		p.Type != "urn:repod:error:"+p.Code || p.Detail == "" || p.Title != http.StatusText(p.Status) {
		f.t.Errorf("%s %s: not a sound problem: %s", req.Method, req.URL, a.body)
	}
	if p.Code == "validation_failed" && len(p.Errors) == 0 {
		f.t.Errorf("%s %s: no errors in %s", req.Method, req.URL, a.body)
	}
}

// get, and post with a JSON body, as a role.
func (f *fixture) get(target string, role auth.Role) answer {
	f.t.Helper()
	return f.do("GET", target, f.tokens[role], nil)
}

func (f *fixture) post(target, body string, role auth.Role) answer {
	f.t.Helper()
	return f.do("POST", target, f.tokens[role], strings.NewReader(body), "Content-Type", "application/json")
}

// want checks status and, for problems, the code.
func (a answer) want(t testing.TB, status int, code string) answer {
	t.Helper()
	var p problem
	if a.status >= 400 {
		json.Unmarshal([]byte(a.body), &p)
	}
	if a.status != status || p.Code != code {
		t.Fatalf("answer is %d %s, want %d %s", a.status, a.body, status, code)
	}
	return a
}

// decode reads a JSON body.
func (a answer) decode(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v in %q", err, a.body)
	}
}

// keys checks that a JSON object has exactly these keys.
func (a answer) keys(t testing.TB, want ...string) {
	t.Helper()
	var object map[string]any
	a.decode(t, &object)
	got := slices.Sorted(maps.Keys(object))
	slices.Sort(want)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("keys are %v, want %v", got, want)
	}
}

// A part is one of a multipart body.
type part struct{ name, value string }

// multipartBody builds a body and its content type.
func multipartBody(parts ...part) (io.Reader, string) {
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, p := range parts {
		var pw io.Writer
		if p.name == "file" {
			pw, _ = w.CreateFormFile("file", "ignored.deb")
		} else {
			pw, _ = w.CreateFormField(p.name)
		}
		io.WriteString(pw, p.value)
	}
	w.Close()
	return &buf, w.FormDataContentType()
}

func (f *fixture) upload(token string, parts ...part) answer {
	f.t.Helper()
	body, contentType := multipartBody(parts...)
	return f.do("POST", "/upload/", token, body, "Content-Type", contentType)
}

// publish uploads a package to jammy and fails the test unless it is new.
func (f *fixture) publish(p debtest.Package, codename string) answer {
	f.t.Helper()
	return f.upload(f.tokens[auth.Uploader], part{"file", string(p.Build())}, part{"distribution", codename}).want(f.t, 201, "")
}

// spooled fails the test when the spool directory is not empty.
func (f *fixture) spooled() {
	f.t.Helper()
	names, err := os.ReadDir(f.config.SpoolDir)
	if err != nil {
		f.t.Fatal(err)
	}
	if len(names) > 0 {
		f.t.Errorf("the spool directory holds %v", names)
	}
}

// actions returns the audit log as "action user result" lines.
func (f *fixture) actions() []string {
	f.t.Helper()
	entries, err := f.db.AuditEntries(f.t.Context(), 0, 10_000)
	if err != nil {
		f.t.Fatal(err)
	}
	var lines []string
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", e.Action, e.User, e.Result, e.Target))
	}
	return lines
}
