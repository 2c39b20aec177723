package sbom_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/repod-io/repod/sbom"
	"github.com/repod-io/repod/sbom/sbomtest"
)

// validate holds a document to the official schema of its format.
func validate(tb testing.TB, text []byte) {
	tb.Helper()
	if err := validateText(text); err != nil {
		tb.Fatalf("%v\n%s", err, text)
	}
}

// validateText is validate without a test. Where there is no schema, every JSON is
// valid: TestSchemas tells.
func validateText(text []byte) error {
	if err := sbomtest.Validate(text); !errors.Is(err, sbomtest.ErrNoSchema) {
		return err
	}
	return nil
}

// TestSchemas says which schemas the other tests have, so that nobody takes them
// for more than they are.
func TestSchemas(t *testing.T) {
	for f, form := range map[sbom.Format]string{sbom.CycloneDX: `{"bomFormat":"1","specVersion":%q}`, sbom.SPDX: `{"spdxVersion":"SPDX-%s"}`} {
		for _, version := range sbom.Versions(f) {
			t.Run(fmt.Sprintf("%s %s", f, version), func(t *testing.T) {
				switch err := sbomtest.Validate(fmt.Appendf(nil, form, version)); {
				case errors.Is(err, sbomtest.ErrNoSchema):
					t.Skipf("no test holds documents to this schema: %v", err)
				case err == nil:
					t.Error("the schema allows everything")
				}
			})
		}
	}
}
