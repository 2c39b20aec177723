package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
)

// admin is a principal to create tokens in the name of.
var admin = auth.Principal{Kind: auth.KindSession, Name: "admin", Roles: []auth.Role{auth.Admin}, User: &auth.User{Username: "admin"}}

// newToken creates an API token as admin.
func (w *world) newToken(t testing.TB, spec auth.TokenSpec) (string, auth.APIToken) {
	t.Helper()
	secret, token, err := w.CreateToken(t.Context(), admin, spec, client)
	if err != nil {
		t.Fatal(err)
	}
	return string(secret), token
}

func TestCreateToken(t *testing.T) {
	w := newWorld(t)
	secret, token := w.newToken(t, auth.TokenSpec{
		Name: "gitlab-ci", Roles: []auth.Role{auth.Uploader, auth.Viewer}, ExpiresInDays: 30,
		Distributions: []string{"jammy", "bookworm", "jammy"}, Packages: []string{"tool", "acme-*", "tool"},
	})
	if !auth.ValidTokenText(secret) || token.Prefix != secret[:12] || !strings.HasPrefix(token.ID, "tok_") || len(token.ID) != 16 ||
		token.Name != "gitlab-ci" || roleNames(token.Roles) != "[viewer uploader]" || fmt.Sprint(token.Distributions) != "[jammy bookworm]" ||
		fmt.Sprint(token.Packages) != "[tool acme-*]" ||
		token.CreatedBy != "admin" || !token.CreatedAt.Equal(start) || !token.ExpiresAt.Equal(start.Add(30*24*time.Hour)) ||
		token.LastUsedAt != nil || token.Hash != "" {
		t.Errorf("token %q is %+v", secret, token)
	}
	want := auth.Event{Time: start, Action: "token.create", User: "admin", IP: "192.0.2.7", Result: "success", Target: "gitlab-ci", RequestID: "req-1",
		Detail: "id=" + token.ID + " roles=viewer,uploader distributions=jammy,bookworm packages=tool,acme-* expires=2026-06-11T10:00:00Z"}
	if got := w.lastEvent(t); !reflect.DeepEqual(got, want) {
		t.Errorf("event is\n%+v, want\n%+v", got, want)
	}
	p := w.who(t, secret)
	if p.Kind != auth.KindToken || p.Name != "token:gitlab-ci" || p.User != nil || p.Token.ID != token.ID || p.Token.Hash != "" ||
		!p.Has(auth.Uploader) || p.Has(auth.Auditor) || !p.MayWrite("bookworm") || p.MayWrite("noble") || p.MayWrite("") ||
		!p.MayName("tool") || !p.MayName("acme-x") || p.MayName("openssl") || p.MayName("") {
		t.Errorf("principal is %+v", p)
	}
	secret, token = w.newToken(t, auth.TokenSpec{Name: "all", Roles: []auth.Role{auth.Admin}})
	if token.ExpiresAt != nil {
		t.Errorf("token is %+v", token)
	}
	w.clock.advance(100 * 365 * 24 * time.Hour)
	if p := w.who(t, secret); !p.MayWrite("noble") || !p.MayName("openssl") || !p.Has(auth.Admin) {
		t.Errorf("principal is %+v", p)
	}
}

