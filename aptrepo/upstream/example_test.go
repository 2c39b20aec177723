package upstream_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
)

func ExampleSource_Validate() {
	source := upstream.Source{ID: "tools", URL: "ftp://example.org/apt", Suite: "stable", Keyring: "tools"}
	for _, fault := range source.Validate() {
		fmt.Println(fault.Field, fault.Message)
	}
	// Output: url must begin with http:// or https://
}

func ExamplePresets() {
	for _, source := range upstream.Presets()[:3] {
		fmt.Println(source)
	}
	// Output:
	// source debian-bookworm (http://ftp.debian.org/debian/ bookworm)
	// source debian-bookworm-security (http://security.debian.org/debian-security/ bookworm-security)
	// source debian-bookworm-updates (http://ftp.debian.org/debian/ bookworm-updates)
}

// Packages of Debian are brought into a catalogue; one of them is downloaded
// and held against what the catalogue says of it.
func Example() {
	var catalog upstream.Catalog // that of package sqlstore
	client := &upstream.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: time.Minute}
	syncer := &upstream.Syncer{
		Catalog:  catalog,
		Keyrings: upstream.Keyrings{Dirs: []string{"/usr/share/keyrings"}},
		Client:   client,
		Dir:      "/var/cache/repod",
	}
	ctx, debian := context.Background(), upstream.Presets()[0]
	if _, err := syncer.Sync(ctx, debian); err != nil {
		log.Fatal(err)
	}
	offers, err := catalog.Offers(ctx, []string{debian.ID}, []string{"hello"})
	if err != nil {
		log.Fatal(err)
	}
	f, err := os.CreateTemp("", "hello-*.deb")
	if err != nil {
		log.Fatal(err)
	}
	downloader := &upstream.Downloader{Client: client}
	if err := downloader.Fetch(ctx, debian, offers[0], f); err != nil {
		log.Fatal(err)
	}
	pkg, err := deb.Read(f, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := upstream.MatchesControl(offers[0], pkg); err != nil {
		log.Fatal(err)
	}
}
