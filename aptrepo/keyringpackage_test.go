package aptrepo_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
	"github.com/repod-io/repod/scan"
)

const acme = "acme-archive-keyring"

func withKeyring(t *testing.T) *fixture {
	f := newFixture(t)
	f.Keyring = func() string { return acme }
	return f
}

// keyrings returns the versions of the package in a distribution, newest first.
func keyrings(t *testing.T, r *aptrepo.Repo, codename string) []string {
	t.Helper()
	var list []string
	artifacts, err := r.Store.Artifacts(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range artifacts {
		if a.PublishedIn(codename) {
			list = append(list, a.Version)
		}
	}
	return list
}

// installed returns what the newest package would install.
func installed(t *testing.T, r *aptrepo.Repo) (*deb.Package, map[string][]byte) {
	t.Helper()
	artifacts, err := r.Artifacts(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	pkg, err := deb.Read(bytes.NewReader(read(t, r, artifacts[0].Filename)), &deb.Options{Visit: func(f deb.File, content io.Reader) error {
		data, err := io.ReadAll(content)
		if !f.Control {
			files[f.Path] = data
		}
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	return pkg, files
}

func mustPublishKeyring(t *testing.T, r *aptrepo.Repo) {
	t.Helper()
	if err := r.PublishKeyring(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestKeyringPackage(t *testing.T) {
	f := withKeyring(t)
	mustPublishKeyring(t, f.Repo)
	for _, codename := range []string{"jammy", "focal"} {
		for _, arch := range []string{"amd64", "arm64"} {
			if got := packages(t, f.Repo, codename, arch); !slices.Equal(got, []string{acme + " 2026.05.12.100000 all"}) {
				t.Errorf("%s %s: %q", codename, arch, got)
			}
		}
	}
	ring, err := f.Keys(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	pkg, files := installed(t, f.Repo)
	if got := files["usr/share/keyrings/"+acme+".gpg"]; !bytes.Equal(got, ring.Binary) || len(files) != 3 {
		t.Errorf("installs %d files, a keyring of %d bytes among them, want %d", len(files), len(got), len(ring.Binary))
	}
	if pkg.Maintainer != "repod <repod@localhost>" || pkg.Priority != "optional" || pkg.MultiArch != "foreign" || pkg.InstalledSize == 0 {
		t.Errorf("control: %s", pkg.Control)
	}
	artifacts, err := f.Artifacts(f.ctx, acme)
	if err != nil || len(artifacts) != 1 || artifacts[0].Origin != aptrepo.OriginUpload || artifacts[0].UploadedBy != "system" {
		t.Errorf("artifacts %+v, %v", artifacts, err)
	}
	generation, err := f.Store.Generation(f.ctx, "jammy")
	if err != nil {
		t.Fatal(err)
	}
	mustPublishKeyring(t, f.Repo) // nothing to do
	if again, err := f.Store.Generation(f.ctx, "jammy"); err != nil || again.Number != generation.Number {
		t.Errorf("published again: %v", err)
	}
	clean(t, f.Repo)
}

// Without the setting there is no such package, whatever happens to the keys.
func TestNoKeyringPackage(t *testing.T) {
	f := newFixture(t)
	f.clock.move(time.Hour)
	rotate(t, f)
	mustPublishKeyring(t, f.Repo)
	page, err := f.ArtifactRows(f.ctx, aptrepo.PackageQuery{})
	if err != nil || page.Total != 0 {
		t.Errorf("%d artifacts, %v", page.Total, err)
	}
}

// The package follows the keys: a new one comes in at once, a retired one goes, and
// each version is above the one before.
func TestKeyringPackageFollowsKeys(t *testing.T) {
	f := withKeyring(t)
	mustPublishKeyring(t, f.Repo)
	f.clock.move(time.Hour)
	old, fresh := rotate(t, f)
	keys := func() (list []string) {
		_, files := installed(t, f.Repo)
		ring, err := index.ParseKeyring(files["usr/share/keyrings/"+acme+".gpg"])
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range ring {
			list = append(list, k.Fingerprint())
		}
		return list
	}
	if got := keys(); !slices.Equal(got, []string{fresh, old}) {
		t.Errorf("while both sign: %q", got)
	}
	if got := packages(t, f.Repo, "focal", "amd64"); len(got) != 2 {
		t.Errorf("published in the answer to the rotation: %q", got)
	}
	f.clock.move(91 * 24 * time.Hour)
	upkeep(t, f.Repo, func() bool {
		return len(packages(t, f.Repo, "jammy", "amd64")) == 3 && len(packages(t, f.Repo, "focal", "amd64")) == 3
	})
	if got := keys(); !slices.Equal(got, []string{fresh}) {
		t.Errorf("after the retirement: %q", got)
	}
	want := []string{"2026.08.10.110000", "2026.05.12.110000", "2026.05.12.100000"}
	if got := keyrings(t, f.Repo, "jammy"); !slices.Equal(got, want) {
		t.Errorf("versions %q, want %q", got, want)
	}
	clean(t, f.Repo)
}

// Keys that change twice in a second, or with a clock that went back, give other
// versions all the same.
func TestKeyringVersionsOfOneSecond(t *testing.T) {
	f := withKeyring(t)
	mustPublishKeyring(t, f.Repo)
	rotate(t, f)
	f.clock.move(-time.Hour)
	rotate(t, f)
	want := []string{"2026.05.12.100002", "2026.05.12.100001", "2026.05.12.100000"}
	if got := keyrings(t, f.Repo, "jammy"); !slices.Equal(got, want) {
		t.Errorf("versions %q, want %q", got, want)
	}
}

// Servers that notice at the same time publish the same bytes.
func TestKeyringPackageOfManyServers(t *testing.T) {
	f := withKeyring(t)
	f.clock.move(time.Hour)
	var all sync.WaitGroup
	for range 4 {
		r := &aptrepo.Repo{Storage: f.Storage, Store: f.Store, Now: f.Now, Logger: f.Logger, Keyring: f.Keyring}
		all.Go(func() {
			if err := r.PublishKeyring(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, codename := range []string{"jammy", "focal"} {
		if got := keyrings(t, f.Repo, codename); !slices.Equal(got, []string{"2026.05.12.100000"}) {
			t.Errorf("%s: %q", codename, got)
		}
	}
	clean(t, f.Repo)
}

// Nobody else publishes under the name, and the name of packages that somebody has
// published before is not taken over.
func TestKeyringNameIsReserved(t *testing.T) {
	f := withKeyring(t)
	theirs := build(acme, "9999", "all")
	upload := func() error {
		_, err := f.Publish(f.ctx, bytes.NewReader(theirs), aptrepo.PublishOptions{Distribution: "jammy"})
		return err
	}
	if err := upload(); !errors.Is(err, aptrepo.ErrReservedName) {
		t.Errorf("upload: %v", err)
	}
	name := ""
	f.Keyring = func() string { return name }
	if err := upload(); err != nil {
		t.Fatal(err)
	}
	name = acme
	if err := f.PublishKeyring(f.ctx); !errors.Is(err, aptrepo.ErrReservedName) {
		t.Errorf("over what others published: %v", err)
	}
	if _, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: acme, Version: "9999"}}); err != nil {
		t.Fatal(err)
	}
	mustPublishKeyring(t, f.Repo)
	for _, bad := range []string{"acme", "Acme-archive-keyring", "../x-archive-keyring", "debian-archive-keyring", "-archive-keyring", acme + "\n"} {
		name = bad
		if err := f.PublishKeyring(f.ctx); !errors.Is(err, aptrepo.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A token of few distributions that replaces keys gives the package to all.
func TestKeyringPackageIsTheSystems(t *testing.T) {
	f := withKeyring(t)
	f.clock.move(time.Hour)
	ctx := aptrepo.WithActor(t.Context(), aptrepo.Actor{Name: "token:x", Distributions: []string{"focal"}, Packages: []string{"a*"}})
	if _, err := f.GenerateKey(ctx, aptrepo.KeyOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := keyrings(t, f.Repo, "jammy"); len(got) != 1 {
		t.Errorf("jammy has %q", got)
	}
}

// Scanners that are out of order keep other packages out, and a new key not in.
func TestKeyringPackagePassesWithoutScanner(t *testing.T) {
	g := newGuarded(t)
	g.Keyring = func() string { return acme }
	g.dog.ends = scan.Failed
	if _, err := g.Publish(g.ctx, bytes.NewReader(build("hello", "1.0", "amd64")), aptrepo.PublishOptions{Distribution: "jammy"}); !errors.Is(err, aptrepo.ErrScanner) {
		t.Fatalf("another package: %v", err)
	}
	mustPublishKeyring(t, g.Repo)
	if got := keyrings(t, g.Repo, "jammy"); len(got) != 1 {
		t.Errorf("published: %q", got)
	}
	artifacts, err := g.Artifacts(g.ctx, acme)
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.Store.Scan(g.ctx, artifacts[0].ID)
	if err != nil || s.Malware != scan.NotScanned {
		t.Errorf("recorded as %q, %v", s.Malware, err)
	}
}

// What somebody deletes or a new distribution lacks comes by itself; what is in
// quarantine stays there. Retention leaves the newest.
func TestKeyringPackageStays(t *testing.T) {
	f := withKeyring(t)
	mustPublishKeyring(t, f.Repo)
	if _, err := f.Init(f.ctx, aptrepo.Distribution{Codename: "noble", Components: []string{"extra", "more"}}); err != nil {
		t.Fatal(err)
	}
	s := aptrepo.Selection{Name: acme, Version: "2026.05.12.100000"}
	if _, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: s}); err != nil {
		t.Fatal(err)
	}
	everywhere := func() bool {
		for _, codename := range []string{"jammy", "focal"} {
			if len(packages(t, f.Repo, codename, "amd64")) != 1 {
				return false
			}
		}
		return len(keyrings(t, f.Repo, "noble")) == 1 // its component is another
	}
	upkeep(t, f.Repo, everywhere)
	rows, err := f.PublishedRows(f.ctx, aptrepo.PublishedQuery{Distribution: "noble"})
	if err != nil || rows.Total != 1 || rows.Items[0].Publication.Component != "extra" {
		t.Errorf("noble: %+v, %v", rows, err)
	}
	f.clock.move(time.Hour)
	rotate(t, f)
	f.clock.move(24 * time.Hour)
	if _, err := f.RunRetention(f.ctx, aptrepo.RetentionOptions{KeepVersions: 1, SupersededFor: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := keyrings(t, f.Repo, "jammy"); !slices.Equal(got, []string{"2026.05.12.110000"}) {
		t.Errorf("after retention: %q", got)
	}
	s.Version = "2026.05.12.110000"
	if _, err := f.Quarantine(f.ctx, aptrepo.QuarantineOptions{Selection: s, Reason: "why not"}); err != nil {
		t.Fatal(err)
	}
	if err := f.PublishKeyring(f.ctx); !errors.Is(err, aptrepo.ErrQuarantined) {
		t.Errorf("in quarantine: %v", err)
	}
	clean(t, f.Repo)
}

// The keys of a signer elsewhere are packaged, too, and anew when they are others.
func TestKeyringPackageOfForeignSigner(t *testing.T) {
	f := withKeyring(t)
	signer := func(name string) *aptrepo.Repo {
		key, err := index.GenerateKey(index.KeyOptions{Name: name, Now: f.Now})
		if err != nil {
			t.Fatal(err)
		}
		return &aptrepo.Repo{
			Storage: f.Storage, Store: f.Store, Now: f.Now, Logger: f.Logger, Keyring: f.Keyring,
			Signer: &index.OpenPGP{Keys: []*index.Key{key}, Now: f.Now},
		}
	}
	first, second := signer("Acme Packages"), signer("Acme again")
	mustPublishKeyring(t, first)
	f.clock.move(time.Minute)
	mustPublishKeyring(t, first)
	if got := keyrings(t, first, "jammy"); len(got) != 1 {
		t.Errorf("the same keys: %q", got)
	}
	mustPublishKeyring(t, second)
	if got := keyrings(t, first, "jammy"); !slices.Equal(got, []string{"2026.05.12.100100", "2026.05.12.100000"}) {
		t.Errorf("other keys: %q", got)
	}
	_, files := installed(t, second)
	ring, err := second.Keys(f.ctx)
	if err != nil || !bytes.Equal(files["usr/share/keyrings/"+acme+".gpg"], ring.Binary) {
		t.Errorf("the package has other keys, %v", err)
	}
	if text := string(files["usr/share/doc/"+acme+"/copyright"]); !strings.HasPrefix(text, "Format: ") {
		t.Errorf("copyright: %s", text)
	}
}
