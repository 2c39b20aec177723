package aptrepo

import "sync"

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
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range formerKept {
		s := f.ring[(f.next+formerKept-1-i)%formerKept]
		if s == nil {
			continue
		}
		if _, ok := s.byHash[dir+"/"+hash]; ok {
			return s
		}
	}
	return nil
}
