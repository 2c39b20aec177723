package clamav_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/clamav"
	"github.com/repod-io/repod/scan/clamav/clamdtest"
)

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		pong, version string
		want          clamav.Status
	}{
		{"PONG", "ClamAV 1.4.6", clamav.Status{Available: true, EngineVersion: "1.4.6"}},
		{"PONG", "ClamAV 1.4.3/27969/Tue May 12 06:24:30 2026", clamav.Status{
			Available: true, EngineVersion: "1.4.3", SignatureVersion: "27969",
			SignatureDate: time.Date(2026, 5, 12, 6, 24, 30, 0, time.UTC),
		}},
		{"PONG", "ClamAV 1.4.3/27969/Sat May  2 06:24:30 2026", clamav.Status{
			Available: true, EngineVersion: "1.4.3", SignatureVersion: "27969",
			SignatureDate: time.Date(2026, 5, 2, 6, 24, 30, 0, time.UTC),
		}},
		{"PONG", "ClamAV 1.4.3/27969/some day", clamav.Status{Available: true, EngineVersion: "1.4.3", SignatureVersion: "27969"}},
		{"PONG", "ClamAV 1.4.3/x/Tue May 12 06:24:30 2026", clamav.Status{Detail: "clamd does not speak its protocol"}},
		{"PONG", "UNKNOWN COMMAND", clamav.Status{Detail: "clamd does not speak its protocol"}},
		{"pong", "ClamAV 1.4.6", clamav.Status{Detail: "clamd does not speak its protocol"}},
		{"", "", clamav.Status{Detail: "clamd hung up on PING"}},
		{"PONG", "", clamav.Status{Detail: "clamd hung up on VERSION"}},
	} {
		address := clamdtest.Fake(t, func(c *clamdtest.Conn) {
			answer := map[string]string{
				"PING": tt.pong, "VERSION": tt.version, "INSTREAM": "stream: Heuristics.Limits.Exceeded.MaxRecursion FOUND",
			}[c.Command()]
			if answer != "" {
				c.Say(answer)
			}
		})
		if got := (&clamav.Scanner{Address: address}).Status(t.Context()); got != tt.want {
			t.Errorf("%q %q: got %+v, want %+v", tt.pong, tt.version, got, tt.want)
		}
	}
}

func TestStatusOfClamd(t *testing.T) {
	clamd := clamdtest.Start(t, "AlertExceedsMax yes")
	s := &clamav.Scanner{Address: clamd.TCP}
	if got := s.Status(t.Context()); !got.Available || got.EngineVersion == "" || got.Detail != "" {
		t.Errorf("got %+v", got)
	}
	clamd.Stop()
	if got := s.Status(t.Context()); got.Available || got.Detail == "" || got.EngineVersion != "" {
		t.Errorf("stopped: got %+v", got)
	}
}

// fakeReload is a clamd whose version changes some time after RELOAD.
func fakeReload(t *testing.T, after time.Duration) *clamav.Scanner {
	var at atomic.Int64
	address := clamdtest.Fake(t, func(c *clamdtest.Conn) {
		switch c.Command() {
		case "PING":
			c.Say("PONG")
		case "VERSION":
			version := "ClamAV 1.4.3/27969/Tue May 12 06:24:30 2026"
			if when := at.Load(); when != 0 && time.Now().UnixNano() > when {
				version = "ClamAV 1.4.3/27970/Wed May 13 06:24:30 2026"
			}
			c.Say(version)
		case "RELOAD":
			at.Store(time.Now().Add(after).UnixNano())
			c.Say("RELOADING")
		}
	})
	return &clamav.Scanner{Address: address}
}

func TestUpdate(t *testing.T) {
	failure := errors.New("exit status 5")
	for _, tt := range []struct {
		name    string
		after   time.Duration
		output  string
		err     error
		want    string
		version string
		kept    string
	}{
		{"new", 300 * time.Millisecond, "daily.cvd updated\n", nil, clamav.Updated, "27970", "daily.cvd updated\n"},
		{"nothing new", time.Hour, "daily.cvd is up-to-date\n", nil, clamav.UpToDate, "27969", "daily.cvd is up-to-date\n"},
		{"failed", 0, "ERROR: no server\n", failure, "", "", "ERROR: no server\n"},
		{"much output", 0, "start" + strings.Repeat("ä", clamav.MaxOutput) + "\xffend", nil, clamav.Updated, "27970",
			strings.Repeat("ä", clamav.MaxOutput/2-2) + "end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wait := time.Minute
			if tt.want == clamav.UpToDate {
				wait = time.Second
			}
			start := time.Now()
			u := &clamav.Updater{Scanner: fakeReload(t, tt.after), Wait: wait, Run: func(_ context.Context, w io.Writer) error {
				_, _ = io.WriteString(w, tt.output[:len(tt.output)/2])
				_, _ = io.WriteString(w, tt.output[len(tt.output)/2:])
				return tt.err
			}}
			got, err := u.Update(t.Context())
			if !errors.Is(err, tt.err) || got.Result != tt.want || got.Status.SignatureVersion != tt.version {
				t.Errorf("got %+v, %v", got, err)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %v, though there was nothing to wait for", took)
			}
			if got.Output != tt.kept || len(got.Output) > clamav.MaxOutput {
				t.Errorf("output of %d bytes: %.40q", len(got.Output), got.Output)
			}
		})
	}
}

func TestOneUpdateAtATime(t *testing.T) {
	inside, leave := make(chan bool), make(chan bool)
	u := &clamav.Updater{Scanner: fakeReload(t, 0), Run: func(context.Context, io.Writer) error {
		inside <- true
		<-leave
		return nil
	}}
	done := make(chan error)
	go func() { _, err := u.Update(t.Context()); done <- err }()
	<-inside
	if _, err := u.Update(t.Context()); !errors.Is(err, clamav.ErrUpdating) {
		t.Errorf("got %v", err)
	}
	leave <- true
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestUpdateWithoutClamd(t *testing.T) {
	u := &clamav.Updater{
		Scanner: &clamav.Scanner{Address: "tcp://" + unusedAddress(t)},
		Run:     func(_ context.Context, w io.Writer) error { _, _ = fmt.Fprint(w, "updated"); return nil },
	}
	got, err := u.Update(t.Context())
	if err == nil || got.Result != "" || got.Output != "updated" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// A new signature is found after a reload, by a clamd whose version does not
// change for it.
func TestReloadOfClamd(t *testing.T) {
	clamd := clamdtest.Start(t, "AlertExceedsMax yes")
	s := &clamav.Scanner{Address: clamd.Unix}
	pkg := debtest.Package{Files: map[string]string{"a": "some new malware\n"}}.Build()
	if got := scanned(t, s, bytes.NewReader(pkg)); got.Status != scan.Clean {
		t.Fatalf("before: got %+v", got)
	}
	signature := fmt.Sprintf("Test.New:0:*:%x\n", "some new malware")
	if err := os.WriteFile(filepath.Join(clamd.Databases, "new.ndb"), []byte(signature), 0o600); err != nil {
		t.Fatal(err)
	}
	before := s.Status(t.Context())
	after, err := s.Reload(t.Context(), before, 3*time.Second)
	if err != nil || after != before {
		t.Errorf("got %+v, %v, want %+v", after, err, before)
	}
	for range 100 { // a machine may be slow
		if scanned(t, s, bytes.NewReader(pkg)).Status == scan.Infected {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("the new signature is not in use")
}
