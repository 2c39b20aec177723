package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
)

// plain hides what a backend can do beyond the four methods.
type plain struct{ storage.Backend }

func TestCreateFallback(t *testing.T) {
	b := plain{new(storage.Mem)}
	must(t, storage.Create(t.Context(), b, "k", strings.NewReader("first")))
	if err := storage.Create(t.Context(), b, "k", strings.NewReader("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create of an existing key: %v, want fs.ErrExist", err)
	}
	if got := get(t, b, "k"); got != "first" {
		t.Errorf("the file holds %q", got)
	}
	broken := &storagetest.Faulty{Backend: b, Call: 1}
	if err := storage.Create(t.Context(), plain{broken}, "l", strings.NewReader("x")); !errors.Is(err, storagetest.ErrInjected) {
		t.Errorf("Create where Open fails: %v", err)
	}
	wantNotExist(t, b, "l")
}

type addressed struct{ storage.Mem }

func (*addressed) URL(_ context.Context, key string) (string, error) {
	return "https://files.example/" + key, nil
}

func TestURL(t *testing.T) {
	got, err := storage.URL(t.Context(), new(addressed), "pool/x.deb")
	if got != "https://files.example/pool/x.deb" || err != nil {
		t.Errorf("URL = %q, %v", got, err)
	}
	if _, err := storage.URL(t.Context(), new(storage.Mem), "pool/x.deb"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("URL of a backend without addresses: %v, want errors.ErrUnsupported", err)
	}
}

func TestStatFallback(t *testing.T) {
	b := new(storage.Mem)
	must(t, b.Put(t.Context(), "k", strings.NewReader("12345")))
	if info, err := storage.Stat(t.Context(), b, "k"); err != nil || info.Key != "k" || info.Size != 5 {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := storage.Stat(t.Context(), b, "l"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of none: %v", err)
	}
}

func TestCleanTempFallback(t *testing.T) {
	if n, err := storage.CleanTemp(t.Context(), new(storage.Mem), time.Now()); n != 0 || err != nil {
		t.Errorf("CleanTemp = %d, %v", n, err)
	}
}

func TestIsFull(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{io.ErrUnexpectedEOF, false},
		{syscall.EIO, false},
		{fmt.Errorf("put: %w", &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}), true},
		{fmt.Errorf("put: %w", syscall.EDQUOT), true},
		{fmt.Errorf("bucket quota: %w", storage.ErrFull), true},
	} {
		if got := storage.IsFull(tt.err); got != tt.want {
			t.Errorf("IsFull(%v) = %t", tt.err, got)
		}
	}
}

// Check fails for each fault that it can see, and leaves nothing behind where
// it could delete.
func TestCheckFaults(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Fail, storagetest.Full, storagetest.Short, storagetest.Lost} {
		calls := 0
		for b := range storagetest.EachCall(fault, 1, func() storage.Backend { return new(storage.Mem) }) {
			err := storage.Check(t.Context(), b)
			if (err != nil) != b.Hit() {
				t.Errorf("fault %d in call %d: Check: %v", fault, b.Call, err)
			}
			if got := keys(t, b.Backend, ""); got != nil {
				t.Errorf("fault %d in call %d: Check left %q behind", fault, b.Call, got)
			}
			calls++
		}
		if calls < 2 {
			t.Errorf("fault %d was never injected", fault)
		}
	}
}

// forgetful answers that all is well.
type forgetful struct{ storage.Mem }

func (f *forgetful) Put(context.Context, string, io.ReadSeeker) error    { return nil }
func (f *forgetful) Create(context.Context, string, io.ReadSeeker) error { return nil }

type garbling struct{ storage.Mem }

func (g *garbling) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return g.Mem.Create(ctx, key, bytes.NewReader(bytes.ToLower(body)))
}

type keeping struct{ storage.Mem }

func (k *keeping) Delete(context.Context, string) error { return nil }

func TestCheckLies(t *testing.T) {
	for _, b := range []storage.Backend{new(forgetful), new(garbling), new(keeping)} {
		if storage.Check(t.Context(), b) == nil {
			t.Errorf("Check of a %T succeeded", b)
		}
	}
}

func TestCheckCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := new(storage.Mem)
	b := &hooked{Mem: m, created: cancel}
	if err := storage.Check(ctx, b); !errors.Is(err, context.Canceled) {
		t.Errorf("Check: %v, want context.Canceled", err)
	}
	if got := keys(t, m, ""); got != nil {
		t.Errorf("a canceled Check left %q behind", got)
	}
}

type hooked struct {
	*storage.Mem
	created func()
}

func (h *hooked) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	defer h.created()
	return h.Mem.Create(ctx, key, r)
}

func TestMemClock(t *testing.T) {
	day := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	m := &storage.Mem{Now: func() time.Time { return day }}
	put(t, m, "k", "x")
	for info := range m.List(t.Context(), "") {
		if !info.ModTime.Equal(day) {
			t.Errorf("ModTime = %v", info.ModTime)
		}
	}
}
