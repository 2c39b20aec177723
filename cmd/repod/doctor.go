package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/aptrepo"
	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/httpapi/client"
)

const (
	// lowSpace and lowInodes are what doctor wants to be free.
	lowSpace  = 1 << 30
	lowInodes = 10_000
	// expiresSoon is when a signing key should have been replaced.
	expiresSoon = 30 * 24 * time.Hour
	// maxClockSkew is tolerated between this machine and the server.
	maxClockSkew = time.Minute
)

func (p *program) doctorCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check that everything a server needs works",
		Long: `doctor checks the settings of repod serve, secrets that others can read, the
database and its clock, the storage, signing, the free disk space, and what the
settings lead to: clamd, mail, the directory, webhooks and the public URL; and
how sources and feeds were last updated. When REPOD_URL is set, it asks the
server there. It prints a line for each and, where something fails, what to do.
It may run beside a server, with the same settings. The exit status is 1 when a
check failed.`,
		Example: "  repod doctor --data-dir /var/lib/repod",
		GroupID: "server",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd.Flags(), p.env)
			if err != nil {
				return err
			}
			return p.doctor(cmd.Context(), s, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	addSettings(cmd.Flags(), storeSettings, serveSettings)
	return cmd
}

// A checkup is the outcome of one check.
type checkup struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// checkups collects outcomes.
type checkups []checkup

// add records a check; detail says what works, err what does not.
func (c *checkups) add(name, detail string, err error) {
	if err != nil {
		detail = explain(err)
	}
	*c = append(*c, checkup{name, err == nil, oneLine(detail)})
}

func (p *program) doctor(ctx context.Context, s *settings, asJSON bool) error {
	var found checkups
	c, err := s.serveConfig(io.Discard)
	found.add("configuration", "all settings are valid", err)
	if err == nil {
		c.examine(ctx, s, &found)
	}
	if p.env("REPOD_URL") != "" {
		p.examineServer(ctx, &found)
	}
	if err := p.printCheckups(found, asJSON); err != nil {
		return err
	}
	for _, f := range found {
		if !f.OK {
			return errReported
		}
	}
	return nil
}

func (p *program) printCheckups(found checkups, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(found)
	}
	for _, f := range found {
		verdict := "ok"
		if !f.OK {
			verdict = "FAIL"
		}
		if _, err := fmt.Fprintf(p.stdout, "%-4s  %-14s %s\n", verdict, f.Check, f.Detail); err != nil {
			return err
		}
	}
	return nil
}

// examine checks the local parts of a repository.
func (c *serveConfig) examine(ctx context.Context, s *settings, found *checkups) {
	found.add("data directory", c.dataDir, checkDataDir(c.dataDir))
	detail, err := freeSpace(c.dataDir)
	found.add("disk space", detail, err)
	if c.files != "" {
		if _, statErr := os.Stat(c.files); statErr == nil {
			detail, err = freeSpace(c.files)
			found.add("storage space", detail, err)
		}
	}
	c.examineSecrets(s, found)
	o, err := c.open(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		found.add("repository", "", err)
		return
	}
	defer o.Close()
	c.examineDatabase(ctx, o, found)
	if err = c.probe(ctx); err == nil {
		err = probeStorage(ctx, o.files)
	}
	found.add("storage", c.filesName()+": files can be written, replaced, read, listed and deleted", err)
	detail, err = signingKey(ctx, o.repo, time.Now())
	found.add("signing", detail, errors.Join(o.repo.Check(ctx).Signing, err))
	c.examineOutside(ctx, o, found)
}

// examineScanner checks the clamd of the settings, if they have one.
func (c *serveConfig) examineScanner(ctx context.Context, set *live.Service, found *checkups) {
	var err error
	clamd := (&scanning{config: c, set: set}).clamd()
	if clamd == nil {
		return
	}
	s := clamd.Status(ctx)
	if s.Detail != "" {
		err = errors.New(s.Detail)
	}
	found.add("malware", "ClamAV "+s.EngineVersion, err)
}

func checkDataDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: start repod serve once, or check --data-dir", err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("%s has mode %04o: chmod 0700 %s", path, perm, path)
	}
	return nil
}

// freeSpace fails when the disk that holds path is about to be full.
func freeSpace(path string) (string, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	inodes := fs.Ffree
	if fs.Files == 0 { // a file system without a limit
		inodes = lowInodes
	}
	return enough(path, fs.Bavail*uint64(fs.Bsize), inodes)
}

// enough says how many bytes and inodes are free, and fails when it is little.
func enough(path string, bytes, inodes uint64) (string, error) {
	detail := fmt.Sprintf("%d MiB free for %s", bytes>>20, path)
	switch {
	case bytes < lowSpace:
		return "", errors.New(detail + ": make room, uploads fail when the disk is full")
	case inodes < lowInodes:
		return "", fmt.Errorf("%d inodes free for %s: make room, each package takes one", inodes, path)
	}
	return detail, nil
}

// signingKey describes the active key and fails when it ends soon.
func signingKey(ctx context.Context, repo *aptrepo.Repo, now time.Time) (string, error) {
	ring, err := repo.Keys(ctx)
	if err != nil {
		return "", err
	}
	for _, k := range ring.Keys {
		if k.State != aptrepo.KeyActive {
			continue
		}
		detail := fmt.Sprintf("%s key %s", k.Algorithm, k.Fingerprint)
		if !k.ExpiresAt.IsZero() && k.ExpiresAt.Sub(now) < expiresSoon {
			return "", fmt.Errorf("%s %s: %s and let clients fetch repod.asc", detail, end(k.ExpiresAt, now), replacement(repo))
		}
		return detail, nil
	}
	return "", aptrepo.ErrNoSigningKey
}

// end says when a key ends.
func end(at, now time.Time) string {
	day := at.UTC().Format(time.DateOnly)
	if at.After(now) {
		return "expires " + day
	}
	return "has expired " + day + " and signs no more"
}

// replacement says how the active key is replaced.
func replacement(repo *aptrepo.Repo) string {
	if repo.Signer != nil {
		return "replace it, or prolong it, where it is kept, start the server anew"
	}
	return "replace it (POST /settings/gpg/generate)"
}

// examineServer checks the server at REPOD_URL as a client sees it.
func (p *program) examineServer(ctx context.Context, found *checkups) {
	c, err := p.client(0)
	if err != nil {
		found.add("server", "", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	skew, err := clockSkew(ctx, c)
	if err == nil {
		err = c.Ready(ctx)
	}
	found.add("server", c.Address()+" is ready", err)
	if err != nil {
		return
	}
	found.add("clock", "the same as the server's within a minute", sameClock("the server's", skew))
	if !c.HasToken() {
		return
	}
	me, err := c.Me(ctx)
	found.add("token", fmt.Sprintf("%s with roles %v", me.Username, me.Roles), err)
}

// clockSkew returns how far the server's clock is ahead, to the second.
func clockSkew(ctx context.Context, c *client.Client) (time.Duration, error) {
	now, err := c.Clock(ctx)
	var refusal *client.Error
	switch {
	case errors.As(err, &refusal): // it is there
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("%w: check REPOD_URL and whether the server runs", err)
	case now.IsZero(): // a proxy that sends no date
		return 0, nil
	}
	return time.Until(now), nil
}