func TestCreateTokenRefuses(t *testing.T) {
	w := newWorld(t)
	ok := auth.TokenSpec{Name: "x", Roles: []auth.Role{auth.Viewer}}
	for want, change := range map[string]func(*auth.TokenSpec){
		"name": func(s *auth.TokenSpec) { s.Name = "" }, "name ": func(s *auth.TokenSpec) { s.Name = " x" },
		"name  ": func(s *auth.TokenSpec) { s.Name = "a/b" }, "name   ": func(s *auth.TokenSpec) { s.Name = strings.Repeat("x", 65) },
		"name    ":         func(s *auth.TokenSpec) { s.Name = "x\n" },
		"roles":            func(s *auth.TokenSpec) { s.Roles = nil },
		"roles[1]":         func(s *auth.TokenSpec) { s.Roles = []auth.Role{auth.Viewer, auth.Viewer} },
		"roles[0]":         func(s *auth.TokenSpec) { s.Roles = []auth.Role{0} },
		"expires_in_days":  func(s *auth.TokenSpec) { s.ExpiresInDays = -1 },
		"expires_in_days ": func(s *auth.TokenSpec) { s.ExpiresInDays = 3651 },
		"distributions[1]": func(s *auth.TokenSpec) { s.Distributions = []string{"jammy", ""} },
		"packages[1]":      func(s *auth.TokenSpec) { s.Packages = []string{"acme", "*"} },
		"name,roles":       func(s *auth.TokenSpec) { s.Name, s.Roles = "", nil },
	} {
		spec := ok
		change(&spec)
		secret, _, err := w.CreateToken(t.Context(), admin, spec, client)
		var faults *auth.ValidationError
		if !errors.As(err, &faults) || secret != "" {
			t.Errorf("%s: CreateToken(%+v): %v", want, spec, err)
			continue
		}
		var fields []string
		for _, f := range faults.Fields {
			fields = append(fields, f.Field)
		}
		if got := strings.Join(fields, ","); got != strings.TrimSpace(want) {
			t.Errorf("CreateToken(%+v) finds fault with %s, want %s", spec, got, want)
		}
	}
	maintainer := auth.Principal{Kind: auth.KindSession, Roles: []auth.Role{auth.Maintainer}}
	for _, tt := range []struct {
		by    auth.Principal
		roles []auth.Role
		want  error
	}{
		{maintainer, []auth.Role{auth.Viewer, auth.Admin}, auth.ErrRoleTooHigh},
		{maintainer, []auth.Role{auth.Maintainer}, nil},
		{auth.Principal{}, []auth.Role{auth.Viewer}, auth.ErrRoleTooHigh},
	} {
		spec := auth.TokenSpec{Name: "roles", Roles: tt.roles}
		if _, _, err := w.CreateToken(t.Context(), tt.by, spec, client); err != tt.want {
			t.Errorf("%v creates a token for %v: %v, want %v", tt.by.Roles, tt.roles, err, tt.want)
		}
	}
	tokens, err := w.Tokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Errorf("there are %d tokens, want 1 (error %v)", len(tokens), err)
	}
}

// A token cannot get around its scope by making another.
func TestCreateTokenScope(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.newToken(t, auth.TokenSpec{Name: "narrow", Roles: []auth.Role{auth.Admin}, Distributions: []string{"jammy", "noble"}})
	by := w.who(t, secret)
	if (auth.Principal{Kind: auth.KindToken}).MayWrite("jammy") || (auth.Principal{}).MayWrite("jammy") ||
		(auth.Principal{Kind: auth.KindToken}).MayName("acme") || (auth.Principal{Kind: auth.KindPublisher}).MayName("acme") || (auth.Principal{}).MayName("acme") {
		t.Error("who is nobody may write")
	}
	for i, tt := range []struct {
		distributions []string
		want          error
	}{
		{nil, auth.ErrTokenScope},
		{[]string{"jammy", "bookworm"}, auth.ErrTokenScope},
		{[]string{"jammy"}, nil},
		{[]string{"jammy", "noble"}, nil},
	} {
		spec := auth.TokenSpec{Name: fmt.Sprint("t", i), Roles: []auth.Role{auth.Admin}, Distributions: tt.distributions}
		_, token, err := w.CreateToken(t.Context(), by, spec, client)
		if err != tt.want {
			t.Errorf("a token for %q: error %v, want %v", tt.distributions, err, tt.want)
		}
		if err == nil && token.CreatedBy != "token:narrow" {
			t.Errorf("token is %+v", token)
		}
	}
}

