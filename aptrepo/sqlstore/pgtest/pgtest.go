// Package pgtest gives tests a PostgreSQL server of their own.
//
// The first call of [Database] in a test binary starts a private cluster from
// the programs of the machine (Debian package postgresql), which listens on a
// Unix socket only and does not sync to disk. It ends with the test binary,
// however that ends, and takes its files along. Each call creates a database,
// which is dropped when the test is over.
package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", also for callers
)

// Driver is the name under which the driver for the data source names is
// registered in database/sql.
const Driver = "pgx"

var errNotInstalled = errors.New("PostgreSQL's server is not installed")

// Database returns the data source name of a new, empty database for [Driver].
// Without a server on the machine it skips the test, or fails it where the
// environment says CI=true.
func Database(t testing.TB) string {
	t.Helper()
	c := running(t)
	name := fmt.Sprintf("test%d", c.databases.Add(1))
	if err := c.run("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.run("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return c.dsn(name)
}

// Socket returns the path of the server's socket, for tests that put something
// between.
func Socket(t testing.TB) string {
	t.Helper()
	return filepath.Join(running(t).dir, ".s.PGSQL."+port5432)
}

// running returns the server.
func running(t testing.TB) *server {
	t.Helper()
	c, err := cluster()
	switch {
	case errors.Is(err, errNotInstalled) && os.Getenv("CI") != "true":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	return c
}

const port5432 = "5432" // only part of the socket's name

// A server is a running cluster.
type server struct {
	dir       string // of the socket
	admin     *sql.DB
	databases atomic.Int64
	lifeline  *os.File // closed by the end of this process, which ends the server
}

var cluster = sync.OnceValues(start)

func (s *server) dsn(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {s.dir}, "port": {port5432}, "sslmode": {"disable"}}.Encode(),
	}
	return u.String()
}

func (s *server) run(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := s.admin.ExecContext(ctx, statement)
	return err
}

// start makes a cluster and waits until it answers.
func start() (*server, error) {
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(programs) == 0 {
		return nil, errNotInstalled
	}
	bin := filepath.Dir(programs[len(programs)-1])
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err := s.launch(bin); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if s.admin, err = sql.Open(Driver, s.dsn("postgres")); err != nil {
		return nil, err
	}
	s.admin.SetMaxOpenConns(2)
	return s, s.await()
}

// keeper runs a server and waits for the end of its standard input, the pipe
// that ends with the test binary. Then it ends the server and removes $dir.
const keeper = `"$@" </dev/null & cat >/dev/null; kill -QUIT $!; wait $!; rm -rf "$dir"`

func (s *server) launch(bin string) error {
	become, err := s.unprivileged()
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := append(become, filepath.Join(bin, "initdb"), "-D", data, "-A", "trust", "-U", "postgres",
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	cmd := exec.Command(initdb[0], initdb[1:]...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	args := append([]string{"-c", keeper, "sh"}, become...)
	args = append(args, filepath.Join(bin, "postgres"), "-D", data, "-p", port5432, "-k", s.dir)
	for _, setting := range []string{
		"listen_addresses=", "fsync=off", "full_page_writes=off", "synchronous_commit=off",
		"max_connections=300", "autovacuum=off",
	} {
		args = append(args, "-c", setting)
	}
	return s.keep(exec.Command("/bin/sh", args...))
}

// keep starts cmd so that it outlives neither this process nor its group.
func (s *server) keep(cmd *exec.Cmd) error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	input, lifeline, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	s.lifeline = lifeline
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "dir="+s.dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a ^C is for the tests; the pipe does the rest
	return cmd.Start()
}

// unprivileged returns the words before a command that run it as user postgres
// when this process is root's, as the server refuses to run for root. The
// directory becomes that user's.
func (s *server) unprivileged() ([]string, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	words := []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"}
	return words, os.Chown(s.dir, uid, gid)
}

func (s *server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := s.admin.PingContext(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("PostgreSQL does not start: %w\n%s", err, log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
