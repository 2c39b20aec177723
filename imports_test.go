package repod_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/repod-io/repod"

// may lists each package below the module's root, and which others of the
// module it may import. Programs, in cmd and examples, may import any.
var may = map[string][]string{
	".": {},

	"deb":            {},
	"deb/copyright":  {"deb"},
	"deb/debtest":    {"deb"},
	"index":          {"deb"},
	"sbom":           {},
	"sbom/sbomtest":  {"sbom"},
	"scan":           {"deb"},
	"scan/clamav":    {"deb", "scan"},
	"scan/inventory": {"deb", "scan"},
	"scan/vuln":      {"deb", "scan"},

	"scan/clamav/clamdtest": {},
	"scan/external":         {"deb", "scan"},

	"auth":          {},
	"auth/authtest": {"auth"},
	"auth/ldap":     {"auth"},

	"auth/ldap/slapdtest": {},
	"auth/oidc":           {"auth"},
	"auth/oidc/oidctest":  {},

	"aptrepo/storage":               {},
	"aptrepo/storage/s3":            {"aptrepo/storage"},
	"aptrepo/storage/s3/s3test":     {},
	"aptrepo/storage/storagetest":   {"aptrepo/storage"},
	"aptrepo/settings":              {"aptrepo/upstream"},
	"aptrepo/settings/settingstest": {"aptrepo/settings"},
	"aptrepo/outbound":              {},
	"aptrepo/notify":                {},
	"aptrepo/jobs":                  {},
	"aptrepo/upstream":              {"deb", "index"},
	"aptrepo/upstream/catalogtest":  {"aptrepo/upstream", "deb"},
	"aptrepo/upstream/mirrortest":   {"deb", "deb/debtest", "index"},
	"aptrepo/importer":              {"aptrepo", "aptrepo/resolve", "aptrepo/upstream", "deb"},
	"aptrepo/resolve":               {"deb"},
	"aptrepo/retention":             {"deb"},
	"aptrepo": {
		"deb", "deb/copyright", "index", "sbom", "scan",
		"aptrepo/jobs", "aptrepo/resolve", "aptrepo/retention", "aptrepo/settings", "aptrepo/storage", "aptrepo/upstream",
	},
	"aptrepo/backup":   {"aptrepo", "aptrepo/sqlstore", "aptrepo/storage"},
	"aptrepo/vulnsync": {"aptrepo/storage", "scan/vuln"},
	"aptrepo/repotest": {"aptrepo", "aptrepo/storage", "aptrepo/storage/storagetest", "deb", "deb/debtest", "index"},

	"aptrepo/sqlstore":            {"aptrepo", "aptrepo/settings", "aptrepo/upstream", "aptrepo/vulnsync", "auth", "deb", "deb/copyright", "scan"},
	"aptrepo/sqlstore/storetest":  {"aptrepo", "auth", "auth/authtest", "deb", "scan"},
	"aptrepo/sqlstore/pgtest":     {},
	"aptrepo/sqlstore/sqlitetest": {"aptrepo/sqlstore"},

	"httpapi": {"aptrepo", "aptrepo/importer", "aptrepo/jobs", "aptrepo/resolve", "aptrepo/upstream",
		"aptrepo/settings", "aptrepo/storage", "auth", "deb", "httpapi/openapi", "httpapi/ui", "index", "sbom", "scan", "scan/clamav", "scan/vuln"},
	"httpapi/openapi": {},
	"httpapi/client":  {},
	"httpapi/ui":      {},
	"httpapi/metrics": {"aptrepo", "aptrepo/jobs", "aptrepo/storage", "httpapi", "scan", "scan/vuln"},
}

// forPrograms lists the imports that a library leaves to the program it is a
// part of: running other programs, and the choice of SQL drivers. Programs have
// them, and packages for tests.
var forPrograms = []string{
	"os/exec",
	"modernc.org/sqlite", "github.com/mattn/go-sqlite3",
	"github.com/jackc/pgx", "github.com/lib/pq",
}

// folders are those of the top level. The others are made by building and
// running, and not checked in.
var folders = []string{
	"aptrepo", "auth", "cmd", "deb", "examples", "httpapi", "index", "sbom", "scan",
	"bin", "repod-data",
}

