package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// steps are the system calls that make a change durable or visible: a crash
// matters just before and just after one of them.
var steps = map[uint64]string{
	unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync",
	unix.SYS_RENAME: "rename", unix.SYS_RENAMEAT: "renameat", unix.SYS_RENAMEAT2: "renameat2",
	unix.SYS_LINK: "link", unix.SYS_LINKAT: "linkat",
	unix.SYS_UNLINK: "unlink", unix.SYS_UNLINKAT: "unlinkat",
	unix.SYS_MKDIRAT: "mkdirat", unix.SYS_FTRUNCATE: "ftruncate",
}

// writes are steps, too, for a crash whose fault is an error: those to files in
// the data directory.
var writes = map[uint64]string{unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "pwrite64"}

// A crash is the moment at which a traced server is killed, or at which a system
// call of it fails.
type crash struct {
	Step  int  // counted over all threads, from 1; 0: never
	After bool // when the call has returned, instead of before it begins
	// Errno, when not 0, is what the call returns, without having done anything,
	// instead of killing the server. Writes are steps then, too.
	Errno syscall.Errno
}

func (c crash) String() string {
	if c.Errno != 0 {
		return fmt.Sprintf("%s at step %d", unix.ErrnoName(c.Errno), c.Step)
	}
	if c.After {
		return fmt.Sprintf("after step %d", c.Step)
	}
	return fmt.Sprintf("before step %d", c.Step)
}

// A tracedServer is a repod serve that ptrace(2) kills at a given step.
// strace can inject a signal, too, but counts calls per thread, and which
// thread of a Go program makes a call is chance.
type tracedServer struct {
	URL string
	Log *journal

	crash  crash
	armed  atomic.Bool    // steps count
	count  int            // of steps so far
	inStep map[int]string // by thread, the call to be killed after, or that fails
	Killed string         // the call at which it was killed, or that failed
	dir    string
	Steps  int // counted when it ended

	pid   int
	ready chan string
	done  chan struct{}
}

// serveTraced starts a server and kills it at the given moment. Steps are
// counted from the start, or, unless fromStart, once arm has been called.
func serveTraced(t *testing.T, dir string, at crash, fromStart bool, args ...string) *tracedServer {
	t.Helper()
	s := &tracedServer{Log: new(journal), crash: at, dir: dir, inStep: make(map[int]string),
		ready: make(chan string, 1), done: make(chan struct{})}
	s.armed.Store(fromStart)
	program, started := binary(t), make(chan error, 1)
	go s.trace(program, append([]string{program}, serveArgs(dir, args)...), started)
	if err := <-started; err != nil {
		t.Fatalf("tracing: %v", err)
	}
	t.Cleanup(func() {
		syscall.Kill(s.pid, syscall.SIGKILL)
		<-s.done
	})
	select {
	case s.URL = <-s.ready:
	case <-s.done:
		if !fromStart {
			t.Fatalf("repod serve ended: %s", s.Log)
		}
	case <-time.After(startLimit):
		t.Fatalf("repod serve does not get ready: %s", s.Log)
	}
	return s
}

// arm starts to count.
func (s *tracedServer) arm() { s.armed.Store(true) }

// end stops a server that has not been killed, and waits.
func (s *tracedServer) end() {
	syscall.Kill(s.pid, syscall.SIGTERM)
	<-s.done
}

