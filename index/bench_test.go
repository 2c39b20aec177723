package index

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"
)

// bigLog returns a log of n stanzas whose tail is half full, so that appends
// can be compared between sizes.
func bigLog(tb testing.TB, n int) (*memBlobs, *Log) {
	bigMu.Lock()
	defer bigMu.Unlock()
	if c, ok := bigLogs[n]; ok {
		return c.blobs, c.log
	}
	blobs := newMemBlobs()
	l := NewLog()
	for done := 0; done < n; {
		batch := makeStanzas(done, min(10_000, n-done))
		l = mustApply(tb, blobs, l, Edit{Add: batch})
		done += len(batch)
	}
	fill := 0
	for len(l.tail) < usual.tail/2-1000 || len(l.tail) > usual.tail/2+1000 {
		l = mustApply(tb, blobs, l, Edit{Add: [][]byte{makeStanza(n + fill)}})
		fill++
	}
	bigLogs[n] = bigEntry{blobs, l}
	return blobs, l
}

type bigEntry struct {
	blobs *memBlobs
	log   *Log
}

var (
	bigMu   sync.Mutex
	bigLogs = make(map[int]bigEntry)
)

var benchSizes = []int{1_000, 10_000, 63_000, 200_000}

// BenchmarkPublish is one publication: a stanza appended, the state encoded,
// the Release written and signed in both forms. It must not depend on the size
// of the log.
func BenchmarkPublish(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			blobs, l := bigLog(b, n)
			signer := &OpenPGP{Keys: []*Key{makeKey(b, KeyOptions{})}}
			add := [][]byte{makeStanza(1 << 30)}
			blobs.written = 0
			b.ReportAllocs()
			var state int
			for b.Loop() {
				next := mustApply(b, blobs, l, Edit{Add: add})
				state = len(next.State()) + len(publish(b, signer, next))
			}
			b.ReportMetric(float64(int64(state)+blobs.written/int64(b.N)), "written-B/op")
			b.ReportMetric(float64(l.files[1].Size), "gz-B")
		})
	}
}

func publish(tb testing.TB, signer Signer, l *Log) []byte {
	r := Release{Codename: "x", Date: time.Now(), Files: l.Files("main/binary-amd64/Packages")}
	text, err := r.AppendTo(nil)
	if err != nil {
		tb.Fatal(err)
	}
	clear, err := signer.ClearSign(tb.Context(), text)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := signer.DetachSign(tb.Context(), text); err != nil {
		tb.Fatal(err)
	}
	return clear
}

// BenchmarkAppend is the log's share of BenchmarkPublish over the whole life
// of a tail, sealing included.
func BenchmarkAppend(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			blobs, l := bigLog(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				l = mustApply(b, blobs, l, Edit{Add: [][]byte{makeStanza(1<<30 + i)}})
				i++
			}
		})
	}
}

// BenchmarkWhole/gzip-6+sha256 is what a publication costs without a log: compressing and
// hashing the whole Packages file. BenchmarkWhole/log is a log made from scratch.
func BenchmarkWhole(b *testing.B) {
	const n = 63_000
	blobs, l := bigLog(b, n)
	plain := readLog(b, blobs, l, "")
	b.Run("gzip-6+sha256", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		for b.Loop() {
			w, err := gzip.NewWriterLevel(io.Discard, 6)
			if err != nil {
				b.Fatal(err)
			}
			w.Write(plain)
			w.Close()
			sha256.Sum256(plain)
		}
	})
	b.Run("log", func(b *testing.B) {
		var add [][]byte
		for s, err := range l.Stanzas(b.Context(), blobs) {
			if err != nil {
				b.Fatal(err)
			}
			add = append(add, append([]byte(nil), s...))
		}
		b.SetBytes(int64(len(plain)))
		for b.Loop() {
			mustApply(b, newMemBlobs(), NewLog(), Edit{Add: add})
		}
	})
	one, err := Gzip.compress(plain)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("size", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(float64(l.files[1].Size)/float64(len(one)), "size/one-member")
	})
}

func BenchmarkRemove(b *testing.B) {
	for _, n := range benchSizes[:3] {
		blobs, l := bigLog(b, n)
		for _, where := range []struct {
			name string
			n    int
		}{{"newest", l.Len() - l.tailStanzas - 1}, {"oldest", 0}} {
			b.Run(fmt.Sprint(n, where.name), func(b *testing.B) {
				remove := idsOf(makeStanza(where.n))
				for b.Loop() {
					if got := mustApply(b, blobs, l, Edit{Remove: remove}); got.Len() != l.Len()-1 {
						b.Fatal("not removed")
					}
				}
			})
		}
	}
}

func BenchmarkCompact(b *testing.B) {
	blobs, l := bigLog(b, 63_000)
	b.SetBytes(l.PlainSize())
	for b.Loop() {
		if _, err := l.Compact(b.Context(), blobs); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad also tells what a loaded log keeps in memory for each chunk.
func BenchmarkLoad(b *testing.B) {
	blobs, l := bigLog(b, 200_000)
	state := l.State()
	var keep []*Log
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for b.Loop() {
		l, err := LoadLog(b.Context(), blobs, state)
		if err != nil {
			b.Fatal(err)
		}
		keep = append(keep, l)
	}
	perLog := float64(heap()-before) / float64(len(keep))
	b.ReportMetric((perLog-float64(len(l.tail)+len(l.packed[0])))/float64(l.chunks), "B/chunk")
	b.ReportMetric(float64(len(state)), "state-B")
	runtime.KeepAlive(keep)
}

func BenchmarkSign(b *testing.B) {
	text, err := testRelease().AppendTo(nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, k := range map[string]*Key{Ed25519: makeKey(b, KeyOptions{}), RSA4096: mustRSA(b)} {
		b.Run(name, func(b *testing.B) {
			s := &OpenPGP{Keys: []*Key{k}}
			for b.Loop() {
				if _, err := s.ClearSign(b.Context(), text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
