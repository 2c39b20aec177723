package aptrepo

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Defaults of Repo's durations.
const (
	defaultKeyOverlap  = 90 * 24 * time.Hour
	minKeepGenerations = 24 * time.Hour
)

// state is what a Repo holds in memory; all of it can be read again from
// Store and Storage.
type state struct {
	mu         sync.Mutex
	publishers map[string]*publisher
	// distributions holds what never changes of them: names, components,
	// architectures.
	distributions sync.Map
	signing       signingCache
	// unpacking holds a token for each package that is being read: that takes
	// a processor, and as much memory as the package's dictionary asks for.
	unpacking chan struct{}
	outage    outage
	reminders reminders
	warned    time.Time // of keys that expire, by Run alone
	signed    signedCheck
	keyring   keptKeyring        // by Run alone
	packages  keyedMutex[Key]    // one Publish at a time for each key
	files     keyedMutex[string] // and for each pool file
}

func (r *Repo) shared() *state {
	r.start.Do(func() {
		r.state = &state{
			publishers: make(map[string]*publisher),
			unpacking:  make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
		}
	})
	return r.state
}

func (r *Repo) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Repo) logger() *slog.Logger {
	if r.Logger != nil {
		return r.Logger
	}
	return slog.Default()
}

func (r *Repo) keep() time.Duration { return max(r.KeepGenerations, minKeepGenerations) }

func (r *Repo) keyOverlap() time.Duration {
	if r.Signing != nil {
		return r.Signing().KeyOverlap
	}
	if r.KeyOverlap > 0 {
		return r.KeyOverlap
	}
	return defaultKeyOverlap
}

// distribution returns a distribution with counters of any age.
func (r *Repo) distribution(ctx context.Context, codename string) (Distribution, error) {
	known := &r.shared().distributions
	if d, ok := known.Load(codename); ok {
		return d.(Distribution), nil
	}
	d, err := r.Store.Distribution(ctx, codename)
	if err == nil {
		known.Store(codename, d)
	}
	return d, err
}

// publisher returns the publisher of a distribution that exists.
func (r *Repo) publisher(codename string) *publisher {
	s := r.shared()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.publishers[codename]
	if p == nil {
		p = newPublisher(r, codename)
		s.publishers[codename] = p
	}
	return p
}

// keyedMutex is a set of locks, one for each key in use.
type keyedMutex[K comparable] struct {
	mu    sync.Mutex
	locks map[K]*keyLock
}

type keyLock struct {
	held    chan struct{} // holds one token while locked
	waiters int
}

// lock waits for key's lock, or for the end of ctx. The caller must call the
// function returned.
func (m *keyedMutex[K]) lock(ctx context.Context, key K) (func(), error) {
	m.mu.Lock()
	if m.locks == nil {
		m.locks = make(map[K]*keyLock)
	}
	l := m.locks[key]
	if l == nil {
		l = &keyLock{held: make(chan struct{}, 1)}
		m.locks[key] = l
	}
	l.waiters++
	m.mu.Unlock()

	release := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if l.waiters--; l.waiters == 0 {
			delete(m.locks, key)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; release() }, nil
	case <-ctx.Done():
		release()
		return nil, ctx.Err()
	}
}

func (r *Repo) validFor() time.Duration {
	if r.Signing != nil {
		return r.Signing().ValidFor
	}
	return r.ValidFor
}
