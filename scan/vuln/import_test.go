package vuln_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/repod-io/repod/scan/vuln"
)

// trackerOf makes a tracker with n CVEs of one package in each release.
func trackerOf(n int, codenames ...string) string {
	var b strings.Builder
	b.WriteString(`{"pkg": {`)
	for i := range n {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `"CVE-2024-%d": {"releases": {`, 1000+i)
		for j, codename := range codenames {
			if j > 0 {
				b.WriteString(",")
			}
			fmt.Fprintf(&b, `%q: {"status": "open", "urgency": "low"}`, codename)
		}
		b.WriteString("}}")
	}
	b.WriteString("}}")
	return b.String()
}

func packed(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// zipped makes a zip file of names and contents in turn.
func zipped(t testing.TB, parts ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(parts); i += 2 {
		w, err := z.Create(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, parts[i+1])
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func osvOf(id, fixed string) string {
	return fmt.Sprintf(`{"id": %q, "modified": "2026-01-02T03:04:05Z", "affected": [{"package": {"ecosystem": "Debian:12", "name": "pkg"},
		"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": %q}]}]}]}`, id, fixed)
}

func TestForms(t *testing.T) {
	one, two := osvOf("CVE-2024-1000", "2"), osvOf("CVE-2024-1001", "3")
	for name, f := range map[string]vuln.Feed{
		"array":                        text("x", vuln.OSV, "[ "+one+",\n"+two+"]\n"),
		"one after the other":          text("x", vuln.OSV, "\n"+one+"\n"+two),
		"gzip":                         text("x", vuln.OSV, packed(t, one+two)),
		"zip":                          text("x", vuln.OSV, zipped(t, "a/", "", "a/1.json", one, "2.json", two, "README.md", "{")),
		"byte by byte":                 {ID: "x", Kind: vuln.OSV, Data: iotest.OneByteReader(strings.NewReader(one + two))},
		"directory":                    {ID: "x", Kind: vuln.OSV, Dir: fstest.MapFS{"a/b/1.json": {Data: []byte(one)}, "2.json": {Data: []byte(two)}, "c.txt": {Data: []byte("{")}}},
		"zip with names that lead out": text("x", vuln.OSV, zipped(t, "../../evil.json", "{", "/etc/evil.json", "{", `..\evil.json`, "{", "1.json", one, "2.json", two)),
	} {
		t.Run(name, func(t *testing.T) {
			db := newDB(t)
			mustImport(t, db, f)
			if got := ids(match(t, db, subject("debian:12", "pkg", "1"))); got != "CVE-2024-1000 CVE-2024-1001" {
				t.Errorf("found %q", got)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(db.Dir), "evil.json")); err == nil {
				t.Error("a file was written outside")
			}
		})
	}
}

// hostile feeds are refused whole: the former data stay.
func TestHostileFeeds(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 10_000)
	for name, f := range map[string]vuln.Feed{
		"empty":                   text("x", vuln.Debian, ""),
		"no records":              text("x", vuln.Debian, "{}"),
		"an array":                text("x", vuln.Debian, "[]"),
		"cut in the middle":       text("x", vuln.Debian, trackerOf(100, "bookworm")[:2000]),
		"cut before the last end": text("x", vuln.Debian, strings.TrimSuffix(trackerOf(100, "bookworm"), "}")),
		"more behind":             text("x", vuln.Debian, trackerOf(100, "bookworm")+"{}"),
		"nested":                  text("x", vuln.Debian, `{"pkg": {"CVE-2024-1000": {"x": `+strings.Repeat("[", 100_000)+`}}}`),
		"nested objects":          text("x", vuln.Debian, deep),
		"nested sources":          text("x", vuln.Debian, `{"a": `+deep),
		"huge string":             text("x", vuln.Debian, `{"pkg": {"CVE-2024-1000": {"description": "`+strings.Repeat("x", 3<<20)+`"}}}`),
		"huge name":               text("x", vuln.Debian, `{"`+strings.Repeat("x", 3<<20)),
		"endless blanks":          {ID: "x", Kind: vuln.Debian, Data: io.LimitReader(endless(' '), 1<<30)},
		"unknown status":          text("x", vuln.Debian, strings.ReplaceAll(trackerOf(100, "bookworm"), "open", "maybe")),
		"other types":             text("x", vuln.Debian, `{"pkg": {"CVE-2024-1000": {"releases": []}}}`),
		"no known release":        text("x", vuln.Debian, trackerOf(100, "plover")),
		"unreadable":              {ID: "x", Kind: vuln.Debian, Data: iotest.ErrReader(errors.New("connection reset"))},
		"not fetched":             {ID: "x", Kind: vuln.Debian, Err: errors.New("connection refused")},
		"without data":            {ID: "x", Kind: vuln.Debian},
		"unknown kind":            text("x", "redhat", "{}"),
		"invalid ID":              text("../x", vuln.Debian, trackerOf(100, "bookworm")),
		"gzip bomb":               text("x", vuln.Debian, packed(t, `{"pkg": {`+strings.Repeat(" ", 64<<20))),
		"cut gzip":                text("x", vuln.Debian, packed(t, trackerOf(100, "bookworm"))[:300]),
		"OSV: nested":             text("x", vuln.OSV, deep),
		"OSV: nested inside":      text("x", vuln.OSV, `{"id": "CVE-2024-1000", "database_specific": `+strings.Repeat("[", 100_000)),
		"OSV: cut":                text("x", vuln.OSV, osvOf("CVE-2024-1000", "1")[:60]),
		"OSV: cut array":          text("x", vuln.OSV, "["+osvOf("CVE-2024-1000", "1")),
		"OSV: blanks":             {ID: "x", Kind: vuln.OSV, Data: io.LimitReader(endless('\n'), 1<<30)},
		"OSV: empty zip":          text("x", vuln.OSV, zipped(t)),
		"OSV: broken zip":         text("x", vuln.OSV, zipped(t, "a.json", osvOf("CVE-2024-1000", "1"))[:150]),
		"OSV: zip bomb":           text("x", vuln.OSV, zipped(t, "a.json", osvOf("CVE-2024-1000", "1"), "b.json", strings.Repeat(" ", 256<<20))),
		"OSV: one broken in zip":  text("x", vuln.OSV, zipped(t, "a.json", osvOf("CVE-2024-1000", "1"), "b.json", "{")),
		"OSV: bad names":          text("x", vuln.OSV, strings.Repeat(osvOf("<script>", "1"), 50)),
		"OSV for Ubuntu":          text("x", vuln.Ubuntu, osvOf("CVE-2024-1000", "1")),
		"KEV: no list":            text("x", vuln.KEV, `{"title": "x"}`),
		"KEV: cut":                text("x", vuln.KEV, `{"vulnerabilities": [{"cveID": "CVE-2024-1000"}`),
		"KEV: empty":              text("x", vuln.KEV, `{"vulnerabilities": []}`),
		"EPSS: no head":           text("x", vuln.EPSS, "CVE-2024-1000,0.1,0.2\n"),
		"EPSS: only a head":       text("x", vuln.EPSS, "cve,epss,percentile\n"),
		"EPSS: HTML":              text("x", vuln.EPSS, "<html>\n"),
		"EPSS: long line":         text("x", vuln.EPSS, "cve,epss,percentile\n"+strings.Repeat("x", 1<<20)),
		"EPSS: impossible":        text("x", vuln.EPSS, "cve,epss,percentile\n"+strings.Repeat("CVE-2024-1000,1.5,0.2\nCVE-2024-1001,NaN,1\n", 20)),
	} {
		t.Run(name, func(t *testing.T) {
			db := newDB(t)
			db.Limits = vuln.Limits{RecordBytes: 1 << 20}
			mustImport(t, db, text("debian", vuln.Debian, trackerOf(3, "bookworm")))
			before, err := db.Data(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			good := f.ID
			r := importFeeds(t, db, f)[0]
			if r.State != vuln.Failed || r.Detail == "" || strings.Contains(r.Detail, db.Dir) {
				t.Errorf("%s %q, want an error that says why", r.State, r.Detail)
			}
			after, err := db.Data(t.Context())
			if err != nil || after.Generation != before.Generation {
				t.Errorf("generation %d, %v, want the former", after.Generation, err)
			}
			if n := len(match(t, db, subject("debian:12", "pkg", "1"))); n != 3 {
				t.Errorf("%d findings afterwards, want 3", n)
			}
			left, _ := filepath.Glob(db.Dir + "/tmp-*")
			if len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			status, err := db.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(status, func(s vuln.FeedStatus) bool { return s.ID == good })
			if good == "x" && (i < 0 || status[i].State != vuln.Never || status[i].Detail != r.Detail) {
				t.Errorf("status %+v, want that x was never imported and why", status)
			}
		})
	}
}

// What is refused for its ratio alone: 16 MiB of sound records that compress far
// too well.
func TestBombs(t *testing.T) {
	var b strings.Builder
	for n := range 32 {
		fmt.Fprintf(&b, `{"id": "A-%d", "details": "%s"}`, n, strings.Repeat(" ", 1<<19))
	}
	db := newDB(t)
	for name, data := range map[string]string{"gzip": packed(t, b.String()), "zip": zipped(t, "a.json", b.String())} {
		if r := importFeeds(t, db, text("x", vuln.OSV, data))[0]; !strings.Contains(r.Detail, "far more than its size") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	db = newDB(t)
	db.Limits.Ratio = 2000
	mustImport(t, db, text("x", vuln.OSV, packed(t, b.String())))
}

// The index of a zip file is bounded before it is in memory.
func TestZipOfManyFiles(t *testing.T) {
	var parts []string
	for n := range 3000 {
		parts = append(parts, fmt.Sprintf("%d.txt", n), "")
	}
	db := newDB(t)
	db.Limits.Records = 10
	if r := importFeeds(t, db, text("x", vuln.OSV, zipped(t, append(parts, "a.json", osvOf("CVE-2024-1000", "1"))...)))[0]; r.State != vuln.Failed {
		t.Errorf("%+v", r)
	}
	mustImport(t, db, text("x", vuln.OSV, zipped(t, append(parts[:20], "a.json", osvOf("CVE-2024-1000", "1"))...)))
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func TestLimits(t *testing.T) {
	many := trackerOf(1000, "bookworm")
	for name, limits := range map[string]vuln.Limits{
		"bytes":   {FeedBytes: 1000},
		"records": {Records: 999},
	} {
		db := newDB(t)
		db.Limits = limits
		for _, s := range []string{many, packed(t, many)} {
			if r := importFeeds(t, db, text("x", vuln.Debian, s))[0]; r.State != vuln.Failed {
				t.Errorf("%s: %s", name, r.State)
			}
		}
		db.Limits = vuln.Limits{FeedBytes: int64(len(many)), Records: 1000, RecordBytes: 200}
		mustImport(t, db, text("x", vuln.Debian, many))
	}
}

// A few records that make no sense do not make the feed worthless.
func TestSkippedAndDuplicateRecords(t *testing.T) {
	db := newDB(t)
	r := importFeeds(t, db, text("x", vuln.OSV, osvOf("CVE-2024-1000", "2")+osvOf("CVE-2024-1000", "3")+osvOf("no good", "3")))[0]
	if r.State != vuln.OK || r.Records != 1 || r.Detail != "1 invalid, 1 duplicate" {
		t.Errorf("%+v", r)
	}
	f := match(t, db, subject("debian:12", "pkg", "1"))
	if len(f) != 1 || f[0].FixedVersion != "3" {
		t.Errorf("%+v, want one finding, fixed where both say so", f)
	}
}

// Many do.
func TestTooManyInvalidRecords(t *testing.T) {
	var b strings.Builder
	for n := range 1000 {
		b.WriteString(osvOf(fmt.Sprintf("A-%d", n), "2"))
	}
	db := newDB(t)
	bad := osvOf("no good", "2")
	if r := importFeeds(t, db, text("x", vuln.OSV, b.String()+strings.Repeat(bad, 11)))[0]; r.State != vuln.Failed || r.Detail != "11 of 1011 records make no sense" {
		t.Errorf("%+v", r)
	}
	mustImport(t, db, text("x", vuln.OSV, b.String()+strings.Repeat(bad, 10)))
}

func TestSanity(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, text("debian", vuln.Debian, trackerOf(100, "bookworm", "bullseye", "plover")))
	try := func(f vuln.Feed, want vuln.State, why string) {
		t.Helper()
		r := importFeeds(t, db, f)[0]
		if r.State != want || !strings.Contains(r.Detail, why) {
			t.Errorf("%s %q, want %s %q", r.State, r.Detail, want, why)
		}
	}
	try(text("debian", vuln.Debian, trackerOf(79, "bookworm", "bullseye")), vuln.Failed, "there are 79 records, were 100")
	try(text("debian", vuln.Debian, trackerOf(100, "bookworm")), vuln.Failed, "nothing for bullseye")
	if n := len(match(t, db, subject("debian:11", "pkg", "1"))); n != 100 {
		t.Errorf("%d findings after feeds that were refused, want 100", n)
	}
	status, err := db.Status(t.Context(), "kev", "debian")
	if err != nil || len(status) != 2 || status[0].State != vuln.Failed || status[0].Records != 100 || status[1].State != vuln.Never || status[1].Detail != "never imported" {
		t.Errorf("status %+v, %v", status, err)
	}
	try(text("debian", vuln.Debian, trackerOf(80, "bookworm", "bullseye")), vuln.OK, "")
	forced := text("debian", vuln.Debian, trackerOf(1, "bookworm"))
	forced.Force = true
	try(forced, vuln.OK, "")
	if n := len(match(t, db, subject("debian:12", "pkg", "1"))); n != 1 {
		t.Errorf("%d findings, want 1", n)
	}
	mustImport(t, db, feed(t, vuln.OSV, "languages-osv.json"))
	lost, err := os.ReadFile("testdata/languages-osv.json")
	if err != nil {
		t.Fatal(err)
	}
	try(text("languages-osv", vuln.OSV, strings.ReplaceAll(string(lost), `"npm"`, `"pnm"`)), vuln.Failed, "nothing for npm")
	try(text("languages-osv", vuln.OSV, `{"id": "GHSA-1"}`+strings.Repeat(" ", 9)), vuln.Failed, "there are 1 records, were 10")
}

func TestUnchanged(t *testing.T) {
	db := newDB(t)
	clock := now
	db.Now = func() time.Time { return clock }
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"), feed(t, vuln.KEV, "kev.json"))
	before, _ := db.Data(t.Context())
	if want := time.Date(2026, 1, 27, 18, 0, 2, 589300000, time.UTC); !before.Date.Equal(want) {
		t.Errorf("data of %v, want those of the oldest feed, %v", before.Date, want)
	}
	clock = now.Add(time.Hour)
	served := feed(t, vuln.KEV, "kev.json")
	served.Date = clock.Add(-time.Minute)
	for _, r := range importFeeds(t, db, feed(t, vuln.Debian, "tracker.json"), served) {
		if r.State != vuln.Unchanged || r.Records == 0 {
			t.Errorf("%+v, want it unchanged", r)
		}
	}
	after, _ := db.Data(t.Context())
	if after.Generation != before.Generation || !after.Date.Equal(clock.Add(-time.Minute)) {
		t.Errorf("data %+v, were %+v: want a new date alone", after, before)
	}
	gens, _ := filepath.Glob(db.Dir + "/gen-*")
	if len(gens) != 1 {
		t.Errorf("generations %q, want one", gens)
	}
}

// The same data make the same generation, whoever imports them.
func TestGenerationIsThatOfTheData(t *testing.T) {
	var first int64
	for i := range 3 {
		db := newDB(t)
		if i > 0 {
			mustImport(t, db, text("debian", vuln.Debian, trackerOf(i, "bookworm")))
		}
		mustImport(t, db, feed(t, vuln.OSV, "debian-osv.json"))
		f := feed(t, vuln.Debian, "tracker.json")
		f.ID, f.Force = "debian", true
		mustImport(t, db, f)
		data, err := db.Data(t.Context())
		if err != nil || data.Generation == 0 || data.Generation >= 1<<53 {
			t.Fatalf("generation %d, %v", data.Generation, err)
		}
		if first == 0 {
			first = data.Generation
		}
		if data.Generation != first {
			t.Errorf("generation %d, want %d", data.Generation, first)
		}
	}
}

func TestNeverImported(t *testing.T) {
	db := newDB(t)
	data, err := db.Data(t.Context())
	if err != nil || data.Generation != 0 {
		t.Errorf("data %+v, %v, want none", data, err)
	}
	status, err := db.Status(t.Context(), "debian")
	if err != nil || len(status) != 1 || status[0].State != vuln.Never {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestDrop(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"), feed(t, vuln.KEV, "kev.json"))
	if err := db.Drop(t.Context(), "kev", "nothing"); err != nil {
		t.Fatal(err)
	}
	for _, f := range match(t, db, subject("debian:12", "nginx", "1.22.1-9")) {
		if f.KEV {
			t.Errorf("%s is still known to be exploited", f.ID)
		}
	}
	if status, _ := db.Status(t.Context()); len(status) != 1 || status[0].ID != "tracker" {
		t.Errorf("status %+v", status)
	}
}

// The former generation stays for those who are still opening it.
func TestGenerationsAreSwept(t *testing.T) {
	db := newDB(t)
	for n := range 4 {
		mustImport(t, db, text("debian", vuln.Debian, trackerOf(n+1, "bookworm")))
	}
	gens, _ := filepath.Glob(db.Dir + "/gen-*")
	for i := range gens {
		gens[i] = filepath.Base(gens[i])
	}
	if !slices.Equal(gens, []string{"gen-00000003", "gen-00000004"}) {
		t.Errorf("generations %q", gens)
	}
	// What did not change is not stored again.
	mustImport(t, db, feed(t, vuln.KEV, "kev.json"))
	before, errBefore := os.Stat(filepath.Join(db.Dir, "gen-00000004", "0.seg"))
	after, errAfter := os.Stat(filepath.Join(db.Dir, "gen-00000005", "0.seg"))
	if err := errors.Join(errBefore, errAfter); err != nil || !os.SameFile(before, after) {
		t.Errorf("the tracker's segment was copied: %v", err)
	}
}

func TestImportEndsWithItsContext(t *testing.T) {
	db := newDB(t)
	ctx, cancel := context.WithCancel(t.Context())
	data := io.MultiReader(strings.NewReader(trackerOf(10, "bookworm")[:100]), readerFunc(func(p []byte) (int, error) {
		cancel()
		return copy(p, " "), nil
	}))
	if _, err := db.Import(ctx, vuln.Feed{ID: "x", Kind: vuln.Debian, Data: data}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// While one imports, others wait; the wait ends with the context.
func TestOneImportAtATime(t *testing.T) {
	db := newDB(t)
	other := &vuln.DB{Dir: db.Dir}
	defer other.Close()
	var once sync.Once
	blocked := readerFunc(func(p []byte) (int, error) {
		once.Do(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if _, err := other.Import(ctx, text("y", vuln.KEV, `{}`)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a second import: %v, want it to wait", err)
			}
		})
		return 0, io.EOF
	})
	mustImport(t, db, vuln.Feed{ID: "x", Kind: vuln.Debian, Data: io.MultiReader(strings.NewReader(trackerOf(1, "sid")), blocked)})
}

// Readers see one generation or the next, whole, while imports go on.
func TestReadersDuringImports(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, text("debian", vuln.Debian, trackerOf(1, "bookworm")))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		reader := &vuln.DB{Dir: db.Dir}
		defer reader.Close()
		for _, d := range []*vuln.DB{db, reader} {
			wg.Go(func() {
				last := 0
				for {
					n := len(match(t, d, subject("debian:12", "pkg", "1")))
					if n < last {
						t.Errorf("%d findings after %d", n, last)
					}
					last = n
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
	}
	for n := range 20 {
		mustImport(t, db, text("debian", vuln.Debian, trackerOf(n+2, "bookworm")))
	}
	close(done)
	wg.Wait()
}

func TestClose(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, text("debian", vuln.Debian, trackerOf(1, "bookworm")))
	match(t, db, subject("debian:12", "pkg", "1"))
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Error(err)
	}
	if _, _, err := db.Match(t.Context(), subject("debian:12", "pkg", "1")); err == nil {
		t.Error("a closed database answers")
	}
}

// Damage on the disk is an error, never an answer without findings.
func TestDamage(t *testing.T) {
	db := newDB(t)
	mustImport(t, db, feed(t, vuln.Debian, "tracker.json"))
	path := filepath.Join(db.Dir, "gen-00000001", "0.seg")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := match(t, db, subject("debian:12", "nginx", "1.22.1-9"))
	db.Close()
	failed := 0
	for at := range whole {
		broken := slices.Clone(whole)
		broken[at] ^= 0x55
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		reader := &vuln.DB{Dir: db.Dir}
		got, covered, err := reader.Match(t.Context(), subject("debian:12", "nginx", "1.22.1-9"))
		if err != nil {
			failed++
		} else if !covered || !reflect.DeepEqual(got, want) {
			t.Errorf("byte %d: found %q", at, ids(got))
		}
		reader.Close()
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	reader := &vuln.DB{Dir: db.Dir}
	defer reader.Close()
	if _, _, err := reader.Match(t.Context(), subject("debian:12", "nginx", "1.22.1-9")); err == nil {
		t.Error("a file that was cut is read")
	}
}
