package resolve

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
)

// parse reads packages, one a line, written as
//
//	name version [arch] [size] [preference] [same|foreign|allowed]; Field: value; ...
func parse(t testing.TB, text string) []*Package {
	t.Helper()
	var packages []*Package
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			packages = append(packages, parsePackage(t, line))
		}
	}
	return packages
}

func parsePackage(t testing.TB, line string) *Package {
	t.Helper()
	parts := strings.Split(line, ";")
	words := strings.Fields(parts[0])
	p := &Package{Name: words[0], Version: version(t, words[1]), Arch: "amd64", Ref: line}
	for _, word := range words[2:] {
		switch word {
		case "same", "foreign", "allowed":
			p.MultiArch = word
			continue
		}
		n, err := strconv.Atoi(word)
		switch {
		case err != nil:
			p.Arch = word
		case n < 10:
			p.Preference = n
		default:
			p.Size = int64(n)
		}
	}
	for _, field := range parts[1:] {
		name, value, _ := strings.Cut(field, ":")
		relations(t, p, strings.TrimSpace(name), value)
	}
	return p
}

func relations(t testing.TB, p *Package, field, value string) {
	t.Helper()
	rels, err := deb.ParseBinaryRelations(field, value)
	if err != nil {
		t.Fatal(err)
	}
	switch field {
	case "Pre-Depends":
		p.PreDepends = rels
	case "Depends":
		p.Depends = rels
	case "Provides":
		p.Provides = rels
	case "Conflicts":
		p.Conflicts = rels
	case "Breaks":
		p.Breaks = rels
	default:
		t.Fatalf("unknown field %q", field)
	}
}

func version(t testing.TB, s string) deb.Version {
	t.Helper()
	v, err := deb.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// show writes a plan's items as "import name version arch", with "as virtual"
// for providers, and its conflicts, separated by commas.
func show(plan *Plan) string {
	var lines []string
	for _, item := range plan.Items {
		line := string(item.Status) + " " + item.Name
		if item.Package != nil {
			line += " " + item.Package.Version.String()
			if item.Package.Arch != "amd64" {
				line += " " + item.Package.Arch
			}
		} else if item.Constraint != "" {
			line += " " + item.Constraint
		}
		if item.Provides != "" {
			line += " as " + item.Provides
		}
		lines = append(lines, line)
	}
	for _, c := range plan.Conflicts {
		lines = append(lines, "! "+c.String())
	}
	return strings.Join(lines, ", ")
}

// full writes everything there is in a plan.
func full(plan *Plan) string {
	var b strings.Builder
	for _, item := range plan.Items {
		p := "none"
		if item.Package != nil {
			p = fmt.Sprint(*item.Package)
			item.Package = nil
		}
		fmt.Fprintln(&b, item, p)
	}
	for _, c := range plan.Conflicts {
		fmt.Fprintln(&b, c, c.Kind)
	}
	fmt.Fprintln(&b, plan.Present, plan.Import, plan.Unresolved, plan.DownloadBytes)
	return b.String()
}

// app is a request for the newest app on amd64 with dependencies.
func app() Request {
	return Request{Name: "app", Arch: "amd64", WithDependencies: true}
}

func resolveText(t testing.TB, req Request, target, offers string) (*Plan, error) {
	t.Helper()
	return Resolve(context.Background(), req, NewIndex(parse(t, target)), NewIndex(parse(t, offers)))
}
