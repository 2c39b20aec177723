package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/s3"
	"github.com/repod-io/repod/aptrepo/storage/s3/s3test"
	"github.com/repod-io/repod/aptrepo/storage/storagetest"
)

// at returns how to reach a new bucket of a server, with parts as small as can
// be.
func at(srv *s3test.Server) s3.Config {
	return s3.Config{
		Endpoint: srv.Endpoint, Region: s3test.Region, Bucket: srv.Bucket(), PathStyle: true,
		AccessKeyID: srv.AccessKey, SecretAccessKey: srv.SecretKey, PartSize: partSize,
	}
}

const partSize = 5 << 20

func open(t testing.TB, c s3.Config) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, b storage.Backend, key, body string) {
	t.Helper()
	must(t, b.Put(t.Context(), key, strings.NewReader(body)))
}

func want(t *testing.T, b storage.Backend, key string, body []byte) {
	t.Helper()
	r, info, err := b.Open(t.Context(), key)
	must(t, err)
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil || info.Size != int64(len(body)) || !bytes.Equal(got, body) {
		t.Fatalf("%s has %d bytes (size %d), %v; want %d others", key, len(got), info.Size, err, len(body))
	}
}

func wantMissing(t *testing.T, b storage.Backend, key string) {
	t.Helper()
	if _, _, err := b.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s: error %v, want that it is missing", key, err)
	}
}

// wantNoUploads checks that no parts of files are left.
func wantNoUploads(t *testing.T, srv *s3test.Server, bucket string) {
	t.Helper()
	for u := range srv.Client().ListIncompleteUploads(t.Context(), bucket, "", true) {
		t.Errorf("an upload is left: %s, %v", u.Key, u.Err)
	}
}

// noise returns bytes that are nowhere the same.
func noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(b)
	return b
}

func TestBackend(t *testing.T) {
	srv := s3test.Start(t)
	storagetest.Run(t, func(t *testing.T) storage.Backend { return open(t, at(srv)) })
}

// Under a prefix the same rules hold, but for keys so long that they exceed the
// protocol's limit together with it. What lies beside it is not seen.
func TestBackendUnderPrefix(t *testing.T) {
	srv := s3test.Start(t)
	for _, rule := range storagetest.Rules() {
		if rule.Name == "APTNames" {
			continue
		}
		t.Run(rule.Name, func(t *testing.T) {
			c := at(srv)
			all := open(t, c)
			put(t, all, "debian/app", "beside")
			put(t, all, "debian/apt+/k", "beside")
			put(t, all, "debian/apt.x", "beside")
			c.Prefix = "debian/apt"
			must(t, rule.Check(t.Context(), open(t, c)))
			for info, err := range all.List(t.Context(), "") {
				if err != nil || !strings.HasPrefix(info.Key, "debian/ap") {
					t.Errorf("%q, %v", info.Key, err)
				}
			}
		})
	}
}

// Another client, and the file system of the store, see the names that keys
// stand for.
func TestNames(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	c.Prefix = "apt repo"
	b := open(t, c)
	for _, key := range []string{
		"pool/main/g/g++/g++_1:12.2.0-3+b1~deb12u1_amd64.deb", "pool/x_1%3a2.deb", "a b/c+d/%2b/~:=&?#;,@!$'()*",
	} {
		put(t, b, key, key)
		want(t, b, key, []byte(key))
		o, err := srv.Client().StatObject(t.Context(), c.Bucket, "apt repo/"+key, minio.StatObjectOptions{})
		if err != nil || o.Size != int64(len(key)) {
			t.Errorf("%s: %+v, %v", key, o, err)
		}
		if text, err := os.ReadFile(filepath.Join(srv.Dir, c.Bucket, "apt repo", key)); string(text) != key {
			t.Errorf("%s: the store's file has %q, %v", key, text, err)
		}
		must(t, b.Delete(t.Context(), key))
		wantMissing(t, b, key)
	}
	long := strings.Repeat(strings.Repeat("d", 200)+"/", 5) + "n"
	if err := b.Put(t.Context(), long+strings.Repeat("n", 9), strings.NewReader("")); err != nil {
		t.Errorf("1024 bytes with the prefix, or fewer: %v", err)
	}
	if err := b.Put(t.Context(), long+strings.Repeat("n", 10), strings.NewReader("")); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("more than 1024 bytes with the prefix: %v", err)
	}
}

