package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/repod-io/repod/deb/debtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"repod": main})
}

// TestScripts runs the binary as a user does. Beside the usual commands the
// scripts have
//
//	start FLAG...        repod serve on a free port; sets REPOD_URL
//	stop                 SIGTERM; the server must end with status 0
//	token ROLE PASSWORD  log in as admin, make an API token; sets REPOD_TOKEN
//	status N COMMAND...  run a command that must exit with status N
//	deb NAME VERSION ARCH TEXT   write NAME_VERSION_ARCH.deb holding TEXT
//	fetch PATH FILE      save what the server answers to GET PATH
//	damage GLOB          change a byte of the only file that matches
//	mode MODE PATH       the file must have this mode
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			s := &scriptServer{log: filepath.Join(e.WorkDir, "serve.log")}
			e.Values[serverKey{}] = s
			e.Defer(s.kill)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start":  scriptStart,
			"stop":   scriptStop,
			"token":  scriptToken,
			"status": scriptStatus,
			"deb":    scriptDeb,
			"fetch":  scriptFetch,
			"damage": scriptDamage,
			"mode":   scriptMode,
		},
	})
}

type serverKey struct{}

// A scriptServer is the server that a script started.
type scriptServer struct {
	log     string // where its standard error goes
	running *testServer
}

func (s *scriptServer) kill() {
	if s.running != nil {
		s.running.kill()
	}
}

func scriptStart(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(serverKey{}).(*scriptServer)
	env := []string{"PATH=" + ts.Getenv("PATH")}
	for name := range configKeys() {
		if value := ts.Getenv(variable(name)); value != "" {
			env = append(env, variable(name)+"="+value)
		}
	}
	if path := ts.Getenv("REPOD_CONFIG"); path != "" {
		env = append(env, "REPOD_CONFIG="+path)
	}
	running, err := launch(ts.MkAbs("."), s.log, env, args...)
	ts.Check(err)
	s.running = running
	ts.Setenv("REPOD_URL", running.url)
}

func scriptStop(ts *testscript.TestScript, _ bool, _ []string) {
	s := ts.Value(serverKey{}).(*scriptServer)
	ts.Check(s.running.stop())
	s.running = nil
}

func scriptToken(ts *testscript.TestScript, neg bool, args []string) {
	token, err := makeToken(ts.Getenv("REPOD_URL"), args[0], args[1])
	if neg {
		if err == nil {
			ts.Fatalf("logged in")
		}
		return
	}
	ts.Check(err)
	ts.Setenv("REPOD_TOKEN", token)
}

func scriptStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func scriptDeb(ts *testscript.TestScript, _ bool, args []string) {
	p := debtest.Package{Name: args[0], Version: args[1], Arch: args[2], Files: map[string]string{"usr/share/text": args[3]}}
	path := ts.MkAbs(fmt.Sprintf("%s_%s_%s.deb", p.Name, p.Version, p.Arch))
	ts.Check(os.WriteFile(path, p.Build(), 0o644))
}

func scriptFetch(ts *testscript.TestScript, _ bool, args []string) {
	resp, err := http.Get(ts.Getenv("REPOD_URL") + args[0])
	ts.Check(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode != http.StatusOK {
		ts.Fatalf("GET %s: %s", args[0], resp.Status)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o644))
}

func scriptDamage(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%s matches %v", args[0], files)
	}
	text, err := os.ReadFile(files[0])
	ts.Check(err)
	text[len(text)/2] ^= 1
	ts.Check(os.WriteFile(files[0], text, 0o644))
}

func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}
