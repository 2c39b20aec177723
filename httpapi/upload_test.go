package httpapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
)

func pkg(name, version string, fields ...string) debtest.Package {
	return debtest.Package{Name: name, Version: version, Fields: fields}
}

func TestUpload(t *testing.T) {
	f := newFixture(t)
	p := pkg("nginx", "1:1.24.0", "Section: httpd", "Priority: optional", "Depends: libc6 (>= 2.34)")
	a := f.publish(p, "jammy")
	a.keys(t, "name", "version", "arch", "distribution", "component", "status", "filename", "size_bytes", "sha256", "scan", "warnings")
	if got := a.header.Get("Location"); got != "/artifacts/nginx/1:1.24.0?arch=amd64" {
		t.Errorf("Location is %q", got)
	}
	for _, want := range []string{
		`"name":"nginx","version":"1:1.24.0","arch":"amd64","distribution":"jammy","component":"main","status":"indexed","filename":"pool/main/n/nginx/nginx_1.24.0_amd64.deb"`,
		fmt.Sprintf(`"size_bytes":%d`, len(p.Build())),
		`"scan":{"verdict":"allow","scanned_at":null,"malware":{"status":"not_scanned","signature":null},"vulnerabilities":{"scanned":false,"critical":0,"high":0,"medium":0,"low":0,"negligible":0,"unknown":0},"kev":0,"epss_max":null}`,
		`{"code":"missing_dependencies","message":"libc6 (>= 2.34)"}`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s lacks %s", a.body, want)
		}
	}
	f.get(a.header.Get("Location"), auth.Viewer).want(t, 200, "")
	packages := f.do("GET", "/apt/dists/jammy/main/binary-amd64/Packages", "", nil).want(t, 200, "")
	if !strings.Contains(packages.body, "Package: nginx\n") {
		t.Error("apt does not see the package")
	}

	again := f.upload(f.tokens[auth.Uploader], part{"distribution", "jammy"}, part{"file", string(p.Build())}).want(t, 200, "")
	if !strings.Contains(again.body, `"status":"already_indexed"`) {
		t.Errorf("second upload: %s", again.body)
	}
	f.publish(p, "focal")
	p.Fields = append(p.Fields, "Homepage: https://nginx.org")
	other := f.upload(f.tokens[auth.Uploader], part{"file", string(p.Build())}, part{"distribution", "jammy"}).want(t, 409, "duplicate_conflict")
	var conflict problem
	other.decode(t, &conflict)
	if len(conflict.IncomingSHA256) != 64 || !strings.Contains(a.body, conflict.ExistingSHA256) || conflict.IncomingSHA256 == conflict.ExistingSHA256 {
		t.Errorf("conflict: %s", other.body)
	}
	f.spooled()
}

