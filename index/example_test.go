package index_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strings"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
)

// blobs is the least that a Log needs. It is good for examples only: nothing
// of it is durable.
type blobs map[string][]byte

func (b blobs) PutBlob(_ context.Context, id string, data []byte) error {
	b[id] = data
	return nil
}

func (b blobs) GetBlob(_ context.Context, id string) ([]byte, error) {
	if data, ok := b[id]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func hello(version string) []byte {
	control, err := deb.ParseStanza([]byte("Package: hello\nVersion: " + version + "\nArchitecture: amd64\n"))
	if err != nil {
		log.Fatal(err)
	}
	text, err := index.AppendStanza(nil, control, index.PackageFile{
		Filename: "pool/main/h/hello/hello_" + version + "_amd64.deb",
		Size:     53080,
		SHA256:   strings.Repeat("0f", 32),
	})
	if err != nil {
		log.Fatal(err)
	}
	return text
}

func Example() {
	ctx := context.Background()
	store := blobs{}

	// The Packages file of main on amd64.
	packages := index.NewLog()
	packages, err := packages.Apply(ctx, store, index.Edit{Add: [][]byte{hello("2.10-3"), hello("2.12-1")}})
	if err != nil {
		log.Fatal(err)
	}

	// The Release file that lists it.
	now := time.Date(2026, 3, 7, 8, 5, 1, 0, time.UTC)
	release := index.Release{
		Origin: "Example", Label: "Example", Suite: "stable", Codename: "jammy",
		Date: now, AcquireByHash: true,
		Architectures: []string{"amd64"}, Components: []string{"main"},
		Files: packages.Files("main/binary-amd64/Packages"),
	}
	text, err := release.AppendTo(nil)
	if err != nil {
		log.Fatal(err)
	}

	// The signature.
	key, err := index.GenerateKey(index.KeyOptions{Name: "Example Archive", Now: func() time.Time { return now }})
	if err != nil {
		log.Fatal(err)
	}
	signer := &index.OpenPGP{Keys: []*index.Key{key}, Now: func() time.Time { return now }}
	inRelease, err := signer.ClearSign(ctx, text)
	if err != nil {
		log.Fatal(err)
	}

	// What a client does.
	verified, signers, err := index.Verify(inRelease, signer.PublicKeys(), now)
	if err != nil {
		log.Fatal(err)
	}
	read, err := index.ParseRelease(verified)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(read.Codename, read.Date, "by", signers[0].UserIDs()[0])
	for _, f := range read.Files {
		fmt.Println(f.Path)
	}
	// Output:
	// jammy 2026-03-07 08:05:01 +0000 UTC by Example Archive
	// main/binary-amd64/Packages
	// main/binary-amd64/Packages.gz
}

func ExampleLog_Apply() {
	ctx := context.Background()
	store := blobs{}
	first, err := index.NewLog().Apply(ctx, store, index.Edit{Add: [][]byte{hello("2.10-3")}})
	if err != nil {
		log.Fatal(err)
	}
	second, err := first.Apply(ctx, store, index.Edit{
		Remove: map[index.ID]bool{{Package: "hello", Version: "2.10-3", Architecture: "amd64"}: true},
		Add:    [][]byte{hello("2.12-1"), hello("2.12.1-1")},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(first.Len(), second.Len())
	// Output: 1 2
}

func ExampleLog_Open() {
	ctx := context.Background()
	store := blobs{}
	packages, err := index.NewLog().Apply(ctx, store, index.Edit{Add: [][]byte{hello("2.10-3")}})
	if err != nil {
		log.Fatal(err)
	}
	f, err := packages.Open(ctx, store, "") // or ".gz"
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	if _, err := bytes.NewBuffer(nil).ReadFrom(f); err != nil {
		log.Fatal(err)
	}
	size, err := f.Seek(0, 2)
	fmt.Println(size == packages.PlainSize(), err)
	// Output: true <nil>
}

func ExampleLoadLog() {
	ctx := context.Background()
	store := blobs{}
	packages, err := index.NewLog().Apply(ctx, store, index.Edit{Add: [][]byte{hello("2.10-3")}})
	if err != nil {
		log.Fatal(err)
	}
	state := packages.State() // to be kept with the rest of the distribution's state
	again, err := index.LoadLog(ctx, store, state)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Files("Packages")[1] == packages.Files("Packages")[1])
	// Output: true
}

func ExampleHistory() {
	ctx := context.Background()
	store := blobs{}
	packages := index.NewLog()
	var history index.History // to be kept as JSON with the log's state

	publish := func(versions int, at time.Time) []string {
		var edit index.Edit
		for range versions {
			edit.Add = append(edit.Add, hello(fmt.Sprintf("2.%d-1", packages.Len()+len(edit.Add))))
		}
		next, err := packages.Apply(ctx, store, edit)
		if err != nil {
			log.Fatal(err)
		}
		history, err = history.Advance(ctx, store, packages, next, at)
		if err != nil {
			log.Fatal(err)
		}
		packages = next
		return history.PatchNames(packages)
	}
	monday := time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC)
	publish(3000, monday)
	publish(1, monday.Add(time.Hour))
	for _, name := range publish(2, monday.Add(2*time.Hour)) {
		fmt.Println(name)
	}
	// Output:
	// Packages.diff/T-bf9b4524776c5bfc-F-b0bb4817e1c8296d.gz
	// Packages.diff/T-bf9b4524776c5bfc-F-9739bd0a36d964bd.gz
}

func ExampleAppendStanza() {
	control, err := deb.ParseStanza([]byte(`Package: hello
Description: greets
 With a longer text.
Architecture: amd64
Version: 2.10-3
Filename: not for a control file to say
`))
	if err != nil {
		log.Fatal(err)
	}
	text, err := index.AppendStanza(nil, control, index.PackageFile{
		Filename: "pool/main/h/hello/hello_2.10-3_amd64.deb",
		Size:     53080,
		SHA256:   "0f5a3b1ea4bf4ba4ab0c0b0d1f1a52c0a1a3a0b3cc0f4a2c8e1f2b3c4d5e6f70",
	})
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(text)
	// Output:
	// Package: hello
	// Version: 2.10-3
	// Architecture: amd64
	// Filename: pool/main/h/hello/hello_2.10-3_amd64.deb
	// Size: 53080
	// SHA256: 0f5a3b1ea4bf4ba4ab0c0b0d1f1a52c0a1a3a0b3cc0f4a2c8e1f2b3c4d5e6f70
	// Description: greets
	//  With a longer text.
}

func ExampleReadPackages() {
	file := string(hello("2.10-3")) + "\nPackage: broken\n\n" + string(hello("2.12-1"))
	for p, err := range index.ReadPackages(strings.NewReader(file)) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(p.ID, p.File.Filename)
	}
	// Output:
	// hello 2.10-3 amd64 pool/main/h/hello/hello_2.10-3_amd64.deb
	// unfit stanza "broken": field Version is empty
	// hello 2.12-1 amd64 pool/main/h/hello/hello_2.12-1_amd64.deb
}

func ExampleOpenPGP() {
	oldKey, err := index.GenerateKey(index.KeyOptions{Name: "Example Archive 2025"})
	if err != nil {
		log.Fatal(err)
	}
	newKey, err := index.GenerateKey(index.KeyOptions{Name: "Example Archive 2026"})
	if err != nil {
		log.Fatal(err)
	}
	// While a key is being replaced, both sign.
	signer := &index.OpenPGP{Keys: []*index.Key{newKey, oldKey}}
	inRelease, err := signer.ClearSign(context.Background(), []byte("Codename: jammy\n"))
	if err != nil {
		log.Fatal(err)
	}
	for _, k := range signer.Keys {
		_, signers, err := index.Verify(inRelease, index.Keyring{k.Public()}, time.Now())
		fmt.Println(signers[0].UserIDs(), err)
	}
	// Output:
	// [Example Archive 2026] <nil>
	// [Example Archive 2025] <nil>
}