func TestImports(t *testing.T) {
	checked, faults, err := check(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
	for _, dir := range []string{".", "aptrepo", "aptrepo/storage", "cmd/repod"} {
		if !slices.Contains(checked, dir) {
			t.Errorf("%s was not checked, only %q", dir, checked)
		}
	}
}

// check returns the directories of packages in tree, and what is wrong with
// their imports and places.
func check(tree fs.FS) (checked, faults []string, err error) {
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			hidden := len(name) > 1 && strings.HasPrefix(d.Name(), ".")
			if hidden || d.Name() == "testdata" {
				return fs.SkipDir
			}
			if name != "." && !strings.Contains(name, "/") && !slices.Contains(folders, name) {
				faults = append(faults, fmt.Sprintf("the folder %s is none of the top level's", name))
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		if dir := path.Dir(name); !slices.Contains(checked, dir) {
			checked = append(checked, dir)
		}
		wrong, err := checkFile(tree, name)
		faults = append(faults, wrong...)
		return err
	})
	return checked, faults, err
}

func checkFile(tree fs.FS, name string) (faults []string, err error) {
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(name)
	program := strings.HasPrefix(dir, "cmd/") || strings.HasPrefix(dir, "examples/")
	allowed, listed := may[dir]
	if !listed && !program {
		faults = append(faults, fmt.Sprintf("%s: the package %s is not listed", name, dir))
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		ours, ok := strings.CutPrefix(imported+"/", module+"/")
		ours = strings.TrimSuffix(ours, "/")
		switch {
		case program:
		case ok && !slices.Contains(allowed, ours),
			!strings.HasSuffix(dir, "test") && slices.ContainsFunc(forPrograms, func(p string) bool { return within(imported, p) }):
			faults = append(faults, fmt.Sprintf("%s imports %s", name, imported))
		}
	}
	return faults, nil
}

// within reports whether a package is parent or lies below it.
func within(imported, parent string) bool {
	return strings.HasPrefix(imported+"/", parent+"/")
}

// A program gets packages for tests only through a package that is one.
func TestListKeepsTestPackagesApart(t *testing.T) {
	for dir, allowed := range may {
		for _, dep := range allowed {
			if strings.HasSuffix(dep, "test") && !strings.HasSuffix(dir, "test") {
				t.Errorf("%s may import %s", dir, dep)
			}
			if _, ok := may[dep]; !ok {
				t.Errorf("%s may import %s, which is not listed", dir, dep)
			}
		}
	}
}

func TestImportsCatches(t *testing.T) {
	for _, tt := range []struct {
		file, imports string
		want          string // a part of the fault; empty for none
	}{
		{"deb/a.go", "io", ""},
		{"deb/a.go", module + "/index", "imports " + module + "/index"},
		{"index/a.go", module + "/deb", ""},
		{"aptrepo/a.go", module + "/auth", "imports " + module + "/auth"},
		{"aptrepo/a.go", module + "/httpapi", "imports"},
		{"aptrepo/a.go", module + "/aptrepo/sqlstore", "imports"},
		{"aptrepo/a.go", module + "/aptrepo/notify", "imports"},
		{"aptrepo/a_test.go", module + "/aptrepo/sqlstore", ""},
		{"aptrepo/storage/a.go", module + "/aptrepo", "imports"},
		{"aptrepo/a.go", module, "imports " + module},
		{"aptrepo/a.go", module + "x/deb", ""},
		{"aptrepo/sqlstore/a.go", "modernc.org/sqlite", "imports modernc.org/sqlite"},
		{"aptrepo/sqlstore/a.go", "github.com/jackc/pgx/v5/stdlib", "imports github.com/jackc"},
		{"aptrepo/sqlstore/pgtest/a.go", "github.com/jackc/pgx/v5/stdlib", ""},
		{"deb/a.go", "os/exec", "imports os/exec"},
		{"deb/testdata/a.go", "os/exec", ""},
		{"cmd/repod/a.go", "os/exec", ""},
		{"examples/embed/a.go", "modernc.org/sqlite", ""},
		{"deb/inner/a.go", "io", "deb/inner is not listed"},
		{"internal/a.go", "io", "internal is none of the top level's"},
		{".ci/a.go", "os/exec", ""},
	} {
		src := fmt.Sprintf("package p\n\nimport _ %q\n", tt.imports)
		_, faults, err := check(fstest.MapFS{tt.file: {Data: []byte(src)}})
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(faults, "\n")
		if (tt.want == "") != (got == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s importing %s: faults %q, want %q", tt.file, tt.imports, got, tt.want)
		}
	}
}
