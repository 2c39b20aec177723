package aptrepo_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

func TestMayName(t *testing.T) {
	for _, tt := range []struct {
		packages []string
		name     string
		want     bool
	}{
		{nil, "openssl", true},
		{[]string{"acme"}, "acme", true},
		{[]string{"acme"}, "acme-tool", false},
		{[]string{"acme-*"}, "acme-tool", true},
		{[]string{"acme-*"}, "acme", false},
		{[]string{"acme-*"}, "openssl", false},
		{[]string{"acme-*"}, "xacme-tool", false},
		{[]string{"acme-*", "openssl"}, "openssl", true},
		{[]string{"acme-*"}, "", false},
	} {
		if got := (aptrepo.Actor{Packages: tt.packages}).MayName(tt.name); got != tt.want {
			t.Errorf("%q may write %q: %t", tt.packages, tt.name, got)
		}
	}
}

// An actor that may write acme-* changes its own packages and no others.
func TestNameScope(t *testing.T) {
	ctx := aptrepo.WithActor(t.Context(), aptrepo.Actor{Name: "token:ci", Packages: []string{"acme-*"}})
	sel := func(name string) aptrepo.Selection { return aptrepo.Selection{Name: name, Version: "1.0"} }
	for _, tt := range []struct {
		change string
		try    func(g *guarded, name string) error
		own    error // of a package of its own
	}{
		{"Publish", func(g *guarded, name string) error {
			_, err := g.Publish(ctx, bytes.NewReader(build(name, "2.0", "amd64")), aptrepo.PublishOptions{Distribution: "jammy"})
			return err
		}, nil},
		{"Publish elsewhere", func(g *guarded, name string) error {
			_, err := g.Publish(ctx, bytes.NewReader(build(name, "1.0", "amd64")), aptrepo.PublishOptions{Distribution: "focal"})
			return err
		}, nil},
		{"import", func(g *guarded, name string) error {
			_, err := g.NewBatch().Add(ctx, bytes.NewReader(build(name, "2.0", "amd64")),
				aptrepo.PublishOptions{Distribution: "jammy", Origin: aptrepo.OriginImport, Group: "new"})
			return err
		}, nil},
		{"Label", func(g *guarded, name string) error {
			return g.Label(ctx, "new", []aptrepo.Key{aptrepo.KeyOf(name, "1.0", "amd64")})
		}, nil},
		{"DeleteGroup", func(g *guarded, name string) error { return g.DeleteGroup(ctx, "of-"+name, false) }, nil},
		{"DeleteGroup with packages", func(g *guarded, name string) error { return g.DeleteGroup(ctx, "of-"+name, true) }, nil},
		{"DeleteGroup of several", func(g *guarded, _ string) error { return g.DeleteGroup(ctx, "all", false) }, aptrepo.ErrNameScope},
		{"Promote", func(g *guarded, name string) error {
			_, err := g.Promote(ctx, aptrepo.PromoteOptions{Selection: sel(name), From: "jammy", To: "focal"})
			return err
		}, nil},
		{"Migrate", func(g *guarded, name string) error {
			_, err := g.Migrate(ctx, aptrepo.MigrateOptions{From: "jammy", To: "focal", Names: []string{name}, RemoveSource: true})
			return err
		}, nil},
		{"Migrate of all", func(g *guarded, _ string) error {
			_, err := g.Migrate(ctx, aptrepo.MigrateOptions{From: "jammy", To: "focal"})
			return err
		}, aptrepo.ErrNameScope},
		{"Unpublish", func(g *guarded, name string) error {
			_, err := g.Unpublish(ctx, aptrepo.UnpublishOptions{Selection: sel(name), Distribution: "jammy"})
			return err
		}, nil},
		{"Delete", func(g *guarded, name string) error {
			_, err := g.Delete(ctx, aptrepo.DeleteOptions{Selection: sel(name)})
			return err
		}, nil},
		{"Delete of what was", func(g *guarded, name string) error {
			_, err := g.Delete(ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: name, Version: "0.5", Arch: "amd64"}, Forget: true})
			return err
		}, nil},
		{"Decide", func(g *guarded, name string) error {
			_, err := g.Decide(ctx, aptrepo.DecideOptions{Selection: sel(name), Ruling: aptrepo.RulingRejected, Comment: "no"})
			return err
		}, nil},
		{"Quarantine", func(g *guarded, name string) error {
			_, err := g.Quarantine(ctx, aptrepo.QuarantineOptions{Selection: sel(name)})
			return err
		}, nil},
		{"Rescan", func(g *guarded, name string) error {
			_, err := g.Rescan(ctx, sel(name))
			return err
		}, nil},
		{"Release", func(g *guarded, name string) error {
			_, err := g.Release(ctx, aptrepo.Selection{Name: name, Version: "0.7"}, "")
			return err
		}, nil},
		{"Init", func(g *guarded, _ string) error {
			_, err := g.Init(ctx, aptrepo.Distribution{Codename: "noble"})
			return err
		}, aptrepo.ErrNameScope},
	} {
		t.Run(tt.change, func(t *testing.T) {
			g := newGuarded(t)
			for _, name := range []string{"acme-tool", "openssl"} {
				for _, version := range []string{"0.5", "0.7", "1.0"} {
					g.publish(t, build(name, version, "amd64"), "jammy")
				}
				if _, err := g.Delete(g.ctx, aptrepo.DeleteOptions{Selection: aptrepo.Selection{Name: name, Version: "0.5"}}); err != nil {
					t.Fatal(err)
				}
				if _, err := g.Quarantine(g.ctx, aptrepo.QuarantineOptions{Selection: aptrepo.Selection{Name: name, Version: "0.7"}}); err != nil {
					t.Fatal(err)
				}
				if err := g.Label(g.ctx, "of-"+name, []aptrepo.Key{aptrepo.KeyOf(name, "1.0", "amd64")}); err != nil {
					t.Fatal(err)
				}
				if err := g.Label(g.ctx, "all", []aptrepo.Key{aptrepo.KeyOf(name, "0.7", "amd64")}); err != nil {
					t.Fatal(err)
				}
			}
			before := packages(t, g.Repo, "jammy", "amd64")
			if err := tt.try(g, "openssl"); !errors.Is(err, aptrepo.ErrNameScope) {
				t.Errorf("of another package: error = %v, want ErrNameScope", err)
			}
			if after := packages(t, g.Repo, "jammy", "amd64"); !slices.Equal(before, after) {
				t.Errorf("jammy has %q, had %q", after, before)
			}
			if groups, err := g.Groups(g.ctx); err != nil || len(groups) != 3 {
				t.Errorf("groups are %+v, %v", groups, err)
			}
			if err := tt.try(g, "acme-tool"); !errors.Is(err, tt.own) {
				t.Errorf("of its own: error = %v, want %v", err, tt.own)
			}
		})
	}
}

// To scan everything again changes nothing outside of the scope.
func TestRescanAllNameScope(t *testing.T) {
	g := newGuarded(t)
	for _, name := range []string{"acme-tool", "openssl"} {
		g.publish(t, build(name, "1.0", "amd64"), "jammy")
	}
	g.known.set("openssl", cve("CVE-2024-1", scan.High))
	ctx := aptrepo.WithActor(t.Context(), aptrepo.Actor{Name: "token:ci", Packages: []string{"acme-*"}})
	if out, err := g.RescanAll(ctx, "", "", nil); err != nil || out.Scanned != 1 || out.Failed != 1 {
		t.Errorf("RescanAll: %+v, %v", out, err)
	}
	if got := packages(t, g.Repo, "jammy", "amd64"); len(got) != 2 {
		t.Errorf("jammy has %q", got)
	}
}
