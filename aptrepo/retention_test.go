package aptrepo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
)

const day = 24 * time.Hour

// retire runs retention, which must succeed.
func (f *fixture) retire(t testing.TB, o aptrepo.RetentionOptions) aptrepo.RetentionReport {
	t.Helper()
	report, err := f.RunRetention(f.ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func keep(n int) aptrepo.RetentionOptions {
	return aptrepo.RetentionOptions{KeepVersions: n}
}

// versions publishes versions of a package, a day apart.
func (f *fixture) versions(t testing.TB, codename, name string, versions ...string) {
	t.Helper()
	for _, v := range versions {
		f.publish(t, build(name, v, "amd64"), codename)
		f.clock.move(day)
	}
}

// retired renders what a report says.
func retired(r aptrepo.RetentionReport) (list []string) {
	for _, g := range r.Removed {
		list = append(list, fmt.Sprintf("%s %s %s %s %s", g.Distribution, g.Name, g.Version, g.Arch, g.Reason))
	}
	return list
}

func want(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// holds is want for an index, whose order does not matter.
func holds(t testing.TB, what string, got []string, wanted ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(wanted)
	want(t, what, got, wanted...)
}

func TestRetentionByCount(t *testing.T) {
	f := newFixture(t)
	f.versions(t, "jammy", "tool", "1.9", "1.10", "1.11~rc1", "1.11")
	f.publish(t, build("tool", "1.0", "arm64"), "jammy")
	f.versions(t, "jammy", "other", "1", "2")
	size := int64(len(build("tool", "1.9", "amd64")))
	before := len(auditActions(t, f.Repo))
	generation := func() int64 {
		g, err := f.Store.Generation(f.ctx, "jammy")
		if err != nil {
			t.Fatal(err)
		}
		return g.Number
	}
	number := generation()
	var events []aptrepo.Event
	f.OnEvent = func(_ context.Context, e aptrepo.Event) { events = append(events, e) }

	report := f.retire(t, keep(2))
	want(t, "removed", retired(report), "jammy tool 1.10 amd64 keep_versions", "jammy tool 1.9 amd64 keep_versions")
	if report.Deleted != 2 || report.FreedBytes < 2*size-100 || report.Removed[0].Size == 0 || !report.RanAt.Equal(f.clock.now()) {
		t.Errorf("report %+v", report)
	}
	holds(t, "amd64", packages(t, f.Repo, "jammy", "amd64"), "other 1 amd64", "other 2 amd64", "tool 1.11~rc1 amd64", "tool 1.11 amd64")
	holds(t, "arm64", packages(t, f.Repo, "jammy", "arm64"), "tool 1.0 arm64")
	if n := generation(); n != number+1 {
		t.Errorf("%d publications, want one", n-number)
	}
	want(t, "audit", auditActions(t, f.Repo)[before:], "package.unpublish success", "package.delete success",
		"package.unpublish success", "package.delete success", "retention.run success")
	if len(events) != 1 || events[0].Kind != aptrepo.EventRetentionFinished || events[0].Removed != 2 ||
		events[0].FreedBytes != report.FreedBytes || events[0].Actor != "admin" {
		t.Errorf("events %+v", events)
	}
	page, err := f.Store.AuditPage(f.ctx, aptrepo.AuditQuery{Package: "tool", PerPage: 2})
	if err != nil || page.Items[1].Detail != "amd64 retention keep_versions" || page.Items[1].Target != "jammy" || page.Items[1].Version != "1.9" {
		t.Errorf("audit entries %+v, %v", page.Items, err)
	}
	clean(t, f.Repo)

	// The file stays for those with yesterday's index, the key for ever.
	if len(f.pool(t)) != 7 {
		t.Errorf("pool %q", f.pool(t))
	}
	f.clock.move(25 * time.Hour)
	if err := f.Sweep(f.ctx); err != nil {
		t.Fatal(err)
	}
	if len(f.pool(t)) != 5 {
		t.Errorf("pool after a day %q", f.pool(t))
	}
	_, err = f.Publish(f.ctx, bytes.NewReader(build("tool", "1.9", "amd64", "X-Other", "bytes")), aptrepo.PublishOptions{Distribution: "jammy"})
	if !errors.Is(err, aptrepo.ErrConflict) {
		t.Errorf("other bytes under the key: %v", err)
	}

	// A second run has nothing to do, and tells nobody.
	events = nil
	if report := f.retire(t, keep(2)); len(report.Removed) != 0 || report.Deleted != 0 || generation() != number+1 {
		t.Errorf("second run %+v, generation %d", report, generation())
	}
	if len(events) != 0 {
		t.Errorf("events %+v", events)
	}
}

func TestRetentionByAge(t *testing.T) {
	f := newFixture(t)
	o := aptrepo.RetentionOptions{SupersededFor: 30 * day}
	f.publish(t, build("tool", "1", "amd64"), "jammy")
	f.clock.move(400 * day)
	f.publish(t, build("tool", "2", "amd64"), "jammy")
	want(t, "superseded just now", retired(f.retire(t, o)))
	f.clock.move(30*day - time.Second)
	want(t, "a second too early", retired(f.retire(t, o)))
	f.clock.move(time.Second)
	want(t, "in time", retired(f.retire(t, o)), "jammy tool 1 amd64 retention_days")
	f.clock.move(4000 * day)
	want(t, "only the newest is left", retired(f.retire(t, o)))
	holds(t, "jammy", packages(t, f.Repo, "jammy", "amd64"), "tool 2 amd64")
}

// What was promoted stays where it was promoted to, and only there; what came
// along in a migration does not.
func TestRetentionLeavesThePromoted(t *testing.T) {
	f := newFixture(t)
	f.versions(t, "jammy", "tool", "1", "2", "3")
	promote := func(version string) {
		t.Helper()
		_, err := f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: aptrepo.Selection{Name: "tool", Version: version}, From: "jammy", To: "focal"})
		if err != nil {
			t.Fatal(err)
		}
	}
	promote("1")
	if _, err := f.Migrate(f.ctx, aptrepo.MigrateOptions{From: "jammy", To: "focal"}); err != nil {
		t.Fatal(err)
	}
	want(t, "removed", retired(f.retire(t, keep(1))), "focal tool 2 amd64 keep_versions",
		"jammy tool 2 amd64 keep_versions", "jammy tool 1 amd64 keep_versions")
	holds(t, "focal", packages(t, f.Repo, "focal", "amd64"), "tool 1 amd64", "tool 3 amd64")

	// A hand promotes what lies there already, for other reasons.
	f.versions(t, "jammy", "tool", "4")
	f.versions(t, "focal", "tool", "4")
	promote("3")
	promote("4")
	f.versions(t, "focal", "tool", "5")
	want(t, "removed", retired(f.retire(t, keep(1))), "jammy tool 3 amd64 keep_versions")
	holds(t, "focal", packages(t, f.Repo, "focal", "amd64"), "tool 1 amd64", "tool 3 amd64", "tool 4 amd64", "tool 5 amd64")

	// It stays chosen through a quarantine, and no longer once a hand takes it out.
	sel := aptrepo.Selection{Name: "tool", Version: "3"}
	if _, err := f.Quarantine(f.ctx, aptrepo.QuarantineOptions{Selection: sel, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Release(f.ctx, sel, "tested"); err != nil {
		t.Fatal(err)
	}
	want(t, "removed", retired(f.retire(t, keep(1))))
	if _, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: sel, Distribution: "focal"}); err != nil {
		t.Fatal(err)
	}
	f.versions(t, "focal", "tool", "3")
	want(t, "removed", retired(f.retire(t, keep(1))), "focal tool 3 amd64 keep_versions")
	clean(t, f.Repo)
}

// Artifacts go with their last publication, and only those that retention took
// out: what was unpublished by hand stays, what waits or is in quarantine too.
func TestRetentionDeletesWhatIsLeftNowhere(t *testing.T) {
	f := newFixture(t)
	f.versions(t, "jammy", "tool", "1", "2", "3", "4")
	for _, v := range []string{"1", "3"} {
		f.publish(t, build("tool", v, "amd64"), "focal")
	}
	pick := func(v string) aptrepo.Selection { return aptrepo.Selection{Name: "tool", Version: v} }
	if _, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: pick("2"), Distribution: "jammy"}); err != nil {
		t.Fatal(err)
	}
	f.versions(t, "jammy", "tool", "0.1")
	if _, err := f.Quarantine(f.ctx, aptrepo.QuarantineOptions{Selection: pick("0.1"), Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	o := keep(1)
	o.DryRun = true
	audited := len(auditActions(t, f.Repo))
	dry := f.retire(t, o)
	if n := len(auditActions(t, f.Repo)); n != audited {
		t.Errorf("a dry run left %d audit entries", n-audited)
	}
	report := f.retire(t, keep(1))
	want(t, "removed", retired(report), "focal tool 1 amd64 keep_versions", "jammy tool 3 amd64 keep_versions", "jammy tool 1 amd64 keep_versions")
	if !dry.DryRun || report.Deleted != 1 || report.FreedBytes != report.Removed[0].Size {
		t.Errorf("report %+v", report)
	}
	if dry.DryRun = false; fmt.Sprint(dry) != fmt.Sprint(report) {
		t.Errorf("the dry run foresaw\n%+v, not\n%+v", dry, report)
	}
	all, err := f.Store.Artifacts(f.ctx, "tool")
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, a := range all {
		left = append(left, fmt.Sprint(a.Version, " ", a.Status, " ", a.Distributions()))
	}
	want(t, "artifacts", left, "4 indexed [jammy]", "3 indexed [focal]", "2 indexed []", "0.1 quarantined []")
	clean(t, f.Repo)
}

// Several components of a distribution are one place.
func TestRetentionOfComponents(t *testing.T) {
	f := newFixture(t)
	if _, err := f.Init(f.ctx, aptrepo.Distribution{Codename: "noble", Components: []string{"main", "extra"}}); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"1 main", "1 extra", "2 extra"} {
		version, component, _ := strings.Cut(at, " ")
		_, err := f.Publish(f.ctx, bytes.NewReader(build("tool", version, "all")), aptrepo.PublishOptions{Distribution: "noble", Component: component})
		if err != nil {
			t.Fatal(err)
		}
	}
	o := keep(1)
	o.DryRun = true
	for _, o := range []aptrepo.RetentionOptions{o, keep(1)} {
		report := f.retire(t, o)
		if want(t, "removed", retired(report), "noble tool 1 all keep_versions"); report.Deleted != 1 {
			t.Errorf("report %+v", report)
		}
	}
	clean(t, f.Repo)
}

