package resolve

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/repod-io/repod/deb"
)

// packagesFile reads the Packages file that REPOD_PACKAGES names, such as that
// of a whole Debian release.
var packagesFile = sync.OnceValues(func() ([]*Package, error) {
	f, err := os.Open(os.Getenv("REPOD_PACKAGES"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var packages []*Package
	reader := deb.NewStanzaReader(f, 1<<20)
	for {
		stanza, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, err
		}
		p, err := fromStanza(stanza)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
})

func fromStanza(s deb.RawStanza) (*Package, error) {
	get := func(field string) string { return string(s.Get(field)) }
	p := &Package{Name: get("Package"), Arch: get("Architecture"), MultiArch: get("Multi-Arch")}
	var err error
	if p.Version, err = deb.ParseVersion(get("Version")); err != nil {
		return nil, err
	}
	if p.Size, err = strconv.ParseInt(get("Size"), 10, 64); err != nil {
		return nil, err
	}
	for field, rels := range map[string]*deb.Relations{
		"Pre-Depends": &p.PreDepends, "Depends": &p.Depends, "Provides": &p.Provides,
		"Conflicts": &p.Conflicts, "Breaks": &p.Breaks,
	} {
		if *rels, err = deb.ParseRelations(get(field)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func realPackages(tb testing.TB) []*Package {
	if os.Getenv("REPOD_PACKAGES") == "" {
		tb.Skip("REPOD_PACKAGES names no Packages file")
	}
	packages, err := packagesFile()
	if err != nil {
		tb.Fatal(err)
	}
	return packages
}

func BenchmarkNewIndex(b *testing.B) {
	packages := realPackages(b)
	for b.Loop() {
		NewIndex(packages)
	}
}

func BenchmarkBroken(b *testing.B) {
	x := NewIndex(realPackages(b))
	for b.Loop() {
		b.ReportMetric(float64(len(x.Broken("amd64"))), "broken")
	}
}

func BenchmarkResolve(b *testing.B) {
	x := NewIndex(realPackages(b))
	for _, name := range []string{"nginx", "gnome", "kde-full", "texlive-full"} {
		for _, target := range []struct {
			name string
			Universe
		}{{"empty", nil}, {"full", x}} {
			b.Run(name+"/"+target.name, func(b *testing.B) {
				for b.Loop() {
					plan, err := Resolve(context.Background(), Request{Name: name, Arch: "amd64", WithDependencies: true}, target.Universe, x)
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(len(plan.Items)), "items")
				}
			})
		}
	}
}

// BenchmarkResolveAll has one plan of everything: a package that depends on all
// others.
func BenchmarkResolveAll(b *testing.B) {
	packages := realPackages(b)
	all := &Package{Name: "everything", Arch: "amd64"}
	for _, p := range packages {
		all.Depends = append(all.Depends, deb.Alternatives{{Name: p.Name}})
	}
	x := NewIndex(append(packages[:len(packages):len(packages)], all))
	req := Request{Name: "everything", Arch: "amd64", WithDependencies: true, Limit: len(packages) + 1}
	for b.Loop() {
		plan, err := Resolve(context.Background(), req, nil, x)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(plan.Unresolved), "unresolved")
	}
}

// BenchmarkResolveEach has a plan of each package.
func BenchmarkResolveEach(b *testing.B) {
	packages := realPackages(b)
	x := NewIndex(packages)
	for b.Loop() {
		items := 0
		for _, p := range packages {
			plan, err := Resolve(context.Background(), Request{Name: p.Name, Arch: "amd64", WithDependencies: true}, nil, x)
			if err != nil {
				b.Fatal(err)
			}
			items += len(plan.Items)
		}
		b.ReportMetric(float64(items)/float64(len(packages)), "items/plan")
	}
}
