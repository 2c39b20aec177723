package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/notify"
	"github.com/repod-io/repod/aptrepo/outbound"
	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/storage"
)

const (
	// slowDatabase is what an answer of the database may take. An upload needs
	// some ten of them.
	slowDatabase = 100 * time.Millisecond
	// reachLimit bounds each connection that doctor tries.
	reachLimit = 10 * time.Second
)

// examineSecrets looks for files with secrets that others can read. Those that the
// server itself refuses are reported by the check of the configuration.
func (c *serveConfig) examineSecrets(s *settings, found *checkups) {
	var errs []error
	check := func(path string, forbidden fs.FileMode) {
		if path == "" {
			return
		}
		if err := guarded(path, forbidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	check(c.keyFile(), 0o077)
	check(c.sqlite, 0o077)
	for _, path := range []string{ // a group may be who starts the server
		s.get(adminPassword + "-file"), s.get(signingPassphrase + "-file"),
		s.env(accessKey + "_FILE"), s.env(secretAccessKey + "_FILE"),
	} {
		check(path, 0o007)
	}
	found.add("secrets", "the secret key and the database are this user's alone, and nobody may read the files of secrets", errors.Join(errs...))
}

// examineDatabase measures how the database answers.
func (c *serveConfig) examineDatabase(ctx context.Context, o *opened, found *checkups) {
	about, err := o.db.Describe(ctx)
	asked := time.Now()
	if err != nil {
		found.add("database", "", fmt.Errorf("%w: check --database-url and whether the database runs", err))
		return
	}
	var took []time.Duration
	for range 5 {
		began := time.Now()
		if err = o.db.Ping(ctx); err != nil {
			break
		}
		took = append(took, time.Since(began))
	}
	if err != nil {
		found.add("database", "", err)
		return
	}
	slices.Sort(took)
	detail, err := quickEnough(about.Server, about.Step, took[len(took)/2])
	found.add("database", detail, err)
	if c.postgres != "" {
		found.add("database clock", "the same as here within a minute", sameClock("the database's", about.Now.Sub(asked)))
	}
}

// quickEnough describes a database that answers after a time.
func quickEnough(server string, step int, took time.Duration) (string, error) {
	detail := fmt.Sprintf("%s, tables at step %d, answers in %v", server, step, took.Round(10*time.Microsecond))
	if took > slowDatabase {
		return "", fmt.Errorf("%s: bring it nearer, or look for what keeps it busy; each upload asks it some ten times", detail)
	}
	return detail, nil
}

// sameClock fails when another's clock is ahead or behind.
func sameClock(whose string, skew time.Duration) error {
	if skew.Abs() <= maxClockSkew {
		return nil
	}
	return fmt.Errorf("%s clock differs by %v: set both by NTP, apt refuses indices from the future", whose, skew.Round(time.Second))
}

// probeStorage tries out, in a corner of its own, what a repository needs of a
// storage: it replaces, reads, lists, deletes, and creates only what is not there.
func probeStorage(ctx context.Context, b storage.Backend) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	corner := storage.CheckPrefix + rand.Text() + "-"                   // no directory: it would stay
	keys := []string{corner + "a_1:2.0~rc1+b1_amd64.deb", corner + "b"} // all that names of packages hold
	defer func() {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), reachLimit)
		defer cancel()
		for _, key := range keys {
			err = errors.Join(err, b.Delete(clean, key))
		}
	}()
	for _, text := range []string{"first", "second"} {
		if err := b.Put(ctx, keys[0], strings.NewReader(text)); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		if err := holds(ctx, b, keys[0], text); err != nil {
			return err
		}
	}
	if err := storage.Create(ctx, b, keys[1], strings.NewReader("mine")); err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	if err := storage.Create(ctx, b, keys[1], strings.NewReader("other")); !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("a file that is there can be created again (%v): servers would replace each other's files, it cannot be used", err)
	}
	if err := holds(ctx, b, keys[1], "mine"); err != nil {
		return err
	}
	var listed []string
	for info, err := range b.List(ctx, corner) {
		if err != nil {
			return fmt.Errorf("listing: %w", err)
		}
		listed = append(listed, info.Key)
	}
	if !slices.Equal(listed, keys) {
		return fmt.Errorf("of %d files %d are listed, or out of order", len(keys), len(listed))
	}
	if err := b.Delete(ctx, keys[0]); err != nil {
		return fmt.Errorf("deleting: %w", err)
	}
	if f, _, err := b.Open(ctx, keys[0]); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			f.Close()
		}
		return fmt.Errorf("a deleted file is still there (%v)", err)
	}
	return nil
}

