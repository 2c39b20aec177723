package index

import (
	"fmt"
	"testing"
	"time"
)

// grownLog appends to a log of n stanzas, one publication of one stanza a
// quarter of an hour.
func grownLog(tb testing.TB, n, publications int) (*memBlobs, *Log, History) {
	blobs, l := bigLog(tb, n)
	var h History
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range publications {
		next := mustApply(tb, blobs, l, Edit{Add: [][]byte{makeStanza(1<<30 + i)}})
		at = at.Add(15 * time.Minute)
		h, l = mustAdvance(tb, blobs, h, l, next, at), next
	}
	return blobs, l, h
}

// BenchmarkPatches is what patches add to a publication. It must not depend on
// the size of the log.
func BenchmarkPatches(b *testing.B) {
	for _, n := range benchSizes[1:] {
		for _, publications := range []int{8, 64, 500} {
			b.Run(fmt.Sprint(n, "/", publications), func(b *testing.B) {
				blobs, l, h := grownLog(b, n, publications)
				next := mustApply(b, blobs, l, Edit{Add: [][]byte{makeStanza(1<<30 + publications)}})
				b.ReportAllocs()
				var data []byte
				var then History
				for b.Loop() {
					then = mustAdvance(b, blobs, h, l, next, historyStart)
					var err error
					if data, err = then.PatchIndex(next); err != nil {
						b.Fatal(err)
					}
				}
				kept := 0
				for _, s := range then {
					kept += len(s.Text) + len(s.Script)
				}
				b.ReportMetric(float64(kept), "kept-B")
				b.ReportMetric(float64(len(data)), "index-B")
				b.ReportMetric(float64(len(then)-1), "patches")
			})
		}
	}
}
