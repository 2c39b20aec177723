// Package clamdtest gives tests a clamd of their own (Debian package
// clamav-daemon), on a socket and on loopback, with its files in a temporary
// directory and two signatures of the EICAR test file; and fakes of clamd that
// break its protocol.
package clamdtest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The signatures that a Server knows the EICAR test file by: wherever it is in
// a file, and by the hash of a whole file. clamd calls its first match.
const (
	BodySignature = "Test.Eicar.Body.UNOFFICIAL"
	HashSignature = "Test.Eicar.Hash.UNOFFICIAL"
)

// EICAR returns the test file that scanners take for malware by convention. It
// is put together here, so that they do not take this source for it.
func EICAR() string { return `X5O!P%@AP[4\PZX54(P^)7CC)7}` + eicarBody() }

// eicarBody is the part of it that is recognized wherever it stands.
func eicarBody() string {
	return "$" + strings.Join([]string{"EICAR", "STANDARD", "ANTIVIRUS", "TEST", "FILE!$H+H*"}, "-")
}

// A Server is a clamd that runs until the end of its test.
type Server struct {
	Unix string // unix:///...
	TCP  string // tcp://127.0.0.1:PORT
	// Databases is the directory of signatures, which RELOAD reads again.
	Databases string

	t   testing.TB
	dir string
	cmd *exec.Cmd
	log *bytes.Buffer
}

const program = "/usr/sbin/clamd"

// Start starts a server. Lines of options are added to its configuration, in
// which they come first and so replace the defaults of this package. Without
// clamd on the machine it skips the test, or fails it where the environment
// says CI=true.
func Start(t testing.TB, options ...string) *Server {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("clamd is not installed")
		}
		t.Skip("clamd is not installed")
	}
	// The directory of a test may be too deep for the path of a socket.
	dir, err := os.MkdirTemp("", "clamd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Server{t: t, dir: dir, Databases: filepath.Join(dir, "db"), Unix: "unix://" + filepath.Join(dir, "socket")}
	port := freePort(t)
	s.TCP = "tcp://127.0.0.1:" + port
	if err := s.configure(port, options); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) configure(port string, options []string) error {
	lines := append(options,
		"LocalSocket "+filepath.Join(s.dir, "socket"),
		"TCPSocket "+port,
		"TCPAddr 127.0.0.1",
		"DatabaseDirectory "+s.Databases,
		"TemporaryDirectory "+s.dir,
		"Foreground yes",
		"SelfCheck 0",
		"ConcurrentDatabaseReload yes",
	)
	if os.Geteuid() == 0 {
		lines = append(lines, "User root")
	}
	if err := os.Mkdir(s.Databases, 0o700); err != nil {
		return err
	}
	sum := md5.Sum([]byte(EICAR()))
	for name, text := range map[string]string{
		"clamd.conf":  strings.Join(lines, "\n") + "\n",
		"db/test.ndb": "Test.Eicar.Body:0:*:" + hex.EncodeToString([]byte(eicarBody())) + "\n",
		"db/test.hdb": fmt.Sprintf("%x:%d:Test.Eicar.Hash\n", sum, len(EICAR())),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Restart stops the server if it runs, starts it again at the same addresses
// and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.log = &bytes.Buffer{}
	s.cmd = exec.Command(program, "-c", filepath.Join(s.dir, "clamd.conf"))
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	until := time.Now().Add(30 * time.Second)
	for !answers("unix", strings.TrimPrefix(s.Unix, "unix://")) || !answers("tcp", strings.TrimPrefix(s.TCP, "tcp://")) {
		if time.Now().After(until) {
			s.Stop()
			s.t.Fatalf("clamd does not answer: %s", s.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func answers(network, address string) bool {
	conn, err := net.DialTimeout(network, address, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = conn.Write([]byte("zPING\x00")) // Read tells
	answer := make([]byte, 5)
	n, _ := conn.Read(answer)
	return string(answer[:n]) == "PONG\x00"
}

// Stop ends the server before its test is over.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
	s.cmd = nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
