package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/storage"
)

// Without a fault, Faulty is a backend like any other.
func TestFaultyIdle(t *testing.T) {
	Run(t, func(*testing.T) storage.Backend { return &Faulty{Backend: new(storage.Mem)} })
}

func TestFaultyPut(t *testing.T) {
	for _, tt := range []struct {
		fault  Fault
		stored bool
		full   bool
	}{
		{fault: Fail},
		{fault: Full, full: true},
		{fault: Short},
		{fault: Lost, stored: true},
	} {
		for name, write := range map[string]func(context.Context, storage.Backend, string, io.ReadSeeker) error{
			"Put":    func(ctx context.Context, b storage.Backend, k string, r io.ReadSeeker) error { return b.Put(ctx, k, r) },
			"Create": storage.Create,
		} {
			f := &Faulty{Backend: new(storage.Mem), Fault: tt.fault, Call: 2}
			for i, key := range []string{"1", "2", "3"} {
				err := write(t.Context(), f, key, strings.NewReader("body"))
				failed := i == 1
				if errors.Is(err, ErrInjected) != failed || (err != nil) != failed || storage.IsFull(err) != (failed && tt.full) {
					t.Errorf("fault %d: %s %s: error %v", tt.fault, name, key, err)
				}
			}
			keys := []string{"1", "3"}
			if tt.stored {
				keys = []string{"1", "2", "3"}
			}
			if err := wantKeys(t.Context(), f.Backend, "", keys...); err != nil {
				t.Errorf("fault %d: %s: %v", tt.fault, name, err)
			}
		}
	}
}

func TestFaultyShortReadsPart(t *testing.T) {
	r := strings.NewReader(strings.Repeat("x", 1000))
	f := &Faulty{Backend: new(storage.Mem), Fault: Short, Call: 1, Seed: 7}
	if err := f.Put(t.Context(), "k", r); !errors.Is(err, ErrInjected) {
		t.Fatal(err)
	}
	if r.Len() == 0 || r.Len() == 1000 {
		t.Errorf("%d of 1000 bytes are left to read, want a part", r.Len())
	}
}

func TestFaultyOpen(t *testing.T) {
	const body = "0123456789"
	for _, tt := range []struct {
		fault         Fault
		opened, whole bool
	}{
		{fault: Fail}, {fault: Lost},
		{fault: Full, opened: true, whole: true},
		{fault: Short, opened: true},
	} {
		m := new(storage.Mem)
		if err := put(t.Context(), m, "k", body); err != nil {
			t.Fatal(err)
		}
		f := &Faulty{Backend: m, Fault: tt.fault, Call: 1, Lasting: true}
		r, info, err := f.Open(t.Context(), "k")
		if (err == nil) != tt.opened {
			t.Errorf("fault %d: Open: error %v", tt.fault, err)
		}
		if err != nil {
			continue
		}
		got, err := io.ReadAll(r)
		if info.Size != int64(len(body)) || !strings.HasPrefix(body, string(got)) ||
			(string(got) == body) != tt.whole || errors.Is(err, ErrInjected) == tt.whole {
			t.Errorf("fault %d: read %q, %v; Info %+v", tt.fault, got, err, info)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFaultyDeleteAndList(t *testing.T) {
	for _, tt := range []struct {
		fault   Fault
		deleted bool
		failed  bool
	}{
		{Fail, false, true}, {Full, true, false}, {Short, false, true}, {Lost, true, true},
	} {
		m := new(storage.Mem)
		if err := putAll(t.Context(), m, "1", "2", "3", "4", "5"); err != nil {
			t.Fatal(err)
		}
		f := &Faulty{Backend: m, Fault: tt.fault, Call: 1, Lasting: true}
		if err := f.Delete(t.Context(), "1"); errors.Is(err, ErrInjected) != tt.failed {
			t.Errorf("fault %d: Delete: error %v", tt.fault, err)
		}
		if _, _, err := get(t.Context(), m, "1"); (err != nil) != tt.deleted {
			t.Errorf("fault %d: after Delete, Open: error %v", tt.fault, err)
		}
		n, failed := 0, false
		for _, err := range f.List(t.Context(), "") {
			if err != nil {
				failed = errors.Is(err, ErrInjected)
				continue
			}
			n++
		}
		if failed != tt.failed || tt.failed == (n >= 4) || tt.fault == Fail && n > 0 {
			t.Errorf("fault %d: List gave %d files, failed: %v", tt.fault, n, failed)
		}
	}
}

// Two heads are put, the second of which must never be seen without the first.
func ExampleEachCall() {
	ctx := context.Background()
	open := func() storage.Backend { return new(storage.Mem) }
	publish := func(b storage.Backend) error {
		if err := b.Put(ctx, "Packages", strings.NewReader("new")); err != nil {
			return err
		}
		return b.Put(ctx, "InRelease", strings.NewReader("new"))
	}
	for b := range EachCall(Full, 1, open) {
		err := publish(b)
		fmt.Printf("call %d: full %t:", b.Call, storage.IsFull(err))
		for info := range b.Backend.List(ctx, "") {
			fmt.Print(" ", info.Key)
		}
		fmt.Println()
	}
	// Output:
	// call 1: full true:
	// call 2: full true: Packages
	// call 3: full false: InRelease Packages
}
