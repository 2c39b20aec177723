package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	here  = netip.MustParseAddr("192.0.2.1")
	there = netip.MustParseAddr("192.0.2.2")
	begin = time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
)

// guess tries once at a time and reports how long it was told to wait.
func guess(t *testing.T, th *throttle, key loginKey, at time.Time, o outcome) time.Duration {
	t.Helper()
	err := th.begin(t.Context(), key, func() time.Time { return at })
	var refused *ThrottledError
	if errors.As(err, &refused) {
		return refused.RetryAfter
	}
	if err != nil {
		t.Fatal(err)
	}
	th.end(key, o, at)
	return 0
}

func TestThrottlePair(t *testing.T) {
	var th throttle
	key, now := newLoginKey("Admin", here), begin
	for n := 1; n <= 5; n++ {
		if wait := guess(t, &th, key, now, failed); wait != 0 {
			t.Fatalf("try %d must wait %v", n, wait)
		}
	}
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900} {
		wait *= time.Second
		for _, early := range []time.Duration{wait, wait - time.Millisecond, time.Second, time.Millisecond} {
			want := max(early+time.Second-1, time.Second).Truncate(time.Second)
			if got := guess(t, &th, key, now.Add(wait-early), failed); got != want {
				t.Fatalf("%v before the end of a wait of %v: told to wait %v, want %v", early, wait, got, want)
			}
		}
		// None of those counted, nor do others pay for it.
		for _, other := range []loginKey{newLoginKey("admin", there), newLoginKey("bob", here)} {
			if got := guess(t, &th, other, now, undecided); got != 0 {
				t.Fatalf("%v must wait %v", other, got)
			}
		}
		now = now.Add(wait)
		if got := guess(t, &th, newLoginKey("ADMIN", here), now, failed); got != 0 {
			t.Fatalf("after a wait of %v: told to wait %v more", wait, got)
		}
	}
}

func TestThrottleAddress(t *testing.T) {
	var th throttle
	now := begin
	name := func(i int) loginKey { return newLoginKey(fmt.Sprint("user", i), here) }
	for i := range 20 {
		if wait := guess(t, &th, name(i), now, failed); wait != 0 {
			t.Fatalf("user %d must wait %v", i, wait)
		}
	}
	for i, wait := range []time.Duration{1, 2, 4, 8} {
		wait *= time.Second
		if got := guess(t, &th, name(100+i), now, failed); got != wait {
			t.Fatalf("an address with %d failures waits %v, want %v", 20+i, got, wait)
		}
		now = now.Add(wait)
		if got := guess(t, &th, name(100+i), now, failed); got != 0 {
			t.Fatalf("after a wait of %v: told to wait %v more", wait, got)
		}
	}
	if got := guess(t, &th, newLoginKey("user1", there), now, failed); got != 0 {
		t.Errorf("another address must wait %v", got)
	}
}

func TestThrottleSuccess(t *testing.T) {
	var th throttle
	key := newLoginKey("admin", here)
	for range 4 { // 16 failures and 4 successes
		for range 4 {
			if wait := guess(t, &th, key, begin, failed); wait != 0 {
				t.Fatalf("told to wait %v", wait)
			}
		}
		guess(t, &th, key, begin, succeeded)
	}
	// The pair is free again, the address has 16 failures behind it.
	for i := range 4 {
		if wait := guess(t, &th, newLoginKey(fmt.Sprint(i), here), begin, failed); wait != 0 {
			t.Fatalf("told to wait %v", wait)
		}
	}
	if wait := guess(t, &th, key, begin, failed); wait != time.Second {
		t.Errorf("after 20 failures of an address: told to wait %v", wait)
	}
	// What was not checked counts for nothing.
	other := newLoginKey("admin", there)
	for range 50 {
		if wait := guess(t, &th, other, begin, undecided); wait != 0 {
			t.Fatalf("told to wait %v after tries that were not checked", wait)
		}
	}
}

func TestThrottleLapse(t *testing.T) {
	var th throttle
	key, now := newLoginKey("admin", here), begin
	for range 4 {
		guess(t, &th, key, now, failed)
	}
	now = now.Add(time.Hour - time.Second)
	guess(t, &th, key, now, failed)
	if wait := guess(t, &th, key, now, failed); wait != time.Second {
		t.Errorf("just before an hour: told to wait %v, want 1 s", wait)
	}
	now = now.Add(time.Hour)
	for n := range 5 {
		if wait := guess(t, &th, key, now, failed); wait != 0 {
			t.Errorf("failure %d after an hour must wait %v", n, wait)
		}
	}
	if len(th.pairs.failed) != 1 || len(th.addresses.failed) != 1 || th.pairs.order.Len() != 1 {
		t.Errorf("%d pairs, %d addresses kept", len(th.pairs.failed), len(th.addresses.failed))
	}
}

func TestThrottleClockSetBack(t *testing.T) {
	var th throttle
	key := newLoginKey("admin", here)
	for range 6 {
		guess(t, &th, key, begin, failed)
		begin := begin.Add(time.Second)
		guess(t, &th, key, begin, failed)
	}
	if wait := guess(t, &th, key, begin.Add(-24*time.Hour), failed); wait > maxWait || wait == 0 {
		t.Errorf("a clock set back by a day makes a wait of %v", wait)
	}
}

