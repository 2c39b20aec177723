package vuln_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/vuln"
)

const exampleTracker = `{"nginx": {"CVE-2025-23419": {
	"description": "Session resumption across virtual hosts.",
	"releases": {"bookworm": {"status": "resolved", "fixed_version": "1.22.1-9+deb12u2", "urgency": "medium"}}}}}`

func Example() {
	dir, err := os.MkdirTemp("", "vuln")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db := &vuln.DB{Dir: dir}
	defer db.Close()

	ctx := context.Background()
	results, err := db.Import(ctx, vuln.Feed{ID: "debian", Kind: vuln.Debian, Data: strings.NewReader(exampleTracker)})
	if err != nil {
		panic(err)
	}
	fmt.Println(results[0].ID, results[0].State, results[0].Records)

	findings, covered, err := db.Match(ctx, scan.Inventory{Subject: scan.Subject{
		Name: "nginx-common", Version: "1.22.1-9", Source: "nginx", SourceVersion: "1.22.1-9",
		OS: "debian:12", Official: true,
	}})
	if err != nil {
		panic(err)
	}
	fmt.Println("covered:", covered)
	for _, f := range findings {
		fmt.Println(f.ID, f.Severity, f.FixState, f.FixedVersion)
	}
	// Output:
	// debian ok 1
	// covered: true
	// CVE-2025-23419 medium fixed 1.22.1-9+deb12u2
}

func ExampleCompareVersions() {
	for _, ecosystem := range []string{"Debian:12", "PyPI", "Maven"} {
		c, _ := vuln.CompareVersions(ecosystem, "1.0rc1", "1.0")
		fmt.Println(ecosystem, c)
	}
	// Output:
	// Debian:12 1
	// PyPI -1
	// Maven -1
}
