package storage_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"strings"

	"github.com/repod-io/repod/aptrepo/storage"
)

func ExampleOpenDir() {
	ctx := context.Background()
	name, err := os.MkdirTemp("", "apt")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(name)

	files, err := storage.OpenDir(name)
	if err != nil {
		log.Fatal(err)
	}
	defer files.Close()
	if err := files.Put(ctx, "dists/jammy/InRelease", strings.NewReader("Codename: jammy\n")); err != nil {
		log.Fatal(err)
	}
	r, info, err := files.Open(ctx, "dists/jammy/InRelease")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, %d bytes: %s", info.Key, info.Size, body)
	// Output: dists/jammy/InRelease, 16 bytes: Codename: jammy
}

func ExampleBackend_list() {
	ctx := context.Background()
	var files storage.Backend = new(storage.Mem)
	for _, key := range []string{"pool/main/h/hello_1.0_all.deb", "dists/jammy/Release", "pool/main/h/hello_1.1_all.deb"} {
		if err := files.Put(ctx, key, strings.NewReader("...")); err != nil {
			log.Fatal(err)
		}
	}
	for info, err := range files.List(ctx, "pool/") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(info.Key)
	}
	// Output:
	// pool/main/h/hello_1.0_all.deb
	// pool/main/h/hello_1.1_all.deb
}

func ExampleCreate() {
	ctx := context.Background()
	files := new(storage.Mem)
	for _, writer := range []string{"one", "two"} {
		err := storage.Create(ctx, files, "pool/x_1_all.deb", strings.NewReader(writer))
		fmt.Println(writer, errors.Is(err, fs.ErrExist))
	}
	// Output:
	// one false
	// two true
}
