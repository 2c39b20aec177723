package vuln

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// A Kind says what a feed holds and how.
type Kind string

// The kinds of feeds.
const (
	Debian Kind = "debian" // JSON of Debian's security tracker
	Ubuntu Kind = "ubuntu" // OSV; what concerns other vendors is left out
	OSV    Kind = "osv"    // OSV of any ecosystem
	KEV    Kind = "kev"    // JSON of CISA's Known Exploited Vulnerabilities
	EPSS   Kind = "epss"   // CSV of FIRST's Exploit Prediction Scoring System
)

// A Feed is what is to be imported.
type Feed struct {
	// ID tells feeds apart. Import replaces the data of the feed with this ID.
	ID   string
	Kind Kind
	// Data are the feed's data: JSON or CSV, either in gzip, or a zip file with
	// JSON files.
	Data io.Reader
	// Dir, when not nil, is read in place of Data: the JSON files in a directory
	// and all below it. Of an os.Root it gets nothing outside.
	Dir fs.FS
	// Date is when the data were made, as the server says that they came from.
	// Zero: the date in the feed, else that of the import.
	Date time.Time
	// Err is why there are no data, of a caller who could not get them.
	Err error
	// Force has a feed accepted that has lost many records or a release.
	Force bool
}

// A Result is how the import of a feed went.
type Result struct {
	ID      string
	State   State  // OK, Unchanged or Failed
	Detail  string // for people
	Records int64  // in use now
	Date    time.Time
}

// ErrRefused is wrapped by the reasons to refuse a feed or bundle that could be
// read, and that Force overrules.
var ErrRefused = errors.New("refused")

// shrink is the part of its records that a feed may lose: a fifth.
const shrink = 5

// Import reads feeds and makes a generation of what is new in them. A feed that
// fails is reported in its result, and its former data stay in use; err is only
// for what concerns the database as a whole. Feeds that are not given stay as
// they are. It waits until no other process imports.
func (db *DB) Import(ctx context.Context, feeds ...Feed) ([]Result, error) {
	var results []Result
	err := db.change(ctx, func(s *stage, states feedStates) (bool, error) {
		changed := false
		for n, f := range feeds {
			r := db.importFeed(ctx, s, f, n, states)
			if err := ctx.Err(); err != nil {
				return false, err
			}
			changed = changed || r.State == OK
			if validID(r.ID) {
				states.record(r, f.Kind, db.now().UTC())
			}
			results = append(results, r)
		}
		return changed, nil
	})
	if err != nil {
		return nil, fmt.Errorf("importing vulnerability data: %w", err)
	}
	return results, nil
}

// Drop takes feeds out of the database. IDs that are not in it are ignored.
func (db *DB) Drop(ctx context.Context, ids ...string) error {
	err := db.change(ctx, func(s *stage, states feedStates) (bool, error) {
		s.next.Feeds = slices.DeleteFunc(slices.Clone(s.next.Feeds), func(f manifestFeed) bool { return slices.Contains(ids, f.ID) })
		for _, id := range ids {
			delete(states, id)
		}
		return len(s.next.Feeds) != len(s.had.Feeds), nil
	})
	if err != nil {
		return fmt.Errorf("dropping vulnerability data: %w", err)
	}
	return nil
}

