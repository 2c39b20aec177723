package storage

import (
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// noOpenat2 is set once the kernel, or what filters its calls, does not know
// openat2(2).
var noOpenat2 atomic.Bool

// openBeneath opens key below dir, which it cannot leave. [os.Root] does the
// same with two system calls for each directory on the way; downloads are too
// frequent for that.
func openBeneath(dir *os.File, root *os.Root, key string) (*os.File, error) {
	if noOpenat2.Load() {
		return root.OpenFile(key, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	}
	how := unix.OpenHow{
		// Without O_NONBLOCK, opening a FIFO would wait for its other end.
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := openat2(dir, key, &how)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), key), nil
		case err == unix.EINTR, err == unix.EAGAIN: // a rename went on beside us
			continue
		case err == unix.EXDEV: // a link leads outside
			return nil, os.ErrNotExist
		case err == unix.ENOSYS || err == unix.EPERM:
			noOpenat2.Store(true)
			return openBeneath(dir, root, key)
		}
		return nil, &os.PathError{Op: "openat2", Path: key, Err: err}
	}
}

// openat2 keeps dir from being closed during the call.
func openat2(dir *os.File, key string, how *unix.OpenHow) (fd int, err error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return -1, err
	}
	if closed := conn.Control(func(at uintptr) { fd, err = unix.Openat2(int(at), key, how) }); closed != nil {
		return -1, os.ErrClosed
	}
	return fd, err
}
