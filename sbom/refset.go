package sbom

import (
	"hash/maphash"
	"math/bits"
)

// A refSet holds references, as hashes of 8 bytes. The seed is another for each
// document, so that nobody can choose references that collide. By chance two of a
// million do in one document of thirty million.
//
// The hashes lie in many small tables, which grow one by one: all of it takes some
// 11 bytes for each reference, and never twice that.
type refSet struct {
	seed   maphash.Seed
	tables [256]refTable
}

func newRefSet() *refSet { return &refSet{seed: maphash.MakeSeed()} }

func (s *refSet) has(ref string) bool {
	h := s.hash(ref)
	_, found := s.tables[h>>56].find(h)
	return found
}

// add reports whether the reference was not there.
func (s *refSet) add(ref string) bool {
	h := s.hash(ref)
	return s.tables[h>>56].add(h)
}

// hash returns the hash of a reference; never 0, which stands for an empty slot.
func (s *refSet) hash(ref string) uint64 { return max(1, maphash.String(s.seed, ref)) }

// A refTable is a hash table with linear probing. There is an empty slot, unless
// it has none at all.
type refTable struct {
	slots []uint64
	used  int
}

// find returns the slot that a hash is in, or would be.
func (t *refTable) find(h uint64) (slot int, found bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	at, _ := bits.Mul64(h<<8, uint64(len(t.slots))) // the first byte chose the table
	for i := int(at); ; i++ {
		if i == len(t.slots) {
			i = 0
		}
		if t.slots[i] == h || t.slots[i] == 0 {
			return i, t.slots[i] == h
		}
	}
}

func (t *refTable) add(h uint64) bool {
	i, found := t.find(h)
	if found {
		return false
	}
	if t.used >= len(t.slots)*7/8 {
		old := t.slots
		t.slots, t.used = make([]uint64, len(old)*5/4+8), 0
		for _, h := range old {
			if h != 0 {
				t.add(h)
			}
		}
		i, _ = t.find(h)
	}
	t.slots[i] = h
	t.used++
	return true
}
