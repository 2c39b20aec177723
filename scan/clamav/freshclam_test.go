package clamav_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/clamav"
	"github.com/repod-io/repod/scan/clamav/clamdtest"
)

// freshclam fetches a signature from a server on loopback, and clamd uses it
// afterwards.
func TestFreshclam(t *testing.T) {
	const program = "/usr/bin/freshclam"
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("freshclam is not installed")
		}
		t.Skip("freshclam is not installed")
	}
	clamd := clamdtest.Start(t)
	mirror := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/custom.ndb" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "Test.Custom:0:*:%x\n", "some new malware")
	}))
	defer mirror.Close()
	config := filepath.Join(t.TempDir(), "freshclam.conf")
	lines := []string{
		"DatabaseDirectory " + clamd.Databases, "PrivateMirror " + mirror.URL, "ScriptedUpdates no", "MaxAttempts 1",
		"ExcludeDatabase main", "ExcludeDatabase daily", "ExcludeDatabase bytecode", "DatabaseCustomURL " + mirror.URL + "/custom.ndb",
	}
	if os.Geteuid() == 0 {
		lines = append(lines, "DatabaseOwner root")
	}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &clamav.Scanner{Address: clamd.Unix}
	u := &clamav.Updater{Scanner: s, Wait: time.Second, Run: func(ctx context.Context, output io.Writer) error {
		cmd := exec.CommandContext(ctx, program, "--config-file="+config, "--stdout")
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		cmd.Stdout, cmd.Stderr = output, output
		return cmd.Run()
	}}
	pkg := debtest.Package{Files: map[string]string{"a": "some new malware\n"}}.Build()
	if got := scanned(t, s, bytes.NewReader(pkg)); got.Status != scan.Clean {
		t.Fatalf("before: got %+v", got)
	}
	got, err := u.Update(t.Context())
	// Signatures of an administrator's own have no version that could change.
	if err != nil || got.Result != clamav.UpToDate || !strings.Contains(got.Output, "custom.ndb updated") {
		t.Fatalf("got %+v, %v", got, err)
	}
	for deadline := time.Now().Add(20 * time.Second); scanned(t, s, bytes.NewReader(pkg)).Signature != "Test.Custom.UNOFFICIAL"; {
		if time.Now().After(deadline) {
			t.Fatal("the new signature is not in use")
		}
		time.Sleep(100 * time.Millisecond)
	}
	mirror.Close()
	if got, err := u.Update(t.Context()); err == nil || got.Output == "" {
		t.Errorf("without a server: got %+v, %v", got, err)
	}
}
