package storagetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/repod-io/repod/aptrepo/storage"
)

// fileRules are about single files: their names and contents.
var fileRules = []Rule{
	{"RoundTrip", roundTrip},
	{"PutFromOffset", putFromOffset},
	{"Missing", missing},
	{"InvalidKeys", invalidKeys},
	{"APTNames", aptNames},
	{"CaseSensitive", caseSensitive},
	{"IndependentReaders", independentReaders},
	{"SeekIfOffered", seekIfOffered},
	{"DeleteIdempotent", deleteIdempotent},
	{"DeleteOneKey", deleteOneKey},
	{"Canceled", canceled},
	{"Probe", probe},
}

func roundTrip(ctx context.Context, b storage.Backend) error {
	for key, body := range map[string]string{
		"empty": "",
		"a/b/c": "x",
		"big":   strings.Repeat("0123456789abcdef", 1<<16),
	} {
		if err := put(ctx, b, key, body); err != nil {
			return err
		}
		if err := want(ctx, b, key, body); err != nil {
			return err
		}
	}
	return nil
}

func putFromOffset(ctx context.Context, b storage.Backend) error {
	r := strings.NewReader("head body")
	if _, err := r.Seek(5, io.SeekStart); err != nil {
		return err
	}
	if err := b.Put(ctx, "k", r); err != nil {
		return err
	}
	return want(ctx, b, "k", "body")
}

func missing(ctx context.Context, b storage.Backend) error {
	if err := put(ctx, b, "dir/sub/file", "x"); err != nil {
		return err
	}
	// A directory of a file is no file, and neither is what a file's name
	// begins with, or a path through a file.
	return wantMissing(ctx, b, "nope", "no/pe", "dir", "dir/sub", "dir/sub/fil", "dir/sub/file/x")
}

func invalidKeys(ctx context.Context, b storage.Backend) error {
	for _, key := range []string{
		"", ".", "..", "/abs", "../up", "a/../b", "a//b", "a/", "./a", "a/.", `a\b`,
		"a\x00b", "a\nb", "a\x7f", "a\xff", storage.TempPrefix + "x", "a/" + storage.TempPrefix,
		strings.Repeat("n", 256), strings.Repeat("d/", 512) + "e",
	} {
		_, _, openErr := get(ctx, b, key)
		for method, err := range map[string]error{
			"Open":   openErr,
			"Put":    b.Put(ctx, key, strings.NewReader("x")),
			"Create": storage.Create(ctx, b, key, strings.NewReader("x")),
			"Delete": b.Delete(ctx, key),
		} {
			if !errors.Is(err, fs.ErrInvalid) {
				return fmt.Errorf("%s(%.40q): error %v, want one that matches fs.ErrInvalid", method, key, err)
			}
		}
	}
	return wantKeys(ctx, b, "")
}

func aptNames(ctx context.Context, b storage.Backend) error {
	for _, key := range []string{
		"pool/main/libs/libstdc++6/libstdc++6_13.2.0-23ubuntu4~22.04_amd64.deb",
		"pool/main/x/x_1:1.0+really0.9%3a_all.deb",
		"pool/main/x/x_1%3a1.0+really0.9_all.deb",
		"dists/jammy/InRelease",
		"dists/jammy/main/i18n/Translation-de_DE@euro.xz",
		fmt.Sprintf("dists/jammy/main/binary-amd64/by-hash/SHA256/%x", sha256.Sum256(nil)),
		".hidden/..two/...", "a b/ü/=&?#;*'\"", strings.Repeat("n", 255),
		strings.Repeat(strings.Repeat("d", 200)+"/", 5) + strings.Repeat("n", 1024-5*201),
	} {
		if err := put(ctx, b, key, key); err != nil {
			return err
		}
		if err := want(ctx, b, key, key); err != nil {
			return err
		}
		if err := wantKeys(ctx, b, key, key); err != nil {
			return err
		}
	}
	return nil
}