func TestThrottleMemory(t *testing.T) {
	var c counters[int]
	for i := range maxCounters + 100 {
		c.start(i)
		c.stop(i)
		c.add(i, begin)
		c.add(0, begin) // stays, for it fails all the time
	}
	if len(c.failed) != maxCounters || c.order.Len() != maxCounters || len(c.running) != 0 {
		t.Errorf("%d counters of failures, %d in order, %d of running logins", len(c.failed), c.order.Len(), len(c.running))
	}
	if wait, _ := c.wait(0, 5, begin); wait != maxWait {
		t.Errorf("the busiest guesser waits %v", wait)
	}
	if n := c.failed[0].Value.(*counter[int]).n; n != maxCounters+101 {
		t.Errorf("the busiest guesser has %d failures", n)
	}
	if c.failed[1] != nil || c.failed[maxCounters+99] == nil {
		t.Error("not the longest untouched was forgotten")
	}
}

func TestNewLoginKey(t *testing.T) {
	same := func(a, b string) bool {
		return newLoginKey("x", netip.MustParseAddr(a)) == newLoginKey("x", netip.MustParseAddr(b))
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"::", "::1", true},
		{"0.0.0.0", "::", false},
	} {
		if got := same(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s count together: %t", tt.a, tt.b, got)
		}
	}
	if newLoginKey("x", netip.Addr{}) == newLoginKey("x", netip.MustParseAddr("::")) {
		t.Error("no address counts with ::")
	}
	if k := newLoginKey(strings.Repeat("x", 1<<20), here); len(k.name) > 64 {
		t.Errorf("a counter keeps a name of %d bytes", len(k.name))
	}
	if newLoginKey("K", here) != newLoginKey("k", here) || newLoginKey("\u212A", here) == newLoginKey("k", here) {
		t.Error("names are folded otherwise than by the store")
	}
}

// Guesses made at the same time get no further than guesses in a row.
func TestThrottleParallelGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throttle
		key := newLoginKey("admin", here)
		results := make(chan error, 100)
		for range cap(results) {
			go func() {
				err := th.begin(t.Context(), key, time.Now)
				if err == nil {
					time.Sleep(time.Millisecond) // hashing; the bubble's time
					th.end(key, failed, time.Now())
				}
				results <- err
			}()
		}
		checked := 0
		for range cap(results) {
			if <-results == nil {
				checked++
			}
		}
		if checked != 5 {
			t.Errorf("%d guesses were checked, want 5", checked)
		}
		if th.underway != 0 || len(th.shares) != 0 || len(th.pairs.running) != 0 {
			t.Errorf("%d logins under way, shares %v, running %v", th.underway, th.shares, th.pairs.running)
		}
	})
}

// Right passwords given at the same time wait for each other; none is refused.
func TestThrottleParallelLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throttle
		results := make(chan error, maxAddressShare)
		for i := range cap(results) {
			key := newLoginKey(fmt.Sprint("user", i%3), here)
			go func() {
				err := th.begin(t.Context(), key, time.Now)
				if err == nil {
					time.Sleep(time.Millisecond)
					th.end(key, succeeded, time.Now())
				}
				results <- err
			}()
		}
		for range cap(results) {
			if err := <-results; err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestThrottleBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throttle
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, maxLogins)
		enter := func(ip netip.Addr) {
			go func() {
				key := newLoginKey("admin", ip)
				err := th.begin(ctx, key, time.Now)
				if err == nil {
					<-ctx.Done()
					th.end(key, undecided, time.Now())
				}
				results <- err
			}()
			synctest.Wait()
		}
		for range maxAddressShare {
			enter(here)
		}
		refused := func(ip netip.Addr) bool {
			var e *ThrottledError
			return errors.As(th.begin(ctx, newLoginKey("bob", ip), time.Now), &e) && e.RetryAfter == time.Second
		}
		if !refused(here) {
			t.Error("an address may have more than its share of logins under way")
		}
		for range maxLogins - maxAddressShare {
			enter(there)
		}
		if !refused(netip.MustParseAddr("192.0.2.3")) {
			t.Error("there may be any number of logins under way")
		}
		cancel()
		canceled := 0
		for range maxLogins {
			if errors.Is(<-results, context.Canceled) {
				canceled++
			}
		}
		if want := maxLogins - 2*pairFailures; canceled != want {
			t.Errorf("%d waiting logins ended with their context, want %d", canceled, want)
		}
		if th.underway != 0 || len(th.shares) != 0 || len(th.pairs.failed) != 0 {
			t.Errorf("%d logins under way, shares %v, failures %v", th.underway, th.shares, th.pairs.failed)
		}
	})
}

func TestThrottledError(t *testing.T) {
	for wait, want := range map[time.Duration]time.Duration{
		0: time.Second, 1: time.Second, time.Second: time.Second, time.Second + 1: 2 * time.Second, 900 * time.Second: 900 * time.Second,
	} {
		if got := throttled(wait).RetryAfter; got != want {
			t.Errorf("a wait of %v is told as %v, want %v", wait, got, want)
		}
	}
}