func TestUploadRefused(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Settings.Defaults.MaxUploadBytes = 100_000 })
	good := part{"file", string(pkg("hello", "1.0").Build())}
	jammy := part{"distribution", "jammy"}
	tests := []struct {
		name   string
		parts  []part
		status int
		code   string
		field  string
	}{
		{"no parts", nil, 422, "validation_failed", "file"},
		{"no file", []part{jammy}, 422, "validation_failed", "file"},
		{"empty file", []part{{"file", ""}, jammy}, 422, "validation_failed", "file"},
		{"no distribution", []part{good}, 422, "validation_failed", "distribution"},
		{"empty distribution", []part{good, {"distribution", ""}}, 422, "validation_failed", "distribution"},
		{"two files", []part{good, good, jammy}, 422, "validation_failed", "file"},
		{"two distributions", []part{good, jammy, {"distribution", "focal"}}, 422, "validation_failed", "distribution"},
		{"unknown part", []part{good, jammy, {"group", "x"}}, 422, "validation_failed", "group"},
		{"unnamed part", []part{good, jammy, {"", "x"}}, 422, "validation_failed", ""},
		{"path as distribution", []part{good, {"distribution", "../jammy"}}, 422, "validation_failed", "distribution"},
		{"newline in distribution", []part{good, {"distribution", "jammy\n"}}, 422, "validation_failed", "distribution"},
		{"NUL in distribution", []part{good, {"distribution", "jammy\x00"}}, 422, "validation_failed", "distribution"},
		{"upper case", []part{good, {"distribution", "Jammy"}}, 422, "validation_failed", "distribution"},
		{"dot", []part{good, {"distribution", "."}}, 422, "validation_failed", "distribution"},
		{"300 characters", []part{good, {"distribution", strings.Repeat("a", 300)}}, 422, "validation_failed", "distribution"},
		{"long field", []part{good, {"distribution", strings.Repeat("a", 5000)}}, 422, "validation_failed", "distribution"},
		{"bad component", []part{good, jammy, {"component", "../main"}}, 422, "validation_failed", "component"},
		{"unknown distribution", []part{good, {"distribution", "no_such"}}, 400, "unknown_distribution", ""},
		{"unknown component", []part{good, jammy, {"component", "extra"}}, 400, "unknown_component", ""},
		{"foreign architecture", []part{{"file", string(debtest.Package{Arch: "riscv64"}.Build())}, jammy}, 400, "unsupported_architecture", ""},
		{"no package", []part{{"file", "#!/bin/sh\n"}, jammy}, 422, "invalid_deb", ""},
		{"cut package", []part{{"file", good.value[:len(good.value)-5]}, jammy}, 422, "invalid_deb", ""},
		{"too large", []part{{"file", strings.Repeat("x", 100_001)}, jammy}, 413, "upload_too_large", ""},
		{"far too large", []part{jammy, {"file", strings.Repeat("x", 300_000)}}, 413, "upload_too_large", ""},
	}
	before := len(f.state())
	for _, test := range tests {
		a := f.upload(f.tokens[auth.Uploader], test.parts...)
		var p problem
		json.Unmarshal([]byte(a.body), &p)
		if a.status != test.status || p.Code != test.code {
			t.Errorf("%s: %d %s", test.name, a.status, a.body)
		}
		if test.code == "validation_failed" && p.Errors[0].Field != test.field {
			t.Errorf("%s: errors are %v", test.name, p.Errors)
		}
		if test.code == "upload_too_large" && p.MaxBytes != 100_000 {
			t.Errorf("%s: max_bytes is %d", test.name, p.MaxBytes)
		}
		f.spooled()
	}
	if after := len(f.state()); after != before {
		t.Errorf("%d files are in storage, before %d", after, before)
	}
	exact := debtest.Package{Files: map[string]string{"usr/share/x": strings.Repeat("x", 60_000)}}.Build()
	c := f.config
	c.Settings = &settings.Service{Store: f.db, Defaults: &settings.Settings{MaxUploadBytes: int64(len(exact))}}
	f.restart(c, nil)
	f.upload(f.tokens[auth.Uploader], part{"file", string(exact)}, jammy).want(t, 201, "")
}