// A large file is sent in parts, without a copy in memory or on disk.
func TestLargeFile(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	c.PartSize = 0 // 16 MiB
	b := open(t, c)
	const size = 64<<20 + 12_345
	file, err := os.Create(filepath.Join(t.TempDir(), "large"))
	must(t, err)
	defer file.Close()
	sum := sha256.New()
	for chunk := range slices.Chunk(noise(size), 1<<20) {
		sum.Write(chunk)
		_, err := file.Write(chunk)
		must(t, err)
	}
	_, err = file.Seek(0, io.SeekStart)
	must(t, err)

	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing")) // no temporary files
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, b.Put(t.Context(), "large", file))
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d KiB allocated", allocated>>10)
	if allocated > 8<<20 {
		t.Errorf("Put of %d MiB allocated %d MiB", size>>20, allocated>>20)
	}

	theirs, err := srv.Client().GetObject(t.Context(), c.Bucket, "large", minio.GetObjectOptions{})
	must(t, err)
	ours, info, err := b.Open(t.Context(), "large")
	must(t, err)
	defer ours.Close()
	if info.Size != size || time.Since(info.ModTime).Abs() > time.Minute {
		t.Errorf("%+v", info)
	}
	for name, r := range map[string]io.Reader{"another client": theirs, "Open": ours} {
		got := sha256.New()
		if n, err := io.Copy(got, r); err != nil || n != size || !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
			t.Errorf("%s reads %d bytes, %v", name, n, err)
		}
	}
	o, err := srv.Client().StatObject(t.Context(), c.Bucket, "large", minio.StatObjectOptions{})
	if err != nil || !strings.HasSuffix(o.ETag, "-5") {
		t.Errorf("the file was not sent in 5 parts: ETag %q, %v", o.ETag, err)
	}
	wantNoUploads(t, srv, c.Bucket)
}

// The sizes about the border between one request and several.
func TestPartBorders(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	b := open(t, c)
	for _, size := range []int{0, 1, partSize - 1, partSize, partSize + 1, 2*partSize - 1, 2 * partSize, 2*partSize + 1} {
		data := noise(size + 3)
		r := bytes.NewReader(data)
		_, err := r.Seek(3, io.SeekStart)
		must(t, err)
		key := fmt.Sprint("k", size)
		must(t, b.Create(t.Context(), key, r))
		want(t, b, key, data[3:])
		o, err := srv.Client().StatObject(t.Context(), c.Bucket, key, minio.StatObjectOptions{})
		must(t, err)
		_, parts, _ := strings.Cut(o.ETag, "-") // of a file in one part there is no number
		if n := (size + partSize - 1) / partSize; n <= 1 && parts != "" || n > 1 && parts != fmt.Sprint(n) {
			t.Errorf("%d bytes: the ETag is %s, want that of %d parts", size, o.ETag, n)
		}
		if err := b.Create(t.Context(), key, strings.NewReader("x")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%d bytes: a second Create: %v", size, err)
		}
		_, err = r.Seek(3, io.SeekStart)
		must(t, err)
		if err := b.Create(t.Context(), key, r); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%d bytes: a second Create of the same: %v", size, err)
		}
	}
}

func TestSeek(t *testing.T) {
	srv := s3test.Start(t)
	b := open(t, at(srv))
	data := noise(partSize + 1000)
	must(t, b.Put(t.Context(), "k", bytes.NewReader(data)))
	f, _, err := b.Open(t.Context(), "k")
	must(t, err)
	defer f.Close()
	r := f.(io.ReadSeeker)
	for range 50 {
		from := rand.IntN(len(data))
		n := rand.IntN(min(len(data)-from, 100_000)) + 1
		_, err := r.Seek(int64(from), io.SeekStart)
		must(t, err)
		got := make([]byte, n)
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, data[from:from+n]) {
			t.Fatalf("%d bytes at %d: %v", n, from, err)
		}
	}
	if _, err := r.Seek(-1, io.SeekStart); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Seek before the beginning: %v", err)
	}
	if n, err := r.Seek(10, io.SeekEnd); err != nil || n != int64(len(data))+10 {
		t.Errorf("Seek behind the end: %d, %v", n, err)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read behind the end: %v", err)
	}
	must(t, f.Close())
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
}

