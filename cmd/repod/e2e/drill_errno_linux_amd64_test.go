package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDrillR4Errno lets one system call fail that makes something durable or
// visible, or writes to a file, while a script uploads, promotes and deletes: each
// of them in turn. A request may be refused then, with a status that says to try
// again; what is served stays whole; and the next try does it.
func TestDrillR4Errno(t *testing.T) {
	slow(t)
	needPrograms(t, "gpgv")
	d := newDrill(t)
	total, _, _ := d.fail(t, crash{Errno: syscall.EIO})
	faults, refused := 0, 0
	every := either(40, 1)
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		// The two take the steps by turns.
		for step := 1 + faults%every; step <= total; step += every {
			at := crash{Step: step, Errno: errno}
			t.Run(at.String(), func(t *testing.T) {
				_, hit, no := d.fail(t, at)
				if hit {
					faults++
				}
				refused += no
			})
		}
	}
	if faults < total/every {
		t.Errorf("only %d calls failed", faults)
	}
	report(t, figure{"R4", fmt.Sprintf("EIO or ENOSPC from one system call, at every step of uploads, promotions and deletions (each of %d in the long form)", total),
		fmt.Sprintf("%d faults, for %d of which a request was refused with 503 or 507; the next try did it each time; what is served and fsck right each time", faults, refused),
		"no other answer, nothing half", false})
}

// fail carries the script out on a fresh copy, lets a call fail on the way and
// checks what is there. It returns how many steps were made, whether one failed
// and how many requests were refused.
func (d *drill) fail(t *testing.T, at crash) (steps int, hit bool, refused int) {
	dir := t.TempDir()
	output(t, exec.Command("cp", "-a", d.template+"/.", dir)) // with modes
	traced := serveTraced(t, dir, at, false)
	s := &server{URL: traced.URL, Dir: dir, Log: traced.Log}
	c := newAPI(traced.URL, d.token)
	traced.arm()
	made := contents{}
	for _, a := range script(t) {
		for try := 0; ; try++ {
			got, err := a.do(c)
			if err != nil {
				t.Fatalf("%s: %v: %s", a.name, err, tail(traced.Log.String(), 3000))
			}
			if got.Status == a.wants[0] || try > 0 && slices.Contains(a.wants, got.Status) {
				break
			}
			refused++
			if got.Status != 503 && got.Status != 507 {
				t.Errorf("%s, try %d: status %d: %s", a.name, try+1, got.Status, got.Body)
			}
			for _, codename := range []string{"bookworm", "trixie"} {
				if _, err := d.check.at(s).verify(t.Context(), codename, true); err != nil {
					t.Errorf("%s after a fault: %v", codename, err)
				}
			}
			if try == 20 {
				t.Fatalf("%s is not done", a.name)
			}
			time.Sleep(100 * time.Millisecond)
		}
		a.effect(made)
	}
	d.judge(t, s, made, made)
	traced.end()
	if text := traced.Log.String(); strings.Contains(text, "panic") || strings.Contains(text, "goroutine ") {
		t.Errorf("the server panicked: %s", text)
	}
	if t.Failed() {
		t.Logf("failed: %s, server log:\n%s", traced.Killed, tail(traced.Log.String(), 3000))
	}
	again := serve(t, dir)
	d.judge(t, again, made, made)
	again.stop(t)
	return traced.Steps, traced.Killed != "", refused
}