// state lists what is in storage.
func (f *fixture) state() (keys []string) {
	f.t.Helper()
	for info, err := range f.repo.Storage.List(f.t.Context(), "") {
		if err != nil {
			f.t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func TestUploadBodies(t *testing.T) {
	f := newFixture(t)
	token := f.tokens[auth.Uploader]
	disposition := func(s string) string {
		return "--b\r\nContent-Disposition: form-data; " + s + "\r\n\r\n"
	}
	deb := string(pkg("hello", "1.0").Build())
	jammy := disposition(`name="distribution"`) + "jammy\r\n"
	whole := disposition(`name="file"; filename="x"`) + deb + "\r\n" + jammy + "--b--\r\n"
	tests := []struct {
		name, contentType, body string
		status                  int
		code                    string // or "=" and the message of the only error
	}{
		{"JSON", "application/json", `{}`, 422, "unsupported_content_type"},
		{"other multipart", "multipart/mixed; boundary=b", whole, 422, "unsupported_content_type"},
		{"no boundary", "multipart/form-data", whole, 422, "unsupported_content_type"},
		{"empty boundary", `multipart/form-data; boundary=""`, whole, 422, "unsupported_content_type"},
		{"long boundary", "multipart/form-data; boundary=" + strings.Repeat("b", 71), whole, 422, "unsupported_content_type"},
		{"empty body", "multipart/form-data; boundary=b", "", 422, "validation_failed"},
		{"never closed", "multipart/form-data; boundary=b", strings.TrimSuffix(whole, "--b--\r\n"), 422, "=must be complete and well-formed multipart/form-data"},
		{"other boundary", "multipart/form-data; boundary=c", whole, 422, "=must be complete and well-formed multipart/form-data"},
		{"big part header", "multipart/form-data; boundary=b", "--b\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n" + whole, 422, "=must not have more than 65536 bytes beside the file"},
		{"long preamble", "multipart/form-data; boundary=b", strings.Repeat("x\r\n", 50_000) + whole, 422, "=must not have more than 65536 bytes beside the file"},
		{"long epilogue", "multipart/form-data; boundary=b", whole + strings.Repeat("x", 100_000), 422, "=must not have more than 65536 bytes beside the file"},
		{"100,000 parts", "multipart/form-data; boundary=b", strings.Repeat(disposition(`name="x"`)+"\r\n", 100_000) + whole, 422, "=is not a known part"},
		{"nameless disposition", "multipart/form-data; boundary=b", "--b\r\n\r\nx\r\n" + whole, 422, "validation_failed"},
		{"file name with a path", "multipart/form-data; boundary=b",
			disposition(`name="file"; filename="../../x.deb"; filename*=UTF-8''..%2fx.deb`) + deb + "\r\n" + jammy + "--b--\r\n", 201, ""},
		{"preamble, epilogue, transfer encoding", "multipart/form-data; boundary=b",
			"hi\r\n" + disposition(`name="file"`) + deb + "\r\n" + jammy + "--b--\r\nbye", 200, ""},
	}
	for _, test := range tests {
		a := f.do("POST", "/upload/", token, strings.NewReader(test.body), "Content-Type", test.contentType)
		var p problem
		json.Unmarshal([]byte(a.body), &p)
		got := p.Code
		if len(p.Errors) == 1 && strings.HasPrefix(test.code, "=") {
			got = "=" + p.Errors[0].Message
		}
		if a.status != test.status || got != test.code {
			t.Errorf("%s: %d %s", test.name, a.status, a.body)
		}
		f.spooled()
	}
	f.do("POST", "/upload/", token, strings.NewReader(whole), "Content-Type", "multipart/form-data; boundary=b", "Content-Encoding", "gzip").
		want(t, 422, "unsupported_content_type")
}

// TestUploadChunked sends a body without end: it is cut at the limit.
func TestUploadChunked(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Settings.Defaults.MaxUploadBytes = 1 << 20 })
	var sent int64
	pr, pw := io.Pipe()
	go func() {
		io.WriteString(pw, "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n")
		for {
			n, err := pw.Write(make([]byte, 64<<10))
			sent += int64(n)
			if err != nil {
				return
			}
		}
	}()
	f.do("POST", "/upload/", f.tokens[auth.Uploader], pr, "Content-Type", "multipart/form-data; boundary=b").want(t, 413, "upload_too_large")
	pr.Close()
	f.spooled()
}

// TestUploadMemory checks that memory does not grow with the package.
func TestUploadMemory(t *testing.T) {
	f := newFixture(t)
	const size = 64 << 20
	head := "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n"
	tail := "\r\n--b\r\nContent-Disposition: form-data; name=\"distribution\"\r\n\r\njammy\r\n--b--\r\n"
	body := io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader(tail))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f.do("POST", "/upload/", f.tokens[auth.Uploader], body, "Content-Type", "multipart/form-data; boundary=b").want(t, 422, "invalid_deb")
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes were allocated for an upload of %d", grown, size)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestUploadScope(t *testing.T) {
	f := newFixture(t)
	token := f.newToken(auth.TokenSpec{Name: "scoped", Roles: []auth.Role{auth.Maintainer}, Distributions: []string{"focal"}})
	deb := part{"file", string(pkg("hello", "1.0").Build())}
	f.upload(token, deb, part{"distribution", "jammy"}).want(t, 403, "token_scope")
	f.upload(token, deb, part{"distribution", "focal"}).want(t, 201, "")
	json := []string{"Content-Type", "application/json"}
	f.do("POST", "/distributions/promote", token, strings.NewReader(`{"name":"hello","version":"1.0","from_distribution":"focal","to_distribution":"jammy"}`), json...).want(t, 403, "token_scope")
	f.do("POST", "/distributions/migrate", token, strings.NewReader(`{"from_distribution":"focal","to_distribution":"jammy"}`), json...).want(t, 403, "token_scope")
	f.do("POST", "/distributions/init", token, strings.NewReader(`{"codename":"noble"}`), json...).want(t, 403, "token_scope")
	f.publish(pkg("hello", "1.0"), "jammy")
	f.do("DELETE", "/artifacts/hello/1.0", token, nil).want(t, 403, "token_scope")
	f.do("DELETE", "/distributions/jammy/packages/hello/1.0", token, nil).want(t, 403, "token_scope")
	f.do("GET", "/artifacts/hello/1.0", token, nil).want(t, 200, "")
	f.do("DELETE", "/distributions/focal/packages/hello/1.0", token, nil).want(t, 204, "")
}

