package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	"github.com/jmoiron/sqlx"
	"github.com/spf13/cobra"
	_ "modernc.org/sqlite" // driver "sqlite"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/aptrepo/storage/s3"
	"github.com/repod-io/repod/index"
)

// storeConfig says where a repository is kept.
type storeConfig struct {
	dataDir  string
	postgres string // URL, or
	sqlite   string // path of the database
	files    string // directory, or
	bucket   *s3.Config

	secretKey      []byte // nil: the one in dataDir
	signingKeyFile string
	passphrase     string
	signingCommand []string // in place of a key file, as the next
	gpgKey         string   // fingerprint
	gnupgHome      string   // "": gpg's own
	home           string   // of the user, for programs that sign
}

// storeConfig reads the settings of storeSettings.
func (s *settings) storeConfig() (c storeConfig, err error) {
	c.dataDir = s.get("data-dir")
	if c.dataDir == "" {
		return c, usagef("--data-dir is empty")
	}
	if err := c.parseDatabase(s.get("database-url")); err != nil {
		return c, err
	}
	if err := s.parseStorage(&c); err != nil {
		return c, err
	}
	key, err := s.secret(secretKey)
	if err != nil {
		return c, err
	}
	switch {
	case key != "":
		if c.secretKey, err = parseSecretKey(key); err != nil {
			return c, usagef("%s: %w", variable(secretKey), err)
		}
	case c.postgres != "":
		return c, usagef("a PostgreSQL database needs a secret key that all its servers share: " +
			"openssl rand -base64 32 >key; chmod 600 key; and --secret-key-file key")
	}
	if err := s.parseSigning(&c); err != nil {
		return c, err
	}
	c.passphrase, err = s.secret(signingPassphrase)
	return c, err
}

// parseSigning reads where the signing key is, if not in the database.
func (s *settings) parseSigning(c *storeConfig) (err error) {
	c.signingKeyFile, c.gnupgHome, c.home = s.get("signing-key-file"), s.get("signing-gnupg-home"), s.env("HOME")
	c.signingCommand = strings.Fields(s.get("signing-command"))
	if c.gpgKey, err = parseFingerprint(s.get("signing-gpg-key")); err != nil {
		return err
	}
	places := 0
	for _, given := range []bool{c.signingKeyFile != "", len(c.signingCommand) > 0, c.gpgKey != ""} {
		if given {
			places++
		}
	}
	switch {
	case places > 1:
		return usagef("--signing-key-file, --signing-command and --signing-gpg-key exclude each other")
	case c.gnupgHome != "" && c.gpgKey == "":
		return usagef("--signing-gnupg-home goes with --signing-gpg-key")
	}
	return nil
}

func (c *storeConfig) parseDatabase(address string) error {
	scheme, rest, _ := strings.Cut(address, ":")
	switch {
	case address == "":
		c.sqlite = filepath.Join(c.dataDir, "repod.db")
	case scheme == "sqlite" && rest != "":
		c.sqlite = rest
	case scheme == "postgres" || scheme == "postgresql":
		if _, err := url.Parse(address); err != nil { // whose text may hold the password
			return usagef("--database-url is not a valid URL: want postgres://user:password@host/database")
		}
		c.postgres = address
	default:
		return usagef("--database-url: want sqlite:PATH or postgres://user:password@host/database")
	}
	return nil
}

// An opened repository, and what must be closed after it.
type opened struct {
	repo      *aptrepo.Repo
	files     files
	db        *sqlstore.DB
	secretKey []byte
	dataDir   string
	shared    bool // other servers may use the database, too
}

// Close closes database and storage.
func (o *opened) Close() error { return errors.Join(o.db.Close(), o.files.Close()) }

// create makes what a first start needs and does not exist yet: the data
// directory, the secret key, the storage and an empty database that others
// cannot read.
func (c *storeConfig) create(ctx context.Context) error {
	if err := os.MkdirAll(c.dataDir, 0o700); err != nil {
		return fmt.Errorf("creating the data directory: %w", err)
	}
	if c.secretKey == nil {
		if _, err := storedSecretKey(c.keyFile(), nil); err != nil {
			return err
		}
	}
	if err := c.createFiles(ctx); err != nil {
		return err
	}
	if err := c.refuseUnfinished(ctx); err != nil {
		return err
	}
	if c.sqlite == "" {
		return nil
	}
	f, err := os.OpenFile(c.sqlite, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("creating the database: %w", err)
	}
	return f.Close()
}

