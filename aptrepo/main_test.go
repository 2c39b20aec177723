package aptrepo_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets the model test run fewer rounds than rapid would: each commits
// to a real database many times.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		flag.Set("rapid.checks", "20")
	}
	os.Exit(m.Run())
}