// Who may upload may not replace what every system has.
func TestUploadBase(t *testing.T) {
	f := newFixture(t)
	token := func(r auth.Role) string {
		return f.newToken(auth.TokenSpec{Name: r.String(), Roles: []auth.Role{r}})
	}
	uploader, maintainer := token(auth.Uploader), token(auth.Maintainer)
	for i, field := range []string{"Essential: yes", "Protected: yes", "Important: yes", "Priority: required"} {
		p := pkg(fmt.Sprintf("base%d", i), "9999:1.0", field)
		form := []part{{"file", string(p.Build())}, {"distribution", "jammy"}}
		f.upload(uploader, form...).want(t, 403, "insufficient_role")
		f.upload(maintainer, form...).want(t, 201, "")
	}
	p := pkg("other", "1.0", "Essential: no", "Priority: important")
	f.upload(uploader, part{"file", string(p.Build())}, part{"distribution", "jammy"}).want(t, 201, "")
}

func TestUploadRateLimit(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RateLimits = nil })
	token := f.tokens[auth.Uploader]
	limits := func(a answer) string {
		return strings.Join([]string{a.header.Get("X-RateLimit-Limit"), a.header.Get("X-RateLimit-Remaining"), a.header.Get("X-RateLimit-Reset")}, " ")
	}
	for i := range 20 {
		a := f.upload(token, part{"distribution", "jammy"}).want(t, 422, "validation_failed")
		if want := fmt.Sprintf("20 %d 60", 19-i); limits(a) != want {
			t.Errorf("upload %d: limits %s, want %s", i, limits(a), want)
		}
	}
	f.clock.move(10 * time.Second)
	for i, target := range []string{"/upload/", "/upload"} {
		a := f.do("POST", target, token, nil, "X-Forwarded-For", fmt.Sprint("192.0.2.", i), "X-Real-IP", "192.0.2.9").want(t, 429, "rate_limited")
		if limits(a) != "20 0 50" || a.header.Get("Retry-After") != "50" || !strings.Contains(a.body, `"retry_after":50`) {
			t.Errorf("refusal: %v %s", a.header, a.body)
		}
	}
	// Others are not concerned, and those who may not upload learn the limit.
	if a := f.upload(f.tokens[auth.Admin], part{"distribution", "jammy"}).want(t, 422, "validation_failed"); limits(a) != "20 19 60" {
		t.Errorf("another principal: %s", limits(a))
	}
	if a := f.upload("").want(t, 401, "authentication_required"); limits(a) != "20 20 0" {
		t.Errorf("nobody: %s", limits(a))
	}
	if a := f.upload(f.tokens[auth.Viewer]).want(t, 403, "insufficient_role"); limits(a) != "20 20 0" {
		t.Errorf("viewer: %s", limits(a))
	}
	f.clock.move(50 * time.Second)
	f.upload(token, part{"distribution", "jammy"}).want(t, 422, "validation_failed")
}

