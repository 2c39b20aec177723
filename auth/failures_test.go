package auth_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

// another returns one more server of a world's store, which counts failures
// in failures.
func (w *world) another(failures auth.FailureStore) *world {
	service := &auth.Service{Store: w.store, Failures: failures, Key: key, Argon2id: cheap, Now: w.clock.now}
	return &world{Service: service, mem: w.mem, store: w.store, clock: w.clock}
}

// two returns two servers that share all.
func two(t *testing.T) (first, second *world) {
	w := newWorld(t)
	return w.another(w.mem), w.another(w.mem)
}

func TestFailuresShared(t *testing.T) {
	first, second := two(t)
	wrong := func(w *world) error {
		_, _, err := w.Login(t.Context(), "admin", "wrong", client)
		return err
	}
	for i := range 5 {
		w := []*world{first, second}[i%2]
		if err := wrong(w); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	for _, w := range []*world{first, second} {
		var e *auth.ThrottledError
		if err := wrong(w); !errors.As(err, &e) || e.RetryAfter != time.Second {
			t.Errorf("after 5 failures: %v", err)
		}
	}
	// What succeeds at one is forgotten at both.
	first.clock.advance(time.Second)
	second.login(t, "admin")
	for i := range 5 {
		if err := wrong(first); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("try %d after a success at the other: %v", i, err)
		}
	}
	// And so is what an administrator resets.
	first.clock.advance(time.Second)
	if err := second.SetPassword(t.Context(), auth.Principal{Name: "system"}, "admin", "Better horse 2", client); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := wrong(first); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Errorf("try %d after a reset at the other: %v", i, err)
		}
	}
	// Another server that starts knows of them.
	third := first.another(first.mem)
	var e *auth.ThrottledError
	if _, _, err := third.Login(t.Context(), "admin", "Better horse 2", client); !errors.As(err, &e) {
		t.Errorf("at a server that has just started: %v", err)
	}
	first.clock.advance(time.Hour)
	if _, _, err := third.Login(t.Context(), "admin", "Better horse 2", client); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// Guessing in parallel gains what the number of servers allows, and no more.
func TestFailuresRace(t *testing.T) {
	first, second := two(t)
	var checked atomic.Int32
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			_, _, err := []*world{first, second}[i%2].Login(t.Context(), "admin", "wrong", client)
			if errors.Is(err, auth.ErrInvalidCredentials) {
				checked.Add(1)
			}
		})
	}
	wg.Wait()
	if n := checked.Load(); n < 5 || n > 10 {
		t.Errorf("%d of 60 guesses were checked", n)
	}
}

// A store that fails makes logins fail: nobody guesses uncounted.
func TestFailuresUnavailable(t *testing.T) {
	w := newWorld(t)
	w = w.another(failing{w.mem})
	if token, _, err := w.Login(t.Context(), "admin", password, client); err == nil || errors.Is(err, auth.ErrInvalidCredentials) || token != "" {
		t.Errorf("Login: %v", err)
	}
}

type failing struct{ auth.FailureStore }

func (failing) Failures(context.Context, string, string) (ofName, ofAddress auth.Failures, err error) {
	return ofName, ofAddress, errors.New("no database")
}
