package auth_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
)

// cheap makes hashing a matter of microseconds.
var cheap = auth.Argon2id{Memory: 8, Time: 1, Threads: 1}

const password = "Correct horse 1"

var (
	start  = time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
	client = auth.Client{IP: netip.MustParseAddr("192.0.2.7"), RequestID: "req-1"}
	key    = []byte("0123456789abcdef0123456789abcdef")
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a service with the user admin.
type world struct {
	*auth.Service
	mem   *authtest.Mem
	store *countingStore
	clock *clock
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{mem: new(authtest.Mem), clock: &clock{at: start}}
	w.store = &countingStore{Store: w.mem}
	w.Service = &auth.Service{Store: w.store, Key: key, Argon2id: cheap, Now: w.clock.now}
	if _, created, err := w.Bootstrap(t.Context(), "admin", password); err != nil || !created {
		t.Fatalf("Bootstrap: created = %t, error %v", created, err)
	}
	return w
}

// addUser creates a local user with the usual password.
func (w *world) addUser(t testing.TB, name string, change func(*auth.User), roles ...auth.Role) {
	t.Helper()
	hash, err := cheap.Hash(zeros{}, password)
	if err != nil {
		t.Fatal(err)
	}
	u := auth.User{Username: name, Roles: roles, Active: true, AuthSource: auth.SourceLocal, PasswordHash: hash, CreatedAt: start}
	if change != nil {
		change(&u)
	}
	if err := w.mem.CreateUser(t.Context(), u, auth.Event{}); err != nil {
		t.Fatal(err)
	}
}

// login returns a session token.
func (w *world) login(t testing.TB, name string) string {
	t.Helper()
	token, _, err := w.Login(t.Context(), name, password, client)
	if err != nil {
		t.Fatalf("Login(%s): %v", name, err)
	}
	return string(token)
}

// who authenticates a token that must be valid.
func (w *world) who(t testing.TB, token string) auth.Principal {
	t.Helper()
	p, err := w.Authenticate(t.Context(), token)
	if err != nil {
		t.Fatalf("Authenticate: %v", err)
	}
	return p
}

// lastEvent returns what was recorded last.
func (w *world) lastEvent(t testing.TB) auth.Event {
	t.Helper()
	events, err := w.mem.Events(t.Context())
	if err != nil || len(events) == 0 {
		t.Fatalf("there is no event (error %v)", err)
	}
	return events[len(events)-1]
}

// countingStore counts the look-ups of Authenticate and can hold or fail
// touches.
type countingStore struct {
	auth.Store
	mu       sync.Mutex
	lookups  int
	touched  int
	err      error         // of look-ups
	touchErr error         // of touches
	hold     chan struct{} // not nil: touches wait until it is closed
}

func (s *countingStore) looked() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups++
	return s.err
}

func (s *countingStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *countingStore) counts() (lookups, touched int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups, s.touched
}

func (s *countingStore) User(ctx context.Context, name string) (auth.User, error) {
	if err := s.looked(); err != nil {
		return auth.User{}, err
	}
	return s.Store.User(ctx, name)
}

func (s *countingStore) TokenByHash(ctx context.Context, hash auth.Secret) (auth.APIToken, error) {
	if err := s.looked(); err != nil {
		return auth.APIToken{}, err
	}
	return s.Store.TokenByHash(ctx, hash)
}

func (s *countingStore) Session(ctx context.Context, id, username string) (auth.User, bool, error) {
	if err := s.looked(); err != nil {
		return auth.User{}, false, err
	}
	return s.Store.Session(ctx, id, username)
}

func (s *countingStore) TouchToken(ctx context.Context, id string, at time.Time) error {
	s.mu.Lock()
	s.touched++
	hold, err := s.hold, s.touchErr
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if err != nil {
		return err
	}
	return s.Store.TouchToken(ctx, id, at)
}

// zeros is a source of randomness without any.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// counter is a reproducible source of bytes, for examples.
type counter struct{ n byte }

func (c *counter) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.n
		c.n += 37
	}
	return len(p), nil
}

func roleNames(roles []auth.Role) string { return fmt.Sprint(roles) }

// logged returns what the handlers of log/slog make of a value.
func logged(v any) []string {
	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&js, nil)).Info("x", "v", v)
	return []string{text.String(), js.String()}
}
