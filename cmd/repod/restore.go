package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/backup"
	"github.com/repod-io/repod/aptrepo/sqlstore"
)

// restoreOptions says what to restore, and how to tell.
type restoreOptions struct {
	noFiles bool
	json    bool
}

func (p *program) restoreCommand() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore FILE|DIRECTORY|-",
		Short: "Make a repository of a backup",
		Long: `restore makes a repository of what repod backup has written, the newest backup of
a DIRECTORY: in an empty database and an empty storage, with the secret key of
the server that the backup is of. Database and storage may be of other kinds than
that server's. No server may run on them meanwhile. Everything is compared with
the hashes in the backup before the database is filled. A restore that was broken
off can be started again; the same backup goes on where it was.

Afterwards every distribution is published anew, later than what clients have
seen. All sessions have ended, and pending messages and jobs are dropped: the
former server has seen to them. What was revoked, deactivated or deleted after
the backup is there again.

--no-files restores the database beside files that are there still. repod fsck
then tells how they differ, and repod fsck --repair mends that.`,
		Example: "  repod restore --data-dir /var/lib/repod /backup/repod/",
		GroupID: "server",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := loadSettings(cmd.Flags(), p.env)
			if err != nil {
				return err
			}
			c, err := s.storeConfig()
			if err != nil {
				return err
			}
			return p.restore(cmd.Context(), &c, args[0], o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.noFiles, "no-files", false, "restore only the database, beside the files")
	flags.BoolVar(&o.json, "json", false, "print a JSON object")
	addSettings(flags, storeSettings)
	return cmd
}

func (p *program) restore(ctx context.Context, c *storeConfig, from string, o restoreOptions) error {
	key, err := c.keyForRestore()
	if err != nil {
		return err
	}
	b, err := p.openBackup(from)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.CheckKey(key); err != nil {
		return err
	}
	done, err := p.fillFrom(ctx, c, b, o)
	if err != nil {
		return restoreHint(err)
	}
	on, err := c.open(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer on.Close()
	detail := fmt.Sprintf("of %s; backup=%s rows=%d files=%d", b.Header.CreatedAt.Format(time.RFC3339), b.Header.ID, done.Manifest.Rows, done.Files)
	if err := on.repo.Restored(aptrepo.WithActor(ctx, aptrepo.Actor{Name: "system"}), detail); err != nil {
		return fmt.Errorf("the backup is restored, but could not be published (repod fsck --repair, then start the server): %w", err)
	}
	return p.printRestored(b.Header, done, o)
}

// fillFrom fills database and storage.
func (p *program) fillFrom(ctx context.Context, c *storeConfig, b *backup.Backup, o restoreOptions) (done backup.Restored, err error) {
	if err := os.MkdirAll(c.dataDir, 0o700); err != nil {
		return done, fmt.Errorf("creating the data directory: %w", err)
	}
	if !o.noFiles {
		if err := c.createFiles(ctx); err != nil {
			return done, err
		}
	}
	files, err := c.openFiles()
	if err != nil {
		return done, err
	}
	defer files.Close()
	d := backup.Destination{TempDir: c.dataDir}
	if !o.noFiles {
		d.Files = files
	}
	undo, err := c.createDatabase()
	if err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			undo()
		}
	}()
	conn, dialect, err := c.connect()
	if err != nil {
		return done, err
	}
	defer conn.Close()
	d.Database = func(ctx context.Context, schema int) (*sqlstore.Loading, error) {
		return sqlstore.Load(ctx, conn, dialect, schema)
	}
	progress, end := p.copyProgress("restoring")
	defer end()
	if progress != nil {
		d.Progress = func(files, bytes int64) { progress(files, 0, bytes) }
	}
	return b.Restore(ctx, d)
}

// createDatabase makes an empty file for SQLite, which others cannot read, and
// returns what removes it.
func (c *storeConfig) createDatabase() (undo func(), err error) {
	if c.sqlite == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(c.sqlite, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil // with something in it, it is refused
	}
	if err != nil {
		return nil, fmt.Errorf("creating the database: %w", err)
	}
	return func() {
		for _, end := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(c.sqlite + end) // nothing was in it
		}
	}, f.Close()
}

// refuseUnfinished keeps a server from starting anew among the files of a restore
// that was broken off.
func (c *storeConfig) refuseUnfinished(ctx context.Context) error {
	files, err := c.openFiles()
	if err != nil {
		return err
	}
	defer files.Close()
	unfinished, err := backup.Unfinished(ctx, files)
	if err != nil {
		return fmt.Errorf("reading %s: %w", c.filesName(), err)
	}
	if unfinished {
		return fmt.Errorf("a restore into %s was broken off: run repod restore again, or empty it", c.filesName())
	}
	return nil
}

// restoreHint adds what to do.
func restoreHint(err error) error {
	switch {
	case errors.Is(err, sqlstore.ErrNotEmpty):
		return fmt.Errorf("%w: nothing was changed; restore into a new one (give another --data-dir or --database-url, or move repod.db away)", err)
	case errors.Is(err, backup.ErrNotEmpty):
		return fmt.Errorf("%w: nothing was changed; restore into a new one (give another --data-dir or --storage-url), or use --no-files to keep the files that are there", err)
	}
	return fmt.Errorf("nothing was restored: %w", err)
}

// restoreResult is what restore --json prints.
type restoreResult struct {
	Backup   backup.Header   `json:"backup"`
	Manifest backup.Manifest `json:"manifest"`
	Files    int64           `json:"files"`
	Bytes    int64           `json:"bytes"`
	Users    int64           `json:"sessions_ended"`
	Messages int64           `json:"messages_dropped"`
}

func (p *program) printRestored(h backup.Header, done backup.Restored, o restoreOptions) error {
	if o.json {
		return json.NewEncoder(p.stdout).Encode(restoreResult{h, done.Manifest, done.Files, done.Bytes, done.Settled.Users, done.Settled.Messages})
	}
	_, err := fmt.Fprintf(p.stdout, `restored as of %s: %d rows, %d files of %d bytes
every distribution is published anew
all sessions of %d users have ended; %d pending messages were dropped
users, tokens and packages are as they were then: revoke again what was revoked since
`, h.CreatedAt.Format(time.RFC3339), done.Manifest.Rows, done.Files, done.Bytes, done.Settled.Users, done.Settled.Messages)
	if err == nil && o.noFiles {
		_, err = fmt.Fprintln(p.stdout, "repod fsck tells how the files differ")
	}
	return err
}
