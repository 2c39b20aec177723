package resolve_test

import (
	"context"
	"fmt"
	"log"

	"github.com/repod-io/repod/aptrepo/resolve"
	"github.com/repod-io/repod/deb"
)

// pkg makes a package of amd64. Programs make them from a Packages file or a
// database.
func pkg(name, version, depends, provides string) *resolve.Package {
	p := &resolve.Package{Name: name, Arch: "amd64", Size: 1000}
	var err error
	if p.Version, err = deb.ParseVersion(version); err != nil {
		log.Fatal(err)
	}
	if p.Depends, err = deb.ParseRelations(depends); err != nil {
		log.Fatal(err)
	}
	if p.Provides, err = deb.ParseRelations(provides); err != nil {
		log.Fatal(err)
	}
	return p
}

func ExampleResolve() {
	published := resolve.NewIndex([]*resolve.Package{
		pkg("libc6", "2.36-9", "", ""),
	})
	offered := resolve.NewIndex([]*resolve.Package{
		pkg("bsd-mailx", "8.1.2-0.2", "libc6 (>= 2.34), default-mta | mail-transport-agent, liblockfile1 (>= 1.0)", ""),
		pkg("exim4", "4.96-15", "", "mail-transport-agent"),
		pkg("postfix", "3.7.11", "", "mail-transport-agent"),
		pkg("liblockfile1", "0.9", "", ""),
	})
	request := resolve.Request{Name: "bsd-mailx", Arch: "amd64", WithDependencies: true}
	plan, err := resolve.Resolve(context.Background(), request, published, offered)
	if err != nil {
		log.Fatal(err)
	}
	for _, item := range plan.Items {
		fmt.Printf("%-10s %s: %s\n", item.Status, item.Name, item.Reason)
	}
	fmt.Println(plan.DownloadBytes, "bytes")
	// Output:
	// import     bsd-mailx: the only version offered
	// present    libc6: published, satisfies >= 2.34
	// import     exim4: provides mail-transport-agent; first by name of 2 that do; no source offers default-mta
	// unresolved liblockfile1: liblockfile1 0.9 is offered, but >= 1.0 is needed
	// 2000 bytes
}
