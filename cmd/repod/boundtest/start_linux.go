// Package boundtest starts programs for tests that must not outlive them: not
// even tests that are killed, or end by their time limit, which run no cleanup.
package boundtest

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// Start is cmd.Start for a program that the kernel kills when this process ends,
// however it ends.
//
// What the kernel watches is the thread that started the program. So one thread,
// which never ends, starts them all.
func Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	return <-started
}

var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})