// TestUploadsTogether sends many packages with one token at once.
func TestUploadsTogether(t *testing.T) {
	f := newFixture(t)
	const n = 100
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			p := pkg(fmt.Sprintf("pkg%d", i%50), "1.0")
			if i >= 50 { // other bytes of the same name and version
				p.Fields = []string{"Homepage: https://example.com"}
			}
			a := f.upload(f.tokens[auth.Uploader], part{"file", string(p.Build())}, part{"distribution", "jammy"})
			if a.status != 201 && a.status != 409 {
				t.Errorf("upload %d: %d %s", i, a.status, a.body)
			}
		})
	}
	wg.Wait()
	var page struct{ Total int }
	f.get("/packages", auth.Viewer).decode(t, &page)
	if page.Total != 50 {
		t.Errorf("%d packages, want 50", page.Total)
	}
	f.spooled()
}

func TestSpoolIsSwept(t *testing.T) {
	dir := t.TempDir()
	old, young, other := filepath.Join(dir, spoolPrefix+"old"), filepath.Join(dir, spoolPrefix+"young"), filepath.Join(dir, "other")
	now := time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
	for name, age := range map[string]time.Duration{old: 25 * time.Hour, young: time.Hour, other: 1000 * time.Hour} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	newFixture(t, func(c *Config) { c.SpoolDir = dir })
	for name, want := range map[string]bool{old: false, young: true, other: true} {
		if _, err := os.Stat(name); (err == nil) != want {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
}

// TestUploadFullDisk spools to a device that is always full.
func TestUploadFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	_, err = full.Write([]byte("x"))
	p, known := problemOf(spoolError(err))
	if !known || p.Status != 507 || p.Code != "storage_full" {
		t.Errorf("%v is answered %d %s", err, p.Status, p.Code)
	}
	p, known = problemOf(spoolError(os.ErrPermission))
	if !known || p.Status != 503 || p.Code != "storage_unavailable" || p.RetryAfter == 0 {
		t.Errorf("a spool out of reach is answered %d %s", p.Status, p.Code)
	}
}

func TestUploadErrorsOfStorage(t *testing.T) {
	for err, want := range map[error]struct {
		status int
		code   string
	}{
		aptrepo.ErrFull: {507, "storage_full"},
		fmt.Errorf("open: %w", aptrepo.ErrUnavailable):    {503, "storage_unavailable"},
		fmt.Errorf("secret /tmp/x: %w", io.ErrClosedPipe): {500, "internal_error"},
	} {
		p, known := problemOf(err)
		if p.Status != want.status || p.Code != want.code || known == (want.status == 500) || strings.Contains(p.Detail, "secret") {
			t.Errorf("%v: %+v", err, p)
		}
	}
}

// TestUploadUnread checks that nothing of a body is asked for before its
// sender has been found fit to send it.
func TestUploadUnread(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.RateLimits = nil })
	for name, token := range map[string]string{"nobody": "", "garbage": "garbage", "viewer": f.tokens[auth.Viewer]} {
		body := &counting{Reader: zeros{}}
		req, err := http.NewRequest("POST", f.server.URL+"/upload/", body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = 2 << 30
		req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		req.Header.Set("Expect", "100-continue")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
		res, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		res.Body.Close()
		if res.StatusCode != 401 && res.StatusCode != 403 || body.n > 0 {
			t.Errorf("%s: %d after %d bytes", name, res.StatusCode, body.n)
		}
	}
}

type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}