// C08: the harshest rules leave something everywhere.
func TestRetentionEmptiesNothing(t *testing.T) {
	f := newFixture(t)
	f.versions(t, "jammy", "tool", "1", "2")
	f.versions(t, "focal", "tool", "1")
	f.clock.move(5000 * day)
	f.retire(t, aptrepo.RetentionOptions{KeepVersions: 1, SupersededFor: 1})
	holds(t, "jammy", packages(t, f.Repo, "jammy", "amd64"), "tool 2 amd64")
	holds(t, "focal", packages(t, f.Repo, "focal", "amd64"), "tool 1 amd64")
}

// A phantomStore says that there is a newer version of everything.
type phantomStore struct{ aptrepo.Store }

type phantomTx struct{ aptrepo.Tx }

func phantom(v aptrepo.PublishedVersion) aptrepo.PublishedVersion {
	v.ID, v.Version = v.ID+1000, "999:1"
	return v
}

func (s phantomStore) EachPublishedVersion(ctx context.Context, codename string) iter.Seq2[aptrepo.PublishedVersion, error] {
	return func(yield func(aptrepo.PublishedVersion, error) bool) {
		for v, err := range s.Store.EachPublishedVersion(ctx, codename) {
			if !yield(phantom(v), err) || !yield(v, err) {
				return
			}
		}
	}
}

