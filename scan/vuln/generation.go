package vuln

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Names in the directory.
const (
	currentName  = "current"
	manifestName = "manifest.json"
	statusName   = "status.json"
	lockName     = "lock"
	tempPrefix   = "tmp-"
	genPrefix    = "gen-"
)

// maxManifest bounds a manifest, in bytes.
const maxManifest = 4 << 20

// A manifest says what a generation is made of. It is stored as JSON.
type manifest struct {
	Format  int            `json:"format"`
	Created time.Time      `json:"created"`
	Feeds   []manifestFeed `json:"feeds"` // by ID
}

const manifestFormat = 1

type manifestFeed struct {
	ID      string    `json:"id"`
	Kind    Kind      `json:"kind"`
	File    string    `json:"file"`
	Size    int64     `json:"size"`
	SHA256  string    `json:"sha256"`
	Records int64     `json:"records"`
	Date    time.Time `json:"date"`
	// Places are the codenames and ecosystems that have data, sorted.
	Places []string `json:"places"`
}

func (f manifestFeed) covers(place string) bool {
	_, ok := slices.BinarySearch(f.Places, place)
	return place != "" && ok
}

func (m manifest) feed(id string) (manifestFeed, bool) {
	i := slices.IndexFunc(m.Feeds, func(f manifestFeed) bool { return f.ID == id })
	if i < 0 {
		return manifestFeed{}, false
	}
	return m.Feeds[i], true
}

// with returns the manifest with a feed in place of the one of the same ID.
func (m manifest) with(f manifestFeed) manifest {
	m.Feeds = slices.DeleteFunc(slices.Clone(m.Feeds), func(old manifestFeed) bool { return old.ID == f.ID })
	m.Feeds = append(m.Feeds, f)
	slices.SortFunc(m.Feeds, func(a, b manifestFeed) int { return strings.Compare(a.ID, b.ID) })
	return m
}

// check refuses a manifest that this package did not write.
func (m manifest) check() error {
	if m.Format != manifestFormat {
		return fmt.Errorf("the manifest has format %d, not %d", m.Format, manifestFormat)
	}
	seen := make(map[string]bool)
	for n, f := range m.Feeds {
		switch {
		case !validID(f.ID), seen[f.ID], f.File != segmentName(n), f.Size < 0, f.Records < 0, !slices.IsSorted(f.Places):
			return errors.New("the manifest is not valid")
		}
		seen[f.ID] = true
	}
	return nil
}

func segmentName(n int) string { return strconv.Itoa(n) + ".seg" }

func readManifest(root *os.Root, gen string) (manifest, error) {
	var m manifest
	b, err := readBounded(root, gen+"/"+manifestName)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("reading the manifest of %s: %w", gen, err)
	}
	return m, m.check()
}

func readBounded(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = fmt.Errorf("%s is too large", name)
	}
	return b, err
}

// currentGeneration returns the name of the generation in use, "" if there is
// none.
func currentGeneration(root *os.Root) (string, error) {
	b, err := readBounded(root, currentName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	gen := strings.TrimSuffix(string(b), "\n")
	if _, ok := generationNumber(gen); !ok {
		return "", fmt.Errorf("%w: no generation is named %q", errDamaged, gen)
	}
	return gen, nil
}

func generationNumber(name string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, genPrefix)
	n, err := strconv.ParseUint(digits, 10, 63)
	return n, ok && err == nil && generationName(n) == name
}

func generationName(n uint64) string { return fmt.Sprintf("%s%08d", genPrefix, n) }

// writeFile replaces a file as a whole, and flushes it and its directory.
func writeFile(root *os.Root, name string, b []byte) error {
	temp := tempPrefix + name
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := root.Rename(temp, name); err != nil {
		return err
	}
	return flush(root, ".")
}

