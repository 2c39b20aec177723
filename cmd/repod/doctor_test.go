package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEnough(t *testing.T) {
	for _, tt := range []struct {
		bytes, inodes uint64
		want          string // in the error
	}{
		{lowSpace, lowInodes, ""},
		{lowSpace - 1, lowInodes, "1023 MiB free for /x: make room"},
		{lowSpace, lowInodes - 1, "9999 inodes free for /x: make room"},
	} {
		detail, err := enough("/x", tt.bytes, tt.inodes)
		if tt.want == "" && (err != nil || detail != "1024 MiB free for /x") {
			t.Errorf("%q, %v", detail, err)
		}
		if tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

func TestCheckDataDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := checkDataDir(dir); err == nil || !strings.Contains(err.Error(), "check --data-dir") {
		t.Errorf("a missing directory: %v", err)
	}
	for mode, ok := range map[os.FileMode]bool{0o700: true, 0o500: true, 0o750: false, 0o705: false} {
		if err := os.Mkdir(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := checkDataDir(dir); (err == nil) != ok {
			t.Errorf("mode %04o: %v", mode, err)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDoctorComparesClocks(t *testing.T) {
	for skew, want := range map[time.Duration]string{
		0:                "ok    clock",
		5 * time.Minute:  "FAIL  clock          the server's clock differs by",
		-5 * time.Minute: "FAIL  clock          the server's clock differs by",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
			_, _ = io.WriteString(w, `{"status":"ready"}`)
		}))
		_, stdout, _ := invoke(t, map[string]string{"REPOD_URL": srv.URL}, "doctor", "--data-dir", t.TempDir())
		srv.Close()
		if !strings.Contains(stdout, want) {
			t.Errorf("%v: no %q in\n%s", skew, want, stdout)
		}
	}
}