func (s phantomStore) Update(ctx context.Context, fn func(aptrepo.Tx) error) error {
	return s.Store.Update(ctx, func(tx aptrepo.Tx) error { return fn(phantomTx{tx}) })
}

func (tx phantomTx) PublishedVersions(codename string, names []string) (list []aptrepo.PublishedVersion, err error) {
	found, err := tx.Tx.PublishedVersions(codename, names)
	for _, v := range found {
		list = append(list, phantom(v), v)
	}
	return list, err
}

func TestRetentionDoesNotBelieveThatAllIsOld(t *testing.T) {
	f := newFixture(t)
	f.versions(t, "jammy", "tool", "1")
	f.Repo = &aptrepo.Repo{Storage: f.files, Store: phantomStore{f.Store}, Now: f.Now, Logger: f.Logger}
	report, err := f.RunRetention(f.ctx, keep(1))
	if !errors.Is(err, aptrepo.ErrWouldEmpty) || len(report.Removed) != 0 {
		t.Errorf("removed %q, %v", retired(report), err)
	}
	holds(t, "jammy", packages(t, f.Repo, "jammy", "amd64"), "tool 1 amd64")
	if got := auditActions(t, f.Repo); got[len(got)-1] != "retention.run failure" {
		t.Errorf("audit %q", got)
	}
	o := keep(1)
	o.Force = true
	f.retire(t, o)
	holds(t, "jammy, by force", packages(t, f.Repo, "jammy", "amd64"))
}