// A reader that needs another request never gets bytes of another file, be it as
// long as its own.
func TestReplacedWhileRead(t *testing.T) {
	srv := s3test.Start(t)
	b := open(t, at(srv))
	for name, change := range map[string]func() error{
		"replaced": func() error { return b.Put(t.Context(), "k", bytes.NewReader(make([]byte, 1<<20))) },
		"deleted":  func() error { return b.Delete(t.Context(), "k") },
	} {
		t.Run(name, func(t *testing.T) {
			must(t, b.Put(t.Context(), "k", bytes.NewReader(noise(1<<20))))
			f, _, err := b.Open(t.Context(), "k")
			must(t, err)
			defer f.Close()
			_, err = io.ReadFull(f, make([]byte, 1000))
			must(t, err)
			must(t, change())
			_, err = f.(io.Seeker).Seek(100, io.SeekStart)
			must(t, err)
			for range 2 {
				if n, err := f.Read(make([]byte, 10)); n != 0 || !errors.Is(err, s3.ErrReplaced) {
					t.Errorf("read %d bytes, %v; want ErrReplaced", n, err)
				}
			}
		})
	}
}

// Writers of large files at one key: the result is the file of one of them, and
// one alone creates it.
func TestConcurrentParts(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	b := open(t, c)
	const writers = 4
	bodies := make([][]byte, writers)
	for i := range bodies {
		bodies[i] = noise(2*partSize + i)
	}
	race := func(key string, write func(context.Context, string, io.ReadSeeker) error) []error {
		errs := make([]error, writers)
		done := make(chan int)
		for i := range writers {
			go func() {
				errs[i] = write(t.Context(), key, bytes.NewReader(bodies[i]))
				done <- i
			}()
		}
		for range writers {
			<-done
		}
		return errs
	}
	for _, err := range race("put", b.Put) {
		must(t, err)
	}
	r, info, err := b.Open(t.Context(), "put")
	must(t, err)
	got, err := io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	if i := int(info.Size) - 2*partSize; i < 0 || i >= writers || !bytes.Equal(got, bodies[i]) {
		t.Errorf("the file of %d bytes is nobody's", info.Size)
	}

	won := -1
	for i, err := range race("create", b.Create) {
		switch {
		case err == nil && won < 0:
			won = i
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("writer %d (writer %d has won): %v", i, won, err)
		}
	}
	if won < 0 {
		t.Fatal("nobody has created the file")
	}
	want(t, b, "create", bodies[won])
	wantNoUploads(t, srv, c.Bucket)
}

// List asks for page after page.
func TestListPages(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	const files = 1_234
	var keys []string
	for i := range files {
		key := fmt.Sprintf("pool/%c/%d.deb", 'a'+i%7, i)
		keys = append(keys, key)
		path := filepath.Join(srv.Dir, c.Bucket, key)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("x"), 0o600))
	}
	slices.Sort(keys)
	for _, size := range []int{0, 1000, 100, 7} {
		c.PageSize = size
		var got []string
		for info, err := range open(t, c).List(t.Context(), "pool/") {
			must(t, err)
			got = append(got, info.Key)
		}
		if !slices.Equal(got, keys) {
			t.Errorf("pages of %d: %d keys, want %d", size, len(got), files)
		}
	}
}

// Other programs' markers of directories are no files.
func TestListForeign(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	b := open(t, c)
	_, err := srv.Client().PutObject(t.Context(), c.Bucket, "pool/empty/", strings.NewReader(""), 0, minio.PutObjectOptions{DisableContentSha256: true})
	must(t, err)
	put(t, b, "pool/x", "x")
	n := 0
	for info, err := range b.List(t.Context(), "pool/") {
		must(t, err)
		n++
		if info.Key != "pool/x" {
			t.Errorf("listed: %q", info.Key)
		}
	}
	if n != 1 {
		t.Errorf("%d files", n)
	}
}

func TestCleanTemp(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	core := minio.Core{Client: srv.Client()}
	start := func(key string) string {
		id, err := core.NewMultipartUpload(t.Context(), c.Bucket, key, minio.PutObjectOptions{})
		must(t, err)
		return id
	}
	count := func() (n int) {
		for u := range core.ListIncompleteUploads(t.Context(), c.Bucket, "", true) {
			must(t, u.Err)
			n++
		}
		return n
	}
	start("apt/crashed")
	start("apt/crashed")
	busy := start("apt/busy")
	start("other")
	time.Sleep(1100 * time.Millisecond) // the store counts in seconds
	border := time.Now().Truncate(time.Second)
	_, err := core.PutObjectPart(t.Context(), c.Bucket, "apt/busy", busy, 1, strings.NewReader("x"), 1, minio.PutObjectPartOptions{})
	must(t, err)

	c.Prefix = "apt"
	b := open(t, c)
	for _, step := range []struct {
		before        time.Time
		removed, left int
	}{
		{time.Now().Add(-time.Hour), 0, 4},
		{border, 2, 2}, // not the one that has a part since
		{time.Now().Add(time.Hour), 1, 1},
		{time.Now().Add(time.Hour), 0, 1}, // the other is not below our prefix
	} {
		n, err := storage.CleanTemp(t.Context(), b, step.before)
		if err != nil || n != step.removed || count() != step.left {
			t.Errorf("before %v: removed %d, %d are left, %v; want %d and %d", step.before, n, count(), err, step.removed, step.left)
		}
	}
}

