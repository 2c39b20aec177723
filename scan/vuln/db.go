package vuln

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/repod-io/repod/scan"
)

// A DB is a database of vulnerabilities in a directory, and the [scan.Matcher]
// that works on it. Its fields must not be changed once a method was called. It
// is safe for concurrent use, also by several processes.
type DB struct {
	// Dir is the directory. Import makes it if it is missing.
	Dir string
	// Releases are the vendors' releases that are known; nil: those of
	// DefaultReleases.
	Releases []Release
	// UbuntuTracks are the tracks of Ubuntu Pro that packages come from: "Pro",
	// "Pro:FIPS-updates". A later one overrules the earlier. nil: only what
	// Ubuntu gives to everybody applies.
	UbuntuTracks []string
	// ListUndetermined has Match list what Debian's tracker calls undetermined.
	// It never gates.
	ListUndetermined bool
	// Limits bound what an import may cost.
	Limits Limits
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	mu      sync.Mutex
	closed  bool
	root    *os.Root
	current *snapshot
	step    func(name string) // for tests: an import has come this far
}

var _ scan.Matcher = (*DB)(nil)

// matcherVersion is part of the generation. It grows when the same data lead to
// other findings.
const matcherVersion = 1

func (db *DB) now() time.Time {
	if db.Now != nil {
		return db.Now()
	}
	return time.Now()
}

func (db *DB) at(name string) {
	if db.step != nil {
		db.step(name)
	}
}

// config is what decides about the answers of Match beside the data.
func (db *DB) config() string {
	return fmt.Sprintf("%q %q %v", db.Releases, db.UbuntuTracks, db.ListUndetermined)
}

// A snapshot is an open generation. It stays open as long as somebody uses it.
type snapshot struct {
	manifest manifest
	pointer  fs.FileInfo // of the file that named it
	feeds    []openFeed
	users    int
	replaced bool
}

type openFeed struct {
	manifestFeed
	*segment
	file *os.File
}

func (s *snapshot) close() {
	for _, f := range s.feeds {
		f.file.Close()
	}
}

var errClosed = errors.New("vuln: the database is closed")

// acquire returns the generation in use, nil when there is none. It is to be
// released.
func (db *DB) acquire() (*snapshot, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil, errClosed
	}
	if db.root == nil {
		root, err := os.OpenRoot(db.Dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("opening vulnerability data: %w", err)
		}
		db.root = root
	}
	pointer, err := db.root.Stat(currentName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening vulnerability data: %w", err)
	}
	if db.current == nil || !sameFile(db.current.pointer, pointer) {
		if err := db.reload(pointer); err != nil {
			return nil, fmt.Errorf("opening vulnerability data: %w", err)
		}
	}
	db.current.users++
	return db.current, nil
}

// sameFile reports whether a file was not replaced. The inode alone may be used
// again.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// reload opens the generation in use. Two imports may come between reading its
// name and opening it, and take it away: then there is a newer one.
func (db *DB) reload(pointer fs.FileInfo) error {
	for tries := 0; ; tries++ {
		s, err := openGeneration(db.root)
		if err == nil {
			s.pointer = pointer
			db.replace(s)
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) || tries == 10 {
			return err
		}
		if pointer, err = db.root.Stat(currentName); err != nil {
			return err
		}
	}
}

func (db *DB) replace(s *snapshot) {
	if old := db.current; old != nil {
		old.replaced = true
		if old.users == 0 {
			old.close()
		}
	}
	db.current = s
}

func (db *DB) release(s *snapshot) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if s.users--; s.users == 0 && s.replaced {
		s.close()
	}
}

func openGeneration(root *os.Root) (*snapshot, error) {
	gen, err := currentGeneration(root)
	if err != nil {
		return nil, err
	}
	if gen == "" {
		return nil, fs.ErrNotExist
	}
	s := &snapshot{}
	if s.manifest, err = readManifest(root, gen); err != nil {
		return nil, err
	}
	for _, f := range s.manifest.Feeds {
		file, err := root.Open(gen + "/" + f.File)
		if err != nil {
			s.close()
			return nil, err
		}
		s.feeds = append(s.feeds, openFeed{manifestFeed: f, file: file})
		last := &s.feeds[len(s.feeds)-1]
		if last.segment, err = openSegment(file, f.Size); err != nil {
			s.close()
			return nil, fmt.Errorf("feed %s: %w", f.ID, err)
		}
	}
	return s, nil
}

// Close releases what the database holds open. Methods called later fail.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	db.replace(nil)
	if db.root == nil {
		return nil
	}
	return db.root.Close()
}

// Data implements [scan.Matcher]. The generation depends on the data and on the
// fields of db alone: all servers that have the same have the same number. It
// does not grow with time.
func (db *DB) Data(ctx context.Context) (scan.Data, error) {
	s, err := db.acquire()
	if err != nil || s == nil {
		return scan.Data{}, err
	}
	defer db.release(s)
	data := scan.Data{Generation: s.manifest.generation(db.config())}
	states, err := readStates(db.root)
	if err != nil {
		return scan.Data{}, err
	}
	for _, f := range s.manifest.Feeds {
		if date := states.date(f); data.Date.IsZero() || date.Before(data.Date) {
			data.Date = date
		}
	}
	return data, nil
}

// A FeedStatus says how far a feed can be relied on.
type FeedStatus struct {
	ID   string
	Kind Kind
	// State is Never when there are no data, Failed when those in use are not of
	// the last import, else OK.
	State   State
	Detail  string // of what went wrong
	Records int64
	// Date is when the data were made or, where a feed does not tell, fetched.
	Date time.Time
	// Imported is when an import last succeeded, Tried when one last took place.
	Imported, Tried time.Time
	// Places are the codenames of Debian and the ecosystems of OSV that the feed
	// has data for, sorted.
	Places []string
}

// Status describes the feeds in the database, and those of ids that are not in
// it, by ID. The age of the data is the difference between now and Date.
func (db *DB) Status(ctx context.Context, ids ...string) ([]FeedStatus, error) {
	s, err := db.acquire()
	if err != nil {
		return nil, err
	}
	var m manifest
	var states feedStates
	if s != nil {
		defer db.release(s)
		m = s.manifest
	}
	if db.root != nil {
		if states, err = readStates(db.root); err != nil {
			return nil, err
		}
	}
	for _, f := range m.Feeds {
		ids = append(ids, f.ID)
	}
	for id := range states {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, strings.Compare)
	var list []FeedStatus
	for _, id := range slices.Compact(ids) {
		list = append(list, states.status(id, m))
	}
	return list, nil
}