// An interruptingStore does something before the first update that retires.
type interruptingStore struct {
	aptrepo.Store
	once sync.Once
	do   func()
}

func (s *interruptingStore) Update(ctx context.Context, fn func(aptrepo.Tx) error) error {
	s.once.Do(s.do)
	return s.Store.Update(ctx, fn)
}

// T09: what happens between the look and the removal counts.
func TestRetentionLooksAgain(t *testing.T) {
	tool := func(v string) aptrepo.Selection { return aptrepo.Selection{Name: "tool", Version: v} }
	for name, test := range map[string]struct {
		meanwhile func(r *aptrepo.Repo, ctx context.Context) error
		left      []string
	}{
		"the newest is unpublished": {func(r *aptrepo.Repo, ctx context.Context) error {
			_, err := r.Unpublish(ctx, aptrepo.UnpublishOptions{Selection: tool("3"), Distribution: "jammy"})
			return err
		}, []string{"tool 2 amd64"}},
		"an old one is promoted": {func(r *aptrepo.Repo, ctx context.Context) error {
			_, err := r.Promote(ctx, aptrepo.PromoteOptions{Selection: tool("1"), From: "focal", To: "jammy"})
			return err
		}, []string{"tool 1 amd64", "tool 3 amd64"}},
		"all but one are deleted": {func(r *aptrepo.Repo, ctx context.Context) error {
			_, err := r.Delete(ctx, aptrepo.DeleteOptions{Selection: tool("2")})
			if err == nil {
				_, err = r.Delete(ctx, aptrepo.DeleteOptions{Selection: tool("3")})
			}
			return err
		}, []string{"tool 1 amd64"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.versions(t, "jammy", "tool", "1", "2", "3")
			f.versions(t, "focal", "tool", "1")
			other := &aptrepo.Repo{Storage: f.files, Store: f.Store, Now: f.Now, Logger: f.Logger}
			s := &interruptingStore{Store: f.Store, do: func() {
				if err := test.meanwhile(other, f.ctx); err != nil {
					t.Error(err)
				}
			}}
			f.Repo = &aptrepo.Repo{Storage: f.files, Store: s, Now: f.Now, Logger: f.Logger}
			f.retire(t, keep(1))
			holds(t, "jammy", packages(t, f.Repo, "jammy", "amd64"), test.left...)
			clean(t, f.Repo)
		})
	}
}

