package index

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// memBlobs is a Blobs in memory that counts its calls.
type memBlobs struct {
	mu      sync.Mutex
	data    map[string][]byte
	puts    int
	gets    int
	written int64
}

func newMemBlobs() *memBlobs { return &memBlobs{data: make(map[string][]byte)} }

func (m *memBlobs) PutBlob(ctx context.Context, id string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != id {
		return fmt.Errorf("blob %s: wrong id", id)
	}
	m.puts++
	m.written += int64(len(data))
	m.data[id] = data
	return ctx.Err()
}

func (m *memBlobs) GetBlob(ctx context.Context, id string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	data, ok := m.data[id]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", id, fs.ErrNotExist)
	}
	return data, ctx.Err()
}

// only returns a copy that has the blobs of l and no others.
func (m *memBlobs) only(l *Log) *memBlobs {
	c := newMemBlobs()
	for id := range l.BlobIDs() {
		if data, ok := m.data[id]; ok {
			c.data[id] = data
		}
	}
	return c
}

var someWords = strings.Fields(`library shared runtime files for the development of programs which use
	network protocol server client daemon simple fast small tool command line interface graphical
	desktop debugging symbols documentation python perl module bindings support data common
	Debian GNU Linux package provides contains this and with that from into over under`)

// makeStanza returns a stanza like those in Debian's main archive, of about 790
// bytes, that is the same for the same number.
func makeStanza(n int) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	word := func() string { return someWords[rng.IntN(len(someWords))] }
	name := fmt.Sprintf("lib%s-%s%d", word(), word(), n)
	version := fmt.Sprintf("%d.%d.%d-%d", rng.IntN(9), rng.IntN(30), rng.IntN(100), 1+rng.IntN(9))
	var sum [48]byte
	for i := range sum {
		sum[i] = byte(rng.UintN(256))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: amd64\nInstalled-Size: %d\n", name, version, rng.IntN(99999))
	fmt.Fprintf(&b, "Maintainer: %s Maintainers <%s@example.org>\n", word(), word())
	fmt.Fprintf(&b, "Depends: libc6 (>= 2.%d)", 14+rng.IntN(30))
	for range rng.IntN(8) {
		fmt.Fprintf(&b, ", lib%s%d (>= %d.%d)", word(), rng.IntN(20), rng.IntN(20), rng.IntN(100))
	}
	fmt.Fprintf(&b, "\nSection: libs\nPriority: optional\nHomepage: https://%s.example.org/%s\n", word(), word())
	fmt.Fprintf(&b, "Filename: pool/main/%s/%s/%s_%s_amd64.deb\nSize: %d\n", name[:4], name, name, version, rng.IntN(9999999))
	fmt.Fprintf(&b, "MD5sum: %x\nSHA256: %x\nDescription: %s %s %s\n", sum[:16], sum[16:], word(), word(), word())
	for range 2 + rng.IntN(4) {
		for range 9 {
			b.WriteString(" " + word())
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func makeStanzas(from, n int) [][]byte {
	var list [][]byte
	for i := range n {
		list = append(list, makeStanza(from+i))
	}
	return list
}

func mustApply(t testing.TB, b Blobs, l *Log, e Edit) *Log {
	t.Helper()
	next, err := l.Apply(t.Context(), b, e)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// text returns a Packages file as it has to be.
func text(stanzas [][]byte) []byte {
	var out []byte
	for _, s := range stanzas {
		out = append(append(out, bytes.TrimRight(s, "\n")...), "\n\n"...)
	}
	return out
}

// fatalf is what testing.T and rapid.T have in common.
type fatalf interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkLog compares everything that can be read from l with the stanzas that
// it should have.
func checkLog(t fatalf, b Blobs, l *Log, stanzas [][]byte) {
	t.Helper()
	ctx := context.Background()
	want := text(stanzas)
	if l.Len() != len(stanzas) || l.PlainSize() != int64(len(want)) {
		t.Fatalf("%d stanzas of %d bytes, want %d of %d", l.Len(), l.PlainSize(), len(stanzas), len(want))
	}
	for _, f := range l.Files("Packages") {
		ext := strings.TrimPrefix(f.Path, "Packages")
		raw := readLog(t, b, l, ext)
		sha, md := sha256.Sum256(raw), md5.Sum(raw)
		if f.Size != int64(len(raw)) || f.SHA256 != hex.EncodeToString(sha[:]) || f.MD5 != hex.EncodeToString(md[:]) {
			t.Fatalf("%s is not as listed", f.Path)
		}
		if got := decompress(t, ext, raw); !bytes.Equal(got, want) {
			t.Fatalf("%s holds %d bytes, want %d; first difference at %d", f.Path, len(got), len(want), firstDifference(got, want))
		}
	}
	i := 0
	for s, err := range l.Stanzas(ctx, b) {
		if err != nil {
			t.Fatalf("stanza %d: %v", i, err)
		}
		if !bytes.Equal(s, bytes.TrimRight(stanzas[i], "\n")) {
			t.Fatalf("stanza %d differs", i)
		}
		i++
	}
	if i != len(stanzas) {
		t.Fatalf("%d stanzas in sequence, want %d", i, len(stanzas))
	}
}

func readLog(t fatalf, b Blobs, l *Log, ext string) []byte {
	t.Helper()
	f, err := l.Open(context.Background(), b, ext)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return raw
}

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	return r
})

func decompress(t fatalf, ext string, raw []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(raw)
	switch ext {
	case ".gz":
		zr, err := gzip.NewReader(r)
		if err != nil {
			t.Fatalf("%v", err)
		}
		r = zr
	case ".zst":
		plain, err := zstdDecoder().DecodeAll(raw, nil)
		if err != nil {
			t.Fatalf("%v", err)
		}
		return plain
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return plain
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

func idsOf(stanzas ...[]byte) map[ID]bool {
	ids := make(map[ID]bool)
	for _, s := range stanzas {
		ids[stanzaID(s)] = true
	}
	return ids
}

func sortedStanzas(stanzas [][]byte) [][]byte {
	return slices.SortedStableFunc(slices.Values(stanzas), func(a, b []byte) int {
		return stanzaID(a).compare(stanzaID(b))
	})
}

// needProgram skips the test when a program of the system is missing, except
// in continuous integration, where everything has to run.
func needProgram(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}
