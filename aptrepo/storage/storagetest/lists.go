package storagetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/repod-io/repod/aptrepo/storage"
)

// listRules are about List.
var listRules = []Rule{
	{"ListPrefixAndOrder", listPrefixAndOrder},
	{"ListInfo", listInfo},
	{"ListStopsEarly", listStopsEarly},
	{"ListCanceled", listCanceled},
	{"ListWhileDeleting", listWhileDeleting},
}

func listPrefixAndOrder(ctx context.Context, b storage.Backend) error {
	if err := putAll(ctx, b, "p/b", "p/a/1", "pq", "p/a-1", "o", "p/a0", "p/B", "p/é", "p/%", "p/a/0/x", "p/_"); err != nil {
		return err
	}
	inP := []string{"p/%", "p/B", "p/_", "p/a-1", "p/a/0/x", "p/a/1", "p/a0", "p/b", "p/é"}
	return errors.Join(
		wantKeys(ctx, b, "", append(append([]string{"o"}, inP...), "pq")...),
		wantKeys(ctx, b, "p", append(inP, "pq")...),
		wantKeys(ctx, b, "p/", inP...),
		wantKeys(ctx, b, "p/a", "p/a-1", "p/a/0/x", "p/a/1", "p/a0"),
		wantKeys(ctx, b, "p/a/", "p/a/0/x", "p/a/1"),
		wantKeys(ctx, b, "p/a/1", "p/a/1"),
		wantKeys(ctx, b, "p/%", "p/%"), // no wildcard
		wantKeys(ctx, b, "p/_", "p/_"),
		wantKeys(ctx, b, "P"),
		wantKeys(ctx, b, "p/a/1/"),
		wantKeys(ctx, b, "zzz"),
		wantKeys(ctx, b, "/"),
		wantKeys(ctx, b, "../"),
		wantKeys(ctx, b, "p/../"))
}

func listInfo(ctx context.Context, b storage.Backend) error {
	if err := putAll(ctx, b, "a/long name", "b"); err != nil {
		return err
	}
	for info, err := range b.List(ctx, "") {
		if err != nil {
			return err
		}
		if err := wantInfo("List", info, info.Key, info.Key); err != nil {
			return err
		}
		_, opened, err := get(ctx, b, info.Key)
		if err != nil {
			return err
		}
		if !opened.ModTime.Equal(info.ModTime) {
			return fmt.Errorf("List says that %s is of %v, Open of %v", info.Key, info.ModTime, opened.ModTime)
		}
	}
	return wantKeys(ctx, b, "", "a/long name", "b")
}

func listStopsEarly(ctx context.Context, b storage.Backend) error {
	if err := putAll(ctx, b, "a/1", "a/2", "b/1"); err != nil {
		return err
	}
	n := 0
	b.List(ctx, "")(func(storage.Info, error) bool { n++; return false })
	if n != 1 {
		return fmt.Errorf("List called the loop's body %d times though it ended the loop at once", n)
	}
	return nil
}

func listCanceled(ctx context.Context, b storage.Backend) error {
	if err := putAll(ctx, b, "1", "2", "3"); err != nil {
		return err
	}
	c, cancel := context.WithCancel(ctx)
	cancel()
	var last error
	for info, err := range b.List(c, "") {
		if last != nil {
			return errors.New("List went on after an error")
		}
		if last = err; err != nil && info != (storage.Info{}) {
			return fmt.Errorf("List gave Info %+v with error %w", info, err)
		}
	}
	if !errors.Is(last, context.Canceled) {
		return fmt.Errorf("List with a canceled context ended with error %v, want one that matches context.Canceled", last)
	}
	return nil
}

// listWhileDeleting deletes what it gets, as retention does.
func listWhileDeleting(ctx context.Context, b storage.Backend) error {
	const n = 30
	for i := range n {
		if err := put(ctx, b, fmt.Sprintf("d%d/f%d", i%3, i), "x"); err != nil {
			return err
		}
	}
	seen := 0
	for info, err := range b.List(ctx, "") {
		if err != nil {
			return err
		}
		if err := b.Delete(ctx, info.Key); err != nil {
			return err
		}
		seen++
	}
	if seen != n {
		return fmt.Errorf("List yielded %d of %d files, each of which was deleted when seen", seen, n)
	}
	return wantKeys(ctx, b, "")
}
