package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
)

func TestLogin(t *testing.T) {
	w := newWorld(t)
	w.clock.advance(time.Minute)
	token, lifetime, err := w.Login(t.Context(), "ADMIN", password, client)
	if err != nil || lifetime != time.Hour {
		t.Fatalf("Login: lifetime %v, error %v", lifetime, err)
	}
	p := w.who(t, string(token))
	if p.Kind != auth.KindSession || p.Name != "admin" || !p.Has(auth.Admin) || p.Token != nil ||
		!p.ExpiresAt.Equal(start.Add(61*time.Minute)) || p.SessionID == "" {
		t.Errorf("principal is %+v", p)
	}
	if !p.User.LastLogin.Equal(start.Add(time.Minute)) || p.User.PasswordHash != "" {
		t.Errorf("user is %+v with hash %q", p.User, string(p.User.PasswordHash))
	}
	want := auth.Event{Time: start.Add(time.Minute), Action: "auth.login", User: "admin", IP: "192.0.2.7", Result: "success", RequestID: "req-1"}
	if got := w.lastEvent(t); !reflect.DeepEqual(got, want) {
		t.Errorf("event is %+v, want %+v", got, want)
	}
}

func TestLoginRefuses(t *testing.T) {
	w := newWorld(t)
	tooLong, err := cheap.Hash(zeros{}, strings.Repeat("x", 1025))
	if err != nil {
		t.Fatal(err)
	}
	w.addUser(t, "long", func(u *auth.User) { u.PasswordHash = tooLong }, auth.Viewer)
	w.addUser(t, "sleeper", func(u *auth.User) { u.Active = false }, auth.Viewer)
	w.addUser(t, "ldap", func(u *auth.User) { u.AuthSource = auth.SourceLDAP }, auth.Viewer)
	w.addUser(t, "empty", func(u *auth.User) { u.PasswordHash = "" }, auth.Viewer)
	from := client.IP
	for _, tt := range []struct{ name, password, target, detail string }{
		{"admin", "Correct horse 2", "admin", "wrong password"},
		{"admin", "", "admin", "wrong password"},
		{"admin", strings.Repeat("x", 1<<20), "admin", "wrong password"},
		{"long", strings.Repeat("x", 1025), "long", "wrong password"},
		{"nobody", password, "nobody", "unknown user"},
		{"sleeper", password, "sleeper", "inactive user"},
		{"ldap", password, "ldap", "not a local user"},
		{"empty", "", "empty", "unusable password hash"},
		{"", password, "", "unknown user"},
		{"admin ", password, "admin ", "unknown user"},
		{"\u0430dmin", password, "\u0430dmin", "unknown user"}, // a Cyrillic a
		{"admin\u200b", password, "admin\uFFFD", "unknown user"},
		{"admin\x00\r\n\x1b[2J\xff", password, "admin\uFFFD\uFFFD\uFFFD\uFFFD[2J\uFFFD", "unknown user"},
		{strings.Repeat("x", 1<<20), password, strings.Repeat("x", 128), "unknown user"},
	} {
		// Each from an address of its own, not to be throttled.
		from = from.Next()
		c := auth.Client{IP: from, RequestID: "r"}
		before, _ := w.store.counts()
		token, _, err := w.Login(t.Context(), tt.name, tt.password, c)
		if after, _ := w.store.counts(); (after > before) != auth.ValidUsername(tt.name) {
			t.Errorf("Login(%.20q): %d look-ups", tt.name, after-before)
		}
		if err != auth.ErrInvalidCredentials || token != "" {
			t.Errorf("Login(%.20q, %.20q) = %q, %v", tt.name, tt.password, string(token), err)
		}
		want := auth.Event{Time: start, Action: "auth.login", User: "anonymous", IP: c.IP.String(), Result: "failure", Target: tt.target, Detail: tt.detail, RequestID: "r"}
		if got := w.lastEvent(t); !reflect.DeepEqual(got, want) {
			t.Errorf("Login(%.20q): event is\n%+v, want\n%+v", tt.name, got, want)
		}
	}
	if u, err := w.mem.User(t.Context(), "sleeper"); err != nil || !u.LastLogin.IsZero() {
		t.Errorf("a refused login is kept as last login: %+v, %v", u, err)
	}
}

