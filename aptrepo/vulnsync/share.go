package vulnsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/scan/vuln"
)

// Prefix starts the keys of the data in storage. They are not part of the APT
// tree, and never served.
const Prefix = "vulnerabilities/"

const (
	defaultInterval = 2 * time.Second
	// keepFormer is how long data that were replaced stay in storage, for those who
	// are reading them.
	keepFormer = time.Hour
)

var (
	// ErrStale is returned by a Store whose number is another than was expected.
	ErrStale = errors.New("other vulnerability data have become current meanwhile")
	// ErrOvertaken is returned by Change when another server was faster. What was
	// brought in is dropped: do it again.
	ErrOvertaken = errors.New("another server has brought vulnerability data in meanwhile")
	// ErrLost is returned by Follow when what is current is not in storage, or is
	// not what the Store says it is: after a restore without it, or when somebody
	// has tampered with it. Change gets over that.
	ErrLost = errors.New("the vulnerability data that are current are lost: fetch or import them again")
)

// Current says which data all servers should have.
type Current struct {
	Number int64  // grows by one with each change; 0: there never were any
	SHA256 string // of the manifest, in hexadecimal: see vuln.DB.Digest
	At     time.Time
}

func (c Current) key() string { return Prefix + c.SHA256 + ".tar" }

// A Store keeps one Current for all servers. package sqlstore has one.
type Store interface {
	// VulnerabilityData returns the current one, the zero Current if none was set.
	VulnerabilityData(ctx context.Context) (Current, error)
	// SetVulnerabilityData replaces the one that has the number before c's, or
	// returns ErrStale when it has another. Of several at once one succeeds.
	SetVulnerabilityData(ctx context.Context, c Current) error
}

// A Share keeps a database of vulnerabilities the same as those of other servers.
// Its fields must not be changed once a method was called. It is safe for
// concurrent use, and several processes may have one for the same directory.
type Share struct {
	DB      *vuln.DB
	Storage storage.Backend
	Store   Store
	// Interval is how often Run looks for other data; 0: every 2 seconds.
	Interval time.Duration
	// Logger gets what a human should know. Nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time

	mu       sync.Mutex // held by who changes DB
	followed string     // the SHA256 of the Current that was looked at last
}

// Follow brings the database to what is current, and returns that. Where nothing
// is, but the database has data, as those of a server that had its own before,
// these become current.
//
// After an error the database is as it was before: with former data, or none.
func (s *Share) Follow(ctx context.Context) (Current, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.follow(ctx)
	if err != nil {
		return c, fmt.Errorf("sharing vulnerability data: %w", err)
	}
	return c, nil
}

func (s *Share) follow(ctx context.Context) (Current, error) {
	for {
		now, err := s.Store.VulnerabilityData(ctx)
		if err != nil || now.SHA256 != "" && now.SHA256 == s.followed {
			return now, err
		}
		had, err := s.DB.Digest(ctx)
		if err != nil {
			return now, err
		}
		switch {
		case now.Number == 0 && had == "":
			return now, nil
		case now.Number == 0:
			now, err = s.publish(ctx, now, had)
			if errors.Is(err, ErrStale) {
				continue
			}
		case had != now.SHA256:
			err = s.fetch(ctx, now)
			if errors.Is(err, fs.ErrNotExist) { // perhaps it has been replaced twice
				if newer, storeErr := s.Store.VulnerabilityData(ctx); storeErr == nil && newer.Number > now.Number {
					continue
				}
			}
		}
		if err == nil {
			s.followed = now.SHA256
		}
		return now, err
	}
}

