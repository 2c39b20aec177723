package e2e

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/repod-io/repod/sbom/sbomtest"
)

// bills checks the bills of materials of real packages that were imported: each
// package is there, with its licence where the copyright file has one for
// programs, and what it depends on.
func bills(t *testing.T, s *server, token string, packages int) {
	for _, format := range []string{"cyclonedx", "spdx"} {
		doc := []byte(output(t, client(t.Context(), t, s, token, "sbom", "-d", "bookworm", "--format", format)))
		if err := sbomtest.CheckReferences(doc); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if err := sbomtest.Validate(doc); err != nil && !errors.Is(err, sbomtest.ErrNoSchema) {
			t.Errorf("%s: %v", format, err)
		}
		again := output(t, client(t.Context(), t, s, token, "sbom", "-d", "bookworm", "--format", format))
		if again != string(doc) {
			t.Errorf("%s: a second bill differs", format)
		}
		if format == "cyclonedx" {
			realBill(t, doc, packages)
		}
	}
}

func realBill(t *testing.T, doc []byte, packages int) {
	var bom struct {
		Components []struct {
			Name     string
			Licenses []struct{ Expression string }
		}
		Dependencies []struct{ DependsOn []string }
	}
	if err := json.Unmarshal(doc, &bom); err != nil {
		t.Fatal(err)
	}
	licensed, edges := 0, 0
	for _, c := range bom.Components {
		if len(c.Licenses) > 0 {
			licensed++
		}
	}
	for _, d := range bom.Dependencies[1:] { // the first is the root's
		edges += len(d.DependsOn)
	}
	t.Logf("%d packages, %d with a licence, %d dependencies", len(bom.Components), licensed, edges)
	if len(bom.Components) != packages || licensed < packages*8/10 || edges < packages {
		t.Errorf("%d packages, %d with a licence, %d dependencies; want %d packages", len(bom.Components), licensed, edges, packages)
	}
}
