package aptrepo_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/repod-io/repod/aptrepo"
)

func TestDependencies(t *testing.T) {
	f := newFixture(t)
	for _, p := range [][]byte{
		build("libc6", "2.36-9", "amd64", "Multi-Arch", "same"),
		build("libonlyarm", "1", "arm64"),
		build("tool", "1", "arm64", "Multi-Arch", "foreign"),
		build("interp", "3", "arm64", "Multi-Arch", "allowed"),
		build("postfix", "3.6.4", "amd64", "Provides", "mail-transport-agent"),
		build("versioned", "9", "amd64", "Provides", "api (= 5)"),
	} {
		f.publish(t, p, "jammy")
	}
	f.publish(t, build("elsewhere", "1", "amd64"), "focal")
	for i, tt := range []struct {
		depends   string
		satisfied bool
		by        string
	}{
		{"libc6", true, "libc6"},
		{"libc6 (>= 2.36)", true, "libc6"},
		{"libc6 (>= 2.37)", false, ""},
		{"libc6 (<< 2.36-9)", false, ""},
		{"none | libc6", true, "libc6"},
		{"mail-transport-agent", true, "postfix"},
		{"mail-transport-agent (>= 1)", false, ""},
		{"api (= 5)", true, "versioned"},
		{"api (= 6)", false, ""},
		{"libonlyarm", false, ""},
		{"tool", true, "tool"},
		{"interp", false, ""},
		{"interp:any", true, "interp"},
		{"elsewhere", false, ""},
	} {
		out := f.publish(t, build("app", fmt.Sprintf("1.%d", i), "amd64", "Depends", tt.depends), "jammy")
		deps, err := f.Dependencies(f.ctx, aptrepo.DependencyOptions{
			Selection: aptrepo.Selection{Name: "app", Version: out.Artifact.Version}, Distribution: "jammy"})
		if err != nil {
			t.Fatal(err)
		}
		rel := deps.Relations[0]
		by := ""
		for _, alternative := range rel.Alternatives {
			if alternative.By != nil {
				by = alternative.By.Name
			}
		}
		if rel.Satisfied != tt.satisfied || by != tt.by || (len(deps.Missing()) == 0) != tt.satisfied {
			t.Errorf("%s: satisfied %v by %q, want %v by %q", tt.depends, rel.Satisfied, by, tt.satisfied, tt.by)
		}
		missing := slices.ContainsFunc(out.Warnings, func(w aptrepo.Warning) bool { return w.Code == "missing_dependencies" })
		if missing == tt.satisfied {
			t.Errorf("%s: warnings = %v", tt.depends, out.Warnings)
		}
	}
}

func TestInstallable(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("hello", "1.0", "amd64"), "jammy")
	f.publish(t, build("hello", "2.0", "amd64"), "focal")
	pick := func(version, codename string) (aptrepo.Installable, error) {
		return f.Installable(f.ctx, aptrepo.DependencyOptions{
			Selection: aptrepo.Selection{Name: "hello", Version: version}, Distribution: codename})
	}
	if i, err := pick("", ""); err != nil || i.Artifact.Version != "2.0" || i.Distribution.Codename != "focal" || i.Component != "main" {
		t.Errorf("newest = %+v, %v", i, err)
	}
	if i, err := pick("", "jammy"); err != nil || i.Artifact.Version != "1.0" {
		t.Errorf("newest in jammy = %+v, %v", i, err)
	}
	for _, tt := range []struct {
		version, codename string
		want              error
	}{
		{"2.0", "jammy", aptrepo.ErrNotPublished},
		{"3.0", "", aptrepo.ErrVersionNotFound},
		{"", "nowhere", aptrepo.ErrUnknownDistribution},
	} {
		if _, err := pick(tt.version, tt.codename); !errors.Is(err, tt.want) {
			t.Errorf("%q in %q: %v, want %v", tt.version, tt.codename, err, tt.want)
		}
	}
}
