package catalogtest_test

import (
	"context"
	"fmt"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/aptrepo/upstream/catalogtest"
)

// The conformance suite is plain functions: a test of a catalogue calls
// catalogtest.Run, other programs can run the checks too.
func ExampleChecks() {
	for _, c := range catalogtest.Checks()[:3] {
		fmt.Println(c.Name, c.Func(context.Background(), new(catalogtest.Mem)))
	}
	// Output:
	// StateRoundTrip <nil>
	// StateOrder <nil>
	// SaveStateKeeps <nil>
}

func ExampleMem() {
	ctx := context.Background()
	mem := new(catalogtest.Mem)
	packages := func(yield func(upstream.Package, error) bool) {
		yield(upstream.Package{Name: "nginx", Version: "1.18.0-6", Arch: "amd64", Synopsis: "small web server"}, nil)
	}
	fmt.Println(mem.ReplacePackages(ctx, upstream.State{SourceID: "jammy"}, packages))
	found, _ := mem.SearchPackages(ctx, upstream.Query{Q: "WEB", Sources: []string{"jammy"}, Limit: 20})
	for _, f := range found {
		fmt.Println(f.Name, f.Version, f.SourceID)
	}
	// Output:
	// {1 0 0} <nil>
	// nginx 1.18.0-6 jammy
}
