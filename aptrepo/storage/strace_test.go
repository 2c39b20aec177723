//go:build linux

package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
)

// These tests run the test binary itself, most of them under strace, which
// shows the system calls of a Dir in their order and makes any of them fail or
// kill the process.

const (
	childEnv  = "STORAGE_TEST_CHILD" // OPERATION DIRECTORY FILE
	childKey  = "pool/main/x.deb"
	childBody = "the new file"
)

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(childEnv)); len(args) == 3 {
		fmt.Println(child(args[0], args[1], args[2]))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs one operation and says how it ended. strace counts the calls of
// each thread by itself: all are made by one.
func child(op, dir, source string) string {
	runtime.LockOSThread()
	f, err := os.Open(source)
	if err != nil {
		return err.Error()
	}
	d, err := storage.OpenDir(dir)
	if err != nil {
		return err.Error()
	}
	switch op {
	case "put":
		err = d.Put(context.Background(), childKey, f)
	case "create":
		err = d.Create(context.Background(), childKey, f)
	case "delete":
		err = d.Delete(context.Background(), childKey)
	case "list":
		if os.Geteuid() == 0 { // root can read everything
			if err := syscall.Setuid(65534); err != nil {
				return err.Error()
			}
		}
		for _, err = range d.List(context.Background(), "") {
		}
	}
	switch {
	case err == nil:
		return "ok"
	case storage.IsFull(err):
		return "full"
	case errors.Is(err, fs.ErrExist):
		return "exists"
	}
	return "failed: " + err.Error()
}

// A syscallEvent is a line of strace: a call that succeeded, with the paths of
// descriptors written out.
type syscallEvent struct{ name, args string }

// traced runs the child under strace and returns what it said and did. A child
// that was killed says "".
func traced(t *testing.T, op, dir string, options ...string) (string, []syscallEvent) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	args := append([]string{"strace", "-f", "-y", "-s", "300", "-o", log, "-e", "signal=none", "-e", "trace=" + fileCalls}, options...)
	said := runChild(t, op, dir, args...)
	data, err := os.ReadFile(log)
	must(t, err)
	return said, parseTrace(string(data))
}

func runChild(t *testing.T, op, dir string, wrapper ...string) string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "source")
	must(t, os.WriteFile(source, []byte(childBody), 0o600))
	exe, err := os.Executable()
	must(t, err)
	args := append(wrapper, exe)
	cmd := exec.Command(args[0], args[1:]...)
	// A program with the race detector waits a second when it ends.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", childEnv+"="+strings.Join([]string{op, dir, source}, " "))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && !killed(err) {
		t.Fatalf("%s: %v\n%s", args[0], err, stderr.Bytes())
	}
	return strings.TrimSpace(stdout.String())
}

func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

