package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/repod-io/repod/aptrepo/backup"
)

// backupOptions says what to copy, and how to tell.
type backupOptions struct {
	noFiles bool
	zstd    bool
	keep    int
	json    bool
}

func (p *program) backupCommand() *cobra.Command {
	var o backupOptions
	cmd := &cobra.Command{
		Use:   "backup FILE|DIRECTORY/|-",
		Short: "Copy database and files, while the server runs",
		Long: `backup copies the whole repository as it is at one moment: the database, which
may be SQLite or PostgreSQL, and all files that it names. Servers may go on. A
FILE is a tar archive, compressed by zstd where its name ends in .zst; - is the
standard output. It appears when it is complete, with mode 0600. A DIRECTORY,
which exists or is written with a slash at its end, takes many backups that
share their files: each further one copies only what is new.

The secret key is NOT in the backup, nor is what --signing-key-file names: keep
a copy of both elsewhere. Without the secret key, nobody can use the signing
keys and passwords in the backup, and it cannot be restored.

Damaged or lost files do not end the backup; they are told of, and the exit
status is 1.`,
		Example: "  repod backup --data-dir /var/lib/repod --keep 14 /backup/repod/",
		GroupID: "server",
		Args:    cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.noFiles, "no-files", false, "only the database, where the files are kept safe otherwise, such as in a bucket with versions")
	flags.BoolVar(&o.zstd, "zstd", false, "compress a FILE of any name, or the standard output")
	flags.IntVar(&o.keep, "keep", 0, "afterwards remove all but the newest `n` backups of a DIRECTORY (default: keep all)")
	flags.BoolVar(&o.json, "json", false, "print a JSON object")
	return p.onStore(cmd, func(ctx context.Context, on *opened, args []string) error { return p.backup(ctx, on, args[0], o) })
}

// A backupTarget is where a backup goes.
type backupTarget interface {
	backup.Target
	// commit makes a complete backup appear; abandon removes an incomplete one,
	// and may be called after commit.
	commit() error
	abandon() error
}

func (p *program) backup(ctx context.Context, on *opened, to string, o backupOptions) error {
	target, err := p.backupTarget(to, o)
	if err != nil {
		return err
	}
	progress, done := p.copyProgress("backing up")
	m, err := backup.Write(ctx, on.repo, on.db, target, backup.Options{
		Program: buildVersion().Version, NoFiles: o.noFiles, TempDir: on.dataDir, Progress: progress,
	})
	done()
	if err == nil {
		err = target.commit()
	}
	if err = errors.Join(err, target.abandon()); err != nil {
		return fmt.Errorf("there is no backup: %w", err)
	}
	removed := 0
	if o.keep > 0 {
		if removed, err = backup.Prune(to, o.keep); err != nil {
			return fmt.Errorf("the backup is complete, but older ones could not be removed: %w", err)
		}
	}
	if err := p.printBackup(m, to, removed, o); err != nil {
		return err
	}
	if m.Missing+m.Damaged > 0 {
		return errReported
	}
	return nil
}

func (p *program) backupTarget(to string, o backupOptions) (backupTarget, error) {
	info, err := os.Stat(to)
	isDir := err == nil && info.IsDir() || strings.HasSuffix(to, "/")
	switch {
	case o.keep < 0 || o.keep > 0 && !isDir:
		return nil, usagef("--keep is for backups in a directory")
	case isDir:
		d, err := backup.OpenDir(to)
		if err != nil {
			return nil, err
		}
		return dirTarget{d}, nil
	case to == "-":
		if isTerminal(p.stdout) {
			return nil, usagef("a backup is not written to a terminal: name a file")
		}
		out := bufio.NewWriterSize(p.stdout, 1<<20)
		t, err := backup.NewTar(out, o.zstd)
		return &streamTarget{t, out}, err
	}
	return newFileTarget(to, o.zstd || strings.HasSuffix(to, ".zst"))
}

