// Package s3test gives tests an S3-compatible object store of their own:
// versitygw, which keeps objects as files, on loopback and with its files in a
// temporary directory.
//
// Debian has no such program. [Program] says where it is looked for, and
// .ci/s3store, which is a part of make test, builds it there once. That takes
// minutes.
package s3test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sys/unix"
)

// Version is that of versitygw. .ci/s3store has it too.
const Version = "v1.8.0"

// Region is part of what clients sign.
const Region = "us-east-1"

// Program returns the path of the server's program, in the directory of the
// user's caches.
func Program() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "repod-test", "versitygw-"+Version, "versitygw"), nil
}

// A Server is a store that runs until the end of its test.
type Server struct {
	Endpoint  string // http://127.0.0.1:PORT
	AccessKey string
	SecretKey string
	// Dir has a directory for each bucket, with the objects as files.
	Dir string

	t        testing.TB
	program  string
	work     string // what is not of the buckets
	cmd      *exec.Cmd
	lifeline *os.File // closed by the end of this process, which ends the server
	buckets  atomic.Int64
}

// Start starts a server. Without its program it skips the test, or fails it
// where the environment says CI=true.
func Start(t testing.TB) *Server {
	t.Helper()
	program, err := Program()
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("versitygw is not built (.ci/s3store does it): %v", err)
		}
		t.Skipf("versitygw is not built (.ci/s3store does it): %v", err)
	}
	dir, err := os.MkdirTemp("", "s3test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{
		t: t, program: program, work: dir, Dir: filepath.Join(dir, "buckets"),
		AccessKey: rand.Text(), SecretKey: rand.Text(), Endpoint: "http://" + freeAddress(t),
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// This is how it keeps what S3 knows of a file beside its contents.
	if err := unix.Setxattr(s.Dir, "user.s3test", []byte("x"), 0); err != nil {
		t.Fatalf("the file system of %s has no extended attributes (set TMPDIR): %v", s.Dir, err)
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// keeper runs a server until the pipe that is its standard input ends, with the
// test binary or by Stop.
const keeper = `"$@" </dev/null & cat >/dev/null; kill -KILL $!; wait $! 2>/dev/null`

// Start starts the server again, at the same address and with the same files.
func (s *Server) Start() {
	s.t.Helper()
	if s.cmd != nil {
		return
	}
	log, err := os.OpenFile(filepath.Join(s.work, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	input, lifeline, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer input.Close()
	cmd := exec.Command("/bin/sh", "-c", keeper, "sh", s.program, "--quiet", "--keep-alive",
		"--port", strings.TrimPrefix(s.Endpoint, "http://"), "--region", Region, "posix", s.Dir)
	cmd.Dir = s.work
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.work,
		"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a ^C is for the tests; the pipe does the rest
	if err := cmd.Start(); err != nil {
		lifeline.Close()
		s.t.Fatal(err)
	}
	s.cmd, s.lifeline = cmd, lifeline
	s.await()
}

// await waits until the server answers.
func (s *Server) await() {
	s.t.Helper()
	until := time.Now().Add(time.Minute)
	for {
		resp, err := http.Get(s.Endpoint)
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(until) {
			log, _ := os.ReadFile(filepath.Join(s.work, "log"))
			s.t.Fatalf("versitygw does not answer: %v\n%s", err, log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop ends the server at once, as a crash does. Start brings it back.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	s.lifeline.Close()
	_ = s.cmd.Wait() // killed
	s.cmd = nil
}

// Client returns a client that is none of ours, to look at what is stored.
func (s *Server) Client() *minio.Client {
	s.t.Helper()
	c, err := minio.New(strings.TrimPrefix(s.Endpoint, "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// Bucket makes a new, empty bucket and returns its name.
func (s *Server) Bucket() string {
	s.t.Helper()
	name := fmt.Sprintf("bucket-%d", s.buckets.Add(1))
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if err := s.Client().MakeBucket(ctx, name, minio.MakeBucketOptions{Region: Region}); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// URL returns the address of a bucket as repod's --storage-url has it.
func (s *Server) URL(bucket, prefix string) string {
	return fmt.Sprintf("s3://%s/%s?endpoint=%s&region=%s&path_style=true", bucket, prefix, s.Endpoint, Region)
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