// change has fn prepare a generation, and commits it if fn says so. The states
// are written after it: should that fail, they say less than there is.
func (db *DB) change(ctx context.Context, fn func(s *stage, states feedStates) (commit bool, err error)) error {
	if err := os.MkdirAll(db.Dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(db.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lock(ctx, root)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := db.newStage(root)
	if err != nil {
		return err
	}
	defer s.close()
	states, err := readStates(root)
	if err != nil {
		return err
	}
	commit, err := fn(s, states)
	if err != nil {
		return err
	}
	if commit {
		if err := s.commit(db.now(), db); err != nil {
			return err
		}
	}
	return states.write(root)
}

// lock waits for the lock of the directory.
func lock(ctx context.Context, root *os.Root) (unlock func() error, err error) {
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		ok, err := tryLock(f)
		if ok {
			return f.Close, nil
		}
		if err != nil {
			f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another import is under way: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// importFeed reads a feed into the stage.
func (db *DB) importFeed(ctx context.Context, s *stage, f Feed, n int, states feedStates) Result {
	former, had := s.next.feed(f.ID)
	r := Result{ID: f.ID, State: Failed, Records: former.Records, Date: states.date(former)}
	file := fmt.Sprintf("new-%d", n)
	feed, t, err := db.read(ctx, s, f, file)
	if err == nil && had && former.Kind == feed.Kind && !f.Force {
		err = db.compare(former, feed)
	}
	if err != nil {
		r.Detail = describe(err)
		return r
	}
	r.Records, r.Date, r.Detail, r.State = feed.Records, feed.Date, t.String(), OK
	if had && former.Kind == feed.Kind && former.SHA256 == feed.SHA256 {
		r.State = Unchanged
		return r
	}
	s.take(feed, file)
	return r
}

// read makes the segment of a feed.
func (db *DB) read(ctx context.Context, s *stage, f Feed, file string) (manifestFeed, *tally, error) {
	feed := manifestFeed{ID: f.ID, Kind: f.Kind}
	t := &tally{limits: db.Limits}
	switch {
	case f.Err != nil:
		return feed, nil, f.Err
	case !validID(f.ID):
		return feed, nil, errors.New("the feed's ID is not valid")
	case f.Data == nil && f.Dir == nil:
		return feed, nil, errors.New("the feed has no data")
	}
	out, err := newSegmentWriter(s.dir, file)
	if err != nil {
		return feed, nil, err
	}
	defer out.close()
	if err := db.parse(input{ctx, s.dir, db.Limits}, f, out, t); err != nil {
		return feed, nil, err
	}
	if err := t.check(); err != nil {
		return feed, nil, err
	}
	if err := out.finish(); err != nil {
		return feed, nil, err
	}
	if err := out.f.Sync(); err != nil {
		return feed, nil, err
	}
	for place := range out.places {
		feed.Places = append(feed.Places, place)
	}
	slices.Sort(feed.Places)
	feed.Records = t.records
	feed.Date = db.date(f, t)
	if err := db.first(feed); err != nil && !f.Force {
		return feed, nil, err
	}
	feed.Size, feed.SHA256, err = sum(s.dir, file)
	return feed, t, err
}

func (db *DB) date(f Feed, t *tally) time.Time {
	switch {
	case !f.Date.IsZero():
		return f.Date.UTC()
	case !t.date.IsZero() && t.date.Before(db.now()):
		return t.date.UTC()
	}
	return db.now().UTC()
}

func (db *DB) parse(in input, f Feed, out *segmentWriter, t *tally) error {
	var read func(r io.Reader) error
	switch f.Kind {
	case Debian:
		read = func(r io.Reader) error { return readTracker(r, out, t) }
	case KEV:
		read = func(r io.Reader) error { return readKEV(r, out, t) }
	case EPSS:
		read = func(r io.Reader) error { return readEPSS(r, out, t) }
	case Ubuntu, OSV:
		w := &osvWriter{out: out, tally: t, wants: func(ecosystem string) bool {
			return f.Kind == OSV || strings.HasPrefix(ecosystem, "Ubuntu:")
		}}
		read = func(r io.Reader) error { return readOSV(r, w.take, db.Limits.value()) }
	default:
		return fmt.Errorf("feeds of kind %q are not known", f.Kind)
	}
	return in.each(f, read)
}

// first refuses a feed of a vendor that has none of his releases: it is
// something else, however well it could be read.
func (db *DB) first(f manifestFeed) error {
	if (f.Kind == Debian || f.Kind == Ubuntu) && !slices.ContainsFunc(f.Places, db.knows) {
		return fmt.Errorf("%w: there is no release in it that is known", ErrRefused)
	}
	return nil
}

// compare refuses a feed that has lost what it should still have.
func (db *DB) compare(former, f manifestFeed) error {
	if f.Records < former.Records-former.Records/shrink {
		return fmt.Errorf("%w: there are %d records, were %d", ErrRefused, f.Records, former.Records)
	}
	for _, place := range former.Places {
		if (db.knows(place) || !isOS(place) && orderOf(place) != nil) && !f.covers(place) {
			return fmt.Errorf("%w: there is nothing for %s any more", ErrRefused, plain(place, 100))
		}
	}
	return nil
}

// describe tells what went wrong without the paths of this machine.
func describe(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Op + ": " + path.Err.Error()
	}
	return plain(err.Error(), 500)
}
