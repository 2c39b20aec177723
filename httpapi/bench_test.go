package httpapi

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/deb/debtest"
)

// onDisk is a fixture that keeps its files in a directory and logs nothing.
func onDisk(tb testing.TB) *fixture {
	dir, err := storage.OpenDir(filepath.Join(tb.TempDir(), "files"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { dir.Close() })
	return newFixture(tb, func(c *Config) {
		c.Repo.Storage = dir
		c.Logger = slog.New(slog.DiscardHandler)
	})
}

// sized publishes a package with a file of some size and returns its path.
func (f *fixture) sized(name string, size int) string {
	f.t.Helper()
	data := debtest.Package{Name: name, Files: map[string]string{"usr/share/x": strings.Repeat("x", size)}}.Build()
	out, err := f.repo.Publish(f.t.Context(), bytes.NewReader(data), aptrepo.PublishOptions{Distribution: "jammy"})
	if err != nil {
		f.t.Fatal(err)
	}
	return "/apt/" + out.Artifact.Filename
}

// BenchmarkServe fetches files over a kept-alive loopback connection through
// the whole handler.
func BenchmarkServe(b *testing.B) {
	f := onDisk(b)
	for _, bench := range []struct{ name, path string }{
		{"InRelease", "/apt/dists/jammy/InRelease"},
		{"pool-10KB", f.sized("small", 8<<10)},
		{"pool-10MB", f.sized("large", 10<<20)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			answers := bufio.NewReaderSize(conn, 64<<10)
			request := []byte("GET " + bench.path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				res, err := http.ReadResponse(answers, nil)
				if err != nil || res.StatusCode != 200 {
					b.Fatal(res, err)
				}
				n, err := io.Copy(io.Discard, res.Body)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}

// BenchmarkUpload sends small packages, one after the other and at once.
func BenchmarkUpload(b *testing.B) {
	f := onDisk(b)
	n := 0
	send := func(b *testing.B, i int) {
		body, contentType := multipartBody(part{"file", string(pkg(fmt.Sprintf("bench%d", i), "1.0").Build())}, part{"distribution", "jammy"})
		if a := f.do("POST", "/upload/", f.tokens[2], body, "Content-Type", contentType); a.status != 201 {
			b.Fatal(a.status, a.body)
		}
	}
	b.Run("serial", func(b *testing.B) {
		for b.Loop() {
			n++
			send(b, n)
		}
	})
	b.Run("100-at-once", func(b *testing.B) {
		for b.Loop() {
			done := make(chan bool)
			for range 100 {
				n++
				go func(i int) { send(b, i); done <- true }(n)
			}
			for range 100 {
				<-done
			}
		}
	})
}

// sendfileEnv makes TestSendfile serve a file in a process of its own.
const sendfileEnv = "REPOD_TEST_SENDFILE"

// TestSendfile checks with strace(1) that a pool file reaches the socket
// without passing through the program, which counts it all the same.
func TestSendfile(t *testing.T) {
	if os.Getenv(sendfileEnv) != "" {
		f := onDiskCounted(t)
		f.do("GET", f.sized("large", 3<<20), "", nil).want(t, 200, "")
		f.eventually(func(s downloadStatsJSON) bool { return s.Summary.Bytes > 3<<20 })
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("strace is a program for Linux")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("strace is not installed")
		}
		t.Skip("strace is not installed")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command(strace, "-f", "-e", "trace=sendfile", "-e", "signal=none", "-o", trace, os.Args[0], "-test.run=^TestSendfile$")
	cmd.Env = append(os.Environ(), sendfileEnv+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") {
			t.Skipf("strace may not trace here: %s", out)
		}
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, m := range regexp.MustCompile(`\)\s+= (\d+)`).FindAllStringSubmatch(string(text), -1) {
		n, _ := strconv.Atoi(m[1])
		sent += n
	}
	if sent < 3<<20 {
		t.Errorf("sendfile sent %d bytes of %d", sent, 3<<20)
	}
}