type dirTarget struct{ *backup.Dir }

func (dirTarget) commit() error    { return nil }
func (t dirTarget) abandon() error { return t.Close() }

type streamTarget struct {
	*backup.Tar
	out *bufio.Writer
}

func (t *streamTarget) commit() error { return t.out.Flush() }
func (*streamTarget) abandon() error  { return nil }

// A fileTarget writes beside the file, and renames.
type fileTarget struct {
	*backup.Tar
	path, temp string
	file       *os.File
	out        *bufio.Writer
}

func newFileTarget(path string, compressed bool) (*fileTarget, error) {
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:8])
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("creating the backup: %w", err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	t, err := backup.NewTar(out, compressed)
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(temp))
	}
	return &fileTarget{t, path, temp, f, out}, nil
}

func (t *fileTarget) commit() error {
	if err := errors.Join(t.out.Flush(), t.file.Sync(), t.file.Close()); err != nil {
		return err
	}
	t.file = nil
	if err := os.Rename(t.temp, t.path); err != nil {
		return err
	}
	t.temp = ""
	dir, err := os.Open(filepath.Dir(t.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (t *fileTarget) abandon() error {
	if t.file != nil {
		_ = t.file.Close() // it is removed
	}
	if t.temp == "" {
		return nil
	}
	return os.Remove(t.temp)
}

// backupResult is what backup --json prints.
type backupResult struct {
	backup.Manifest
	Removed int `json:"removed"` // older backups
}

func (p *program) printBackup(m backup.Manifest, to string, removed int, o backupOptions) error {
	out := p.stdout
	if to == "-" {
		out = p.stderr
	}
	if o.json {
		return json.NewEncoder(out).Encode(backupResult{m, removed})
	}
	for _, fault := range m.Faults {
		if _, err := fmt.Fprintln(out, oneLine(fault)); err != nil {
			return err
		}
	}
	summary := fmt.Sprintf("%d rows of %d tables, %d files of %d bytes", m.Rows, m.Tables, m.Files, m.Bytes)
	if o.noFiles {
		summary = fmt.Sprintf("%d rows of %d tables; the files are not in it", m.Rows, m.Tables)
	}
	if removed > 0 {
		summary += fmt.Sprintf("; %d older backups removed", removed)
	}
	if n := m.Missing + m.Damaged; n > 0 {
		summary += fmt.Sprintf("; %d files were lost or damaged before: repod fsck tells more", n)
	}
	_, err := fmt.Fprintf(out, "%s\nthe secret key is not in the backup: keep a copy of it elsewhere\n", summary)
	return err
}

// copyProgress returns what shows progress on a terminal, and its end.
func (p *program) copyProgress(what string) (show func(done, total, bytes int64), end func()) {
	if !isTerminal(p.stderr) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	show = func(done, total, bytes int64) {
		if total > 0 {
			bar.ChangeMax64(total)
		}
		bar.Describe(fmt.Sprintf("%s (%d MB)", what, bytes/1e6))
		_ = bar.Set64(done) // a bar that cannot be drawn stops no copy
	}
	return show, func() { _ = bar.Clear() }
}

// openBackup opens what backup has written.
func (p *program) openBackup(from string) (*backup.Backup, error) {
	if from != "-" {
		return backup.Open(from)
	}
	if f, ok := p.stdin.(*os.File); ok && isTerminal(f) {
		return nil, usagef("a backup is not read from a terminal: name a file")
	}
	return backup.Read(io.Reader(p.stdin))
}

// keyForRestore returns the secret key, which must be there already.
func (c *storeConfig) keyForRestore() ([]byte, error) {
	if c.secretKey != nil {
		return c.secretKey, nil
	}
	key, err := readSecretKey(c.keyFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the secret key of the server is needed: copy it to %s, with mode 0600, or give --secret-key-file", c.keyFile())
	}
	return key, err
}