// Nor can it by a token, or a trusted publisher, for more package names.
func TestPackagesScope(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.newToken(t, auth.TokenSpec{Name: "narrow", Roles: []auth.Role{auth.Admin}, Packages: []string{"acme-*", "tool"}})
	by := w.who(t, secret)
	for i, tt := range []struct {
		packages []string
		want     error
	}{
		{nil, auth.ErrTokenPackages},
		{[]string{"acme-*", "openssl"}, auth.ErrTokenPackages},
		{[]string{"acme*"}, auth.ErrTokenPackages},
		{[]string{"tool*"}, auth.ErrTokenPackages},
		{[]string{"tool", "acme-x", "acme-y*"}, nil},
		{[]string{"acme-*"}, nil},
	} {
		spec := auth.TokenSpec{Name: fmt.Sprint("t", i), Roles: []auth.Role{auth.Admin}, Packages: tt.packages}
		if _, _, err := w.CreateToken(t.Context(), by, spec, client); err != tt.want {
			t.Errorf("a token for %q: error %v, want %v", tt.packages, err, tt.want)
		}
		rule := publisherSpec(fmt.Sprint("p", i))
		rule.Packages = tt.packages
		if _, err := w.CreatePublisher(t.Context(), by, rule, client); err != tt.want {
			t.Errorf("a publisher for %q: error %v, want %v", tt.packages, err, tt.want)
		}
	}
}

func publisherSpec(name string) auth.PublisherSpec {
	return auth.PublisherSpec{
		Name: name, Issuer: "https://ci.example.com", Audience: "repod", Repository: "acme/tool", Ref: "refs/heads/main",
		Roles: []auth.Role{auth.Uploader},
	}
}

func TestCreatePublisherScope(t *testing.T) {
	w := newWorld(t)
	spec := publisherSpec("tool")
	spec.Distributions, spec.Packages = []string{"jammy"}, []string{"tool", "acme-*"}
	p, err := w.CreatePublisher(t.Context(), admin, spec, client)
	if err != nil || fmt.Sprint(p.Packages) != "[acme-* tool]" {
		t.Fatalf("publisher is %+v, %v", p, err)
	}
	if got := w.lastEvent(t).Detail; !strings.HasSuffix(got, " roles=uploader distributions=jammy packages=tool,acme-*") {
		t.Errorf("detail is %q", got)
	}
	spec.Packages = []string{"*"}
	var faults *auth.ValidationError
	if _, err := w.CreatePublisher(t.Context(), admin, spec, client); !errors.As(err, &faults) || faults.Fields[0].Field != "packages[0]" {
		t.Errorf("a publisher for *: %v", err)
	}
	secret, _ := w.newToken(t, auth.TokenSpec{Name: "narrow", Roles: []auth.Role{auth.Admin}, Distributions: []string{"jammy"}})
	if _, err := w.CreatePublisher(t.Context(), w.who(t, secret), publisherSpec("all"), client); err != auth.ErrTokenScope {
		t.Errorf("a publisher for all distributions: %v", err)
	}
	if got := w.lastEvent(t); got.Action != auth.ActionPublisherCreate || got.Result != auth.ResultFailure {
		t.Errorf("event is %+v", got)
	}
	who := auth.Principal{Kind: auth.KindPublisher, Publisher: &p}
	if !who.MayName("acme-x") || who.MayName("openssl") {
		t.Error("the scope of a publisher does not hold")
	}
}

func TestCreateTokenNameTaken(t *testing.T) {
	w := newWorld(t)
	spec := auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}, ExpiresInDays: 1}
	old, _ := w.newToken(t, spec)
	secret, token, err := w.CreateToken(t.Context(), admin, spec, client)
	if err != auth.ErrTokenNameTaken || secret != "" || token.ID != "" {
		t.Errorf("CreateToken again = %q, %+v, %v", string(secret), token, err)
	}
	want := auth.Event{Time: start, Action: "token.create", User: "admin", IP: "192.0.2.7", Result: "failure", Target: "ci", Detail: "the name is taken", RequestID: "req-1"}
	if got := w.lastEvent(t); !reflect.DeepEqual(got, want) {
		t.Errorf("event is %+v, want %+v", got, want)
	}
	w.clock.advance(24 * time.Hour)
	w.refuse(t, "expired", old, 1)
	w.newToken(t, spec)
}

