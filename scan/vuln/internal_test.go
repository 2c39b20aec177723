package vuln

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/scan"
)

// A crash leaves the directory as it is at that moment. At each step of an
// import a copy is made of it, and the copy must answer as before or after, and
// take the next import.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	tracker := func(n int) Feed {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"CVE-2024-%d": {"releases": {"bookworm": {"status": "open"}}}`, 1000+i)
		}
		return Feed{ID: "debian", Kind: Debian, Data: strings.NewReader(`{"pkg": {` + b.String()[1:] + `}}`)}
	}
	db := &DB{Dir: filepath.Join(dir, "db")}
	defer db.Close()
	if r, err := db.Import(t.Context(), tracker(1)); err != nil || r[0].State != OK {
		t.Fatal(r, err)
	}
	var steps []string
	image := func(step string) {
		steps = append(steps, step)
		if err := os.CopyFS(filepath.Join(dir, step), os.DirFS(db.Dir)); err != nil {
			t.Fatal(err)
		}
	}
	db.step = image
	second := tracker(2)
	rest, _ := io.ReadAll(second.Data)
	second.Data = io.MultiReader(bytes.NewReader(rest[:40]), stepReader(func() { image("read") }), bytes.NewReader(rest[40:]))
	if r, err := db.Import(t.Context(), second); err != nil || r[0].State != OK {
		t.Fatal(r, err)
	}
	want := map[string]int{"read": 1, "rename": 1, "point": 1, "sweep": 2}
	if len(steps) != len(want) {
		t.Errorf("steps %q", steps)
	}
	for _, step := range steps {
		crashed := &DB{Dir: filepath.Join(dir, step)}
		defer crashed.Close()
		if n := count(t, crashed); n != want[step] {
			t.Errorf("after a crash at %s: %d findings, want %d", step, n, want[step])
		}
		if r, err := crashed.Import(t.Context(), tracker(3)); err != nil || r[0].State != OK {
			t.Errorf("after a crash at %s: %v, %v", step, r, err)
		}
		if n := count(t, crashed); n != 3 {
			t.Errorf("after a crash at %s and an import: %d findings", step, n)
		}
		if left, _ := filepath.Glob(crashed.Dir + "/tmp-*"); len(left) > 0 {
			t.Errorf("after a crash at %s and an import: left %q", step, left)
		}
	}
}

type stepReader func()

func (s stepReader) Read([]byte) (int, error) {
	s()
	return 0, io.EOF
}

func count(t *testing.T, db *DB) int {
	t.Helper()
	f, covered, err := db.Match(t.Context(), scan.Inventory{Subject: scan.Subject{Name: "pkg", Version: "1", OS: "debian:12"}})
	if err != nil || !covered {
		t.Fatal(covered, err)
	}
	return len(f)
}

