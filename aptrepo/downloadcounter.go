package aptrepo

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// What a DownloadCounter does with its counts.
const (
	// flushInterval leaves a write a second of the five that counts may be late.
	flushInterval = 4 * time.Second
	// batchEntries bounds a batch, which holds up other writers: so many files and
	// clients of files.
	batchEntries = 1000
	// maxBatches bounds the memory for what cannot be written: some 10 MB. What is
	// downloaded beyond that is not counted.
	maxBatches = 64
	// lastFlush bounds the last write of all.
	lastFlush = 5 * time.Second

	pruneInterval = time.Hour
	// recentKept is how long single downloads are remembered.
	recentKept = 7 * 24 * time.Hour
)

// A DownloadCounter counts downloads in memory and writes them into a Store in
// batches. Fill in Store, call Run, and Count from any number of goroutines.
// Fields must not change after that. Any number of counters, in any number of
// programs, may share a Store.
//
// A batch that could not be written is kept, within bounds, and tried again until
// it is; each counts once, even if nobody knows what became of a try. When the
// program is killed, what was counted in the last seconds is lost.
type DownloadCounter struct {
	Store DownloadStore
	// Key, which should be random and secret, is that of the hash by which clients
	// are told apart: see ClientKey. Counters that share a Store need the same one.
	// Nil: clients are not counted.
	Key []byte
	// Rules returns what is to be counted and kept. Nil: DefaultDownloadRules.
	Rules func() DownloadRules
	// Logger gets what a human should know. Nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time

	mu       sync.Mutex
	wake     chan struct{} // has room for one: a batch is full
	id       string
	sealed   int64 // batches so far
	open     openBatch
	waiting  []openBatch // full ones, oldest first; those that were tried have a number
	dropped  int64       // downloads for which there was no room
	tally    DownloadTally
	flushing sync.Mutex
}

// DownloadRules say what is counted and kept.
type DownloadRules struct {
	Enabled  bool
	KeepDays int // how many days the totals are kept, besides today
	// ClientIP is what single downloads keep of addresses.
	ClientIP AddressForm
}

// DefaultDownloadRules returns the rules of the API reference.
func DefaultDownloadRules() DownloadRules {
	return DownloadRules{Enabled: true, KeepDays: 400, ClientIP: AddressMasked}
}

// ClientKey derives the key of a [DownloadCounter] from a [Repo.SecretKey]; nil
// from nil.
func ClientKey(secret []byte) []byte {
	if secret == nil {
		return nil
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "repod download clients", sha256.Size)
	if err != nil {
		panic(err) // only ever for lengths out of bounds
	}
	return key
}

// A Served is an answer that brought a client a file, or a part of it.
type Served struct {
	Filename string // key in storage: "pool/..."
	// Begins: the answer had the file's first byte. The rest of a download that was
	// interrupted has not.
	Begins bool
	Bytes  int64 // of the body, as sent
	Kind   ClientKind
	Client netip.Addr // not valid: not known
}

// An openBatch is what was counted and not yet written.
type openBatch struct {
	number  int64 // 0: it has none yet
	counts  map[fileDay]*fileCount
	entries int
	recent  []single // a ring, when it is full
	oldest  int      // in recent
}

type fileDay struct {
	day      Day
	filename string
}

type fileCount struct {
	filename  string // a copy that holds no request in memory
	downloads KindCounts
	bytes     int64
	clients   map[netip.Addr]bool
}

type single struct {
	at       time.Time
	filename string
	kind     ClientKind
	bytes    int64
	ip       netip.Addr
}

// Count counts an answer, unless the rules say that none is. It does not wait for
// the Store.
func (c *DownloadCounter) Count(s Served) {
	if s.Bytes <= 0 || !c.rules().Enabled {
		return
	}
	now := c.now()
	var client netip.Addr
	if c.Key != nil {
		client = household(s.Client)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally.Bytes += s.Bytes
	if s.Begins {
		c.tally.Downloads[s.Kind]++
	}
	if len(c.waiting) >= maxBatches {
		c.tally.Lost++
		c.dropped++
		return
	}
	c.open.add(s, client, now)
	if c.open.entries >= batchEntries {
		c.seal()
		select {
		case c.signal() <- struct{}{}:
		default:
		}
	}
}

// A DownloadTally sums up what a DownloadCounter was told since it was made.
type DownloadTally struct {
	Downloads KindCounts
	Bytes     int64
	Lost      int64 // answers that are not counted in the Store, for want of room
}

// Tally returns the sums so far.
func (c *DownloadCounter) Tally() DownloadTally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tally
}

// signal returns the channel that wakes Run.
func (c *DownloadCounter) signal() chan struct{} {
	if c.wake == nil {
		c.wake = make(chan struct{}, 1)
	}
	return c.wake
}

// seal lets the next count begin a new batch.
func (c *DownloadCounter) seal() {
	if c.open.entries > 0 {
		c.waiting = append(c.waiting, c.open)
		c.open = openBatch{}
	}
}

