package external_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/external"
)

func ExampleMatcher() {
	m := &external.Matcher{
		Format: external.Grype,
		Argv:   []string{"grype", "--quiet", "--output", "json"},
		// A program uses os/exec here.
		Run: func(ctx context.Context, argv []string, stdin io.Reader, limit int64) ([]byte, error) {
			return []byte(`{"matches": [{
				"vulnerability": {"id": "CVE-2023-0464", "severity": "High", "fix": {"state": "fixed", "versions": ["1.1.1n-0+deb11u5"]}},
				"artifact": {"name": "libssl1.1", "version": "1.1.1d-1", "type": "deb"}
			}], "distro": {"name": "debian", "version": "11"}, "descriptor": {"name": "grype"}}`), nil
		},
	}
	findings, covered, err := m.Match(context.Background(), scan.Inventory{Subject: scan.Subject{
		Name: "libssl1.1", Version: "1.1.1d-1", Arch: "amd64", Source: "openssl", OS: "debian:11",
	}})
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range findings {
		fmt.Println(f.ID, f.Severity, f.Package, f.InstalledVersion, f.FixedVersion, covered)
	}
	// Output: CVE-2023-0464 high openssl 1.1.1d-1 1.1.1n-0+deb11u5 true
}
