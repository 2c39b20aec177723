package clamav_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/clamav"
	"github.com/repod-io/repod/scan/clamav/clamdtest"
)

// A package of four files: control, and these.
func faultPackage() []byte {
	return debtest.Package{Files: map[string]string{
		"a": "first", "b": strings.Repeat("0123456789abcdef", 1<<15), "c": "third",
	}}.Build()
}

// sound answers OK to the files of a session until stop returns true for the
// number of one, which is not read.
func sound(c *clamdtest.Conn, stop int) {
	if !c.Greet() {
		return
	}
	for n := 2; n != stop; n++ {
		if c.Command() != "INSTREAM" {
			return
		}
		if _, complete := c.Stream(); !complete {
			return
		}
		c.Say(fmt.Sprintf("%d: stream: OK", n))
	}
	c.Command()
}

// hang reads until the client has gone.
func hang(c *clamdtest.Conn) { _, _ = io.Copy(io.Discard, c) }

// The numbers of files: 2 control, 3 a, 4 b, 5 c.
func TestFaults(t *testing.T) {
	// on answers the file of a number with lines, and all before with OK.
	on := func(number int, read bool, lines ...string) func(*clamdtest.Conn) {
		return func(c *clamdtest.Conn) {
			sound(c, number)
			if read {
				c.Stream()
			}
			for _, line := range lines {
				c.Say(line)
			}
			if lines != nil {
				hang(c)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		serve  func(*clamdtest.Conn)
		status scan.MalwareStatus
		path   string
		detail string // a part
	}{
		{"sound", func(c *clamdtest.Conn) { sound(c, 0) }, scan.Clean, "", ""},
		{"hangs up at once", func(*clamdtest.Conn) {}, scan.Failed, "", "hung up"},
		{"hangs", hang, scan.Failed, "", "did not answer"},
		{"hangs after the greeting", func(c *clamdtest.Conn) { c.Greet(); hang(c) }, scan.Failed, "", "did not answer"},
		{"does not read", func(c *clamdtest.Conn) { c.Greet(); time.Sleep(3 * time.Second) }, scan.Failed, "", "did not answer"},
		{"hangs in the last answer", func(c *clamdtest.Conn) {
			sound(c, 5)
			c.Stream()
			_, _ = io.WriteString(c, "5: stream: O")
			hang(c)
		}, scan.Failed, "", "did not answer"},
		{"one byte in 20 ms", func(c *clamdtest.Conn) {
			for _, b := range []byte("1: ClamAV 1.4.3/27969/Tue May 12 06:24:30 2026\x002: stream: OK\x003: stream: OK\x00") {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		}, scan.Failed, "", "did not answer"},
		{"cut in the middle of a file", func(c *clamdtest.Conn) {
			sound(c, 4)
			_, _ = io.ReadFull(c, make([]byte, 1000))
		}, scan.Failed, "", "hung up"},
		{"cut in an answer", func(c *clamdtest.Conn) {
			sound(c, 5)
			c.Stream()
			_, _ = io.WriteString(c, "5: stream: O")
		}, scan.Failed, "", "hung up"},
		{"cut before the last answer", func(c *clamdtest.Conn) { sound(c, 5); c.Stream() }, scan.Failed, "", "hung up"},
		{"OK without a number", on(4, true, "stream: OK"), scan.Failed, "", "protocol"},
		{"OK of a file to come", on(3, true, "6: stream: OK"), scan.Failed, "", "protocol"},
		{"OK twice", on(4, true, "3: stream: OK"), scan.Failed, "", "protocol"},
		{"zero", on(4, true, "0: stream: OK"), scan.Failed, "", "protocol"},
		{"leading zero", on(4, true, "04: stream: OK"), scan.Failed, "", "protocol"},
		{"a second version", on(4, true, "1: ClamAV 1.4.3"), scan.Failed, "", "protocol"},
		{"a version for a file", on(4, true, "4: ClamAV 1.4.3"), scan.Failed, "", "protocol"},
		{"HTTP", func(c *clamdtest.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
		}, scan.Failed, "", "hung up"},
		{"garbage", func(c *clamdtest.Conn) { _, _ = io.WriteString(c, strings.Repeat("\xff\xfe", 1<<20)) }, scan.Failed, "", "protocol"},
		{"an endless answer", func(c *clamdtest.Conn) {
			c.Greet()
			for {
				if _, err := io.WriteString(c, strings.Repeat("2: stream: ", 100)); err != nil {
					return
				}
			}
		}, scan.Failed, "", "protocol"},
		{"control characters in a name", on(4, true, "4: stream: A\x1b[2J FOUND"), scan.Failed, "", "protocol"},
		{"an error for a file", func(c *clamdtest.Conn) {
			sound(c, 3)
			c.Stream()
			c.Say("3: stream: Can't allocate memory ERROR")
			for n := 4; c.Command() == "INSTREAM"; n++ {
				c.Stream()
				c.Say(fmt.Sprintf("%d: stream: OK", n))
			}
		}, scan.Failed, "a", "Can't allocate memory"},
		{"an error and malware", func(c *clamdtest.Conn) {
			sound(c, 3)
			c.Stream()
			c.Say("3: stream: Can't allocate memory ERROR")
			for n := 4; c.Command() == "INSTREAM"; n++ {
				c.Stream()
				c.Say(fmt.Sprintf("%d: stream: Some.Malware FOUND", n))
			}
		}, scan.Infected, "b", ""},
		{"malware and then nothing", func(c *clamdtest.Conn) {
			sound(c, 3)
			c.Stream()
			c.Say("3: stream: Some.Malware FOUND")
			c.Command()
			c.Stream()
		}, scan.Infected, "a", ""},
		{"any order", func(c *clamdtest.Conn) {
			if c.Command() != "IDSESSION" || c.Command() != "VERSION" {
				return
			}
			for range 4 {
				c.Command()
				c.Stream()
			}
			for _, line := range []string{"5: stream: OK", "3: stream: Some.Malware FOUND", "1: ClamAV 1.4.6", "2: stream: OK", "4: stream: Other.Malware FOUND"} {
				c.Say(line)
			}
			hang(c)
		}, scan.Infected, "a", ""},
		{"no version", func(c *clamdtest.Conn) {
			c.Command()
			c.Command()
			for n := 2; n < 6; n++ {
				c.Command()
				c.Stream()
				c.Say(fmt.Sprintf("%d: stream: OK", n))
			}
			hang(c)
		}, scan.Failed, "", "did not answer"},
		{"encrypted", on(5, true, "5: stream: Heuristics.Encrypted.Zip FOUND"), scan.Incomplete, "c", "encrypted"},
		{"limit", on(5, true, "5: stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND"), scan.Incomplete, "c", "limit"},
		{"other heuristics", on(5, true, "5: stream: Heuristics.Phishing.Email FOUND"), scan.Infected, "c", ""},
		{"the stream is too long", func(c *clamdtest.Conn) {
			sound(c, 4)
			_, _ = io.ReadFull(c, make([]byte, 1000))
			c.Say("4: INSTREAM size limit exceeded. ERROR")
		}, scan.Incomplete, "b", "StreamMaxLength"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var again atomic.Bool // the session after a size limit
			address := clamdtest.Fake(t, func(c *clamdtest.Conn) {
				if again.Swap(true) {
					sound(c, 0)
					return
				}
				tt.serve(c)
			})
			s := &clamav.Scanner{Address: address, Timeout: 20 * time.Second}
			if tt.detail == "did not answer" {
				s.Timeout = 300 * time.Millisecond
			}
			start := time.Now()
			got := scanned(t, s, bytes.NewReader(faultPackage()))
			if got.Status != tt.status || got.Path != tt.path || !strings.Contains(got.Detail, tt.detail) {
				t.Errorf("got %+v, want %s at %q with %q", got, tt.status, tt.path, tt.detail)
			}
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// An OK before the end of a file is not for all of it.
func TestAnswerToHalfAFile(t *testing.T) {
	for answer, want := range map[string]scan.MalwareStatus{
		"4: stream: OK":                            scan.Failed,
		"4: stream: Some.Malware FOUND":            scan.Infected,
		"4: stream: Can't write to the disk ERROR": scan.Failed,
	} {
		half, said := make(chan bool), make(chan bool)
		address := clamdtest.Fake(t, func(c *clamdtest.Conn) {
			sound(c, 4)
			<-half
			c.Say(answer)
			said <- true
			hang(c)
		})
		s := &clamav.Scanner{Address: address, Timeout: 5 * time.Second}
		run := scan.Begin(t.Context(), []scan.Scanner{s}, scan.Subject{})
		_, err := deb.Read(bytes.NewReader(faultPackage()), &deb.Options{Visit: func(f deb.File, content io.Reader) error {
			switch f.Path {
			case "b":
				content = io.MultiReader(io.LimitReader(content, f.Size/2), readerFunc(func() {
					half <- true
					<-said
					time.Sleep(100 * time.Millisecond) // for the answer to be read
				}), content)
			case "c":
				return nil
			}
			return run.Visit(f, content)
		}})
		if err != nil {
			t.Fatal(err)
		}
		if got := run.Finish().Malware; got.Status != want {
			t.Errorf("%s: got %+v", answer, got)
		}
	}
}

// A peer that talks nonsense and reads nothing is left at once, in the middle of
// a file.
func TestNonsenseInTheMiddle(t *testing.T) {
	leave := make(chan bool)
	address := clamdtest.Fake(t, func(c *clamdtest.Conn) {
		sound(c, 3)
		_, _ = io.ReadFull(c, make([]byte, 1000))
		c.Say("nonsense")
		<-leave
	})
	defer close(leave)
	start := time.Now()
	got := scanned(t, &clamav.Scanner{Address: address, Timeout: time.Minute}, debtest.Large(debtest.Package{}, 64<<20, ""))
	if took := time.Since(start); got.Status != scan.Failed || took > 30*time.Second {
		t.Errorf("got %+v after %v", got, took)
	}
}

// A session that clamd ended when it owed nothing, as it does with silent ones,
// is replaced, and what was found in it is kept.
func TestSessionIsReplaced(t *testing.T) {
	for answer, want := range map[string]scan.Malware{
		"stream: OK":                           {Status: scan.Clean},
		"stream: Heuristics.Encrypted.X FOUND": {Status: scan.Incomplete, Path: "control"},
	} {
		var sessions atomic.Int32
		gone := make(chan bool, 1)
		address := clamdtest.Fake(t, func(c *clamdtest.Conn) {
			if sessions.Add(1) > 1 {
				sound(c, 0)
				return
			}
			c.Greet()
			c.Command()
			c.Stream()
			c.Say("2: " + answer)
			c.Close()
			gone <- true
		})
		s := &clamav.Scanner{Address: address, Timeout: 5 * time.Second}
		run := scan.Begin(t.Context(), []scan.Scanner{s}, scan.Subject{})
		_, err := deb.Read(bytes.NewReader(faultPackage()), &deb.Options{Visit: func(f deb.File, content io.Reader) error {
			if f.Path == "a" {
				<-gone
				time.Sleep(100 * time.Millisecond) // for the end to be noticed
			}
			return run.Visit(f, content)
		}})
		if err != nil {
			t.Fatal(err)
		}
		got := run.Finish().Malware
		if got.Status != want.Status || got.Path != want.Path || got.Engine != "ClamAV 1.4.3/27969" || sessions.Load() != 2 {
			t.Errorf("%s: got %+v in %d sessions", answer, got, sessions.Load())
		}
	}
}

func TestRefused(t *testing.T) {
	for _, address := range []string{
		"tcp://" + unusedAddress(t), "unix:///nonexistent/clamd.ctl", "unix://relative", "http://127.0.0.1", "", "tcp://:3310", "tcp://user@127.0.0.1:3310",
	} {
		s := &clamav.Scanner{Address: address}
		got := scanned(t, s, bytes.NewReader(faultPackage()))
		if got.Status != scan.Failed || got.Detail == "" || strings.Contains(got.Detail, "nonexistent") {
			t.Errorf("%s: got %+v", address, got)
		}
		if st := s.Status(t.Context()); st.Available || st.Detail == "" || strings.Contains(st.Detail, "nonexistent") {
			t.Errorf("%s: got %+v", address, st)
		}
	}
}

func unusedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The end of the context ends a scan at once, whatever clamd does.
func TestContextEnds(t *testing.T) {
	address := clamdtest.Fake(t, func(c *clamdtest.Conn) { c.Greet(); hang(c) })
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("the scan took too long"))
	defer cancel()
	start := time.Now()
	got := scannedFor(t, ctx, &clamav.Scanner{Address: address}, bytes.NewReader(faultPackage()))
	if got.Status != scan.Failed || !strings.Contains(got.Detail, "took too long") {
		t.Errorf("got %+v", got)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestNothingStays(t *testing.T) {
	before := runtime.NumGoroutine()
	address := clamdtest.Fake(t, func(c *clamdtest.Conn) { c.Greet(); hang(c) })
	s := &clamav.Scanner{Address: address, Timeout: 50 * time.Millisecond}
	for range 20 {
		scanned(t, s, bytes.NewReader(faultPackage()))
		run := scan.Begin(t.Context(), []scan.Scanner{s}, scan.Subject{})
		run.Abort()
	}
	for range 100 {
		// The fake itself has one, and some that have not noticed yet.
		if runtime.NumGoroutine() <= before+1 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}