// trace runs the server to its end, on one thread as ptrace demands.
func (s *tracedServer) trace(program string, argv []string, started chan<- error) {
	defer close(s.done)
	runtime.LockOSThread() // and never unlocked: the thread ends with the tracee
	r, w, err := os.Pipe()
	if err != nil {
		started <- err
		return
	}
	s.pid, err = syscall.ForkExec(program, argv, &syscall.ProcAttr{
		Env:   serverEnv(),
		Files: []uintptr{w.Fd(), w.Fd(), w.Fd()},
		Sys:   &syscall.SysProcAttr{Ptrace: true, Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	w.Close()
	if err == nil {
		err = s.attach()
	}
	started <- err
	if err != nil {
		return
	}
	go s.follow(r)
	s.loop()
	s.Steps = s.count
}

func (s *tracedServer) follow(r io.ReadCloser) {
	defer r.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		io.WriteString(s.Log, lines.Text()+"\n")
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.ready <- url
		}
	}
}

// attach waits for the stop at exec and asks for the later ones.
func (s *tracedServer) attach() error {
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(s.pid, &ws, 0, nil); err != nil {
		return err
	}
	options := syscall.PTRACE_O_TRACESYSGOOD | syscall.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := syscall.PtraceSetOptions(s.pid, options); err != nil {
		return err
	}
	return syscall.PtraceSyscall(s.pid, 0)
}

// loop lets the threads run from stop to stop until the process has ended.
func (s *tracedServer) loop() {
	for {
		var ws syscall.WaitStatus
		tid, err := syscall.Wait4(-s.pid, &ws, syscall.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || tid == s.pid && (ws.Exited() || ws.Signaled()) {
			return
		}
		if !ws.Stopped() {
			continue // a thread ended
		}
		pass := 0
		switch sig := ws.StopSignal(); sig {
		case syscall.SIGTRAP | 0x80:
			s.systemCall(tid)
		case syscall.SIGTRAP, syscall.SIGSTOP: // a thread began
		default:
			pass = int(sig)
		}
		syscall.PtraceSyscall(tid, pass) // fails only when the thread has gone
	}
}

// systemCall looks at a thread that enters or leaves a system call.
func (s *tracedServer) systemCall(tid int) {
	// struct ptrace_syscall_info
	var info struct {
		op   uint8
		_    [3]uint8
		arch uint32
		ip   uint64
		sp   uint64
		nr   uint64
		args [6]uint64
	}
	const getSyscallInfo, entry = 0x420e, 1
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, getSyscallInfo, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 || !s.armed.Load() {
		return
	}
	if info.op != entry {
		if name := s.inStep[tid]; name != "" {
			delete(s.inStep, tid)
			s.leave(tid, name)
		}
		return
	}
	name := s.step(info.nr, info.args[0])
	if name == "" || s.Killed != "" {
		return
	}
	s.count++
	switch {
	case s.count != s.crash.Step:
	case s.crash.Errno != 0:
		s.Killed, s.inStep[tid] = name, name
		s.change(tid, func(r *syscall.PtraceRegs) { r.Orig_rax = ^uint64(0) }) // no such call: nothing is done
	case s.crash.After:
		s.inStep[tid] = name
	default:
		s.kill(name)
	}
}

// step returns the name of a call that is one.
func (s *tracedServer) step(nr, first uint64) string {
	if name := writes[nr]; name != "" && s.crash.Errno != 0 {
		path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", s.pid, first))
		if err != nil || !strings.HasPrefix(path, s.dir) || strings.HasSuffix(path, "-shm") {
			return ""
		}
		return name
	}
	return steps[nr]
}

// leave is the end of a call that the crash is about.
func (s *tracedServer) leave(tid int, name string) {
	if s.crash.Errno == 0 {
		s.kill(name)
		return
	}
	s.change(tid, func(r *syscall.PtraceRegs) { r.Rax = -uint64(s.crash.Errno) })
}

// change changes the registers of a thread that has stopped.
func (s *tracedServer) change(tid int, f func(*syscall.PtraceRegs)) {
	var r syscall.PtraceRegs
	err := syscall.PtraceGetRegs(tid, &r)
	if err == nil {
		f(&r)
		err = syscall.PtraceSetRegs(tid, &r)
	}
	if err != nil {
		fmt.Fprintf(s.Log, "panic: registers cannot be changed: %v\n", err)
	}
}

func (s *tracedServer) kill(name string) {
	s.Killed = name
	syscall.Kill(s.pid, syscall.SIGKILL)
}