func TestRetentionScope(t *testing.T) {
	f := newFixture(t)
	for _, a := range []aptrepo.Actor{{Name: "x", Distributions: []string{"jammy"}}, {Name: "x", Packages: []string{"tool*"}}} {
		if _, err := f.RunRetention(aptrepo.WithActor(f.ctx, a), keep(1)); !errors.Is(err, aptrepo.ErrScope) {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// Many removals take several transactions, and one publication.
func TestRetentionOfMany(t *testing.T) {
	f := newFixture(t)
	const names = 450
	err := f.Store.Update(f.ctx, func(tx aptrepo.Tx) error {
		for i := range names {
			for v := range 3 {
				a := aptrepo.Artifact{
					Name: fmt.Sprintf("p%03d", i), Version: fmt.Sprint(v), Arch: "amd64", Source: "p", Component: "main", Size: 10,
					Filename: fmt.Sprintf("pool/main/p/p/p%03d_%d_amd64.deb", i, v), SHA256: fmt.Sprintf("%064x", i*10+v), MD5: fmt.Sprintf("%032x", i), SHA512: fmt.Sprintf("%0128x", i), Status: aptrepo.Indexed,
					Control: fmt.Sprintf("Package: p%03d\nVersion: %d\nArchitecture: amd64\n", i, v), UploadedAt: f.clock.now(),
				}
				if err := tx.InsertArtifact(&a); err != nil {
					return err
				}
				p := aptrepo.Publication{Distribution: "jammy", Component: "main", PublishedAt: f.clock.now()}
				if _, _, err := tx.AddPublication(a.ID, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = f.Recover(f.ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	first, err := f.Store.Generation(f.ctx, "jammy")
	if err != nil {
		t.Fatal(err)
	}
	o := keep(1)
	var told []int
	o.Progress = func(done, total int) { told = append(told, done, total) }
	if report := f.retire(t, o); len(report.Removed) != 2*names || report.Deleted != 2*names || report.FreedBytes != 20*names {
		t.Errorf("%d removed, %d deleted, %d bytes", len(report.Removed), report.Deleted, report.FreedBytes)
	}
	if len(told) < 8 || !slices.IsSorted(told[:1]) || told[len(told)-1] != 3*names {
		t.Errorf("progress %v", told)
	}
	last, err := f.Store.Generation(f.ctx, "jammy")
	if err != nil || last.Number != first.Number+1 {
		t.Errorf("generation %d after %d, %v", last.Number, first.Number, err)
	}
	d, err := f.Store.Distribution(f.ctx, "jammy")
	if err != nil || d.ArtifactCount != names {
		t.Errorf("%d publications left, %v", d.ArtifactCount, err)
	}
}

// Whatever call to storage goes wrong, and however: the run fails with an error
// that says to try again, what apt sees stays whole, and the next run does the
// rest.
func TestRetentionWhenStorageFails(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Fail, storagetest.Full, storagetest.Short, storagetest.Lost} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			var f *fixture
			open := func() storage.Backend {
				f = retentionFixture(t)
				return f.files
			}
			calls := 0
			for faulty := range storagetest.EachCall(fault, 1, open) {
				calls++
				broken := &aptrepo.Repo{Storage: faulty, Store: f.Store, Now: f.Now, Logger: f.Logger}
				_, err := broken.RunRetention(f.ctx, everything())
				if err != nil && !errors.Is(err, aptrepo.ErrUnavailable) && !errors.Is(err, aptrepo.ErrFull) {
					t.Errorf("call %d: %v matches neither ErrUnavailable nor ErrFull", faulty.Call, err)
				}
				finished(t, f)
			}
			if calls < 6 {
				t.Errorf("retention makes %d calls only", calls)
			}
		})
	}
}

// everything lets everything go that may.
func everything() aptrepo.RetentionOptions {
	return aptrepo.RetentionOptions{KeepVersions: 1, SupersededFor: 5 * day, AuditFor: 100 * day}
}

// retentionFixture is a repository in which there is something to do for every
// part of a run.
func retentionFixture(t testing.TB) *fixture {
	f := newFixture(t)
	f.versions(t, "jammy", "hello", "1", "2", "3")
	f.versions(t, "focal", "hello", "1", "3")
	f.versions(t, "focal", "data", "1", "2")
	if _, err := f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: aptrepo.Selection{Name: "hello", Version: "2"}, From: "jammy", To: "focal"}); err != nil {
		t.Fatal(err)
	}
	f.rejected(t, "evil", "1")
	if late := time.Since(f.clock.now()); late > 0 { // storage tells the time by the clock on the wall
		f.clock.move(late)
	}
	f.clock.move(400 * day)
	if err := f.files.Put(f.ctx, orphanFile, strings.NewReader("orphan")); err != nil {
		t.Fatal(err)
	}
	return f
}

const orphanFile = "pool/main/o/orphan/orphan_1_all.deb"

// rejected leaves a package rejected.
func (f *fixture) rejected(t testing.TB, name, version string) {
	t.Helper()
	f.publish(t, build(name, version, "amd64"), "jammy")
	_, err := f.Decide(f.ctx, aptrepo.DecideOptions{
		Selection: aptrepo.Selection{Name: name, Version: version}, Ruling: aptrepo.RulingUpgradeRequired, Comment: "old",
	})
	if err != nil {
		t.Fatal(err)
	}
}

// finished lets a run finish, after a restart, and checks that nothing is missing
// of what one run does.
func finished(t *testing.T, f *fixture) {
	t.Helper()
	r := &aptrepo.Repo{Storage: f.files, Store: f.Store, Now: f.Now, Logger: f.Logger}
	packages(t, r, "jammy", "amd64")
	packages(t, r, "focal", "amd64")
	if err := r.Recover(f.ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := r.RunRetention(f.ctx, everything()); err != nil {
		t.Fatal(err)
	}
	holds(t, "jammy", packages(t, r, "jammy", "amd64"), "hello 3 amd64")
	holds(t, "focal", packages(t, r, "focal", "amd64"), "data 2 amd64", "hello 2 amd64", "hello 3 amd64")
	report, err := r.VerifyAudit(f.ctx)
	if err != nil || report.BrokenAt != 0 || report.Archived == 0 || int(report.FirstID) != report.Archived+1 {
		t.Errorf("audit log %+v, %v", report, err)
	}
	entries, err := f.Store.AuditEntries(f.ctx, 0, 1000)
	if err != nil || entries[0].Time.Before(f.clock.now().Add(-100*day)) {
		t.Errorf("the oldest entry is of %v, %v", entries[0].Time, err)
	}
	rows, err := f.Store.ArtifactRows(f.ctx, aptrepo.PackageQuery{Status: aptrepo.Rejected})
	if err != nil || rows.Total != 0 {
		t.Errorf("%d rejected, %v", rows.Total, err)
	}
	if slices.Contains(f.pool(t), orphanFile) {
		t.Error("the orphan is still in the pool")
	}
	if err := r.Sweep(f.ctx); err != nil { // of what was rejected
		t.Fatal(err)
	}
	clean(t, r)
	if again, err := r.RunRetention(f.ctx, everything()); err != nil || len(again.Removed)+again.Deleted+again.Rejected+again.AuditEntries > 0 {
		t.Errorf("one run more: %+v, %v", again, err)
	}
}

// A failingStore fails at its nth update: before it, or after it was committed.
type failingStore struct {
	aptrepo.Store
	nth   int
	after bool
	calls int
}

func (s *failingStore) Update(ctx context.Context, fn func(aptrepo.Tx) error) error {
	if s.calls++; s.calls != s.nth {
		return s.Store.Update(ctx, fn)
	}
	if s.after {
		if err := s.Store.Update(ctx, fn); err != nil {
			return err
		}
	}
	return fmt.Errorf("injected: %w", aptrepo.ErrUnavailable)
}

// A program that dies at any update leaves a state from which the next run goes
// on, whether or not that update was committed.
func TestRetentionWhenTheStoreFails(t *testing.T) {
	for _, after := range []bool{false, true} {
		for nth := 1; ; nth++ {
			f := retentionFixture(t)
			s := &failingStore{Store: f.Store, nth: nth, after: after}
			r := &aptrepo.Repo{Storage: f.files, Store: s, Now: f.Now, Logger: f.Logger}
			ctx, cancel := context.WithCancel(f.ctx)
			_, err := r.RunRetention(ctx, everything())
			cancel()
			if s.calls < nth {
				if nth < 6 {
					t.Errorf("retention makes %d updates only", s.calls)
				}
				break
			}
			if !errors.Is(err, aptrepo.ErrUnavailable) {
				t.Errorf("update %d (committed %v): %v", nth, after, err)
			}
			finished(t, f)
		}
	}
}

func TestRetentionOfRejected(t *testing.T) {
	f := newFixture(t)
	f.rejected(t, "old", "1")
	f.clock.move(60 * day)
	f.rejected(t, "young", "1")
	f.clock.move(30*day - time.Second)
	o := aptrepo.RetentionOptions{DryRun: true}
	if n := f.retire(t, o).Rejected; n != 0 {
		t.Errorf("%d records foreseen a second too early", n)
	}
	f.clock.move(time.Second)
	if n := f.retire(t, o).Rejected; n != 1 {
		t.Errorf("%d records foreseen", n)
	}
	if n := f.retire(t, aptrepo.RetentionOptions{}).Rejected; n != 1 {
		t.Errorf("%d records deleted", n)
	}
	rows, err := f.Store.ArtifactRows(f.ctx, aptrepo.PackageQuery{})
	if err != nil || rows.Total != 1 || rows.Items[0].Name != "young" {
		t.Errorf("%+v, %v", rows, err)
	}
	decisions, err := f.Store.Decisions(f.ctx, aptrepo.KeyOf("old", "1", "amd64"))
	if err != nil || len(decisions) != 1 || decisions[0].Active {
		t.Errorf("what was decided is not kept: %+v, %v", decisions, err)
	}
	// Rejected packages hold their key against nobody.
	f.publish(t, build("old", "1", "amd64", "X-Other", "bytes"), "jammy")
	clean(t, f.Repo)
}

func TestRetentionOfOrphans(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("tool", "1", "amd64"), "jammy")
	f.publish(t, build("gone", "1", "amd64"), "jammy")
	if _, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: "gone", Version: "1"}}); err != nil {
		t.Fatal(err)
	}
	const orphan, held = "pool/main/x/x/x_1_all.deb", "held/aa/aa.deb"
	for _, key := range []string{orphan, held, "lost+found/audit/archive/000000000001.jsonl.gz"} {
		if err := f.files.Put(f.ctx, key, strings.NewReader("orphan")); err != nil {
			t.Fatal(err)
		}
	}
	files := func() (keys []string) {
		for info, err := range f.files.List(f.ctx, "") {
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(info.Key, "pool/") || strings.HasPrefix(info.Key, "held/") || strings.HasPrefix(info.Key, "lost+found/") {
				keys = append(keys, info.Key)
			}
		}
		return keys
	}
	const evidence = "lost+found/audit/archive/000000000001.jsonl.gz"
	const kept, deleted = "pool/main/t/tool/tool_1_amd64.deb", "pool/main/g/gone/gone_1_amd64.deb"
	// Storage tells the time by the clock on the wall.
	real := time.Now()
	f.clock.move(real.Add(23 * time.Hour).Sub(f.clock.now()))
	f.retire(t, aptrepo.RetentionOptions{})
	want(t, "after 23 hours", files(), held, evidence, deleted, kept, orphan)
	f.clock.move(2 * time.Hour)
	f.retire(t, aptrepo.RetentionOptions{})
	want(t, "after 25 hours", files(), evidence, "lost+found/"+held, "lost+found/"+orphan, deleted, kept)
	f.clock.move(91 * day)
	f.retire(t, aptrepo.RetentionOptions{})
	want(t, "after 92 days", files(), evidence, deleted, kept)
	clean(t, f.Repo)
}