func (c *storeConfig) keyFile() string { return filepath.Join(c.dataDir, "secret.key") }

// open opens the repository; the database is brought up to date.
func (c *storeConfig) open(ctx context.Context, log *slog.Logger) (*opened, error) {
	key := c.secretKey
	if key == nil {
		var err error
		if key, err = readSecretKey(c.keyFile()); err != nil {
			return nil, c.hint(err)
		}
	}
	signer, err := c.signer(ctx)
	if err != nil {
		return nil, err
	}
	files, err := c.openFiles()
	if err != nil {
		return nil, err
	}
	db, err := c.openDatabase(ctx)
	if err != nil {
		files.Close()
		return nil, err
	}
	if err := db.SignAudit(ctx, aptrepo.AuditKey(key)); err != nil {
		return nil, errors.Join(err, db.Close(), files.Close())
	}
	repo := &aptrepo.Repo{Storage: files, Store: db, SecretKey: key, Signer: signer, Logger: log}
	return &opened{repo: repo, files: files, db: db, secretKey: key, dataDir: c.dataDir, shared: c.postgres != ""}, nil
}

// connect makes a pool of connections, the database of which need not work.
func (c *storeConfig) connect() (*sqlx.DB, sqlstore.Dialect, error) {
	driver, dsn, dialect := "pgx", c.postgres, sqlstore.Postgres
	if c.sqlite != "" {
		driver, dsn, dialect = "sqlite", sqlstore.SQLiteDSN(c.sqlite), sqlstore.SQLite
	}
	conn, err := sqlx.Open(driver, dsn)
	if err != nil {
		return nil, 0, errors.New("opening the database: --database-url is not valid") // err may hold the password
	}
	return conn, dialect, nil
}

func (c *storeConfig) openDatabase(ctx context.Context) (*sqlstore.DB, error) {
	if c.sqlite != "" {
		if _, err := os.Stat(c.sqlite); err != nil {
			return nil, c.hint(err)
		}
	}
	conn, dialect, err := c.connect()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // migrations take a while
	defer cancel()
	db, err := sqlstore.Open(ctx, conn, dialect)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("opening the database (check --database-url): %w", err)
	}
	return db, nil
}

// hint adds what to do when there is no repository where one should be.
func (c *storeConfig) hint(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no repository in %s (start repod serve once, or check --data-dir): %w", c.dataDir, err)
	}
	return err
}

// signer returns what signs in place of the keys in the database, nil for those.
func (c *storeConfig) signer(ctx context.Context) (index.Signer, error) {
	switch {
	case c.signingKeyFile != "":
		return c.keyFileSigner()
	case len(c.signingCommand) > 0:
		s, err := c.commandSigner().signer(ctx)
		if err != nil {
			return nil, fmt.Errorf("asking --signing-command: %w", err)
		}
		return s, nil
	case c.gpgKey != "":
		s, err := c.gpgSigner().signer(ctx)
		if err == nil && (len(s.Keys) != 1 || s.Keys[0].Fingerprint() != c.gpgKey) {
			err = errors.New("it is not the fingerprint of a primary key")
		}
		if err != nil {
			return nil, fmt.Errorf("--signing-gpg-key %s (check --signing-gnupg-home): %w", c.gpgKey, err)
		}
		return s, nil
	}
	return nil, nil
}

func (c *storeConfig) keyFileSigner() (index.Signer, error) {
	if err := guarded(c.signingKeyFile, 0o077); err != nil {
		return nil, err
	}
	armoured, err := os.ReadFile(c.signingKeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	key, err := index.ParseKey(armoured, []byte(c.passphrase))
	if err != nil {
		return nil, fmt.Errorf("%s (check REPOD_SIGNING_KEY_PASSPHRASE): %w", c.signingKeyFile, err)
	}
	return &index.OpenPGP{Keys: []*index.Key{key}}, nil
}

// onStore makes a command work on the server's own data: it gets the settings
// that lead there, and do runs on what is there.
func (p *program) onStore(cmd *cobra.Command, do func(ctx context.Context, o *opened, args []string) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := loadSettings(cmd.Flags(), p.env)
		if err != nil {
			return err
		}
		c, err := s.storeConfig()
		if err != nil {
			return err
		}
		o, err := c.open(cmd.Context(), slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		defer o.Close()
		return do(aptrepo.WithActor(cmd.Context(), aptrepo.Actor{Name: "system"}), o, args)
	}
	addSettings(cmd.Flags(), storeSettings)
	return cmd
}
