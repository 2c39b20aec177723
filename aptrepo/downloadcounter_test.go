package aptrepo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// A ledger is a DownloadStore that writes down what it is told.
type ledger struct {
	mu      sync.Mutex
	batches []aptrepo.DownloadBatch
	failure func(b aptrepo.DownloadBatch) error // nil: none
	pruned  []string
	block   chan struct{} // when it is set, AddDownloads waits for it
}

func (l *ledger) AddDownloads(ctx context.Context, b aptrepo.DownloadBatch) error {
	if l.block != nil {
		select {
		case <-l.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches = append(l.batches, b)
	if l.failure != nil {
		return l.failure(b)
	}
	return nil
}

func (l *ledger) Downloads(context.Context, aptrepo.DownloadQuery) (aptrepo.DownloadStats, error) {
	return aptrepo.DownloadStats{}, nil
}

func (l *ledger) PruneDownloads(_ context.Context, before aptrepo.Day, single time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pruned = append(l.pruned, fmt.Sprint(before, " ", single.Format(time.RFC3339)))
	return nil
}

// taken are the batches that counted: of those with one number the last.
func (l *ledger) taken() []aptrepo.DownloadBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	byNumber := make(map[int64]aptrepo.DownloadBatch)
	for _, b := range l.batches {
		byNumber[b.Number] = b
	}
	var all []aptrepo.DownloadBatch
	for _, n := range slices.Sorted(maps.Keys(byNumber)) {
		all = append(all, byNumber[n])
	}
	return all
}

func (l *ledger) downloads() (n int64) {
	for _, b := range l.taken() {
		for _, c := range b.Counts {
			n += c.Downloads.Total()
		}
	}
	return n
}

var noon = time.Date(2026, 5, 12, 12, 0, 0, 0, time.UTC)

func counterFor(store aptrepo.DownloadStore) *aptrepo.DownloadCounter {
	return &aptrepo.DownloadCounter{
		Store: store, Key: []byte("key"), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
	}
}

func served(name, client string, bytes int64) aptrepo.Served {
	return aptrepo.Served{Filename: "pool/" + name + ".deb", Begins: true, Bytes: bytes, Kind: aptrepo.ClientAPT, Client: netip.MustParseAddr(client)}
}

func TestCounterSumsUp(t *testing.T) {
	store := new(ledger)
	c := counterFor(store)
	at := noon
	c.Now = func() time.Time { return at }
	for _, ip := range []string{"192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"} {
		c.Count(served("a", ip, 10))
	}
	rest := served("a", "198.51.100.1", 5)
	rest.Begins = false
	c.Count(rest)
	nothing := served("a", "198.51.100.2", 0)
	c.Count(nothing)
	unknown := aptrepo.Served{Filename: "pool/b.deb", Begins: true, Bytes: 3, Kind: aptrepo.ClientWget}
	c.Count(unknown)
	at = noon.Add(12 * time.Hour)
	c.Count(served("a", "192.0.2.1", 100))
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(t.Context()); err != nil || len(store.batches) != 1 {
		t.Fatalf("%d batches, %v", len(store.batches), err)
	}
	b := store.batches[0]
	if b.Counter == "" || b.Number != 1 || !b.At.Equal(at) {
		t.Errorf("batch %q %d of %v", b.Counter, b.Number, b.At)
	}
	day := aptrepo.DayOf(noon)
	clients := map[string]int64{}
	for _, count := range b.Counts {
		key := fmt.Sprint(int64(count.Day-day), " ", count.Filename)
		want := map[string]aptrepo.DownloadCount{
			"0 pool/a.deb": {Downloads: aptrepo.KindCounts{aptrepo.ClientAPT: 5}, Bytes: 55},
			"0 pool/b.deb": {Downloads: aptrepo.KindCounts{aptrepo.ClientWget: 1}, Bytes: 3},
			"1 pool/a.deb": {Downloads: aptrepo.KindCounts{aptrepo.ClientAPT: 1}, Bytes: 100},
		}[key]
		if count.Downloads != want.Downloads || count.Bytes != want.Bytes {
			t.Errorf("%s: %+v", key, count)
		}
		if clients[key] = int64(len(count.Clients)); key == "1 pool/a.deb" && len(count.Clients) == 1 {
			clients["number"] = count.Clients[0]
		}
	}
	number := clients["number"]
	delete(clients, "number")
	if !reflect.DeepEqual(clients, map[string]int64{"0 pool/a.deb": 3, "0 pool/b.deb": 0, "1 pool/a.deb": 1}) {
		t.Errorf("clients %v", clients)
	}
	for _, count := range b.Counts {
		if count.Day == day && count.Filename == "pool/a.deb" && !slices.Contains(count.Clients, number) {
			t.Error("a client has another number on the next day")
		}
	}
	if ips := recentIPs(b); !slices.Equal(ips, []string{"192.0.2.0", "192.0.2.0", "2001:db8::", "2001:db8::", "2001:db8::", "", "192.0.2.0"}) {
		t.Errorf("recent addresses %q", ips)
	}
}

func recentIPs(b aptrepo.DownloadBatch) (ips []string) {
	for _, one := range b.Recent {
		ips = append(ips, one.IP)
	}
	return ips
}

// Numbers of clients depend on the key, and without one there are none.
func TestCounterKey(t *testing.T) {
	number := func(key []byte) []int64 {
		store := new(ledger)
		c := counterFor(store)
		c.Key = key
		c.Count(served("a", "192.0.2.1", 1))
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return store.batches[0].Counts[0].Clients
	}
	one, same, other := number([]byte("1")), number([]byte("1")), number([]byte("2"))
	if len(one) != 1 || one[0] != same[0] || one[0] == other[0] {
		t.Errorf("numbers %v, %v with the same key, %v with another", one, same, other)
	}
	if none := number(nil); len(none) != 0 {
		t.Errorf("numbers %v without a key", none)
	}
	if aptrepo.ClientKey(nil) != nil || reflect.DeepEqual(aptrepo.ClientKey([]byte("a")), aptrepo.AuditKey([]byte("a"))) {
		t.Error("the key is not one of its own")
	}
}

func TestCounterRules(t *testing.T) {
	store := new(ledger)
	c := counterFor(store)
	rules := aptrepo.DefaultDownloadRules()
	c.Rules = func() aptrepo.DownloadRules { return rules }
	rules.Enabled = false
	c.Count(served("a", "192.0.2.1", 1))
	if err := c.Flush(t.Context()); err != nil || len(store.batches) != 0 {
		t.Errorf("%d batches although nothing is counted, %v", len(store.batches), err)
	}
	rules.Enabled = true
	for _, form := range []aptrepo.AddressForm{aptrepo.AddressNone, aptrepo.AddressMasked, aptrepo.AddressFull, "?"} {
		rules.ClientIP = form
		c.Count(served("a", "192.0.2.1", 1))
		if err := c.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var ips []string
	for _, b := range store.batches {
		ips = append(ips, recentIPs(b)...)
	}
	if !slices.Equal(ips, []string{"", "192.0.2.0", "192.0.2.1", ""}) {
		t.Errorf("addresses %q", ips)
	}
}

func TestAddressForm(t *testing.T) {
	for _, test := range []struct{ ip, masked, full string }{
		{"203.0.113.255", "203.0.113.0", "203.0.113.255"},
		{"::ffff:203.0.113.9", "203.0.113.0", "203.0.113.9"},
		{"2001:db8:1:ffff:2::3", "2001:db8:1::", "2001:db8:1:ffff:2::3"},
		{"fe80::1%eth0", "fe80::", "fe80::1"},
	} {
		ip := netip.MustParseAddr(test.ip)
		if got := aptrepo.AddressMasked.Of(ip); got != test.masked {
			t.Errorf("%s masked is %s", ip, got)
		}
		if got := aptrepo.AddressFull.Of(ip); got != test.full {
			t.Errorf("%s in full is %s", ip, got)
		}
		if got := aptrepo.AddressNone.Of(ip); got != "" {
			t.Errorf("%s, not to be kept, is %s", ip, got)
		}
	}
	if got := aptrepo.AddressFull.Of(netip.Addr{}); got != "" {
		t.Errorf("no address is %q", got)
	}
}

func TestDay(t *testing.T) {
	for text, want := range map[string]string{
		"2026-05-12T23:59:59Z": "2026-05-12", "2026-05-13T00:00:00Z": "2026-05-13", "2026-05-13T01:00:00+02:00": "2026-05-12",
		"1969-12-31T23:59:59Z": "1969-12-31", "1969-12-31T00:00:00Z": "1969-12-31", "1970-01-01T00:00:00Z": "1970-01-01", "2024-02-29T12:00:00Z": "2024-02-29",
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := aptrepo.DayOf(at).String(); got != want {
			t.Errorf("%s is on %s", text, got)
		}
	}
}

// Of single downloads the latest are told, in order.
func TestCounterRecent(t *testing.T) {
	store := new(ledger)
	c := counterFor(store)
	for i := range 130 {
		c.Count(served("a", "192.0.2.1", int64(i+1)))
	}
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	recent := store.batches[0].Recent
	if len(recent) != aptrepo.RecentDownloads {
		t.Fatalf("%d downloads", len(recent))
	}
	for i, one := range recent {
		if one.Bytes != int64(130-aptrepo.RecentDownloads+i+1) {
			t.Errorf("download %d has %d bytes", i, one.Bytes)
		}
	}
}

// A batch that failed is tried again as it was, before all others; one that can
// never be written is given up.
func TestCounterTriesAgain(t *testing.T) {
	store := new(ledger)
	c := counterFor(store)
	down := fmt.Errorf("no answer: %w", aptrepo.ErrUnavailable)
	store.failure = func(aptrepo.DownloadBatch) error { return down }
	c.Count(served("a", "192.0.2.1", 1))
	for range 3 {
		if err := c.Flush(t.Context()); !errors.Is(err, aptrepo.ErrUnavailable) {
			t.Fatal(err)
		}
		c.Count(served("a", "192.0.2.1", 1))
	}
	store.failure = nil
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := store.batches[0]
	for _, b := range store.batches[1:4] {
		if b.Number != 1 || b.Counter != first.Counter || !reflect.DeepEqual(b.Counts, first.Counts) {
			t.Errorf("tried again as %+v, first %+v", b, first)
		}
	}
	if got := store.downloads(); got != 4 {
		t.Errorf("%d downloads, want 4", got)
	}
	c.Count(served("poison", "192.0.2.1", 1))
	store.failure = func(aptrepo.DownloadBatch) error { return errors.New("will never do") }
	if err := c.Flush(t.Context()); err == nil {
		t.Error("the failure is not told")
	}
	store.failure = nil
	c.Count(served("b", "192.0.2.1", 1))
	if err := c.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if last := store.batches[len(store.batches)-1]; len(last.Counts) != 1 || last.Counts[0].Filename != "pool/b.deb" {
		t.Errorf("the last batch is %+v", last)
	}
}

// What cannot be written takes no more than so much memory.
func TestCounterBounded(t *testing.T) {
	store := new(ledger)
	var log strings.Builder
	c := counterFor(store)
	c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	store.failure = func(aptrepo.DownloadBatch) error { return aptrepo.ErrUnavailable }
	const files = 100_000
	for i := range files {
		c.Count(served(fmt.Sprint("f", i), "192.0.2.1", 1))
	}
	if err := c.Flush(t.Context()); err == nil {
		t.Error("the failure is not told")
	}
	store.failure, store.batches = nil, nil
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, b := range store.batches {
		entries := len(b.Counts)
		for _, count := range b.Counts {
			entries += len(count.Clients)
		}
		if entries > 1001 {
			t.Errorf("a batch has %d entries", entries)
		}
	}
	got := store.downloads()
	if want := fmt.Sprintf("downloads=%d", files-got); got < 30_000 || got > 65_000 || !strings.Contains(log.String(), want) {
		t.Errorf("%d downloads were kept; the log lacks %s: %s", got, want, log.String())
	}
	if tally := c.Tally(); tally.Downloads.Total() != files || tally.Bytes != files || tally.Lost != int64(files-got) {
		t.Errorf("the tally is %+v, %d were kept", tally, got)
	}
	c.Count(served("afterwards", "192.0.2.1", 1))
	if err := c.Flush(t.Context()); err != nil || store.downloads() != got+1 {
		t.Errorf("afterwards: %d downloads, %v", store.downloads(), err)
	}
}

// Counting goes on while the store takes its time.
func TestCounterDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &ledger{block: make(chan struct{})}
		c := counterFor(store)
		c.Count(served("a", "192.0.2.1", 1))
		done := make(chan error)
		go func() { done <- c.Flush(t.Context()) }()
		synctest.Wait()
		for range 10_000 {
			c.Count(served("a", "192.0.2.1", 1)) // in the bubble, waiting would be a deadlock
		}
		close(store.block)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Run writes in time, sooner when much is to be written, and at the end.
func TestCounterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(ledger)
		c := counterFor(store)
		c.Now = time.Now
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		synctest.Wait()
		wants := func(what string, want int64) {
			t.Helper()
			synctest.Wait()
			if got := store.downloads(); got != want {
				t.Errorf("%s: %d downloads, want %d", what, got, want)
			}
		}
		c.Count(served("a", "192.0.2.1", 1))
		wants("at once", 0)
		time.Sleep(5 * time.Second) // as late as counts may be
		wants("after five seconds", 1)
		for i := range 2500 {
			c.Count(served(fmt.Sprint(i), "192.0.2.1", 1))
		}
		synctest.Wait()
		if got := store.downloads(); got < 501 { // what does not fill a batch may wait
			t.Errorf("many, at once: %d downloads", got)
		}
		time.Sleep(5 * time.Second)
		wants("many, after five seconds", 2501)
		time.Sleep(2 * time.Hour)
		store.mu.Lock()
		pruned := slices.Clone(store.pruned)
		store.mu.Unlock()
		if len(pruned) != 3 {
			t.Errorf("pruned %d times in two hours: %q", len(pruned), pruned)
		}
		// The bubble's clock begins at 2000-01-01.
		if want := "1998-11-27 1999-12-25T00:00:04Z"; pruned[0] != want {
			t.Errorf("pruned %q, want %q", pruned[0], want)
		}
		c.Count(served("a", "192.0.2.1", 1))
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		wants("in the end", 2502)
	})
}

// A store that hangs does not hold up the end for ever.
func TestCounterEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &ledger{block: make(chan struct{})}
		c := counterFor(store)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		synctest.Wait()
		c.Count(served("a", "192.0.2.1", 1))
		stop()
		begin := time.Now()
		<-ended
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

// Counters on many goroutines lose nothing.
func TestCounterConcurrent(t *testing.T) {
	store := new(ledger)
	c := counterFor(store)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 2000 {
				c.Count(served(fmt.Sprint(n%700), fmt.Sprintf("192.0.2.%d", i), 1))
				if n%500 == 0 {
					if err := c.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := store.downloads(); got != 16_000 {
		t.Errorf("%d downloads", got)
	}
}

// The cost of counting, for one client and for all processors at once.
func BenchmarkDownloadCount(b *testing.B) {
	for _, files := range []int{1, 1000} {
		b.Run(fmt.Sprint(files), func(b *testing.B) {
			c := counterFor(new(ledger))
			c.Now = nil
			all := make([]aptrepo.Served, files)
			for i := range all {
				all[i] = served(fmt.Sprint(i), "192.0.2.1", 1)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					c.Count(all[i%files])
				}
			})
		})
	}
}