// Random operations, and runs of retention between them: what apt sees is what a
// model says that the rules leave.
func TestRetentionModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		type at struct{ codename, version string }
		there, chosen := map[at]bool{}, map[at]bool{}
		order := []string{"1~rc1", "1", "1.9", "1.10", "1:0"} // oldest first
		version, where := rapid.SampledFrom(order), rapid.SampledFrom([]string{"jammy", "focal"})
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				p := at{where.Draw(rt, "in"), version.Draw(rt, "version")}
				_, err := f.Publish(f.ctx, bytes.NewReader(build("tool", p.version, "amd64")), aptrepo.PublishOptions{Distribution: p.codename})
				if err != nil {
					rt.Fatal(err)
				}
				there[p] = true
			},
			"promote": func(rt *rapid.T) {
				p := at{"focal", version.Draw(rt, "version")}
				_, err := f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: aptrepo.Selection{Name: "tool", Version: p.version}, From: "jammy", To: "focal"})
				if there[at{"jammy", p.version}] != (err == nil) {
					rt.Fatal(err)
				}
				if err == nil {
					there[p], chosen[p] = true, true
				}
			},
			"unpublish": func(rt *rapid.T) {
				p := at{where.Draw(rt, "in"), version.Draw(rt, "version")}
				_, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: aptrepo.Selection{Name: "tool", Version: p.version}, Distribution: p.codename})
				if there[p] != (err == nil) {
					rt.Fatal(err)
				}
				delete(there, p)
				delete(chosen, p)
			},
			"retire": func(rt *rapid.T) {
				n := rapid.IntRange(1, 3).Draw(rt, "keep")
				report, err := f.RunRetention(f.ctx, keep(n))
				if err != nil {
					rt.Fatal(err)
				}
				gone := 0
				for _, codename := range []string{"jammy", "focal"} {
					newer := 0
					for _, v := range slices.Backward(order) {
						p := at{codename, v}
						if !there[p] {
							continue
						}
						if newer >= n && !chosen[p] {
							delete(there, p)
							gone++
						}
						newer++
					}
				}
				if len(report.Removed) != gone {
					rt.Fatalf("removed %q, want %d", retired(report), gone)
				}
			},
			"": func(rt *rapid.T) {
				for _, codename := range []string{"jammy", "focal"} {
					wanted := map[string]bool{}
					for p := range there {
						if p.codename == codename {
							wanted["tool "+p.version+" amd64"] = true
						}
					}
					got := packages(t, f.Repo, codename, "amd64")
					if slices.Sort(got); !slices.Equal(got, slices.Sorted(maps.Keys(wanted))) {
						rt.Fatalf("%s holds %q, want %v", codename, got, wanted)
					}
				}
			},
		})
		clean(t, f.Repo)
	})
}

