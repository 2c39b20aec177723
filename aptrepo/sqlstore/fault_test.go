package sqlstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore/pgtest"
)

func (d *DB) scribble(ctx context.Context, name string) error {
	return d.update(ctx, func(t *tx) error { return scribble(t, name) })
}

// patience changes how long the database may take to answer.
func patience(t *testing.T, d time.Duration) {
	usual := answerWithin
	answerWithin = d
	t.Cleanup(func() { answerWithin = usual })
}

// A full database is told apart and harms nobody's earlier changes.
func TestSQLiteFull(t *testing.T) {
	db := openSQLite(t)
	addJammy(t, db)
	// SQLite raises that to the number of pages there are.
	if _, err := db.writer.session.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	big := packageNumber(1)
	big.Control += "X-Large: " + strings.Repeat("large ", 1<<20) + "\n"
	c := gather(t, db) // the connection, and with it the limit, is the same to the end
	var full, small error
	c.add(func() { full = upload(t.Context(), db, big) })
	c.add(func() { small = db.scribble(t.Context(), "small") })
	c.disperse()
	if !errors.Is(full, aptrepo.ErrFull) {
		t.Errorf("upload to a full database: error %v, want ErrFull", full)
	}
	for _, err := range []error{c.first, small} {
		if err != nil && !errors.Is(err, aptrepo.ErrFull) {
			t.Errorf("update beside it: error %v, want none or ErrFull", err)
		}
	}
	if err := upload(t.Context(), db, packageNumber(1)); err != nil && !errors.Is(err, aptrepo.ErrFull) {
		t.Errorf("a small upload: error %v, want none or ErrFull", err)
	}
	if d, err := db.Distribution(t.Context(), "jammy"); err != nil || d.ArtifactCount > 1 {
		t.Errorf("artifacts %d, error %v", d.ArtifactCount, err)
	}
}

