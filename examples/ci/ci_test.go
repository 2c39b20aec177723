// Package ci holds jobs that publish a package from a build service. Its test
// runs them against a server.
package ci

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"gopkg.in/yaml.v3"
	_ "modernc.org/sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/auth/oidc/oidctest"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/httpapi"
)

// A job is what a build service runs: shell scripts with their variables.
type job []step

type step struct {
	script string
	env    map[string]string
}

// A readJob reads a job from a file.
type readJob func(t *testing.T, name string) job

// githubJob reads the steps of a workflow's only job.
func githubJob(t *testing.T, name string) job {
	var file struct {
		Jobs map[string]struct {
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
	}
	readYAML(t, name, &file)
	var j job
	for _, s := range file.Jobs["publish"].Steps {
		if s.Run != "" {
			j = append(j, step{s.Run, s.Env})
		}
	}
	return j
}

// gitlabJob reads the scripts of a pipeline's jobs, in the order of its stages.
func gitlabJob(t *testing.T, name string) job {
	var file struct {
		Stages []string
		Build  struct{ Script []string }
		Deploy struct{ Script []string }
	}
	readYAML(t, name, &file)
	if strings.Join(file.Stages, " ") != "build deploy" {
		t.Fatalf("stages are %v", file.Stages)
	}
	return job{
		{script: strings.Join(file.Build.Script, "\n")},
		{script: strings.Join(file.Deploy.Script, "\n")},
	}
}

func readYAML(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

// run carries out the job in a project whose make deb gives the package, with
// the variables and the secret that the build service would fill in.
func (j job) run(t *testing.T, url, token string, pkg []byte, service ...string) (output string, err error) {
	t.Helper()
	dir := t.TempDir()
	makefile := "deb:\n\tcp built.deb mypackage_1.0.0_amd64.deb\n"
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "Makefile"), []byte(makefile), 0o644),
		os.WriteFile(filepath.Join(dir, "built.deb"), pkg, 0o644),
	); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, s := range j {
		cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", s.script)
		cmd.Dir = dir
		cmd.Env = append(append(os.Environ(), service...), "REPOD_URL="+url, "REPOD_TOKEN="+token, "no_proxy=*")
		for name, value := range s.env {
			value = strings.ReplaceAll(value, "${{ secrets.REPOD_TOKEN }}", token)
			value = strings.ReplaceAll(value, "https://repo.example.com", url)
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.CombinedOutput()
		all.Write(out)
		if err != nil {
			return all.String(), err
		}
	}
	return all.String(), nil
}

// A server has the distribution jammy.
type server struct {
	url   string
	repo  *aptrepo.Repo
	users *auth.Service
	admin auth.Principal
}

// client is where administrators sit.
var client = auth.Client{IP: netip.IPv6Loopback()}