func TestLoginThrottled(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		if _, _, err := w.Login(t.Context(), "admin", "wrong", client); err != auth.ErrInvalidCredentials {
			t.Fatal(err)
		}
	}
	before, _ := w.mem.Events(t.Context())
	lookups, _ := w.store.counts()
	var e *auth.ThrottledError
	if _, _, err := w.Login(t.Context(), "admin", password, client); !errors.As(err, &e) || e.RetryAfter != time.Second {
		t.Errorf("the sixth try: %v", err)
	}
	after, _ := w.mem.Events(t.Context())
	if now, _ := w.store.counts(); now != lookups || len(after) != len(before) {
		t.Error("a throttled try was checked or recorded")
	}
	elsewhere := auth.Client{IP: netip.MustParseAddr("2001:db8::1")}
	if _, _, err := w.Login(t.Context(), "admin", password, elsewhere); err != nil {
		t.Errorf("the victim, from elsewhere: %v", err)
	}
	w.clock.advance(time.Second)
	if _, _, err := w.Login(t.Context(), "admin", password, client); err != nil {
		t.Errorf("the right password after the wait: %v", err)
	}
	for range 4 {
		if _, _, err := w.Login(t.Context(), "admin", "wrong", client); err != auth.ErrInvalidCredentials {
			t.Fatalf("the success has not cleared the failures: %v", err)
		}
	}
}

func TestLoginStoreFails(t *testing.T) {
	w := newWorld(t)
	down := errors.New("down")
	w.store.fail(down)
	for range 30 { // and does not count as a failure of the client
		if _, _, err := w.Login(t.Context(), "admin", password, client); !errors.Is(err, down) || errors.Is(err, auth.ErrInvalidCredentials) {
			t.Fatalf("Login without a store: %v", err)
		}
	}
	w.store.fail(nil)
	w.login(t, "admin")
}

// A client that hangs up once its password was found wrong has still failed.
func TestLoginCanceled(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		w.Logger = slog.New(&hangUp{slog.DiscardHandler, cancel})
		if _, _, err := w.Login(ctx, "admin", "wrong", client); err != auth.ErrInvalidCredentials || ctx.Err() == nil {
			t.Fatalf("Login: %v; context: %v", err, ctx.Err())
		}
	}
	if events, err := w.mem.Events(t.Context()); err != nil || len(events) != 6 {
		t.Errorf("%d events, want 6 (error %v)", len(events), err)
	}
	var e *auth.ThrottledError
	if _, _, err := w.Login(t.Context(), "admin", "wrong", client); !errors.As(err, &e) {
		t.Errorf("the sixth try: %v", err)
	}
}

// hangUp ends the client's context when the failure is logged.
type hangUp struct {
	slog.Handler
	cancel context.CancelFunc
}

func (*hangUp) Enabled(context.Context, slog.Level) bool { return true }

func (h *hangUp) Handle(context.Context, slog.Record) error {
	h.cancel()
	return nil
}

func serviceWith(w *world, s auth.Store) *auth.Service {
	return &auth.Service{Store: s, Key: key, Argon2id: cheap, Now: w.clock.now}
}

func TestLoginRehashes(t *testing.T) {
	w := newWorld(t)
	hash := func() string {
		u, err := w.mem.User(t.Context(), "admin")
		if err != nil {
			t.Fatal(err)
		}
		return string(u.PasswordHash)
	}
	old := hash()
	w.login(t, "admin")
	if hash() != old {
		t.Error("a hash at the present cost was replaced")
	}
	w.Service = serviceWith(w, w.mem)
	w.Argon2id = auth.Argon2id{Memory: 16, Time: 2, Threads: 1}
	if _, _, err := w.Login(t.Context(), "admin", "wrong", client); err != auth.ErrInvalidCredentials || hash() != old {
		t.Errorf("a wrong password: hash %q, error %v", hash(), err)
	}
	w.login(t, "admin")
	if !strings.HasPrefix(hash(), "$argon2id$v=19$m=16,t=2,p=1$") {
		t.Errorf("after a login at another cost the hash is %q", hash())
	}
	w.login(t, "admin")
}