func caseSensitive(ctx context.Context, b storage.Backend) error {
	if err := putAll(ctx, b, "Release", "release"); err != nil {
		return err
	}
	return errors.Join(want(ctx, b, "Release", "Release"), want(ctx, b, "release", "release"))
}

func independentReaders(ctx context.Context, b storage.Backend) error {
	if err := put(ctx, b, "k", "0123456789"); err != nil {
		return err
	}
	first, _, err := b.Open(ctx, "k")
	if err != nil {
		return err
	}
	defer first.Close()
	if _, err := io.ReadFull(first, make([]byte, 5)); err != nil {
		return err
	}
	if err := want(ctx, b, "k", "0123456789"); err != nil {
		return fmt.Errorf("a second reader: %w", err)
	}
	if rest, err := io.ReadAll(first); err != nil || string(rest) != "56789" {
		return fmt.Errorf("the first reader went on with %q, %v; want 56789", rest, err)
	}
	return nil
}

func seekIfOffered(ctx context.Context, b storage.Backend) error {
	if err := put(ctx, b, "k", "0123456789"); err != nil {
		return err
	}
	r, _, err := b.Open(ctx, "k")
	if err != nil {
		return err
	}
	defer r.Close()
	s, ok := r.(io.Seeker)
	if !ok {
		return nil
	}
	for _, tt := range []struct {
		offset int64
		whence int
		at     int64
		rest   string
	}{
		{-3, io.SeekEnd, 7, "789"},
		{2, io.SeekStart, 2, "23456789"},
		{0, io.SeekCurrent, 10, ""},
		{-1, io.SeekCurrent, 9, "9"},
	} {
		at, err := s.Seek(tt.offset, tt.whence)
		if err != nil || at != tt.at {
			return fmt.Errorf("Seek(%d, %d) = %d, %v; want %d", tt.offset, tt.whence, at, err, tt.at)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != tt.rest {
			return fmt.Errorf("after Seek(%d, %d) read %q, %v; want %q", tt.offset, tt.whence, rest, err, tt.rest)
		}
	}
	return nil
}

func deleteIdempotent(ctx context.Context, b storage.Backend) error {
	if err := put(ctx, b, "a/b", "x"); err != nil {
		return err
	}
	for _, key := range []string{"a/b", "a/b", "never/was"} {
		if err := b.Delete(ctx, key); err != nil {
			return fmt.Errorf("Delete(%q): %w", key, err)
		}
	}
	if err := wantMissing(ctx, b, "a/b"); err != nil {
		return err
	}
	if err := put(ctx, b, "a/b", "again"); err != nil {
		return err
	}
	return want(ctx, b, "a/b", "again")
}

func deleteOneKey(ctx context.Context, b storage.Backend) error {
	if err := putAll(ctx, b, "a/b", "a/bc", "a/d/e", "f/g"); err != nil {
		return err
	}
	for _, key := range []string{"a/b", "a/d", "f", "a/bc/x"} { // only the first is a file
		if err := b.Delete(ctx, key); err != nil {
			return fmt.Errorf("Delete(%q): %w", key, err)
		}
	}
	return wantKeys(ctx, b, "", "a/bc", "a/d/e", "f/g")
}

func canceled(ctx context.Context, b storage.Backend) error {
	if err := put(ctx, b, "k", "x"); err != nil {
		return err
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	_, _, openErr := get(done, b, "k")
	for method, err := range map[string]error{
		"Open":   openErr,
		"Put":    b.Put(done, "k", strings.NewReader("y")),
		"Create": storage.Create(done, b, "l", strings.NewReader("y")),
		"Delete": b.Delete(done, "k"),
	} {
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s with a canceled context: error %v, want one that matches context.Canceled", method, err)
		}
	}
	return errors.Join(want(ctx, b, "k", "x"), wantMissing(ctx, b, "l"))
}

func probe(ctx context.Context, b storage.Backend) error {
	if err := storage.Check(ctx, b); err != nil {
		return err
	}
	return wantKeys(ctx, b, "")
}