// C07: retention beside uploads, promotions and deletions, twice at once.
func TestRetentionAmongOthers(t *testing.T) {
	f := newFixture(t)
	const rounds = 12
	var wg sync.WaitGroup
	work := func(what func(i int) error, tolerated ...error) {
		wg.Go(func() {
			for i := range rounds {
				err := what(i)
				if err != nil && !slices.ContainsFunc(tolerated, func(e error) bool { return errors.Is(err, e) }) {
					t.Error(err)
				}
			}
		})
	}
	gone := []error{aptrepo.ErrPackageNotFound, aptrepo.ErrVersionNotFound, aptrepo.ErrNotPublished}
	for w := range 3 {
		work(func(i int) error {
			data := build(fmt.Sprintf("p%d", w), fmt.Sprint(i), "amd64")
			_, err := f.Publish(f.ctx, bytes.NewReader(data), aptrepo.PublishOptions{Distribution: "jammy"})
			return err
		}, aptrepo.ErrUnavailable)
		work(func(i int) error {
			_, err := f.Promote(f.ctx, aptrepo.PromoteOptions{
				Selection: aptrepo.Selection{Name: fmt.Sprintf("p%d", w), Version: fmt.Sprint(i)}, From: "jammy", To: "focal"})
			return err
		}, gone...)
		work(func(i int) error {
			_, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: fmt.Sprintf("p%d", w), Version: fmt.Sprint(i - 3)}})
			return err
		}, gone...)
	}
	for range 2 {
		work(func(int) error {
			_, err := f.RunRetention(f.ctx, keep(1))
			return err
		})
	}
	wg.Wait()
	f.retire(t, keep(1))
	holds(t, "jammy", packages(t, f.Repo, "jammy", "amd64"), "p0 11 amd64", "p1 11 amd64", "p2 11 amd64")
	packages(t, f.Repo, "focal", "amd64")
	clean(t, f.Repo)
	if report, err := f.VerifyAudit(f.ctx); err != nil || report.BrokenAt != 0 {
		t.Errorf("audit log %+v, %v", report, err)
	}
}
