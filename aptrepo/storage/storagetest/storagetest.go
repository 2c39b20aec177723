// Package storagetest checks implementations of [storage.Backend] against its
// contract, and makes backends fail on purpose for the tests of code that uses
// them.
//
// The test of a backend is one call:
//
//	func TestBackend(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storage.Backend { return open(t) })
//	}
//
// What no program can find out about itself is left to the author: that a file
// outlives the end of the process and a power failure.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/storage"
)

// A Rule is one promise of the Backend contract.
type Rule struct {
	Name string
	// Check returns nil if b keeps the promise. It needs an empty backend,
	// which it fills.
	Check func(ctx context.Context, b storage.Backend) error
}

// Run checks every rule on backends made by open: an empty one for each rule.
// What has to be closed, open registers with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) storage.Backend) {
	t.Helper()
	for _, r := range Rules() {
		t.Run(r.Name, func(t *testing.T) {
			if err := r.Check(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Rules returns every rule, for use outside of tests: to check, say, a bucket
// at an operator's site.
func Rules() []Rule {
	return slices.Concat(fileRules, writeRules, listRules, createRules)
}

func put(ctx context.Context, b storage.Backend, key, body string) error {
	if err := b.Put(ctx, key, strings.NewReader(body)); err != nil {
		return fmt.Errorf("Put(%q): %w", key, err)
	}
	return nil
}

func putAll(ctx context.Context, b storage.Backend, keys ...string) error {
	for _, k := range keys {
		if err := put(ctx, b, k, k); err != nil {
			return err
		}
	}
	return nil
}

func get(ctx context.Context, b storage.Backend, key string) (string, storage.Info, error) {
	r, info, err := b.Open(ctx, key)
	if err != nil {
		return "", info, err
	}
	body, err := io.ReadAll(r)
	return string(body), info, errors.Join(err, r.Close())
}

// want checks that key holds body, and that Info says so.
func want(ctx context.Context, b storage.Backend, key, body string) error {
	got, info, err := get(ctx, b, key)
	if err != nil {
		return fmt.Errorf("Open(%q): %w", key, err)
	}
	if got != body {
		return fmt.Errorf("Open(%q) gave %d bytes %.40q, want %d bytes %.40q", key, len(got), got, len(body), body)
	}
	return wantInfo("Open", info, key, body)
}

func wantInfo(method string, info storage.Info, key, body string) error {
	if info.Key != key || info.Size != int64(len(body)) || info.ModTime.IsZero() {
		return fmt.Errorf("%s: Info = %+v, want key %q, size %d and a time", method, info, key, len(body))
	}
	return nil
}

func wantMissing(ctx context.Context, b storage.Backend, keys ...string) error {
	for _, key := range keys {
		if _, _, err := get(ctx, b, key); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("Open(%q): error %v, want one that matches fs.ErrNotExist", key, err)
		}
	}
	return nil
}

// wantKeys checks which keys List yields, and in which order.
func wantKeys(ctx context.Context, b storage.Backend, prefix string, keys ...string) error {
	var got []string
	for info, err := range b.List(ctx, prefix) {
		if err != nil {
			return fmt.Errorf("List(%q): %w", prefix, err)
		}
		got = append(got, info.Key)
	}
	if !slices.Equal(got, keys) {
		return fmt.Errorf("List(%q) = %q, want %q", prefix, got, keys)
	}
	return nil
}

// firstError runs f(0) to f(n-1) at the same time and returns an error of one.
func firstError(n int, f func(i int) error) error {
	errs := make(chan error, n)
	start := make(chan struct{})
	for i := range n {
		go func() {
			<-start
			errs <- f(i)
		}()
	}
	close(start)
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