// add counts an answer to a client, one that is not valid when clients do not
// count.
func (b *openBatch) add(s Served, client netip.Addr, now time.Time) {
	key := fileDay{DayOf(now), s.Filename}
	f := b.counts[key]
	if f == nil {
		if b.counts == nil {
			b.counts = make(map[fileDay]*fileCount)
		}
		key.filename = string([]byte(s.Filename))
		f = &fileCount{filename: key.filename}
		b.counts[key] = f
		b.entries++
	}
	f.bytes += s.Bytes
	if !s.Begins {
		return
	}
	f.downloads[s.Kind]++
	if client.IsValid() && !f.clients[client] {
		if f.clients == nil {
			f.clients = make(map[netip.Addr]bool)
		}
		f.clients[client] = true
		b.entries++
	}
	one := single{now, f.filename, s.Kind, s.Bytes, s.Client}
	if len(b.recent) < RecentDownloads {
		b.recent = append(b.recent, one)
		return
	}
	b.recent[b.oldest] = one
	b.oldest = (b.oldest + 1) % RecentDownloads
}

// household returns the address that stands for a client. One with IPv6 is its
// /64, the smallest network that is handed out: machines change the rest daily.
func household(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if !ip.Is6() {
		return ip
	}
	network, _ := ip.Prefix(64) // only ever fails for bits out of bounds
	return network.Addr()
}

// batch is b as the Store wants it.
func (c *DownloadCounter) batch(b *openBatch) DownloadBatch {
	form := c.rules().ClientIP
	out := DownloadBatch{Counter: c.id, Number: b.number, At: c.now()}
	numbers := make(map[netip.Addr]int64)
	for key, f := range b.counts {
		count := DownloadCount{Day: key.day, Filename: f.filename, Downloads: f.downloads, Bytes: f.bytes}
		for client := range f.clients {
			n, known := numbers[client]
			if !known {
				n = c.number(client)
				numbers[client] = n
			}
			count.Clients = append(count.Clients, n)
		}
		out.Counts = append(out.Counts, count)
	}
	for i := range b.recent {
		one := &b.recent[(b.oldest+i)%len(b.recent)]
		out.Recent = append(out.Recent, Download{
			Time: one.at, Filename: one.filename, Kind: one.kind, Bytes: one.bytes, IP: form.Of(one.ip),
		})
	}
	return out
}

// number is the keyed hash by which a client is known, HMAC-SHA256 (RFC 2104) cut
// to 64 bits: without the key nobody finds the address that belongs to it.
func (c *DownloadCounter) number(client netip.Addr) int64 {
	mac := hmac.New(sha256.New, c.Key)
	address := client.As16()
	mac.Write(address[:])
	return int64(binary.BigEndian.Uint64(mac.Sum(nil)))
}

// Flush writes what was counted so far. After an error the rest is kept for the
// next time, unless trying again cannot help.
func (c *DownloadCounter) Flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.mu.Lock()
	c.seal()
	dropped := c.dropped
	c.dropped = 0
	c.mu.Unlock()
	if dropped > 0 {
		c.logger().WarnContext(ctx, "downloads were not counted: too many could not be written", "downloads", dropped)
	}
	var errs []error
	for {
		next := c.next()
		if next == nil {
			return errors.Join(errs...)
		}
		err := c.Store.AddDownloads(ctx, c.batch(next))
		if err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull) {
				return errors.Join(errs...)
			}
		}
		c.mu.Lock()
		c.waiting = slices.Delete(c.waiting, 0, 1)
		c.mu.Unlock()
	}
}

// next returns the oldest batch that waits, with a number. It does not change any
// more, so that it is the same at each try.
func (c *DownloadCounter) next() *openBatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return nil
	}
	if c.id == "" {
		c.id = rand.Text()
	}
	b := &c.waiting[0]
	if b.number == 0 {
		c.sealed++
		b.number = c.sealed
	}
	next := *b
	return &next
}

// Run writes what is counted every four seconds, sooner when it is much, and
// forgets what is older than the rules say. When ctx ends it writes once more, for
// up to five seconds, and returns ctx's error.
func (c *DownloadCounter) Run(ctx context.Context) error {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	c.mu.Lock()
	full := c.signal()
	c.mu.Unlock()
	nextPrune, failing := c.now(), false
	for {
		ticked := false
		select {
		case <-ctx.Done():
			c.flushAtEnd(ctx)
			return ctx.Err()
		case <-tick.C:
			ticked = true
		case <-full:
		}
		if failing && !ticked { // it would fail again
			continue
		}
		err := c.Flush(ctx)
		if now := c.now(); err == nil && !now.Before(nextPrune) {
			nextPrune = now.Add(pruneInterval)
			err = c.prune(ctx)
		}
		if err != nil && !failing && ctx.Err() == nil {
			c.logger().ErrorContext(ctx, "counts of downloads cannot be written", "error", err)
		}
		failing = err != nil
	}
}

func (c *DownloadCounter) flushAtEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	if err := c.Flush(ctx); err != nil {
		c.logger().WarnContext(ctx, "the last downloads are not counted", "error", err)
	}
}

// prune forgets what has become too old.
func (c *DownloadCounter) prune(ctx context.Context) error {
	now := c.now()
	return c.Store.PruneDownloads(ctx, DayOf(now)-Day(c.rules().KeepDays), now.Add(-recentKept))
}

func (c *DownloadCounter) rules() DownloadRules {
	if c.Rules != nil {
		return c.Rules()
	}
	return DefaultDownloadRules()
}

func (c *DownloadCounter) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func (c *DownloadCounter) logger() *slog.Logger {
	if c.Logger != nil {
		return c.Logger
	}
	return slog.Default()
}