const fileCalls = "fsync,linkat,mkdirat,openat,unlinkat,copy_file_range,write,?renameat,?renameat2"

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	unfinished = regexp.MustCompile(`^(\d+) +(.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
)

func parseTrace(log string) []syscallEvent {
	var events []syscallEvent
	begun := make(map[string]string)
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		if m := unfinished.FindStringSubmatch(line); m != nil {
			begun[m[1]] = m[2]
			continue
		}
		if m := resumed.FindStringSubmatch(line); m != nil {
			line = m[1] + " " + begun[m[1]] + m[2]
		}
		if m := traceLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[4], "-") {
			events = append(events, syscallEvent{m[2], m[3]})
		}
	}
	return events
}

func needStrace(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this test needs strace: %v %s", err, out)
		}
		t.Skipf("this test needs strace: %v %s", err, out)
	}
}

// wantOrder checks that calls that match the patterns, which apply to
// "name(args", occur in this order; others may come between them.
func wantOrder(t *testing.T, events []syscallEvent, patterns ...string) {
	t.Helper()
	next := 0
	for _, e := range events {
		if next < len(patterns) && regexp.MustCompile(patterns[next]).MatchString(e.name+"("+e.args) {
			next++
		}
	}
	if next < len(patterns) {
		t.Errorf("no call like %s after those like %q, among:", patterns[next], patterns[:next])
		for _, e := range events {
			t.Logf("%s(%s)", e.name, e.args)
		}
	}
}

func count(events []syscallEvent, pattern string) int {
	n := 0
	for _, e := range events {
		if regexp.MustCompile(pattern).MatchString(e.name + "(" + e.args) {
			n++
		}
	}
	return n
}

// Data is on the disk before it has a name, and each new name before the
// operation ends.
func TestDirFlushOrder(t *testing.T) {
	needStrace(t)
	const tmp = `\.tmp-\w+`
	for op, name := range map[string]string{
		"put":    `^rename\w+\(.*` + tmp + `", .*"x\.deb"`,
		"create": `^linkat\(.*` + tmp + `", .*"x\.deb"`,
	} {
		t.Run(op, func(t *testing.T) {
			base := t.TempDir()
			said, events := traced(t, op, filepath.Join(base, "new", "store"))
			if said != "ok" {
				t.Fatalf("the child said %q", said)
			}
			b := regexp.QuoteMeta(base)
			flushed := func(dir string) string { return `^fsync\(\d+<` + b + dir + `>$` }
			wantOrder(t, events,
				`^mkdirat\(.*/new"`, flushed(""), `^mkdirat\(.*/new/store"`, flushed("/new"),
				`^mkdirat\(.*"pool"`, flushed("/new/store"), `^mkdirat\(.*"main"`, flushed("/new/store/pool"),
				`^openat\(.*`+tmp+`", .*O_CREAT`, `^copy_file_range\(.*`+tmp,
				flushed("/new/store/pool/main/"+tmp), name, flushed("/new/store/pool/main"))
			if n := count(events, name); n != 1 {
				t.Errorf("the file got its name %d times", n)
			}
		})
	}
}

// A new process does not trust that directories which it finds were flushed by
// whoever made them.
func TestDirFlushesFoundDirectories(t *testing.T) {
	needStrace(t)
	base := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(base, "pool", "main"), 0o755))
	said, events := traced(t, "put", base)
	if said != "ok" {
		t.Fatalf("the child said %q", said)
	}
	b := regexp.QuoteMeta(base)
	wantOrder(t, events, `^fsync\(\d+<`+b+`>$`, `^fsync\(\d+<`+b+`/pool>$`, `^rename`)
}

// Who is told that a file exists may rely on it: its name is flushed first.
func TestDirFlushesExisting(t *testing.T) {
	needStrace(t)
	base := t.TempDir()
	put(t, openDir(t, base), childKey, "the old file")
	said, events := traced(t, "create", base)
	if said != "exists" {
		t.Fatalf("the child said %q", said)
	}
	wantOrder(t, events, `^fsync\(\d+<.*/pool/main>$`)
	if n := count(events, `^openat\(.*O_CREAT`); n != 0 {
		t.Errorf("the child wrote %d files", n)
	}
}

func TestDirFlushesDelete(t *testing.T) {
	needStrace(t)
	base := t.TempDir()
	put(t, openDir(t, base), childKey, "the old file")
	said, events := traced(t, "delete", base)
	if said != "ok" {
		t.Fatalf("the child said %q", said)
	}
	wantOrder(t, events, `^unlinkat\(.*"x\.deb"`, `^fsync\(\d+<.*/pool/main>$`)
}

// A drill lets the n-th call of a kind go wrong, for each n, until an
// operation did not make so many.
type drill struct {
	op    string
	old   string // the file that is there before, if any
	calls string
	fault string
}

func (d drill) run(t *testing.T, check func(t *testing.T, said, dir string)) {
	for n := 1; ; n++ {
		dir := t.TempDir()
		if d.old != "" {
			put(t, openDir(t, dir), childKey, d.old)
		}
		inject := fmt.Sprintf("inject=%s:%s:when=%d", d.calls, d.fault, n)
		said, _ := traced(t, d.op, dir, "-e", inject)
		if said == "ok" {
			if n == 1 {
				t.Fatalf("%s: %s hit nothing", d.op, inject)
			}
			return
		}
		t.Logf("%s over %q, %s: %q", d.op, d.old, inject, said)
		check(t, said, dir)
	}
}

