package bench

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "modernc.org/sqlite" // driver "sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/deb"
)

const codename = "bookworm"

// seedBatch is how many packages of a seed one transaction records.
const seedBatch = 1000

// A seed is a repository with many packages on SQLite and a directory, as
// repod serve keeps them. The packages' files are missing: no figure reads
// them.
type seed struct {
	dir string // data directory
	n   int
}

var (
	seedsMu sync.Mutex
	seeds   = make(map[int]*seed)
)

// seeded returns the repository of n packages of this run. Benchmarks add a
// few to it.
func seeded(b *testing.B, n int) *seed {
	b.Helper()
	seedsMu.Lock()
	defer seedsMu.Unlock()
	if s := seeds[n]; s != nil {
		return s
	}
	s := &seed{filepath.Join(scratch, fmt.Sprintf("seed-%d", n)), n}
	s.initialise(b)
	s.fill(b)
	seeds[n] = s
	return s
}

// initialise lets the server make the data directory.
func (s *seed) initialise(b *testing.B) {
	b.Helper()
	server := serve(b, s.dir, "--distributions", codename)
	server.stop(b)
}

// fill records the packages and publishes them all.
func (s *seed) fill(b *testing.B) {
	b.Helper()
	repo, closeRepo := s.open(b)
	defer closeRepo()
	ctx := b.Context()
	controls := stanzas(b)
	for first := 0; first < s.n; first += seedBatch {
		err := repo.Store.Update(ctx, func(tx aptrepo.Tx) error {
			for i := first; i < min(first+seedBatch, s.n); i++ {
				if err := insert(tx, controls[i%len(controls)], i/len(controls)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := repo.Recover(ctx); err != nil {
		b.Fatal(err)
	}
}

// insert records one package as published. copyOf makes its name another one
// when the list of packages is used again.
func insert(tx aptrepo.Tx, control *deb.Stanza, copyOf int) error {
	control = control.Clone()
	if copyOf > 0 {
		if err := control.Set("Package", fmt.Sprintf("%s-copy%d", control.Get("Package"), copyOf)); err != nil {
			return err
		}
	}
	name, version := control.Get("Package"), control.Get("Version")
	sum := []byte(name + " " + version)
	md, short, long := md5.Sum(sum), sha256.Sum256(sum), sha512.Sum512(sum)
	_, plain, epoch := strings.Cut(version, ":")
	if !epoch {
		plain = version
	}
	a := aptrepo.Artifact{
		Name: name, Version: version, Arch: "amd64", Source: name, SourceVersion: version,
		Component: "main", Section: control.Get("Section"), Priority: control.Get("Priority"),
		Maintainer: control.Get("Maintainer"), Description: control.Get("Description"),
		Control:  control.String(),
		Filename: fmt.Sprintf("pool/main/%s/%s/%s_%s_amd64.deb", name[:1], name, name, plain),
		Size:     100_000, SHA256: hex.EncodeToString(short[:]), SHA512: hex.EncodeToString(long[:]), MD5: hex.EncodeToString(md[:]),
		Status: aptrepo.Indexed, Origin: "upload", UploadedBy: "seed", UploadedAt: time.Now().UTC().Truncate(time.Second),
	}
	if err := tx.InsertArtifact(&a); err != nil {
		return fmt.Errorf("%s %s: %w", name, version, err)
	}
	_, _, err := tx.AddPublication(a.ID, aptrepo.Publication{Distribution: codename, Component: "main", PublishedAt: a.UploadedAt})
	return err
}

// open opens the repository with the library, while no server runs.
func (s *seed) open(b *testing.B) (*aptrepo.Repo, func()) {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "secret.key"))
	if err != nil {
		b.Fatal(err)
	}
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil {
		b.Fatal(err)
	}
	files, err := storage.OpenDir(filepath.Join(s.dir, "files"))
	if err != nil {
		b.Fatal(err)
	}
	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(s.dir, "repod.db")))
	if err != nil {
		b.Fatal(err)
	}
	db, err := sqlstore.Open(context.Background(), conn, sqlstore.SQLite)
	if err != nil {
		b.Fatal(err)
	}
	repo := &aptrepo.Repo{Storage: files, Store: db, SecretKey: key, Logger: slog.New(slog.DiscardHandler)}
	return repo, func() {
		if err := errors.Join(db.Close(), files.Close()); err != nil {
			b.Error(err)
		}
	}
}

// packages writes the current Packages file to a temporary file.
func packages(b *testing.B, repo *aptrepo.Repo) string {
	b.Helper()
	f, err := repo.OpenFile(b.Context(), "dists/"+codename+"/main/binary-amd64/Packages")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	out, err := os.Create(filepath.Join(b.TempDir(), "Packages"))
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, f); err != nil {
		b.Fatal(err)
	}
	return out.Name()
}

// stanzas returns the control stanzas of many packages: all that this
// machine's apt knows, when it knows some thousands, else invented ones of
// the same size.
func stanzas(b *testing.B) []*deb.Stanza {
	b.Helper()
	all, err := stanzasOnce()
	if err != nil {
		b.Fatal(err)
	}
	return all
}

var stanzasOnce = sync.OnceValues(func() ([]*deb.Stanza, error) {
	out, err := exec.Command("apt-cache", "dumpavail").Output()
	if err != nil || bytes.Count(out, []byte("\nPackage: ")) < 5000 {
		return invented(), nil
	}
	var all []*deb.Stanza
	seen := make(map[string]bool)
	for r := deb.NewStanzaReader(bytes.NewReader(out), 0); ; {
		raw, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		s, err := raw.Parse()
		if err != nil || seen[s.Get("Package")] || !deb.ValidPackageName(s.Get("Package")) {
			continue
		}
		seen[s.Get("Package")] = true
		// What an archive adds to the control file.
		for _, name := range []string{"Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5", "Tag", "APT-ID"} {
			s.Del(name)
		}
		if err := s.Set("Architecture", "amd64"); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
})

func invented() []*deb.Stanza {
	var all []*deb.Stanza
	for i := range 20_000 {
		text := fmt.Sprintf("Package: invented-%05d\nVersion: %d.%d-1\nArchitecture: amd64\nSection: misc\nPriority: optional\n"+
			"Maintainer: Test <test@example.org>\nInstalled-Size: %d\nDepends: libc6 (>= 2.%d), libinvented%d\nDescription: package %[1]d\n",
			i, i%7, i%11, i*17%9000, i%36, i%900)
		for line := range 5 {
			text += fmt.Sprintf(" This line of the description, number %d of package %x, says nothing %x.\n", line, i*i, i*31)
		}
		s, err := deb.ParseStanza([]byte(text))
		if err != nil {
			panic(err)
		}
		all = append(all, s)
	}
	return all
}
