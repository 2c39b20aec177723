package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/deb/debtest"
)

// uploads sends packages over HTTP, by several clients at once.
type uploads struct {
	wall  time.Duration
	times []time.Duration
}

func (u *uploads) perSecond() float64 { return float64(len(u.times)) / u.wall.Seconds() }

// upload lets each of some clients send n packages, one after the other.
func upload(b *testing.B, c *client, clients, n int) uploads {
	b.Helper()
	debs := make([][]byte, clients*n)
	for i := range debs {
		debs[i] = fresh()
	}
	var u uploads
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for i := range clients {
		wg.Go(func() {
			for _, data := range debs[i*n : (i+1)*n] {
				sent := time.Now()
				if err := c.upload(b.Context(), data); err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				u.times = append(u.times, time.Since(sent))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	u.wall = time.Since(began)
	if b.Failed() {
		b.FailNow()
	}
	return u
}

// BenchmarkUploads sends packages to a server over HTTP, one after the other
// and by 100 clients at once (T5). Clients and server share this machine.
func BenchmarkUploads(b *testing.B) {
	full(b)
	for _, n := range []int{1000, 63_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := serve(b, seeded(b, n).dir)
			c := s.login(b)
			upload(b, c, 1, 20)
			upload(b, c, 100, 2)
			cpu := s.cpu(b)
			serial := upload(b, c, 1, 300)
			serialCPU := (s.cpu(b) - cpu) / time.Duration(len(serial.times))
			cpu = s.cpu(b)
			many := upload(b, c, 100, 40)
			manyCPU := (s.cpu(b) - cpu) / time.Duration(len(many.times))
			more := many.perSecond() / serial.perSecond()
			report(b, figure{"T5", fmt.Sprintf("uploads a second over HTTP by 100 clients, compared with one, at %d packages", n),
				fmt.Sprintf("%.1fx (%.0f/s, %.0f/s)", more, many.perSecond(), serial.perSecond()), "≥ 10x", more >= 10})
			slower := ratio(quantile(many.times, 99), median(serial.times))
			report(b, figure{"T5", "99 % of them take at most, compared with the median of one client",
				fmt.Sprintf("%.1fx (%s, %s)", slower, ms(quantile(many.times, 99)), ms(median(serial.times))), "≤ 10x", slower <= 10})
			report(b, figure{"", "CPU of the server for one upload, serial and by 100 clients",
				fmt.Sprintf("%s, %s", ms(serialCPU), ms(manyCPU)), "", true})
		})
	}
}

// BenchmarkLargeServer starts a server with 63,000 packages and lets 100
// clients fetch its Packages.gz at once.
func BenchmarkLargeServer(b *testing.B) {
	full(b)
	dir := seeded(b, 63_000).dir
	binary(b)
	began := time.Now()
	s := serve(b, dir)
	c := &client{base: s.URL, http: anonymous(b)}
	if _, err := c.get(b.Context(), "/apt/dists/"+codename+"/InRelease"); err != nil {
		b.Fatal(err)
	}
	start := time.Since(began)
	report(b, figure{"", "a server with 63,000 packages starts and answers InRelease in", ms(start), "≤ 2 s", start <= 2*time.Second})

	var clients sync.WaitGroup
	for range 100 {
		clients.Go(func() {
			for range 3 {
				if _, err := c.get(b.Context(), "/apt/dists/"+codename+"/main/binary-amd64/Packages.gz"); err != nil {
					b.Error(err)
				}
			}
		})
	}
	clients.Wait()
	peak := procField(b, fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid), "VmHWM") >> 10
	report(b, figure{"", "its largest resident size while 100 clients fetch Packages.gz at once",
		fmt.Sprintf("%d MiB", peak), "≤ 300 MiB", peak <= 300})
	login := s.login(b)
	upload(b, login, 100, 5)
	peak = procField(b, fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid), "VmHWM") >> 10
	report(b, figure{"", "and after 500 uploads by 100 clients", fmt.Sprintf("%d MiB", peak), "", true})
}

