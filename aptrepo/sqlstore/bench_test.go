package sqlstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/repod-io/repod/aptrepo"
)

// shelfSize is how many packages the listing benchmarks have: as many as
// Debian 12 main amd64, or REPOD_BENCH_PACKAGES.
func shelfSize() int {
	if n, err := strconv.Atoi(os.Getenv("REPOD_BENCH_PACKAGES")); err == nil {
		return n
	}
	return 63440
}

var syllables = strings.Fields("ka lib ro net mi ssl ta py to gtk ra xml ne db su qt vo web li gui po fs ze kde")

var vocabulary = strings.Fields(`library development files for the a GNOME KDE Python Perl module server client
	common data documentation tools utility support runtime shared static plugin graphical interface network protocol
	parser binding C++ Haskell Ruby system kernel driver image audio video fonts translation localization debugging symbols`)

func pick(r *rand.Rand, words []string, n int, between string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

// packageNumber makes a package like those of Debian: the same for the same i.
func packageNumber(i int) *aptrepo.Artifact {
	r := rand.New(rand.NewPCG(1, uint64(i)))
	name := pick(r, syllables, 2+r.IntN(4), "") + "-" + strconv.Itoa(i)
	arch := []string{"amd64", "amd64", "all"}[r.IntN(3)]
	a := &aptrepo.Artifact{
		Name: name, Version: fmt.Sprintf("%d.%d-%d", r.IntN(20), r.IntN(100), 1+r.IntN(9)), Arch: arch,
		Source: name, SourceVersion: "1", Component: "main", Section: []string{"libs", "devel", "web", "python"}[r.IntN(4)],
		Priority: "optional", Maintainer: "Debian Maintainers <m@example.org>", Homepage: "https://example.org/" + name,
		Description: pick(r, vocabulary, 6+r.IntN(6), " "), InstalledSize: int64(r.IntN(1e6)), Size: int64(r.IntN(1e8)),
		SHA256: strings.Repeat("ab", 32), SHA512: strings.Repeat("cd", 64), MD5: strings.Repeat("ef", 16),
		Status: aptrepo.Indexed, Origin: "upload", UploadedBy: "admin",
		UploadedAt: time.Unix(1_700_000_000+int64(r.IntN(1e7)), 0),
	}
	a.Filename = "pool/main/" + name[:1] + "/" + name + "/" + name + "_" + a.Version + "_" + arch + ".deb"
	var control strings.Builder
	fmt.Fprintf(&control, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nSection: %s\nPriority: optional\nInstalled-Size: %d\n",
		a.Name, a.Version, a.Arch, a.Maintainer, a.Section, a.InstalledSize)
	if i%10 == 0 {
		fmt.Fprintf(&control, "Provides: %s-api (= 1), virtual-%d\n", name, i%100)
	}
	fmt.Fprintf(&control, "Depends: %s\nDescription: %s\n", pick(r, vocabulary, 30, ", "), a.Description)
	a.Control = control.String()
	return a
}

// upload does what one upload does to a store.
func upload(ctx context.Context, s aptrepo.Store, a *aptrepo.Artifact) error {
	return s.Update(ctx, func(tx aptrepo.Tx) error { return uploadIn(tx, a) })
}

func uploadIn(tx aptrepo.Tx, a *aptrepo.Artifact) error {
	if _, err := tx.Tombstone(a.Key()); err == nil {
		return aptrepo.ErrConflict
	}
	if err := tx.InsertArtifact(a); err != nil {
		return err
	}
	p := aptrepo.Publication{Distribution: "jammy", Component: "main", PublishedAt: a.UploadedAt}
	if _, _, err := tx.AddPublication(a.ID, p); err != nil {
		return err
	}
	return tx.Audit(aptrepo.AuditEntry{Time: a.UploadedAt, Action: "package.upload", Target: "jammy", Package: a.Name})
}

func addJammy(t testing.TB, s aptrepo.Store) {
	t.Helper()
	err := s.Update(t.Context(), func(tx aptrepo.Tx) error {
		_, err := tx.InsertDistribution(aptrepo.Distribution{Codename: "jammy", Components: []string{"main"}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fill uploads packages, many in a transaction.
func fill(t testing.TB, s aptrepo.Store, n int) {
	t.Helper()
	addJammy(t, s)
	for i := 0; i < n; {
		err := s.Update(t.Context(), func(tx aptrepo.Tx) error {
			for end := min(i+1000, n); i < end; i++ {
				if err := uploadIn(tx, packageNumber(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// benchDialects runs a benchmark on an empty store of each dialect.
func benchDialects(b *testing.B, f func(b *testing.B, s *DB)) {
	b.Run("SQLite", func(b *testing.B) { f(b, openSQLite(b)) })
	b.Run("PostgreSQL", func(b *testing.B) { f(b, openPostgres(b)) })
}

// The work of one upload, without the cost of its commit.
func BenchmarkUploadWork(b *testing.B) {
	benchDialects(b, func(b *testing.B, s *DB) {
		addJammy(b, s)
		list := make([]*aptrepo.Artifact, b.N)
		for i := range list {
			list[i] = packageNumber(i)
		}
		b.ResetTimer()
		err := s.Update(b.Context(), func(tx aptrepo.Tx) error {
			for _, a := range list {
				if err := uploadIn(tx, a); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkUpload(b *testing.B) {
	for _, clients := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d", clients), func(b *testing.B) {
			benchDialects(b, func(b *testing.B, s *DB) {
				addJammy(b, s)
				var wg sync.WaitGroup
				for c := range clients {
					wg.Go(func() {
						for i := c; i < b.N; i += clients {
							if err := upload(b.Context(), s, packageNumber(i)); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// listings are the queries that people wait for.
var listings = []struct {
	name string
	run  func(ctx context.Context, s *DB) (total int, err error)
}{
	{"packages", packagesOf(aptrepo.PackageQuery{})},
	{"packages/page1000", packagesOf(aptrepo.PackageQuery{Page: 1000})},
	{"packages/newest", packagesOf(aptrepo.PackageQuery{Sort: aptrepo.SortUploadedDesc})},
	{"packages/distribution", packagesOf(aptrepo.PackageQuery{Distribution: "jammy"})},
	{"packages/distribution/largest", packagesOf(aptrepo.PackageQuery{Distribution: "jammy", Sort: aptrepo.SortSizeDesc})},
	{"packages/section", packagesOf(aptrepo.PackageQuery{Section: "libs"})},
	{"packages/section/newest", packagesOf(aptrepo.PackageQuery{Section: "libs", Sort: aptrepo.SortUploadedDesc})},
	{"packages/status", packagesOf(aptrepo.PackageQuery{Status: aptrepo.Indexed})},
	{"packages/status/newest", packagesOf(aptrepo.PackageQuery{Status: aptrepo.Indexed, Sort: aptrepo.SortUploadedDesc})},
	{"packages/arch/distribution", packagesOf(aptrepo.PackageQuery{Distribution: "jammy", Arch: "amd64"})},
	{"packages/section/distribution/newest", packagesOf(aptrepo.PackageQuery{Distribution: "jammy", Section: "libs", Sort: aptrepo.SortUploadedDesc})},
	{"packages/q=none", packagesOf(aptrepo.PackageQuery{Q: "openssl"})},
	{"packages/q=few", packagesOf(aptrepo.PackageQuery{Q: "kalibro"})},
	{"packages/q=many", packagesOf(aptrepo.PackageQuery{Q: "lib"})},
	{"packages/q=short", packagesOf(aptrepo.PackageQuery{Q: "ib"})},
	{"packages/q=many/distribution", packagesOf(aptrepo.PackageQuery{Q: "lib", Distribution: "jammy"})},
	{"packages/q=many/newest", packagesOf(aptrepo.PackageQuery{Q: "lib", Sort: aptrepo.SortUploadedDesc})},
	{"artifacts", artifactsOf(aptrepo.PackageQuery{})},
	{"artifacts/newest", artifactsOf(aptrepo.PackageQuery{Sort: aptrepo.SortUploadedDesc})},
	{"artifacts/distribution", artifactsOf(aptrepo.PackageQuery{Distribution: "jammy"})},
	{"artifacts/distribution/newest", artifactsOf(aptrepo.PackageQuery{Distribution: "jammy", Sort: aptrepo.SortUploadedDesc})},
	{"artifacts/status", artifactsOf(aptrepo.PackageQuery{Status: aptrepo.Indexed})},
	{"artifacts/arch/largest", artifactsOf(aptrepo.PackageQuery{Arch: "all", Sort: aptrepo.SortSizeDesc})},
	{"artifacts/q=many", artifactsOf(aptrepo.PackageQuery{Q: "lib"})},
	{"published", publishedOf(aptrepo.PublishedQuery{})},
	{"published/page1000", publishedOf(aptrepo.PublishedQuery{Page: 1000})},
	{"published/arch", publishedOf(aptrepo.PublishedQuery{Arch: "amd64"})},
	{"published/q=many", publishedOf(aptrepo.PublishedQuery{Q: "lib"})},
	{"changes/500", func(ctx context.Context, s *DB) (int, error) {
		list, err := s.Changes(ctx, "jammy", 30000, 500)
		return len(list), err
	}},
	{"changes/1", func(ctx context.Context, s *DB) (int, error) {
		list, err := s.Changes(ctx, "jammy", int64(shelfSize()-1), 500)
		return len(list), err
	}},
	{"providers", func(ctx context.Context, s *DB) (int, error) {
		list, err := s.Providers(ctx, "jammy", []string{"virtual-10", "virtual-20", "libc6", packageNumber(7).Name})
		return len(list), err
	}},
	{"artifact", func(ctx context.Context, s *DB) (int, error) {
		_, err := s.Artifact(ctx, packageNumber(4711).Key())
		return 1, err
	}},
	{"heads", func(ctx context.Context, s *DB) (int, error) {
		heads, err := s.Heads(ctx)
		return len(heads), err
	}},
}

func packagesOf(q aptrepo.PackageQuery) func(ctx context.Context, s *DB) (int, error) {
	return func(ctx context.Context, s *DB) (int, error) {
		page, err := s.PackageRows(ctx, q)
		return page.Total, err
	}
}

func artifactsOf(q aptrepo.PackageQuery) func(ctx context.Context, s *DB) (int, error) {
	return func(ctx context.Context, s *DB) (int, error) {
		page, err := s.ArtifactRows(ctx, q)
		return page.Total, err
	}
}

func publishedOf(q aptrepo.PublishedQuery) func(ctx context.Context, s *DB) (int, error) {
	q.Distribution = "jammy"
	return func(ctx context.Context, s *DB) (int, error) {
		page, err := s.PublishedRows(ctx, q)
		return page.Total, err
	}
}

func BenchmarkList(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) {
		s := openSQLite(b)
		fill(b, s, shelfSize())
		benchListings(b, s)
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		s := openPostgres(b)
		fill(b, s, shelfSize())
		if _, err := s.conn.ExecContext(b.Context(), "ANALYZE"); err != nil {
			b.Fatal(err)
		}
		benchListings(b, s)
	})
}

func benchListings(b *testing.B, s *DB) {
	for _, l := range listings {
		b.Run(l.name, func(b *testing.B) {
			before := processTime(b)
			total := 0
			for range b.N {
				var err error
				if total, err = l.run(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(processTime(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
			b.ReportMetric(float64(total), "total")
		})
	}
}

// openSQLiteAt opens a database file.
func openSQLiteAt(t testing.TB, path string) *DB {
	t.Helper()
	conn, err := sqlx.Open("sqlite", SQLiteDSN(path))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), conn, SQLite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