func serve(t *testing.T) *server {
	t.Helper()
	ctx := t.Context()
	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "repod.db")))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlstore.Open(ctx, conn, sqlstore.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	silent := slog.New(slog.DiscardHandler)
	repo := &aptrepo.Repo{Storage: &storage.Mem{}, Store: db, Logger: silent}
	if _, err := repo.Init(ctx, aptrepo.Distribution{Codename: "jammy"}); err != nil {
		t.Fatal(err)
	}
	users := &auth.Service{Store: db, Key: make([]byte, auth.KeySize), Logger: silent}
	t.Cleanup(func() { _ = users.Close(context.Background()) })
	handler, err := httpapi.New(httpapi.Config{
		Repo: repo, Auth: users, Settings: &settings.Service{Store: db, Key: users.Key}, SpoolDir: t.TempDir(), Logger: silent,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return &server{srv.URL, repo, users, administrator(t, users)}
}

func administrator(t *testing.T, users *auth.Service) auth.Principal {
	t.Helper()
	const password = "Sesame-1234"
	if _, _, err := users.Bootstrap(t.Context(), "admin", password); err != nil {
		t.Fatal(err)
	}
	session, _, err := users.Login(t.Context(), "admin", password, client)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := users.Authenticate(t.Context(), string(session))
	if err != nil {
		t.Fatal(err)
	}
	return admin
}

// published checks who has published the package.
func (s *server) published(t *testing.T, by string) {
	t.Helper()
	a, err := s.repo.Artifact(t.Context(), aptrepo.Selection{Name: "mypackage", Version: "1.0.0"})
	if err != nil || !a.PublishedIn("jammy") || a.UploadedBy != by {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestJobs(t *testing.T) {
	need(t, "bash", "curl", "make")
	for name, read := range map[string]readJob{"github.yml": githubJob, "gitlab-ci.yml": gitlabJob} {
		t.Run(name, func(t *testing.T) {
			j := read(t, name)
			if len(j) != 2 {
				t.Fatalf("%d scripts, want build and upload", len(j))
			}
			s := serve(t)
			secret, _, err := s.users.CreateToken(t.Context(), s.admin, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Uploader}}, client)
			if err != nil {
				t.Fatal(err)
			}
			out, err := j.run(t, s.url, string(secret), testPackage("first"))
			if err != nil || !strings.Contains(out, `"indexed"`) {
				t.Fatalf("%v\n%s", err, out)
			}
			s.published(t, "token:ci")
			// What the server refuses must fail the job and be in its log.
			out, err = j.run(t, s.url, string(secret), testPackage("second"))
			if err == nil || !strings.Contains(out, "duplicate_conflict") {
				t.Errorf("other contents: %v\n%s", err, out)
			}
			out, err = j.run(t, s.url, "repod_wrong", testPackage("first"))
			if err == nil || !strings.Contains(out, "invalid_token") {
				t.Errorf("a wrong token: %v\n%s", err, out)
			}
		})
	}
}

// Jobs without a secret publish with the token that their platform issues.
func TestTrustedJobs(t *testing.T) {
	need(t, "bash", "curl", "make", "sed")
	for name, test := range map[string]struct {
		read   readJob
		claims map[string]any
	}{
		"github-trusted.yml": {githubJob, map[string]any{"ref": "refs/tags/v1.0.0"}},
		"gitlab-ci-trusted.yml": {gitlabJob, map[string]any{
			"repository": nil, "project_path": "acme/tool", "ref": "v1.0.0", "ref_type": "tag",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			j, s, issuer := test.read(t, name), serve(t), oidctest.Start(t)
			s.users.Assertions = &oidc.Verifier{RootCAs: issuer.RootCAs}
			rule := auth.PublisherSpec{
				Name: "tool", Issuer: issuer.URL, Audience: "repod", Repository: "acme/tool", Ref: "refs/tags/v*",
				Roles: []auth.Role{auth.Uploader}, Distributions: []string{"jammy"},
			}
			if _, err := s.users.CreatePublisher(t.Context(), s.admin, rule, client); err != nil {
				t.Fatal(err)
			}
			run := func(audience string) (string, error) {
				test.claims["aud"] = audience
				token := issuer.Token(t, time.Now(), test.claims)
				platform := httptest.NewServer(platform{token})
				defer platform.Close()
				return j.run(t, s.url, "", testPackage("first"), "REPOD_ID_TOKEN="+token,
					"ACTIONS_ID_TOKEN_REQUEST_URL="+platform.URL+"/?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=runner")
			}
			if out, err := run("another"); err == nil || !strings.Contains(out, "invalid_token") {
				t.Errorf("a token for another: %v\n%s", err, out)
			}
			if out, err := run("repod"); err != nil || !strings.Contains(out, `"indexed"`) {
				t.Fatalf("%v\n%s", err, out)
			}
			s.published(t, "ci:tool")
		})
	}
}

// platform gives an ID token to jobs as GitHub Actions does.
type platform struct{ token string }

func (p platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer runner" || r.FormValue("audience") != "repod" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	_, _ = fmt.Fprintf(w, `{"count": 1, "value": %q}`, p.token)
}

// need skips a test without the programs that it drives; CI must have them.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

func testPackage(text string) []byte {
	files := map[string]string{"usr/share/text": text}
	return debtest.Package{Name: "mypackage", Version: "1.0.0", Files: files}.Build()
}