// BenchmarkDownloads compares the processor time of a download from repod
// with nginx (T15).
func BenchmarkDownloads(b *testing.B) {
	full(b)
	needPrograms(b, "nginx", "wrk")
	dir := filepath.Join(b.TempDir(), "data")
	s := serve(b, dir, "--distributions", codename)
	c := s.login(b)
	paths := make(map[string]string)
	for name, size := range map[string]int{"ten-kb": 8 << 10, "ten-mb": 10 << 20} {
		data := debtest.Package{Name: name, Files: map[string]string{"usr/share/payload": strings.Repeat("payload ", size/8)}}.Build()
		if err := c.upload(b.Context(), data); err != nil {
			b.Fatal(err)
		}
		paths[name] = "pool/main/t/" + name + "/" + name + "_1.0_amd64.deb"
	}
	n := startNginx(b, filepath.Join(dir, "files"), s.URL)
	for _, row := range []struct {
		what, path, target string
		most               float64
	}{
		{"a file of 10 KB from the pool", paths["ten-kb"], "≤ 2.5x", 2.5},
		{"InRelease, from memory", "dists/" + codename + "/InRelease", "≤ 1.6x", 1.6},
		{"a file of 10 MB from the pool", paths["ten-mb"], "≤ 1.25x", 1.25},
	} {
		var ours, theirs []time.Duration
		for range 3 {
			theirs = append(theirs, n.perRequest(b, row.path))
			ours = append(ours, perRequest(b, s.URL+"/apt/"+row.path, s.cpu))
		}
		times := ratio(median(ours), median(theirs))
		report(b, figure{"T15", "CPU of the server for " + row.what + ", compared with nginx",
			fmt.Sprintf("%.2fx (%s, %s)", times, us(median(ours)), us(median(theirs))), row.target, times <= row.most})
	}
}

// perRequest lets wrk fetch one address for some seconds and returns the
// processor time of the server for each request.
func perRequest(b *testing.B, url string, cpu func(*testing.B) time.Duration) time.Duration {
	b.Helper()
	before := cpu(b)
	out, _, _ := run(b, exec.Command("wrk", "-t1", "-c16", "-d3s", url))
	used := cpu(b) - before
	requests := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out)
	if requests == nil || bytes.Contains(out, []byte("Non-2xx")) {
		b.Fatalf("wrk: %s", out)
	}
	n, err := strconv.Atoi(string(requests[1]))
	if err != nil || n == 0 {
		b.Fatalf("wrk: %v: %s", err, out)
	}
	return used / time.Duration(n)
}

// An nginxServer serves the same files.
type nginxServer struct {
	url  string
	pids []int
}

func startNginx(b *testing.B, files, repod string) *nginxServer {
	b.Helper()
	dir := b.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(filepath.Join(root, "dists", codename), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(files, "pool"), filepath.Join(root, "pool")); err != nil {
		b.Fatal(err)
	}
	c := &client{base: repod, http: anonymous(b)}
	if err := c.save(b.Context(), "/apt/dists/"+codename+"/InRelease", filepath.Join(root, "dists", codename, "InRelease")); err != nil {
		b.Fatal(err)
	}
	address := freeAddress(b)
	conf := fmt.Sprintf(`user root; daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4; scgi_temp_path %[1]s/t5;
  server { listen %[2]s; root %[3]s; }
}
`, dir, address, root)
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("nginx", "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	n := &nginxServer{url: "http://" + address + "/"}
	c.base = n.url
	for range 100 {
		if _, err := c.get(b.Context(), "dists/"+codename+"/InRelease"); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	n.pids = append(children(b, cmd.Process.Pid), cmd.Process.Pid)
	return n
}

func (n *nginxServer) perRequest(b *testing.B, path string) time.Duration {
	return perRequest(b, n.url+path, func(b *testing.B) (sum time.Duration) {
		for _, pid := range n.pids {
			sum += processCPU(b, pid)
		}
		return sum
	})
}

func children(b *testing.B, pid int) []int {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if err != nil {
		b.Fatal(err)
	}
	var pids []int
	for _, field := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(field)
		if err != nil {
			b.Fatal(err)
		}
		pids = append(pids, n)
	}
	return pids
}
