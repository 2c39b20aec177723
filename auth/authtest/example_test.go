package authtest_test

import (
	"context"
	"fmt"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
)

// The conformance suite is plain functions: a test of a store calls
// authtest.RunStore, other programs can run the checks too.
func ExampleChecks() {
	for _, c := range authtest.Checks()[:3] {
		fmt.Println(c.Name, c.Func(context.Background(), new(authtest.Mem)))
	}
	// Output:
	// UserRoundTrip <nil>
	// UserNames <nil>
	// FirstUser <nil>
}

func ExampleMem() {
	ctx := context.Background()
	mem := new(authtest.Mem)
	svc := &auth.Service{Store: mem, Key: make([]byte, auth.KeySize)}
	if _, _, err := svc.Bootstrap(ctx, "admin", "Correct horse 1"); err != nil {
		fmt.Println(err)
		return
	}
	events, _ := mem.Events(ctx)
	for _, e := range events {
		fmt.Println(e.User, e.Action, e.Target)
	}
	// Output:
	// system user.create admin
}