func TestTokenExpires(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}, ExpiresInDays: 1})
	w.clock.advance(24*time.Hour - time.Nanosecond)
	w.who(t, secret)
	w.clock.advance(time.Nanosecond)
	w.refuse(t, "expired", secret, 1)
}

func TestTokenRefused(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}})
	other, _ := newWorld(t).newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}})
	w.refuse(t, "unknown token of the right form", other, 1)
	for name, token := range map[string]string{
		"wrong checksum": secret[:54] + string(secret[54]^1),
		"too short":      secret[:54],
		"too long":       secret + "0",
		"prefix alone":   "repod_",
		"other case":     strings.ToUpper(secret[:6]) + secret[6:],
		"space":          secret + " ",
		"list":           secret + "," + secret,
	} {
		w.refuse(t, name, token, 0)
	}
	w.who(t, secret)
}

func TestRevokeToken(t *testing.T) {
	w := newWorld(t)
	secret, token := w.newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}})
	keep, _ := w.newToken(t, auth.TokenSpec{Name: "keep", Roles: []auth.Role{auth.Viewer}})
	if err := w.RevokeToken(t.Context(), admin, token.ID, client); err != nil {
		t.Fatal(err)
	}
	want := auth.Event{Time: start, Action: "token.revoke", User: "admin", IP: "192.0.2.7", Result: "success", Target: "ci", Detail: "id=" + token.ID, RequestID: "req-1"}
	if got := w.lastEvent(t); !reflect.DeepEqual(got, want) {
		t.Errorf("event is %+v, want %+v", got, want)
	}
	w.refuse(t, "revoked", secret, 1)
	w.who(t, keep)
	for _, id := range []string{token.ID, "", "tok_x", "ci\x00"} {
		if err := w.RevokeToken(t.Context(), admin, id, client); err != auth.ErrTokenNotFound {
			t.Errorf("RevokeToken(%q): %v", id, err)
		}
		if e := w.lastEvent(t); e.Result != "failure" || strings.ContainsRune(e.Target, 0) {
			t.Errorf("event is %+v", e)
		}
	}
}

// What becomes of a token's creator is no matter.
func TestTokenOutlivesCreator(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Admin}})
	if err := w.mem.Remove(t.Context(), "admin"); err != nil {
		t.Fatal(err)
	}
	if p := w.who(t, secret); !p.Has(auth.Admin) {
		t.Errorf("principal is %+v", p)
	}
}

// lastUsed waits for the writes under way and returns what they wrote.
func (w *world) lastUsed(t *testing.T) time.Time {
	t.Helper()
	synctest.Wait()
	tokens, err := w.mem.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tokens[0].LastUsedAt == nil {
		return time.Time{}
	}
	return *tokens[0].LastUsedAt
}

func TestTokenLastUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret, _ := w.newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}})
		use := func(after time.Duration) {
			t.Helper()
			w.clock.advance(after)
			w.who(t, secret)
		}
		want := func(at time.Duration, writes int) {
			t.Helper()
			if got := w.lastUsed(t); !got.Equal(start.Add(at)) {
				t.Errorf("last use is %v after the start, want %v", got.Sub(start), at)
			}
			if _, touched := w.store.counts(); touched != writes {
				t.Errorf("%d writes, want %d", touched, writes)
			}
		}
		for range 10 {
			use(0)
		}
		want(0, 1)
		use(59 * time.Second)
		want(0, 1)
		use(time.Second)
		want(time.Minute, 2)

		// No request waits for a slow store, and the writes do not pile up.
		w.store.hold = make(chan struct{})
		for range 10 {
			use(time.Minute)
		}
		want(time.Minute, 6)
		close(w.store.hold)
		synctest.Wait()
		use(time.Minute)
		want(12*time.Minute, 7)

		// A use that was not written is written by the next.
		w.store.touchErr = errors.New("down")
		use(time.Minute)
		want(12*time.Minute, 8)
		w.store.touchErr = nil
		use(0)
		want(13*time.Minute, 9)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		secret, _ := w.newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}})
		w.store.hold = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		second, _ := w.newToken(t, auth.TokenSpec{Name: "other", Roles: []auth.Role{auth.Viewer}})
		for _, secret := range []string{secret, second} {
			if _, err := w.Authenticate(ctx, secret); err != nil {
				t.Fatal(err)
			}
		}
		cancel() // the end of the request is not the end of the write

		ended, end := context.WithCancel(t.Context())
		end()
		if err := w.Close(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("Close does not wait for a write: %v", err)
		}
		closed := make(chan error)
		go func() { closed <- w.Close(t.Context()) }()
		synctest.Wait()
		select {
		case err := <-closed:
			t.Errorf("Close does not wait for a write: %v", err)
		default:
		}
		close(w.store.hold)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if got := w.lastUsed(t); !got.Equal(start) {
			t.Errorf("last use is %v", got)
		}
		w.clock.advance(time.Hour)
		w.who(t, secret)
		if got := w.lastUsed(t); !got.Equal(start) {
			t.Errorf("a closed service has recorded a use at %v", got)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestTokensParallel(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.newToken(t, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			name := fmt.Sprint("t", i)
			_, token, err := w.CreateToken(t.Context(), admin, auth.TokenSpec{Name: name, Roles: []auth.Role{auth.Viewer}}, client)
			if err != nil {
				t.Error(err)
			}
			if _, err := w.Authenticate(t.Context(), secret); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				if err := w.RevokeToken(t.Context(), admin, token.ID, client); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	tokens, err := w.Tokens(t.Context())
	if err != nil || len(tokens) != 11 || slices.ContainsFunc(tokens, func(t auth.APIToken) bool { return t.Hash != "" }) {
		t.Errorf("%d tokens, error %v", len(tokens), err)
	}
}

func TestDenied(t *testing.T) {
	w := newWorld(t)
	if err := w.Denied(t.Context(), admin, client, "POST /upload/\x00"); err != nil {
		t.Fatal(err)
	}
	want := auth.Event{Time: start, Action: "auth.denied", User: "admin", IP: "192.0.2.7", Result: "denied", Target: "POST /upload/\uFFFD", RequestID: "req-1"}
	if got := w.lastEvent(t); !reflect.DeepEqual(got, want) {
		t.Errorf("event is %+v, want %+v", got, want)
	}
}

// No way of printing shows a secret.
func TestSecretsStaySecret(t *testing.T) {
	const canary = "c4n4ry"
	user := auth.User{Username: "admin", PasswordHash: canary}
	token := auth.APIToken{Name: "ci", Hash: canary}
	svc := &auth.Service{Store: new(authtest.Mem), Key: []byte(canary)}
	for _, v := range []any{
		auth.Secret(canary), user, &user, token, &token, []auth.User{user}, map[string]auth.APIToken{"x": token}, svc,
		auth.Principal{User: &user, Token: &token}, struct{ S auth.Secret }{canary}, []auth.Secret{canary},
	} {
		var shown []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s"} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
		if text, err := json.Marshal(v); err == nil {
			shown = append(shown, string(text))
		}
		shown = append(shown, logged(v)...)
		for _, text := range shown {
			for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("%v", []byte(canary))} {
				if strings.Contains(text, form) {
					t.Errorf("%T shows its secret: %s", v, text)
				}
			}
		}
	}
}
