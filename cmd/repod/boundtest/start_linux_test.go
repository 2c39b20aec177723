package boundtest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is the parent when it is told so: it starts a program, says
// which, and waits to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("BOUND_PARENT") == "" {
		os.Exit(m.Run())
	}
	sleep := exec.Command("sleep", "600")
	failed := make(chan error)
	go func() {
		// A thread that ends with its goroutine must not take the program with it.
		runtime.LockOSThread()
		failed <- Start(sleep)
	}()
	if err := <-failed; err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	time.Sleep(100 * time.Millisecond)
	if err := sleep.Process.Signal(syscall.Signal(0)); err != nil {
		fmt.Println("the program ended with the thread that asked for it:", err)
		os.Exit(1)
	}
	fmt.Println(sleep.Process.Pid)
	select {}
}

func TestEndsWithParent(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(program)
	parent.Env = append(os.Environ(), "BOUND_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	said, err := bufio.NewReader(out).ReadString('\n')
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(said))
	if err != nil {
		t.Fatal(said)
	}
	for range 200 {
		if gone(pid) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Error("the program has outlived its parent")
}

// gone reports whether a process has ended; somebody else may still have to reap it.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}