// fetch makes what is current the data of the database.
func (s *Share) fetch(ctx context.Context, now Current) error {
	f, _, err := s.Storage.Open(ctx, now.key())
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	body := &source{r: f}
	_, err = s.DB.ImportBundle(ctx, body, func(manifest, _ []byte) error {
		if digest(manifest) != now.SHA256 {
			return errors.New("it is not what the database says")
		}
		return nil
	}, true) // what is current was accepted where it was brought in
	if err != nil && body.err == nil && ctx.Err() == nil { // all was read, and is at fault
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	if err == nil {
		s.logger().InfoContext(ctx, "vulnerability data of another server are in use", "number", now.Number)
	}
	return err
}

// A source remembers that it could not be read.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// Change has bring change the database, which is what is current before, and makes
// what it is then current for all. Where that is lost, the database is what this
// server happens to have. An error of bring is returned as it is, and what it changed
// nonetheless is dropped if anything was current before. bring runs alone on this
// server; when another one was faster the error matches ErrOvertaken.
func (s *Share) Change(ctx context.Context, bring func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followed = "" // compare: an earlier change may not have become current
	now, err := s.follow(ctx)
	switch {
	case errors.Is(err, ErrLost):
		s.logger().WarnContext(ctx, "what is brought in now replaces the data of other servers", "error", err)
	case err != nil:
		return fmt.Errorf("sharing vulnerability data: %w", err)
	}
	brought := bring(ctx)
	had, err := s.DB.Digest(ctx)
	if brought == nil && err == nil && had != now.SHA256 {
		if now, err = s.publish(ctx, now, had); errors.Is(err, ErrStale) {
			err = ErrOvertaken
		}
	}
	if err = errors.Join(brought, err); err != nil {
		s.takeBack(ctx)
		return err
	}
	s.followed = now.SHA256
	return nil
}

// takeBack returns to what is current, now or at the next Follow.
func (s *Share) takeBack(ctx context.Context) {
	s.followed = ""
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if _, err := s.follow(ctx); err != nil {
		s.logger().WarnContext(ctx, "vulnerability data are not those of other servers for now", "error", err)
	}
}

// publish makes the data of the database, whose digest is had, current after now.
func (s *Share) publish(ctx context.Context, now Current, had string) (Current, error) {
	if had == "" { // nothing is left of it
		return now, vuln.ErrNoData
	}
	next := Current{Number: now.Number + 1, SHA256: had, At: s.now().UTC()}
	if err := s.put(ctx, next); err != nil {
		return now, err
	}
	if err := s.Store.SetVulnerabilityData(ctx, next); err != nil {
		return now, err
	}
	if err := s.sweep(ctx, next); err != nil {
		s.logger().WarnContext(ctx, "former vulnerability data are left in storage", "error", err)
	}
	return next, nil
}

// put puts the data of the database into storage.
func (s *Share) put(ctx context.Context, next Current) error {
	f, err := os.CreateTemp(s.DB.Dir, "tmp-share-*")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	var found string
	err = s.DB.Export(ctx, f, func(manifest []byte) ([]byte, error) {
		found = digest(manifest)
		return []byte(found), nil // which the Store vouches for
	})
	if err != nil {
		return err
	}
	if found != next.SHA256 { // by another process
		return ErrOvertaken
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return s.Storage.Put(ctx, next.key(), f)
}

// sweep removes what is not current, and has not been for some time. Others may
// put theirs at the same time, to make them current next.
func (s *Share) sweep(ctx context.Context, now Current) error {
	before := s.now().Add(-keepFormer)
	for info, err := range s.Storage.List(ctx, Prefix) {
		if err != nil {
			return err
		}
		if info.Key == now.key() || info.ModTime.After(before) {
			continue
		}
		if err := s.Storage.Delete(ctx, info.Key); err != nil {
			return err
		}
	}
	return nil
}

// Run follows until ctx ends, and returns its error. A failure is logged once for
// as long as it lasts.
func (s *Share) Run(ctx context.Context) error {
	interval := s.Interval
	if interval == 0 {
		interval = defaultInterval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		_, err := s.Follow(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.logger().ErrorContext(ctx, "vulnerability data of other servers cannot be had", "error", err)
		}
		failing = err != nil
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (s *Share) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Share) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}
