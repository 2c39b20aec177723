package aptrepo_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
)

// Whatever call to storage goes wrong, and however: each operation fails with
// an error that says to try again, what apt sees stays whole, and doing the
// operation once more completes it.
func TestEveryStorageCallMayFail(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.Fail, storagetest.Full, storagetest.Short, storagetest.Lost} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			var f *fixture
			open := func() storage.Backend {
				f = newFixture(t)
				return f.files
			}
			calls := 0
			for faulty := range storagetest.EachCall(fault, 1, open) {
				calls++
				runWithFault(t, f, faulty)
			}
			if calls < 8 {
				t.Errorf("the script makes %d calls only", calls)
			}
		})
	}
}

func runWithFault(t *testing.T, f *fixture, faulty *storagetest.Faulty) {
	t.Helper()
	call := faulty.Call
	f.Repo = &aptrepo.Repo{Storage: faulty, Store: f.Store, Now: f.Now, Logger: f.Logger}
	// What is there is looked at without faults, as after a restart.
	look := func() *aptrepo.Repo {
		return &aptrepo.Repo{Storage: f.files, Store: f.Store, Now: f.Now, Logger: f.Logger}
	}
	hello := aptrepo.Selection{Name: "hello", Version: "1.0"}
	script := []func() error{
		func() error {
			_, err := f.Publish(f.ctx, bytes.NewReader(build("hello", "1.0", "amd64")), aptrepo.PublishOptions{Distribution: "jammy"})
			return err
		},
		func() error {
			_, err := f.Publish(f.ctx, bytes.NewReader(build("data", "2", "all")), aptrepo.PublishOptions{Distribution: "jammy"})
			return err
		},
		func() error {
			_, err := f.Promote(f.ctx, aptrepo.PromoteOptions{Selection: hello, From: "jammy", To: "focal"})
			return err
		},
		func() error {
			_, err := f.Delete(f.ctx, aptrepo.DeleteOptions{Selection: hello})
			if errors.Is(err, aptrepo.ErrPackageNotFound) { // done before the fault
				return nil
			}
			return err
		},
		func() error {
			_, err := f.Unpublish(f.ctx, aptrepo.UnpublishOptions{Selection: aptrepo.Selection{Name: "data", Version: "2"}, Distribution: "jammy"})
			if errors.Is(err, aptrepo.ErrVersionNotFound) { // done before the fault
				return nil
			}
			return err
		},
	}
	for i, step := range script {
		if got := packages(t, look(), "jammy", "amd64"); i == 4 && !slices.Equal(got, []string{"data 2 all"}) {
			t.Errorf("call %d: deleted, but jammy = %q", call, got)
		}
		err := step()
		if i == 2 && err == nil {
			inFocal(t, look(), call)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, aptrepo.ErrUnavailable) && !errors.Is(err, aptrepo.ErrFull) {
			t.Errorf("call %d, step %d: %v matches neither ErrUnavailable nor ErrFull", call, i, err)
		}
		packages(t, look(), "jammy", "amd64")
		packages(t, look(), "focal", "amd64")
		if err := step(); err != nil {
			t.Fatalf("call %d, step %d again: %v", call, i, err)
		}
		if i == 2 {
			inFocal(t, look(), call)
		}
	}
	if got := packages(t, look(), "jammy", "amd64"); got != nil {
		t.Errorf("call %d: jammy = %q", call, got)
	}
	if got := packages(t, look(), "focal", "amd64"); got != nil {
		t.Errorf("call %d: focal = %q", call, got)
	}
	clean(t, look())
}

// inFocal checks that apt sees what was promoted as soon as that is answered,
// also when only a second try was.
func inFocal(t *testing.T, r *aptrepo.Repo, call int) {
	t.Helper()
	if got := packages(t, r, "focal", "amd64"); !slices.Equal(got, []string{"hello 1.0 amd64"}) {
		t.Errorf("call %d: promoted, but focal = %q", call, got)
	}
}

// A change whose publication failed is published by Recover, after a restart
// too.
func TestRecoverPublishesWhatWasCommitted(t *testing.T) {
	f := newFixture(t)
	f.publish(t, build("before", "1", "all"), "jammy")
	faulty := &storagetest.Faulty{Backend: f.files, Fault: storagetest.Fail, Call: 3, Lasting: true}
	broken := &aptrepo.Repo{Storage: faulty, Store: f.Store, Now: f.Now, Logger: f.Logger}
	_, err := broken.Publish(f.ctx, bytes.NewReader(build("hello", "1.0", "amd64")), aptrepo.PublishOptions{Distribution: "jammy"})
	if !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Fatalf("Publish = %v, want ErrUnavailable", err)
	}
	if got := packages(t, f.Repo, "jammy", "amd64"); len(got) != 1 {
		t.Errorf("before recovery: %q", got)
	}
	restarted := &aptrepo.Repo{Storage: f.files, Store: f.Store, Now: f.Now, Logger: f.Logger}
	if err := restarted.Recover(f.ctx); err != nil {
		t.Fatal(err)
	}
	if got := packages(t, restarted, "jammy", "amd64"); !slices.Equal(got, []string{"before 1 all", "hello 1.0 amd64"}) {
		t.Errorf("after recovery: %q", got)
	}
	clean(t, restarted)
}
