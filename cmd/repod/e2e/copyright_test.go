package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/copyright"
)

var update = flag.Bool("update", false, "write testdata/copyright.tsv anew: to be compared with the copyright files by eye")

// TestDebianCopyright reads the copyright files of a minimal Debian system. What
// comes of each was compared with the file by eye once, and is kept in
// testdata/copyright.tsv: package, state and expression.
func TestDebianCopyright(t *testing.T) {
	slow(t)
	found := make(map[string]copyright.Found)
	for _, file := range debianPackages(t) {
		name, f := findCopyright(t, file)
		found[name] = f
	}
	var lines []string
	readable, mapped := 0, 0
	for name, f := range found {
		state := "machine-readable"
		switch {
		case f.In != "":
			state = "in " + f.In
			f = found[f.In]
		case f.SHA256 == "":
			state = "missing"
		case !f.MachineReadable:
			state = "free text"
		}
		if f.MachineReadable {
			readable++
		}
		if isMapped(f) {
			mapped++
		}
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\n", name, state, f.Expression))
	}
	slices.Sort(lines)
	t.Logf("of %d packages, %d have a machine-readable file, and %d one that is mapped", len(found), readable, mapped)
	if len(found) < 80 || readable*100 < 85*len(found) {
		t.Errorf("%d of %d are machine-readable", readable, len(found))
	}
	// Most of the others have a licence or two that nobody else has.
	if mapped*100 < 40*len(found) {
		t.Errorf("%d of %d are mapped", mapped, len(found))
	}
	compareCopyrights(t, lines)
}

// isMapped reports whether SPDX has identifiers for all that a file says,
// except that something is in the public domain, for which it has none on
// purpose.
func isMapped(f copyright.Found) bool {
	return f.Expression != "" && !slices.ContainsFunc(f.Refs, func(r copyright.Ref) bool {
		return !strings.Contains(r.ID, "-public-domain")
	})
}

func findCopyright(t *testing.T, file string) (name string, found copyright.Found) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	name = inspect(t, file).Name
	var finder copyright.Finder
	if _, err := deb.Read(f, &deb.Options{Visit: finder.Visit(nil), VisitLink: finder.VisitLink}); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return name, finder.Found()
}

// compareCopyrights holds what was found against what is kept. A package that
// the archive has replaced meanwhile may be new, or gone.
func compareCopyrights(t *testing.T, lines []string) {
	t.Helper()
	const golden = "testdata/copyright.tsv"
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(lines, "")), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for line := range bytes.Lines(text) {
		name, rest, _ := strings.Cut(string(line), "\t")
		want[name] = rest
	}
	compared := 0
	for _, line := range lines {
		name, got, _ := strings.Cut(line, "\t")
		if _, ok := want[name]; !ok {
			t.Logf("%s was not there when the list was made: %s", name, got)
			continue
		}
		compared++
		if got != want[name] {
			t.Errorf("%s is %swant %s", name, got, want[name])
		}
	}
	if compared < 80 {
		t.Errorf("%d packages were compared only", compared)
	}
}
