package auth

import (
	"container/list"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Bounds of the login throttle.
const (
	pairFailures    = 5  // in a row, of one user name from one address
	addressFailures = 20 // from one address
	maxWait         = 900 * time.Second
	failuresLapse   = time.Hour
	maxCounters     = 1 << 16 // of each kind; the longest untouched go first
	maxLogins       = 256     // logins under way, running or waiting
	maxAddressShare = maxLogins / 2
)

// loginKey says whose failures a login counts among.
type loginKey struct {
	name    string // folded
	address netip.Prefix
}

// newLoginKey keys a login. An IPv6 client is its /64, the smallest network
// that is handed out; all clients without an address are one.
func newLoginKey(username string, ip netip.Addr) loginKey {
	name := FoldUsername(username)
	if len(name) > 64 {
		name = strings.Clone(name[:64]) // no user has it, and memory is bounded
	}
	ip = ip.Unmap()
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits) // without zone; none for no address
	return loginKey{name, prefix}
}

// throttle slows down guessing. Failures are counted for each pair of user
// name and address, and for each address: nobody can lock another's account.
// Logins that run at the same time count as failed until they end, so that
// guessing in parallel gains nothing; but they make others wait, not fail.
type throttle struct {
	shared    FailureStore // nil: failures are counted here alone
	mu        sync.Mutex
	pairs     counters[loginKey]
	addresses counters[netip.Prefix]
	underway  int
	shares    map[netip.Prefix]int // underway by address
	ended     chan struct{}        // closed when some login ends
}

// begin waits until the login may be checked; end must be called then. It
// returns a *ThrottledError when the login is refused, or the context's error.
func (t *throttle) begin(ctx context.Context, key loginKey, now func() time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.underway >= maxLogins || t.shares[key.address] >= maxAddressShare {
		return throttled(time.Second)
	}
	t.join(key.address, 1)
	for {
		if err := t.load(ctx, key, now); err != nil {
			t.join(key.address, -1)
			return err
		}
		wait, crowded := t.pairs.wait(key, pairFailures, now())
		wait2, crowded2 := t.addresses.wait(key.address, addressFailures, now())
		switch wait = max(wait, wait2); {
		case wait > 0:
			t.join(key.address, -1)
			return throttled(wait)
		case !crowded && !crowded2:
			t.pairs.start(key)
			t.addresses.start(key.address)
			return nil
		}
		ended := t.ended
		t.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
		}
		t.mu.Lock()
		if err := ctx.Err(); err != nil {
			t.join(key.address, -1)
			return err
		}
	}
}

// load takes over what is counted where all servers see it, as it is when no
// login has ended here meanwhile. The lock is not held while it reads.
func (t *throttle) load(ctx context.Context, key loginKey, now func() time.Time) error {
	for t.shared != nil {
		ended := t.ended
		t.mu.Unlock()
		ofName, ofAddress, err := t.shared.Failures(ctx, key.name, key.storedAddress())
		t.mu.Lock()
		if err != nil {
			return fmt.Errorf("look up failed logins: %w", err)
		}
		if t.ended == ended {
			t.pairs.set(key, ofName, now())
			t.addresses.set(key.address, ofAddress, now())
			return nil
		}
	}
	return nil
}

// counted reports whether failures of a key are known.
func (t *throttle) counted(key loginKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pairs.failed[key] != nil
}

// join counts a login in (1) or out (-1).
func (t *throttle) join(address netip.Prefix, n int) {
	if t.shares == nil {
		t.shares = map[netip.Prefix]int{}
		t.ended = make(chan struct{})
	}
	t.underway += n
	t.shares[address] += n
	if t.shares[address] == 0 {
		delete(t.shares, address)
	}
}

// outcome is how a login ended.
type outcome int

const (
	undecided outcome = iota // it was not checked
	failed
	succeeded
)

// end counts a login that begin let through.
func (t *throttle) end(key loginKey, o outcome, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pairs.stop(key)
	t.addresses.stop(key.address)
	switch o {
	case failed:
		t.pairs.add(key, now)
		t.addresses.add(key.address, now)
	case succeeded:
		t.pairs.forget(key)
	}
	t.join(key.address, -1)
	close(t.ended)
	t.ended = make(chan struct{})
}

// counters counts failures by key. The zero value is ready for use.
type counters[K comparable] struct {
	running map[K]int           // logins being checked; bounded by maxLogins
	failed  map[K]*list.Element // of order
	order   list.List           // of *counter[K], longest untouched first
}

type counter[K comparable] struct {
	key  K
	n    int
	last time.Time
}

// wait returns how long the next try of a key must wait after its last
// failure; crowded means that logins of the key which run now might be the
// last that it has free.
func (c *counters[K]) wait(key K, free int, now time.Time) (wait time.Duration, crowded bool) {
	c.lapse(now)
	running := c.running[key]
	n := 0
	if e := c.failed[key]; e != nil {
		f := e.Value.(*counter[K])
		n = f.n
		if n >= free {
			// 2^10 s is past the longest wait.
			pause := min(time.Second<<min(n-free, 10), maxWait)
			// A clock set back must not make the wait longer.
			wait = min(f.last.Add(pause).Sub(now), pause)
		}
	}
	return wait, running > 0 && n+running >= free
}

func (c *counters[K]) start(key K) {
	if c.running == nil {
		c.running = map[K]int{}
	}
	c.running[key]++
}

func (c *counters[K]) stop(key K) {
	if c.running[key]--; c.running[key] == 0 {
		delete(c.running, key)
	}
}

// add counts a failure.
func (c *counters[K]) add(key K, now time.Time) {
	n := 0
	if e := c.failed[key]; e != nil {
		n = e.Value.(*counter[K]).n
	}
	c.set(key, Failures{n + 1, now}, now)
}

// set puts a count in the place of the one there.
func (c *counters[K]) set(key K, to Failures, now time.Time) {
	if to.N == 0 || now.Sub(to.Last) >= failuresLapse {
		c.forget(key)
		return
	}
	if c.failed == nil {
		c.failed = map[K]*list.Element{}
	}
	e := c.failed[key]
	if e == nil {
		e = c.order.PushBack(&counter[K]{key: key})
		c.failed[key] = e
	}
	f := e.Value.(*counter[K])
	f.n, f.last = to.N, to.Last
	c.order.MoveToBack(e)
	if len(c.failed) > maxCounters {
		c.forget(c.order.Front().Value.(*counter[K]).key)
	}
}

// forgive forgets the failures of a user name, from wherever they came.
func (t *throttle) forgive(username string) {
	name := FoldUsername(username)
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.pairs.failed {
		if key.name == name {
			t.pairs.forget(key)
		}
	}
}

func (c *counters[K]) forget(key K) {
	if e := c.failed[key]; e != nil {
		c.order.Remove(e)
		delete(c.failed, key)
	}
}

// lapse forgets failures of long ago.
func (c *counters[K]) lapse(now time.Time) {
	for e := c.order.Front(); e != nil; e = c.order.Front() {
		f := e.Value.(*counter[K])
		if now.Sub(f.last) < failuresLapse {
			return
		}
		c.forget(f.key)
	}
}
