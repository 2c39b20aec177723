package clamav_test

import (
	"context"
	"fmt"

	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/clamav"
)

// A clamd that is down does not keep a package from being read, and the report
// says that it was not scanned.
func ExampleScanner() {
	clamd := &clamav.Scanner{Address: "unix:///nonexistent/clamd.ctl"}
	run := scan.Begin(context.Background(), []scan.Scanner{clamd}, scan.Subject{Name: "hello"})
	defer run.Abort()
	// Here deb.Read reads the package, with run.Visit.
	m := run.Finish().Malware
	fmt.Println(m.Status)
	fmt.Println(m.Detail)
	// Output:
	// error
	// clamav: connect to clamd: connect: no such file or directory
}