func TestURL(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	c.Prefix = "apt"
	const key = "pool/g++_1:2~3+b1_amd64.deb"
	put(t, open(t, c), key, "0123456789")
	if _, err := storage.URL(t.Context(), open(t, c), key); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without Redirect: %v", err)
	}
	c.Redirect = 10 * time.Minute
	address, err := storage.URL(t.Context(), open(t, c), key)
	must(t, err)
	if strings.Contains(address, srv.SecretKey) || !strings.Contains(address, "X-Amz-Expires=600") {
		t.Errorf("the address is %s", address)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	must(t, err)
	req.Header.Set("Range", "bytes=2-4")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusPartialContent || string(text) != "234" {
		t.Errorf("status %d, %q, %v", resp.StatusCode, text, err)
	}
}

// Where clients reach the store by another name, that one is signed: a store
// refuses the signature for any other.
func TestPublicEndpoint(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	c.Redirect, c.PublicEndpoint = time.Minute, "https://files.example:8443"
	address, err := storage.URL(t.Context(), open(t, c), "pool/x.deb")
	if err != nil || !strings.HasPrefix(address, c.PublicEndpoint+"/"+c.Bucket+"/pool/x.deb?") {
		t.Errorf("%s, %v", address, err)
	}
	other := strings.Replace(srv.Endpoint, "127.0.0.1", "localhost", 1)
	put(t, open(t, c), "pool/x.deb", "0123456789")
	c.PublicEndpoint = other
	address, err = storage.URL(t.Context(), open(t, c), "pool/x.deb")
	must(t, err)
	for given, want := range map[string]int{address: http.StatusOK, strings.Replace(address, "x.deb", "y.deb", 1): http.StatusForbidden} {
		resp, err := http.Get(given)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s answers %d, want %d", given, resp.StatusCode, want)
		}
	}
	c.Redirect = 0
	if _, err := s3.Open(c); err == nil {
		t.Error("a public endpoint without redirects is taken")
	}
}

// A directory that was made in the store's own is a bucket: compose.yaml makes it so.
func TestDirectoryIsBucket(t *testing.T) {
	srv := s3test.Start(t)
	must(t, os.Mkdir(filepath.Join(srv.Dir, "made-by-hand"), 0o755))
	c := at(srv)
	c.Bucket, c.Prefix = "made-by-hand", "apt"
	must(t, open(t, c).Probe(t.Context()))
}

func TestStat(t *testing.T) {
	srv := s3test.Start(t)
	b := open(t, at(srv))
	put(t, b, "pool/x.deb", "0123456789")
	r, want, err := b.Open(t.Context(), "pool/x.deb")
	must(t, err)
	must(t, r.Close())
	if got, err := storage.Stat(t.Context(), b, "pool/x.deb"); err != nil || got.Key != want.Key || got.Size != 10 || !got.ModTime.Equal(want.ModTime) {
		t.Errorf("%+v, %v; Open says %+v", got, err, want)
	}
	if _, err := storage.Stat(t.Context(), b, "pool/y.deb"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of none: %v", err)
	}
	if _, err := storage.Stat(t.Context(), b, "pool/../y.deb"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("of no key: %v", err)
	}
}

func TestProbe(t *testing.T) {
	srv := s3test.Start(t)
	c := at(srv)
	b := open(t, c)
	must(t, b.Probe(t.Context()))
	for info := range b.List(t.Context(), "") {
		t.Errorf("Probe has left %s", info.Key)
	}
	c.Bucket = "no-such-bucket"
	if err := open(t, c).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("without the bucket: %v", err)
	}
	if _, _, err := open(t, c).Open(t.Context(), "k"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open without the bucket: %v; it must not look like a missing file", err)
	}
}
