package aptrepo

import (
	"iter"
	"sync"
)

// formerKept is how many superseded generations of a distribution stay in
// memory, for clients that fetched InRelease just before a publication. Older
// ones are found through the Store.
const formerKept = 32

// formerSnapshots holds the latest superseded generations.
type formerSnapshots struct {
	mu   sync.Mutex
	ring [formerKept]*snapshot
	next int
}

func (f *formerSnapshots) add(s *snapshot) {
	if s == nil || s.gen.Number == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ring[f.next%formerKept] = s
	f.next++
}

// find returns a former generation that lists a file of that hash in dir, or
// nil.
func (f *formerSnapshots) find(dir, hash string) *snapshot {
	for s := range f.latestFirst() {
		if _, ok := s.byHash[dir+"/"+hash]; ok {
			return s
		}
	}
	return nil
}

// patch returns a patch that led to a former generation.
func (f *formerSnapshots) patch(name string) (data []byte, ok bool, err error) {
	for s := range f.latestFirst() {
		if data, ok, err = s.patch(name); ok {
			break
		}
	}
	return data, ok, err
}

func (f *formerSnapshots) latestFirst() iter.Seq[*snapshot] {
	f.mu.Lock()
	ring, next := f.ring, f.next
	f.mu.Unlock()
	return func(yield func(*snapshot) bool) {
		for i := range formerKept {
			s := ring[(next+formerKept-1-i)%formerKept]
			if s != nil && !yield(s) {
				return
			}
		}
	}
}
