package vuln

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// sorterMemory is how many bytes a sorter keeps before it writes a run.
const sorterMemory = 24 << 20

// A sorter orders rows by key, in bounded memory: it writes sorted runs to files
// and merges them. Rows of the same key stay in the order they came in.
type sorter struct {
	root   *os.Root
	memory int

	text  []byte
	items []sortItem
	runs  []*os.File
}

type sortItem struct{ start, key, end int } // in text

func (s *sorter) key(i sortItem) string { return string(s.text[i.start:i.key]) }

func (s *sorter) add(key string, payload []byte) error {
	if len(s.text)+len(s.items)*24+len(key)+len(payload) > s.memory && len(s.items) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	i := sortItem{start: len(s.text), key: len(s.text) + len(key)}
	s.text = append(append(s.text, key...), payload...)
	i.end = len(s.text)
	s.items = append(s.items, i)
	return nil
}

func (s *sorter) sort() {
	slices.SortStableFunc(s.items, func(a, b sortItem) int {
		return strings.Compare(s.key(a), s.key(b))
	})
}

// spill writes a run to a file of its own. It has no name, so that nothing is
// left when the process dies.
func (s *sorter) spill() error {
	s.sort()
	name := fmt.Sprintf("run-%d", len(s.runs))
	f, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f)
	if err := s.root.Remove(name); err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<18)
	var head [2 * binary.MaxVarintLen64]byte
	for _, i := range s.items {
		n := binary.PutUvarint(head[:], uint64(i.key-i.start))
		n += binary.PutUvarint(head[n:], uint64(i.end-i.key))
		w.Write(head[:n])
		w.Write(s.text[i.start:i.end])
	}
	s.text, s.items = s.text[:0], s.items[:0]
	return w.Flush()
}

// each calls fn for the rows in order, and frees the files.
func (s *sorter) each(fn func(key string, payload []byte) error) error {
	defer s.close()
	s.sort()
	if len(s.runs) == 0 {
		for _, i := range s.items {
			if err := fn(s.key(i), s.text[i.key:i.end]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.text, s.items = nil, nil
	return s.merge(fn)
}

func (s *sorter) merge(fn func(key string, payload []byte) error) error {
	var h runHeap
	for n, f := range s.runs {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		r := &run{r: bufio.NewReaderSize(f, 1<<16), n: n}
		switch err := r.next(); {
		case err == nil:
			h = append(h, r)
		case !errors.Is(err, io.EOF):
			return err
		}
	}
	heap.Init(&h)
	for len(h) > 0 {
		r := h[0]
		if err := fn(r.key, r.payload); err != nil {
			return err
		}
		switch err := r.next(); {
		case err == nil:
			heap.Fix(&h, 0)
		case errors.Is(err, io.EOF):
			heap.Pop(&h)
		default:
			return err
		}
	}
	return nil
}

func (s *sorter) close() {
	for _, f := range s.runs {
		f.Close()
	}
	s.runs = nil
}

// A run is one of the files that are merged.
type run struct {
	r       *bufio.Reader
	n       int
	key     string
	payload []byte
	buf     []byte
}

// next reads the next row. io.EOF: there is none.
func (r *run) next() error {
	keySize, err := binary.ReadUvarint(r.r)
	if err != nil {
		return err
	}
	size, err := binary.ReadUvarint(r.r)
	if err != nil {
		return err
	}
	r.buf = slices.Grow(r.buf[:0], int(keySize+size))[:keySize+size]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return io.ErrUnexpectedEOF
	}
	if string(r.buf[:keySize]) != r.key {
		r.key = string(r.buf[:keySize])
	}
	r.payload = r.buf[keySize:]
	return nil
}

type runHeap []*run

func (h runHeap) Len() int { return len(h) }
func (h runHeap) Less(i, j int) bool {
	if c := strings.Compare(h[i].key, h[j].key); c != 0 {
		return c < 0
	}
	return h[i].n < h[j].n
}
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(*run)) }
func (h *runHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
