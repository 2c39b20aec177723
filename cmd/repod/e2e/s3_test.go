package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/storage/s3/s3test"
)

// newBucket starts a store and returns how servers are told of a bucket there,
// a directory of its files, and the store.
func newBucket(t *testing.T) (url, dir string, store *s3test.Server) {
	t.Helper()
	store = s3test.Start(t)
	bucket := store.Bucket()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(store.SecretKey+"\n"), 0o600); err != nil { // doctor wants it so
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", store.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY_FILE", secret)
	return store.URL(bucket, "apt"), filepath.Join(store.Dir, bucket, "apt"), store
}

// TestS3 is a repository whose files are in a bucket: from a package to apt, and
// again after a restart. The store goes away and comes back, and a file of it is
// lost.
func TestS3(t *testing.T) {
	slow(t)
	url, files, store := newBucket(t)
	dir := filepath.Join(t.TempDir(), "data")
	where := []string{"--storage-url", url}
	s := serve(t, dir, append(where, "--distributions", both)...)
	token := newToken(t, s)
	c := newAPI(s.URL, token)
	check := newChecker(t, s)
	root := newAptRoot(t, check.base, "bookworm", check.keyring)

	hello := newPkg("hello+s3", "1:1.0~rc1+b1", 100)
	large := newPkg("large-s3", "1.0", 20<<20) // sent in parts
	for _, p := range []pkg{hello, large} {
		must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", p.Deb))
	}
	must(t, http.StatusOK)(c.promote(t.Context(), hello, "bookworm", "trixie"))
	still(t, check)
	if err := root.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	output(t, root.command(t.Context(), "apt-get", "-y", "install", "--download-only", hello.Name, large.Name))
	if got := root.archives(t); len(got) != 2 {
		t.Errorf("apt has downloaded %v", got)
	}
	if found, _ := filepath.Glob(filepath.Join(files, "pool/main/h/hello+s3/*.deb")); len(found) != 1 {
		t.Errorf("the bucket has %v", found)
	}
	if _, err := os.Stat(filepath.Join(dir, "files")); err == nil {
		t.Error("there are files in the data directory, too")
	}
	doctor := exec.CommandContext(t.Context(), binary(t), append([]string{"doctor", "--data-dir", dir}, where...)...)
	doctor.Env = serverEnv()
	if text := output(t, doctor); !strings.Contains(text, "s3://bucket-1/apt") || strings.Contains(text, store.SecretKey) {
		t.Errorf("doctor says\n%s", text)
	}
	if report := fsck(t, dir, where...); report.Published != 2 {
		t.Errorf("fsck counts %d publications", report.Published)
	}

	storeLost(t, c, store)
	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", newPkg("afterwards", "1.0", 100).Deb))
	s.stop(t)
	again := serve(t, dir, where...)
	still(t, check.at(again))
	fsck(t, dir, where...)
	if text := s.Log.String() + again.Log.String(); strings.Contains(text, store.SecretKey) || strings.Contains(text, store.AccessKey) {
		t.Error("the log has the credentials")
	}

	if err := os.RemoveAll(filepath.Join(files, "pool/main/h/hello+s3")); err != nil {
		t.Fatal(err)
	}
	lost := exec.CommandContext(t.Context(), binary(t), append([]string{"fsck", "--data-dir", dir}, where...)...)
	lost.Env = serverEnv()
	out, err := lost.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "hello+s3") || strings.Contains(string(out), "large-s3") {
		t.Errorf("fsck does not name the lost file: %v\n%s", err, out)
	}
}

// storeLost takes the store away: uploads are refused with 503 then, and accepted
// when it is back. fsck says that it cannot look, and not that files are lost.
func storeLost(t *testing.T, c *api, store *s3test.Server) {
	t.Helper()
	store.Stop()
	began := time.Now()
	a, err := c.upload(t.Context(), "bookworm", newPkg("refused", "1.0", 1000).Deb)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("upload without the store: %d after %v", a.Status, time.Since(began).Round(time.Millisecond))
	if a.Status != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || strings.Contains(string(a.Body), "127.0.0.1") {
		t.Errorf("without the store: %d %s", a.Status, a.Body)
	}
	eventually(t, startLimit, func() error { return ready(t.Context(), c, http.StatusServiceUnavailable) })
	store.Start()
	eventually(t, startLimit, func() error { return ready(t.Context(), c, http.StatusOK) })
}

// TestS3Servers publishes at two servers of one PostgreSQL database and one
// bucket at the same time. Nothing of a server's own matters: each shows all.
func TestS3Servers(t *testing.T) {
	slow(t)
	url, _, _ := newBucket(t)
	db := startPostgres(t)
	where := []string{"--storage-url", url, "--secret-key-file", secretKey(t), "--database-url", db.url(db.address)}
	args := append(where, "--distributions", "bookworm")
	dirs := []string{t.TempDir(), t.TempDir()}
	servers := []*server{serve(t, dirs[0], args...), serve(t, dirs[1], args...)}
	token := newToken(t, servers[0])
	check := newChecker(t, servers[0])

	const each = 12
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() {
			c := newAPI(s.URL, token)
			for n := range each {
				if err := uploaded(t.Context(), c, newPkg(fmt.Sprintf("from-%d-%d", i, n), "1.0", 1000)); err != nil {
					t.Errorf("server %d: %v", i, err)
				}
			}
		})
	}
	all.Wait()
	for i, s := range servers {
		at := check.at(s)
		eventually(t, startLimit, func() error { // until it has heard of the other's publications
			st, err := at.verify(t.Context(), "bookworm", true)
			if err != nil {
				return err
			}
			if len(st.Packages) != 2*each {
				return fmt.Errorf("server %d lists %d packages", i, len(st.Packages))
			}
			return at.pool(t.Context(), st)
		})
		root := newAptRoot(t, at.base, "bookworm", at.keyring)
		if err := root.update(t.Context()); err != nil {
			t.Fatal(err)
		}
		output(t, root.command(t.Context(), "apt-get", "-y", "install", "--download-only", fmt.Sprintf("from-%d-0", 1-i)))
	}
	sameFile(t, newAPI(servers[0].URL, token), newAPI(servers[1].URL, token))
	for _, s := range servers {
		s.stop(t)
	}
	if report := fsck(t, dirs[1], where...); report.Published != 2*each {
		t.Errorf("fsck counts %d publications", report.Published)
	}
}

// sameFile checks that a version cannot get other bytes at another server.
func sameFile(t *testing.T, first, second *api) {
	t.Helper()
	p := newPkg("same", "1.0", 100)
	must(t, http.StatusCreated)(first.upload(t.Context(), "bookworm", p.Deb))
	must(t, http.StatusConflict)(second.upload(t.Context(), "bookworm", newPkg("same", "1.0", 200).Deb))
	must(t, http.StatusNoContent)(second.remove(t.Context(), p))
}
