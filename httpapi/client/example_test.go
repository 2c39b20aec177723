package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/repod-io/repod/httpapi/client"
)

func Example() {
	ctx := context.Background()
	srv := pretend()
	defer srv.Close()

	c, err := client.New(srv.URL, "repod_...", nil)
	if err != nil {
		log.Fatal(err)
	}
	file := bytes.NewReader([]byte("a package")) // or an *os.File
	done, err := c.Upload(ctx, client.Upload{Distribution: "jammy", File: file, Size: file.Size()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Name, done.Version, done.Status)

	for row, err := range c.AllPackages(ctx, client.PackageQuery{Distribution: "jammy"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Name, row.LatestVersion)
	}

	_, err = c.Promote(ctx, client.Promotion{Name: "hello", Version: "3.0", From: "jammy", To: "noble"})
	if refusal, ok := errors.AsType[*client.Error](err); ok {
		fmt.Println(refusal.Status, refusal.Code)
	}
	// Output:
	// hello 2.10 indexed
	// hello 2.10
	// 404 version_not_found
}

// pretend serves what the example asks for.
func pretend() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"name":"hello","version":"2.10","status":"indexed"}`)
	})
	mux.HandleFunc("GET /packages", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"name":"hello","latest_version":"2.10"}],"total":1,"page":1,"per_page":200,"pages":1}`)
	})
	mux.HandleFunc("POST /distributions/promote", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"status":404,"code":"version_not_found","detail":"The package has no such version."}`)
	})
	return httptest.NewServer(mux)
}