// wantOld checks that dir holds the old file or none, and nothing else.
func (d drill) wantOld(t *testing.T, dir string) {
	t.Helper()
	var want []string
	b := openDir(t, dir)
	if d.old != "" {
		want = []string{childKey}
		if got := get(t, b, childKey); got != d.old {
			t.Errorf("the file holds %q", got)
		}
	}
	if got := keys(t, b, ""); !slices.Equal(got, want) {
		t.Errorf("List yields %q, want %q", got, want)
	}
}

// A flush that fails, of the data or of a directory, fails the operation, and
// leaves neither a file nor a piece of one.
func TestDirFailedFlush(t *testing.T) {
	needStrace(t)
	for _, d := range []drill{
		{op: "put"}, {op: "put", old: "the old file"}, {op: "create"},
	} {
		d.calls, d.fault = "fsync", "error=EIO"
		d.run(t, func(t *testing.T, said, dir string) {
			if !strings.Contains(said, "input/output error") {
				t.Errorf("the child said %q", said)
			}
			d.wantOld(t, dir)
			for _, p := range tree(t, dir) {
				if strings.Contains(p, storage.TempPrefix) {
					t.Errorf("%s is left", p)
				}
			}
		})
	}
}

func TestDirDiskFull(t *testing.T) {
	needStrace(t)
	for _, d := range []drill{
		{op: "put"}, {op: "put", old: "the old file"}, {op: "create"},
	} {
		d.calls, d.fault = "copy_file_range", "error=ENOSPC"
		d.run(t, func(t *testing.T, said, dir string) {
			if said != "full" {
				t.Errorf("the child said %q, want full", said)
			}
			d.wantOld(t, dir)
		})
	}
}

// A process that is killed in any call leaves the earlier file or the whole new
// one, and pieces that CleanTemp removes.
func TestDirKilled(t *testing.T) {
	needStrace(t)
	for _, d := range []drill{
		{op: "put", calls: "mkdirat"},
		{op: "put", calls: "fsync"},
		{op: "put", calls: "copy_file_range"},
		{op: "put", old: "the old file", calls: "fsync"},
		{op: "put", old: "the old file", calls: "linkat"},
		{op: "put", old: "the old file", calls: "?renameat,?renameat2"},
		{op: "put", old: "the old file", calls: "unlinkat"},
		{op: "create", calls: "fsync"},
		{op: "create", calls: "linkat"},
		{op: "create", calls: "unlinkat"},
	} {
		d.fault = "signal=KILL"
		d.run(t, func(t *testing.T, said, dir string) {
			if said != "" {
				t.Fatalf("the child outlived a kill and said %q", said)
			}
			b := openDir(t, dir)
			r, _, err := b.Open(t.Context(), childKey)
			switch {
			case err == nil:
				r.Close()
				if got := get(t, b, childKey); got != childBody && (d.old == "" || got != d.old) {
					t.Errorf("the file holds %q", got)
				}
			case d.old != "" || !errors.Is(err, fs.ErrNotExist):
				t.Errorf("Open: %v", err)
			}
			if _, err := b.CleanTemp(t.Context(), time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
			for _, p := range tree(t, dir) {
				if !slices.Contains([]string{"pool", "pool/main", childKey}, p) {
					t.Errorf("%s is left after CleanTemp", p)
				}
			}
		})
	}
}

// A file system of its own has a lost+found that only root can read.
func TestDirLostAndFound(t *testing.T) {
	for name, want := range map[string]string{"lost+found": "ok", "pool": "failed"} {
		base := t.TempDir()
		must(t, os.Mkdir(filepath.Join(base, name), 0))
		said := runChild(t, "list", base)
		if !strings.HasPrefix(said, want) {
			t.Errorf("List with a closed %s: the child said %q, want %q", name, said, want)
		}
	}
}

// Opening a FIFO without a writer would hang.
func TestDirFIFO(t *testing.T) {
	name := t.TempDir()
	d := openDir(t, name)
	must(t, syscall.Mkfifo(filepath.Join(name, "fifo"), 0o644))
	wantNotExist(t, d, "fifo")
	wantNotExist(t, d, "fifo/x")
	if got := keys(t, d, "fifo/"); got != nil {
		t.Errorf("List yields %q", got)
	}
	if got := keys(t, d, ""); got != nil {
		t.Errorf("List yields %q", got)
	}
	must(t, d.Delete(t.Context(), "fifo"))
}