// flush makes the names in a directory durable.
func flush(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sum returns size and SHA-256 of a file.
func sum(root *os.Root, name string) (int64, string, error) {
	f, err := root.Open(name)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// A stage is a generation in the making, in a directory with a temporary name.
type stage struct {
	root   *os.Root // of the database
	dir    *os.Root
	name   string
	former string // the generation in use, "" if there is none
	had    manifest
	next   manifest
	from   map[string]string // where the segment of a feed is, below root
	// created is when the generation was made elsewhere; zero: it is made here.
	created time.Time
}

func (db *DB) newStage(root *os.Root) (*stage, error) {
	former, err := currentGeneration(root)
	if err != nil {
		return nil, err
	}
	s := &stage{root: root, former: former, name: tempPrefix + "generation", from: make(map[string]string)}
	s.had = manifest{Format: manifestFormat}
	if former != "" {
		if s.had, err = readManifest(root, former); err != nil {
			return nil, err
		}
	}
	for _, f := range s.had.Feeds {
		s.from[f.ID] = former + "/" + f.File
	}
	s.next = s.had
	if err := root.RemoveAll(s.name); err != nil { // of one that died
		return nil, err
	}
	if err := root.Mkdir(s.name, 0o755); err != nil {
		return nil, err
	}
	s.dir, err = root.OpenRoot(s.name)
	return s, err
}

// close removes what was not committed.
func (s *stage) close() {
	if s.dir != nil {
		s.dir.Close()
	}
	s.root.RemoveAll(s.name)
}

// take makes the file name in the stage the segment of a feed.
func (s *stage) take(f manifestFeed, name string) {
	s.from[f.ID] = s.name + "/" + name
	s.next = s.next.with(f)
}

// commit makes the stage the generation in use.
func (s *stage) commit(now time.Time, db *DB) error {
	s.next.Format = manifestFormat
	if s.next.Created = now.UTC(); !s.created.IsZero() {
		s.next.Created = s.created
	}
	s.next.Feeds = slices.Clone(s.next.Feeds)
	for n := range s.next.Feeds {
		f := &s.next.Feeds[n]
		f.File = segmentName(n)
		if err := s.link(s.from[f.ID], s.name+"/"+f.File); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(s.next, "", "\t")
	if err != nil {
		return err
	}
	if err := writeFile(s.dir, manifestName, b); err != nil {
		return err
	}
	if err := s.tidy(); err != nil {
		return err
	}
	number, _ := generationNumber(s.former)
	gen := generationName(number + 1)
	if err := s.root.RemoveAll(gen); err != nil { // renamed, but never in use
		return err
	}
	db.at("rename")
	if err := s.root.Rename(s.name, gen); err != nil {
		return err
	}
	if err := flush(s.root, "."); err != nil {
		return err
	}
	db.at("point")
	if err := writeFile(s.root, currentName, []byte(gen+"\n")); err != nil {
		return err
	}
	db.at("sweep")
	return s.sweep(gen)
}

// link gives a segment a second name, or copies it where there are no links.
func (s *stage) link(from, to string) error {
	if s.root.Link(from, to) == nil {
		return nil
	}
	in, err := s.root.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := s.root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// tidy removes what is not part of the generation from its directory.
func (s *stage) tidy() error {
	names, err := fs.ReadDir(s.dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range names {
		part := d.Name() == manifestName || slices.ContainsFunc(s.next.Feeds, func(f manifestFeed) bool { return f.File == d.Name() })
		if part {
			continue
		}
		if err := s.dir.Remove(d.Name()); err != nil {
			return err
		}
	}
	return flush(s.dir, ".")
}

// sweep removes generations but the one in use and the one before.
func (s *stage) sweep(gen string) error {
	names, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range names {
		if _, ok := generationNumber(d.Name()); !ok || d.Name() == gen || d.Name() == s.former {
			continue
		}
		if err := s.root.RemoveAll(d.Name()); err != nil {
			return err
		}
	}
	return nil
}

// generation sums up what decides about the answers of Match, in 53 bits, so
// that JSON numbers hold it. It is the same for all who have the same data.
func (m manifest) generation(config string) int64 {
	if len(m.Feeds) == 0 {
		return 0
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d\n%s\n", matcherVersion, config)
	for _, f := range m.Feeds {
		fmt.Fprintf(h, "%s %s %s\n", f.ID, f.Kind, f.SHA256)
	}
	return int64(binary.BigEndian.Uint64(h.Sum(nil))>>11) | 1
}