// holds checks what is in a file.
func holds(ctx context.Context, b storage.Backend, key, want string) error {
	f, _, err := b.Open(ctx, key)
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 100))
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if string(text) != want {
		return errors.New("what is read is not what was written")
	}
	return nil
}

// examineOutside checks what the settings of a running server lead to.
func (c *serveConfig) examineOutside(ctx context.Context, o *opened, found *checkups) {
	c.log = slog.New(slog.DiscardHandler)
	set, err := c.liveSettings(ctx, o)
	if err != nil {
		found.add("settings", "", err)
		return
	}
	c.examineScanner(ctx, set, found)
	now := set.Current()
	if now.PublicURL != "" {
		found.add("public URL", now.PublicURL+" leads to this repository", isUs(ctx, o.repo, now.PublicURL))
	}
	if now.SMTP.Enabled {
		err := (&notify.Mailer{Dial: c.dial}).Reach(ctx, smtpConfig(now.SMTP))
		found.add("mail", now.SMTP.Host+" takes mail of this server", c.advise(err, "check the settings smtp.*, then POST /settings/test-email"))
	}
	if now.LDAP.Enabled {
		encrypted, err := c.testLDAP(ctx, now.LDAP)
		detail := receiver(now.LDAP.URL) + " can be searched"
		if !encrypted {
			detail += ", but passwords go there in the clear: set ldap.starttls, or an ldaps:// address"
		}
		found.add("directory", detail, c.advise(err, "check the settings ldap.*, then POST /settings/test-ldap"))
	}
	c.examineWebhooks(ctx, o, now.Webhook, found)
	c.examineUpdates(ctx, o, set, found)
}

// advise adds what to do about a connection that failed.
func (c *serveConfig) advise(err error, what string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, outbound.ErrRefused):
		return fmt.Errorf("%w: --outbound is %s; choose a wider one, or another address", err, c.outbound)
	}
	return fmt.Errorf("%w: %s", err, what)
}

// isUs fetches the keys from where clients do.
func isUs(ctx context.Context, repo *aptrepo.Repo, publicURL string) error {
	ring, err := repo.Keys(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(publicURL, "/")+"/apt/repod.gpg", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w: clients cannot get there from here; check the setting public_url, names, certificates and the proxy before it", err)
	}
	defer resp.Body.Close()
	keys, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Equal(keys, ring.Binary) {
		return fmt.Errorf("%s answers %d and is another repository, or none: check the setting public_url and where the proxy before it leads", publicURL, resp.StatusCode)
	}
	return nil
}

// examineWebhooks connects to each receiver, and tells of deliveries that were
// given up.
func (c *serveConfig) examineWebhooks(ctx context.Context, o *opened, w live.Webhook, found *checkups) {
	if w.Enabled {
		for _, id := range w.Receivers() {
			r, _ := w.Receiver(id)
			found.add("webhook", receiver(r.URL)+" can be reached",
				c.advise(c.connects(ctx, r.URL), "check the settings webhook.*, then POST /settings/test-webhook"))
		}
	}
	counts, err := (&jobs.Runner{DB: o.db.Pool(), Dialect: c.jobsDialect()}).Counts(ctx)
	if err != nil {
		return // before the first start there are no tables for jobs
	}
	for _, n := range counts {
		if n.Kind == topicWebhook {
			found.add("deliveries", fmt.Sprintf("none of %d webhooks of the last day was given up", n.Done+n.Failed), givenUp(n))
		}
	}
}

// givenUp fails when webhooks did not reach their receivers.
func givenUp(n jobs.Counts) error {
	if n.Failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d webhooks of the last day were given up: the log says why (\"a webhook delivery is given up\"); POST /settings/test-webhook tries again",
		n.Failed, n.Done+n.Failed)
}

// connects tries whether a URL's host takes connections.
func (c *serveConfig) connects(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("the URL is not valid") // its path may be a key
	}
	port := u.Port()
	if port == "" {
		if port = "443"; u.Scheme == "http" {
			port = "80"
		}
	}
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	conn, err := c.dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}