func tempRoot(t testing.TB) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestSorter(t *testing.T) {
	for _, memory := range []int{1, 300, 5000, 1 << 20} {
		r := rand.New(rand.NewPCG(1, uint64(memory)))
		s := &sorter{root: tempRoot(t), memory: memory}
		type item struct{ key, payload string }
		var want, got []item
		for n := range 300 {
			i := item{strings.Repeat("k", r.IntN(3)) + fmt.Sprint(r.IntN(20)), fmt.Sprint(n)}
			want = append(want, i)
			if err := s.add(i.key, []byte(i.payload)); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortStableFunc(want, func(a, b item) int { return cmp.Compare(a.key, b.key) })
		err := s.each(func(key string, payload []byte) error {
			got = append(got, item{key, string(payload)})
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d bytes of memory: %v\n got %v\nwant %v", memory, err, got, want)
		}
	}
}

// Rows of one package may fill many blocks, next to packages with few.
func TestSegmentOfManyBlocks(t *testing.T) {
	root := tempRoot(t)
	w, err := newSegmentWriter(root, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	sizes := map[string]int{"a": 1, "b": 3000, "c": 1, "d": 700, "d2": 2, "e": 1}
	for name, n := range sizes {
		for i := range n {
			ref := w.detail(detail{id: fmt.Sprintf("%s-%d", name, i)})
			w.row("bookworm", name, row{vulns: []vulnID{vulnID(i)}, ref: ref, note: strings.Repeat("n", 40)})
		}
	}
	s := finished(t, root, w)
	if len(s.blocks) < 8 {
		t.Errorf("%d blocks: too few to tell anything", len(s.blocks))
	}
	for name, want := range sizes {
		n := 0
		err := s.rows(rowKey("bookworm", name), func(r *row) error {
			if r.vulns[0] != vulnID(n) {
				t.Fatalf("%s: row %d out of turn", name, n)
			}
			d, err := s.detail(r.ref)
			if d.id != fmt.Sprintf("%s-%d", name, n) {
				t.Fatalf("%s: row %d has the detail %q", name, n, d.id)
			}
			n++
			return err
		})
		if err != nil || n != want {
			t.Errorf("%s: %d rows, %v, want %d", name, n, err, want)
		}
	}
	for _, name := range []string{"", "0", "aa", "d1", "f"} {
		if err := s.rows(rowKey("bookworm", name), func(*row) error { return fmt.Errorf("%q has rows", name) }); err != nil {
			t.Error(err)
		}
	}
}

// finished returns the segment that was written to file x.
func finished(t *testing.T, root *os.Root, w *segmentWriter) *segment {
	t.Helper()
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	f, err := root.Open("x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s, err := openSegment(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parse runs a feed through its parser. What it accepts must make a segment that
// opens again, with the same rows.
func parse(t *testing.T, kind Kind, data []byte) {
	root := tempRoot(t)
	w, err := newSegmentWriter(root, "x")
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	db := &DB{Limits: Limits{FeedBytes: 1 << 20, RecordBytes: 1 << 16, Records: 1000}}
	tally := &tally{limits: db.Limits}
	if db.parse(input{t.Context(), root, db.Limits}, Feed{Kind: kind, Data: bytes.NewReader(data)}, w, tally) != nil {
		return
	}
	s := finished(t, root, w)
	readAll(t, s, w)
}

func readAll(t *testing.T, s *segment, w *segmentWriter) {
	var total, rows int64
	for _, n := range w.places {
		total += n
	}
	seen := make(map[string]bool)
	for _, b := range s.blocks {
		if seen[b.first] {
			continue
		}
		seen[b.first] = true
		err := s.rows(b.first, func(r *row) error {
			rows++
			for _, i := range r.intervals {
				if i.end != open && i.to == "" {
					t.Errorf("an interval ends with no version")
				}
			}
			d, err := s.detail(r.ref)
			if !validID(d.id) || strings.ContainsAny(d.description, "\x00\x1b\r") {
				t.Errorf("detail %+v", d)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(s.blocks) > 0 && rows == 0 || rows > total {
		t.Errorf("%d rows of %d", rows, total)
	}
}

func FuzzTracker(f *testing.F) {
	f.Add([]byte(`{"ab": {"CVE-2024-1": {"description": "x", "releases": {"sid": {"status": "resolved", "fixed_version": "1-1"}}}}}`))
	f.Add([]byte(`{"a": {"TEMP-1": {"releases": {"sid": {"status": "open", "nodsa": null}}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) { parse(t, Debian, data) })
}

func FuzzOSV(f *testing.F) {
	f.Add([]byte(`{"id": "DSA-1-1", "upstream": ["CVE-2024-1000"], "affected": [{"package": {"ecosystem": "Debian:12", "name": "a"},
		"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1"}, {"introduced": "2"}, {"last_affected": "3"}]}]}]}`))
	f.Add([]byte(`[{"id": "GHSA-1", "aliases": ["CVE-2024-1000"], "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"}],
		"affected": [{"package": {"ecosystem": "PyPI", "name": "A_b"}, "versions": ["1.0rc1"]}], "references": [{"type": "WEB", "url": "https://a.example"}]}]`))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) { parse(t, OSV, data) })
}

func FuzzKEV(f *testing.F) {
	f.Add([]byte(`{"dateReleased": "2026-01-27T18:00:02.5893Z", "vulnerabilities": [{"cveID": "CVE-2021-44228", "product": "x"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) { parse(t, KEV, data) })
}

func FuzzEPSS(f *testing.F) {
	f.Add([]byte("#model_version:v1,score_date:2026-05-12T12:55:00Z\ncve,epss,percentile\nCVE-2021-44228,0.9,0.99\n"))
	f.Fuzz(func(t *testing.T, data []byte) { parse(t, EPSS, data) })
}

// FuzzSegment reads what nobody wrote: errors are fine, panics and endless
// memory are not.
func FuzzSegment(f *testing.F) {
	root := tempRoot(f)
	w, err := newSegmentWriter(root, "x")
	if err != nil {
		f.Fatal(err)
	}
	ref := w.detail(detail{id: "CVE-2024-1000", urls: []string{"https://a.example"}})
	w.row("bookworm", "pkg", row{vulns: []vulnID{1}, intervals: []interval{{to: "2", end: fixedAt}}, versions: []string{"3"}, ref: ref})
	w.mark(1, 2)
	if err := w.finish(); err != nil {
		f.Fatal(err)
	}
	w.close()
	whole, err := root.ReadFile("x")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, []byte("\x00\x01"))
	f.Fuzz(func(t *testing.T, data, text []byte) {
		var r row
		if r.decode(string(text)) == nil {
			r.hits(orderOf("Debian"), "1")
		}
		decodeDetail(string(text))
		eachRow(string(text), func(*row) error { return nil })
		s, err := openSegment(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for _, b := range s.blocks {
			s.rows(b.first, func(r *row) error {
				_, err := s.detail(r.ref)
				return err
			})
		}
	})
}

func TestIntervals(t *testing.T) {
	in, fix, last := func(v string) osvEvent { return osvEvent{Introduced: v} }, func(v string) osvEvent { return osvEvent{Fixed: v} }, func(v string) osvEvent { return osvEvent{LastAffected: v} }
	for _, tt := range []struct {
		name   string
		events []osvEvent
		want   []interval
	}{
		{"none", nil, nil},
		{"limits alone", []osvEvent{{}}, nil},
		{"from the first", []osvEvent{in("0")}, []interval{{}}},
		{"to a fix", []osvEvent{fix("2"), in("0")}, []interval{{"", "2", fixedAt}}},
		{"two", []osvEvent{in("3"), fix("2"), in("1"), fix("4")}, []interval{{"1", "2", fixedAt}, {"3", "4", fixedAt}}},
		{"the last is open", []osvEvent{in("1"), fix("2"), in("3")}, []interval{{"1", "2", fixedAt}, {"3", "", open}}},
		{"a fix without a beginning", []osvEvent{fix("2")}, []interval{{"", "2", fixedAt}}},
		{"fixed and introduced again by one version", []osvEvent{in("2"), in("1"), fix("3"), fix("2")}, []interval{{"1", "2", fixedAt}, {"2", "3", fixedAt}}},
		{"nothing: introduced and fixed by one version", []osvEvent{fix("2"), in("2")}, []interval{{"2", "2", fixedAt}}},
		{"one version", []osvEvent{last("2"), in("2")}, []interval{{"2", "2", lastKnown}}},
		{"two beginnings", []osvEvent{in("1"), in("2"), fix("3")}, []interval{{"1", "3", fixedAt}}},
		{"two ends", []osvEvent{in("1"), fix("3"), fix("2")}, []interval{{"1", "2", fixedAt}}},
		{"zero of another spelling", []osvEvent{in("0.0"), fix("1")}, []interval{{"0.0", "1", fixedAt}}},
		{"a version that is none", []osvEvent{in("0"), fix("a b")}, []interval{{}}},
	} {
		if got := intervals(tt.events, compareSemVer); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"two\nlines\tand a tab": "two\nlines and a tab",
		"\x1b[31mred\x00\r\n":   "[31mred",
		"a\u202eb\xff":          "ab",
		"  blanks ":             "blanks",
		"seven \u00e4":          "seven",
	} {
		if got := plain(in, max(7, len(in)-1)); strings.HasPrefix(in, "seven") && got != want {
			t.Errorf("%q cut in a letter became %q, want %q", in, got, want)
		}
		if got := plain(in, 100); !strings.HasPrefix(in, "seven") && got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