func TestLoginParallel(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			token, _, err := w.Login(t.Context(), "admin", password, client)
			if err == nil {
				_, err = w.Authenticate(t.Context(), string(token))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestLogHoldsNoSecrets(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	w.Service = serviceWith(w, w.store)
	w.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.addUser(t, "broken", func(u *auth.User) { u.PasswordHash = "canary-hash" }, auth.Viewer)
	for _, name := range []string{"admin", "broken", "new\nline"} {
		if _, _, err := w.Login(t.Context(), name, "canary-password", client); err != auth.ErrInvalidCredentials {
			t.Fatal(err)
		}
	}
	if text := log.String(); strings.Contains(text, "canary") || strings.Count(text, "\n") != 4 {
		t.Errorf("the log is\n%s", text)
	}
}

func TestBootstrap(t *testing.T) {
	mem := new(authtest.Mem)
	clock := &clock{at: start}
	svc := func() *auth.Service {
		return &auth.Service{Store: mem, Key: key, Argon2id: cheap, Now: clock.now}
	}
	ctx := t.Context()

	var weak *auth.PolicyError
	if _, created, err := svc().Bootstrap(ctx, "admin", "admin"); !errors.As(err, &weak) || created {
		t.Errorf("a weak password: created = %t, error %v", created, err)
	}
	var invalid *auth.ValidationError
	if _, created, err := svc().Bootstrap(ctx, "../x", password); !errors.As(err, &invalid) || invalid.Fields[0].Field != "username" || created {
		t.Errorf("an invalid name: created = %t, error %v", created, err)
	}
	if n, err := mem.CountUsers(ctx); n != 0 || err != nil {
		t.Fatalf("there are %d users, error %v", n, err)
	}

	generated, created, err := svc().Bootstrap(ctx, "", "")
	if err != nil || !created || len(generated) < 20 || auth.CheckPassword("admin", string(generated)) != nil {
		t.Fatalf("Bootstrap = %q, %t, %v", string(generated), created, err)
	}
	if _, _, err := svc().Login(ctx, "admin", string(generated), client); err != nil {
		t.Errorf("login with the generated password: %v", err)
	}
	events, _ := mem.Events(ctx)
	want := auth.Event{Time: start, Action: "user.create", User: "system", Result: "success", Target: "admin", Detail: "first user, roles=admin"}
	if !reflect.DeepEqual(events[0], want) {
		t.Errorf("event is %+v, want %+v", events[0], want)
	}

	// With users present both arguments are ignored.
	for _, name := range []string{"admin", "other", "../x"} {
		if generated, created, err := svc().Bootstrap(ctx, name, "weak"); generated != "" || created || err != nil {
			t.Errorf("Bootstrap(%q) again = %q, %t, %v", name, string(generated), created, err)
		}
	}
}

func TestBootstrapRace(t *testing.T) {
	mem := new(authtest.Mem)
	var wg sync.WaitGroup
	created := make(chan bool, 8)
	for range cap(created) {
		wg.Go(func() {
			svc := &auth.Service{Store: mem, Key: key, Argon2id: cheap}
			_, ok, err := svc.Bootstrap(t.Context(), "admin", "")
			if err != nil {
				t.Error(err)
			}
			created <- ok
		})
	}
	wg.Wait()
	close(created)
	n := 0
	for ok := range created {
		if ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d servers created the first user", n)
	}
}

func TestServiceNotReady(t *testing.T) {
	for name, svc := range map[string]*auth.Service{
		"no store":  {Key: key},
		"no key":    {Store: new(authtest.Mem)},
		"short key": {Store: new(authtest.Mem), Key: key[:31]},
		"bad cost":  {Store: new(authtest.Mem), Key: key, Argon2id: auth.Argon2id{Memory: 1, Time: 1, Threads: 1}},
	} {
		if _, _, err := svc.Login(t.Context(), "admin", password, client); err == nil {
			t.Errorf("%s: Login works", name)
		}
		if _, err := svc.Authenticate(t.Context(), "x"); err == nil || errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: Authenticate: %v", name, err)
		}
		if err := svc.Close(t.Context()); err != nil {
			t.Errorf("%s: Close: %v", name, err)
		}
	}
}

// Whatever is wrong with a login, it hashes a password, and waits for one of
// two slots to do so.
func TestLoginWaitsForSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.addUser(t, "sleeper", func(u *auth.User) { u.Active = false }, auth.Viewer)
		w.addUser(t, "ldap", func(u *auth.User) { u.AuthSource = auth.SourceLDAP }, auth.Viewer)
		w.addUser(t, "empty", func(u *auth.User) { u.PasswordHash = "" }, auth.Viewer)
		names := []string{"admin", "nobody", "sleeper", "ldap", "empty", "no such name"}
		var release []func()
		for range 2 {
			f, err := w.TakeHashSlot()
			if err != nil {
				t.Fatal(err)
			}
			release = append(release, f)
		}
		for _, name := range names {
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() {
				_, _, err := w.Login(ctx, name, "x", client)
				result <- err
			}()
			synctest.Wait()
			select {
			case err := <-result:
				t.Errorf("%s: did not wait: %v", name, err)
			default:
			}
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: after the end of its context: %v", name, err)
			}
		}
		// One slot is enough, and those who gave up count as no failures.
		release[0]()
		for _, name := range names {
			if _, _, err := w.Login(t.Context(), name, "x", client); err != auth.ErrInvalidCredentials {
				t.Errorf("%s: %v", name, err)
			}
		}
		release[1]()
	})
}

func BenchmarkLogin(b *testing.B) {
	w := newWorld(b)
	w.Service = serviceWith(w, w.mem)
	w.Argon2id = auth.DefaultArgon2id
	w.login(b, "admin") // renews the hash at that cost
	for b.Loop() {
		w.login(b, "admin")
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	w := newWorld(b)
	secret, _ := w.newToken(b, auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}})
	for name, token := range map[string]string{"session": w.login(b, "admin"), "token": secret} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.who(b, token)
			}
		})
	}
}