// The same on a real full file system, where SQLite finds out while it writes.
func TestSQLiteFullDisk(t *testing.T) {
	disk := tinyDisk(t)
	db := openSQLiteAt(t, filepath.Join(disk, "repod.db"))
	addJammy(t, db)
	ballast := filepath.Join(disk, "ballast")
	if err := fillUp(ballast); err != nil {
		t.Fatal(err)
	}
	big := packageNumber(1)
	big.Control += "X-Large: " + strings.Repeat("large ", 1<<19) + "\n"
	if err := upload(t.Context(), db, big); !errors.Is(err, aptrepo.ErrFull) {
		t.Fatalf("upload to a full disk: error %v, want ErrFull", err)
	}
	if _, err := db.Distributions(t.Context()); err != nil {
		t.Errorf("reading while the disk is full: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := upload(t.Context(), db, packageNumber(1)); err != nil {
		t.Fatalf("with room again: %v", err)
	}
}

// fillUp writes a file until the disk is full.
func fillUp(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 16; size > 0; size /= 2 {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return nil
}

// Another process that keeps the lock makes the store unavailable for as long.
func TestSQLiteLocked(t *testing.T) {
	patience(t, 200*time.Millisecond)
	path := filepath.Join(t.TempDir(), "repod.db")
	db := openSQLiteAt(t, path)
	if err := db.scribble(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	other, err := sqlx.Open("sqlite", SQLiteDSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	tx, err := other.BeginTx(t.Context(), nil) // immediate, as the data source name says
	if err != nil {
		t.Fatal(err)
	}
	if err := upload(t.Context(), db, packageNumber(1)); !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Errorf("upload while locked: error %v, want ErrUnavailable", err)
	}
	if _, err := db.Distributions(t.Context()); err != nil {
		t.Errorf("reading while locked: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	answerWithin = time.Minute
	if err := db.scribble(t.Context(), "after"); err != nil {
		t.Errorf("after the lock is gone: %v", err)
	}
}

func TestSQLiteRefused(t *testing.T) {
	for _, name := range []string{":memory:", "file::memory:?cache=shared"} {
		conn, err := sqlx.Open("sqlite", name)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := Open(t.Context(), conn, SQLite); err == nil || !strings.Contains(err.Error(), "a file on a local") {
			t.Errorf("Open of %s: error %v", name, err)
		}
	}
	conn, err := sqlx.Open("sqlite", SQLiteDSN(filepath.Join(t.TempDir(), "no", "such", "folder")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := Open(t.Context(), conn, SQLite); !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Errorf("Open in a missing folder: error %v, want ErrUnavailable", err)
	}
	if _, err := Open(t.Context(), conn, Dialect(7)); err == nil {
		t.Error("Open took an unknown dialect")
	}
}

// A server that ends a connection in the midst of a transaction fails that
// transaction only; connections that it ended meanwhile are replaced unseen.
func TestPostgresConnectionsEnded(t *testing.T) {
	db := openPostgres(t)
	conn, err := sqlx.Open(pgtest.Driver, pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var name string
	if err := db.conn.Get(&name, "SELECT current_database()"); err != nil {
		t.Fatal(err)
	}
	endAll := func() {
		_, err := conn.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = $1", name)
		if err != nil {
			t.Fatal(err)
		}
	}
	err = db.update(t.Context(), func(tx *tx) error {
		endAll()
		return scribble(tx, "lost")
	})
	if !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Errorf("update on an ended connection: error %v, want ErrUnavailable", err)
	}
	for range 3 {
		endAll()
		if err := db.scribble(t.Context(), "kept"); err != nil {
			t.Errorf("update after connections ended: %v", err)
		}
		endAll()
		if _, err := db.Distributions(t.Context()); err != nil {
			t.Errorf("reading after connections ended: %v", err)
		}
	}
	if got := scribbled(t, db); got["lost"] || !got["kept"] {
		t.Errorf("kept %v", got)
	}
}

// A server that does not answer any more is noticed, for readers and writers
// alike, and the store goes on when it is back.
func TestPostgresHangs(t *testing.T) {
	p, dsn := startProxy(t)
	db := openPostgresAt(t, dsn)
	patience(t, time.Second)
	if err := db.scribble(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	err := db.update(t.Context(), func(tx *tx) error {
		p.hang(true)
		return scribble(tx, "hung")
	})
	if !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Errorf("update in which the server hangs: error %v, want ErrUnavailable", err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := db.scribble(t.Context(), "hung"); !errors.Is(err, aptrepo.ErrUnavailable) {
				t.Errorf("update: error %v, want ErrUnavailable", err)
			}
		})
		wg.Go(func() {
			if _, err := db.Distributions(t.Context()); !errors.Is(err, aptrepo.ErrUnavailable) {
				t.Errorf("reading: error %v, want ErrUnavailable", err)
			}
		})
		wg.Go(func() {
			if err := db.Ping(t.Context()); !errors.Is(err, aptrepo.ErrUnavailable) {
				t.Errorf("Ping: error %v, want ErrUnavailable", err)
			}
		})
	}
	wg.Wait()
	p.hang(false)
	answerWithin = time.Minute // for a machine that is busy, not hung
	if err := db.scribble(t.Context(), "after"); err != nil {
		t.Errorf("update when the server is back: %v", err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("Ping when the server is back: %v", err)
	}
}

// "A Store may have committed when it reports ErrUnavailable": the connection
// breaks after COMMIT was sent.
func TestPostgresCommitUnanswered(t *testing.T) {
	p, dsn := startProxy(t)
	db := openPostgresAt(t, dsn)
	p.cutAfter("COMMIT")
	if err := db.scribble(t.Context(), "unanswered"); !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Errorf("error %v, want ErrUnavailable", err)
	}
	p.cutAfter("")
	if err := db.scribble(t.Context(), "after"); err != nil {
		t.Error(err)
	}
	if got := scribbled(t, db); !got["unanswered"] || !got["after"] {
		t.Errorf("kept %v", got)
	}
}

func TestPostgresRefused(t *testing.T) {
	conn, err := sqlx.Open(pgtest.Driver, "postgres:///db?host="+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := Open(t.Context(), conn, Postgres); !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Errorf("Open without a server: error %v, want ErrUnavailable", err)
	}
}

// coded and stated are errors as drivers give them.
type (
	coded  int
	stated string
)

func (c coded) Error() string { return "code" }
func (c coded) Code() int     { return int(c) }

func (s stated) Error() string    { return "state" }
func (s stated) SQLState() string { return string(s) }

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error // nil: neither
	}{
		{coded(13), aptrepo.ErrFull},
		{coded(10 | 19<<8), aptrepo.ErrFull},
		{coded(5), aptrepo.ErrUnavailable},
		{coded(5 | 1<<8), aptrepo.ErrUnavailable},
		{coded(10 | 3<<8), aptrepo.ErrUnavailable},
		{coded(14), aptrepo.ErrUnavailable},
		{coded(1), nil},         // no such table
		{coded(19 | 8<<8), nil}, // constraint
		{coded(11), nil},        // corrupt
		{stated("53100"), aptrepo.ErrFull},
		{stated("53300"), aptrepo.ErrUnavailable}, // too many connections
		{stated("57P01"), aptrepo.ErrUnavailable}, // shut down
		{stated("57014"), aptrepo.ErrUnavailable}, // statement_timeout
		{stated("40001"), aptrepo.ErrUnavailable},
		{stated("25006"), aptrepo.ErrUnavailable},
		{stated("42P01"), nil}, // no such table
		{stated("23505"), nil}, // constraint
		{stated("28P01"), nil}, // password
		{stated(""), nil},
		{errors.New("database or disk is full"), aptrepo.ErrFull},
		{io.ErrUnexpectedEOF, aptrepo.ErrUnavailable},
		{context.DeadlineExceeded, aptrepo.ErrUnavailable},
		{fmt.Errorf("wrapped: %w", aptrepo.ErrFull), aptrepo.ErrFull},
	} {
		got := classify(fmt.Errorf("driver: %w", c.err), "testing")
		for _, kind := range []error{aptrepo.ErrFull, aptrepo.ErrUnavailable} {
			if errors.Is(got, kind) != (kind == c.want) {
				t.Errorf("%v (%#v): matches %v: %t", got, c.err, kind, errors.Is(got, kind))
			}
		}
		if !errors.Is(got, c.err) {
			t.Errorf("%v does not wrap its cause", got)
		}
	}
	if classify(nil, "testing") != nil {
		t.Error("no error became one")
	}
	if err := lost(classify(coded(13), "testing")); errors.Is(err, aptrepo.ErrUnavailable) || !errors.Is(err, aptrepo.ErrFull) {
		t.Errorf("a commit to a full disk: %v", err)
	}
	if err := lost(coded(1)); !errors.Is(err, aptrepo.ErrUnavailable) {
		t.Errorf("a commit lost: %v", err)
	}
}

// Servers on one database: their updates exclude each other, and their audit
// entries form one chain.
func TestTwoServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "repod.db")
	t.Run("SQLite", func(t *testing.T) { twoServers(t, openSQLiteAt(t, path), openSQLiteAt(t, path)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := pgtest.Database(t)
		twoServers(t, openPostgresAt(t, dsn), openPostgresAt(t, dsn))
	})
}

func twoServers(t *testing.T, servers ...*DB) {
	const workers, each = 4, 10
	key := aptrepo.KeyOf("counter", "1", "all")
	var wg sync.WaitGroup
	for w := range workers {
		s := servers[w%len(servers)]
		wg.Go(func() {
			for range each {
				err := s.Update(t.Context(), func(tx aptrepo.Tx) error {
					stone, err := tx.Tombstone(key)
					if err != nil && !errors.Is(err, aptrepo.ErrArtifactNotFound) {
						return err
					}
					n, _ := strconv.Atoi(stone.SHA256)
					if err := tx.PutTombstone(aptrepo.Tombstone{Key: key, SHA256: strconv.Itoa(n + 1)}); err != nil {
						return err
					}
					return tx.Audit(aptrepo.AuditEntry{Action: "count"})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	err := servers[0].Update(t.Context(), func(tx aptrepo.Tx) error {
		stone, err := tx.Tombstone(key)
		if stone.SHA256 != strconv.Itoa(workers*each) {
			t.Errorf("counted to %s, want %d", stone.SHA256, workers*each)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	entries, err := servers[1].AuditEntries(t.Context(), 0, 1000)
	if err != nil || len(entries) != workers*each {
		t.Errorf("%d audit entries, error %v", len(entries), err)
	}
	prev := ""
	for _, e := range entries {
		if hash, err := e.Chain(prev); err != nil || hash != e.Hash {
			t.Fatalf("the chain breaks at entry %d (error %v)", e.ID, err)
		}
		prev = e.Hash
	}
}

// A proxy stands before the server's socket.
type proxy struct {
	server string

	mu   sync.Mutex
	wake sync.Cond // when hung changes
	hung bool
	cut  string
}

// startProxy returns a proxy and a data source name that leads through it.
func startProxy(t *testing.T) (*proxy, string) {
	t.Helper()
	dsn := pgtest.Database(t)
	dir, err := os.MkdirTemp("", "proxy") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server := pgtest.Socket(t)
	l, err := net.Listen("unix", filepath.Join(dir, filepath.Base(server)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &proxy{server: server}
	p.wake.L = &p.mu
	go p.serve(l)
	escape := func(path string) string { return strings.ReplaceAll(path, "/", "%2F") }
	through := strings.Replace(dsn, escape(filepath.Dir(server)), escape(dir), 1)
	if through == dsn {
		t.Fatalf("%s does not name the socket's directory", dsn)
	}
	return p, through
}

func (p *proxy) hang(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hung = on
	p.wake.Broadcast()
}

// cutAfter makes the proxy break a connection once a client has sent word.
func (p *proxy) cutAfter(word string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = word
}

func (p *proxy) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.server)
		if err != nil {
			client.Close()
			continue
		}
		lost := new(atomic.Bool) // answers are
		go p.copy(server, client, lost, true)
		go p.copy(client, server, lost, false)
	}
}

func (p *proxy) copy(to, from net.Conn, lost *atomic.Bool, request bool) {
	if !request { // ends when the server has had its say
		defer to.Close()
		defer from.Close()
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			if half, ok := to.(*net.UnixConn); ok {
				_ = half.CloseWrite()
			}
			return
		}
		p.mu.Lock()
		for p.hung {
			p.wake.Wait()
		}
		cut := request && p.cut != "" && bytes.Contains(buf[:n], []byte(p.cut))
		p.mu.Unlock()
		if cut {
			lost.Store(true)
		}
		if !request && lost.Load() {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
		if cut {
			// The server sees the end of its input only after the statement.
			if half, ok := to.(*net.UnixConn); ok {
				_ = half.CloseWrite()
			}
			from.Close()
			return
		}
	}
}
