package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/notify"
	"github.com/repod-io/repod/aptrepo/outbound"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/httpapi"
	"github.com/repod-io/repod/httpapi/metrics"
)

// shutdownTime is how long requests may take to end after SIGTERM.
const shutdownTime = 30 * time.Second

func (p *program) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `serve runs the server. The first start creates the data directory, a signing
key and an administrator whose random password it prints once. Each setting
comes from its flag, else from the variable in brackets, else from the file of
--config. Secrets have variables only:
  REPOD_ADMIN_PASSWORD, REPOD_ADMIN_PASSWORD_FILE
      the first administrator's password (default: random)
  REPOD_SECRET_KEY, REPOD_METRICS_TOKEN
      in place of --secret-key-file and --metrics-token-file
  REPOD_SIGNING_KEY_PASSPHRASE, REPOD_SIGNING_KEY_PASSPHRASE_FILE
      opens --signing-key-file
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, each also with _FILE
      the credentials of an s3:// storage
SIGTERM lets requests end (30 s); a second one ends the server at once.`,
		Example: "  repod serve --data-dir /var/lib/repod --distributions bookworm",
		GroupID: "server",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd.Flags(), p.env)
			if err != nil {
				return err
			}
			c, err := s.serveConfig(p.stderr)
			if err != nil {
				return err
			}
			return p.serve(cmd.Context(), c)
		},
	}
	addSettings(cmd.Flags(), storeSettings, serveSettings)
	return cmd
}

// minMetricsToken keeps a token from being guessed.
const minMetricsToken = 16

// serveConfig is what the server needs to know.
type serveConfig struct {
	storeConfig
	listen         string
	publicURL      string
	admin          string
	adminPassword  string
	distributions  []string
	trustedProxies []netip.Prefix
	tls            *certificate // nil: HTTP
	rateLimits     httpapi.RateLimits
	corsOrigins    []string
	outbound       outbound.Policy
	clamavUpdate   []string // command
	metricsToken   string   // "": administrators only
	poster         *notify.Poster
	log            *slog.Logger
}

func (s *settings) serveConfig(stderr io.Writer) (c serveConfig, err error) {
	if c.storeConfig, err = s.storeConfig(); err != nil {
		return c, err
	}
	c.listen = s.get("listen")
	if err := checkListen(c.listen); err != nil {
		return c, err
	}
	c.admin = s.get("admin-username")
	c.distributions = list(s.get("distributions"))
	if c.publicURL, err = parsePublicURL(s.get("public-url")); err != nil {
		return c, err
	}
	if c.trustedProxies, err = parsePrefixes(s.get("trusted-proxies")); err != nil {
		return c, err
	}
	if c.corsOrigins, err = parseOrigins(s.get("cors-origins")); err != nil {
		return c, err
	}
	if c.rateLimits, err = parseRateLimits(s.get("rate-limits")); err != nil {
		return c, err
	}
	if c.outbound, err = outbound.ParsePolicy(s.get("outbound")); err != nil {
		return c, usagef("--outbound: want public, private or any")
	}
	c.clamavUpdate = strings.Fields(s.get("clamav-update-command"))
	if c.log, err = newLogger(stderr, s.get("log-format"), s.get("log-level")); err != nil {
		return c, err
	}
	if c.adminPassword, err = s.secret(adminPassword); err != nil {
		return c, err
	}
	if c.metricsToken, err = s.secret(metricsToken); err != nil {
		return c, err
	}
	if n := len(c.metricsToken); n > 0 && n < minMetricsToken {
		return c, usagef("--metrics-token-file: the token has %d characters, it needs %d: openssl rand -hex 32 >token; chmod 600 token", n, minMetricsToken)
	}
	c.tls, err = s.certificate()
	return c, err
}

// certificate loads what HTTPS needs; nil: HTTP is wanted.
func (s *settings) certificate() (*certificate, error) {
	cert, key := s.get("tls-cert-file"), s.get("tls-key-file")
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, usagef("--tls-cert-file and --tls-key-file go together")
	}
	return loadCertificate(cert, key)
}

func parseOrigins(s string) ([]string, error) {
	origins := list(s)
	for _, origin := range origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || origin != u.Scheme+"://"+u.Host {
			return nil, usagef("--cors-origins: %q is not an origin such as https://console.example.com", origin)
		}
	}
	return origins, nil
}

func parsePublicURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", usagef("--public-url: want http(s)://host, without query: https://repo.example.com")
	}
	return strings.TrimRight(s, "/"), nil
}

// parsePrefixes reads networks, and single addresses as networks of one.
func parsePrefixes(s string) (prefixes []netip.Prefix, err error) {
	for _, item := range list(s) {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, err := netip.ParseAddr(item)
			if err != nil || addr.Zone() != "" {
				return nil, usagef("--trusted-proxies: %q is not a network such as 10.0.0.0/8", item)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var o slog.HandlerOptions
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level: want debug, info, warn or error")
	}
	o.Level = l
	if format == "" {
		format = "json"
		if isTerminal(w) {
			format = "text"
		}
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &o)), nil
	}
	return nil, usagef("--log-format: want text or json")
}

// serve runs the server until ctx ends.
func (p *program) serve(ctx context.Context, c serveConfig) error {
	// A core file would hold the private keys.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		c.log.Warn("core dumps stay possible", "error", err)
	}
	if err := c.create(ctx); err != nil {
		return err
	}
	c.poster = &notify.Poster{Dial: c.dial}
	o, err := c.open(ctx, c.log)
	if err != nil {
		return err
	}
	defer o.Close()
	measured, err := newMeasures(o)
	if err != nil {
		return err
	}
	set, err := c.liveSettings(ctx, o)
	if err != nil {
		return err
	}
	verifier := &oidc.Verifier{Dial: c.dial}
	users := &auth.Service{
		Store: o.db, Failures: o.db, Key: o.secretKey, Logger: c.log, Directory: c.directory(set), Assertions: verifier,
	}
	defer closeUsers(ctx, users)
	if err := p.prepare(ctx, c, o.repo, users); err != nil {
		return err
	}
	imports, safety := c.importer(o, set), c.startScanning(o, set)
	defer safety.db.Close()
	safety.db.start(ctx, c.log)
	o.repo.Official = imports.Official
	work, err := c.startBackground(ctx, o, set, users, imports, safety, measured.meter.Attempt)
	if err != nil {
		return err
	}
	defer work.pool.Close()

	counter := downloadCounter(o, set, c.log)
	if err := measured.watch(c, o, work, safety, counter); err != nil {
		return err
	}

	var ready atomic.Bool
	handler, err := httpapi.New(httpapi.Config{
		Repo:           o.repo,
		Auth:           users,
		Version:        buildVersion().Version,
		Settings:       set,
		TestLDAP:       c.testLDAP,
		TestMail:       c.testMail,
		TestWebhook:    c.testWebhook,
		OIDC:           c.oidcLogin(set, verifier, o.secretKey),
		Jobs:           work.runner,
		Import:         imports,
		Downloads:      counter,
		Scanner:        safety.status,
		UpdateScanner:  len(c.clamavUpdate) > 0,
		TrustedProxies: c.trustedProxies,
		SpoolDir:       filepath.Join(c.dataDir, "spool"),
		RateLimits:     c.rateLimits,
		RateCounter:    c.rateCounter(o.db),
		CORSOrigins:    c.corsOrigins,
		Logger:         c.log,
		Ready:          ready.Load,
		Observer:       measured.meter,
		Metrics:        metrics.Handler(measured.registry, c.log),
		MetricsToken:   c.metricsToken,
	})
	if err != nil {
		return err
	}
	listener, shown, err := listen(ctx, c.listen, c.tls != nil)
	if err != nil {
		return err
	}
	upkeep, stop := context.WithCancel(context.WithoutCancel(ctx))
	var loops sync.WaitGroup
	for _, run := range []func(context.Context) error{o.repo.Run, set.Run, work.relay.Run, counter.Run, safety.db.run} {
		loops.Go(func() { _ = run(upkeep) }) // only ever ends with upkeep
	}
	defer func() { stop(); loops.Wait() }()

	ready.Store(true)
	fmt.Fprintln(p.stderr, "listening on "+shown)
	ended := make(chan error, 1)
	// Streams of events end with the work that they tell of, before requests
	// are waited for.
	err = serveHTTP(ctx, c, listener, handler, func() {
		ready.Store(false)
		go func() { ended <- work.stop(ctx) }()
	})
	if ctx.Err() == nil { // the listener broke
		return errors.Join(err, work.stop(ctx))
	}
	return errors.Join(err, <-ended)
}

// closeUsers lets the uses of API tokens be recorded before the database closes.
func closeUsers(ctx context.Context, users *auth.Service) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = users.Close(ctx) // at worst a time of last use is not noted
}

// prepare brings the repository to where it can serve: the first user, the
// wanted distributions, and the publications that an earlier run left undone.
func (p *program) prepare(ctx context.Context, c serveConfig, repo *aptrepo.Repo, users *auth.Service) error {
	password, created, err := users.Bootstrap(ctx, c.admin, c.adminPassword)
	if err != nil {
		return fmt.Errorf("creating the first administrator (REPOD_ADMIN_USERNAME, REPOD_ADMIN_PASSWORD): %w", err)
	}
	if created && password != "" {
		fmt.Fprintf(p.stderr, "first start: user %s, password %s (shown only this once)\n", c.admin, string(password))
	}
	// This also makes the signing key of a new repository.
	health := repo.Check(ctx)
	if err := errors.Join(health.Database, health.Storage, health.Signing); err != nil {
		return fmt.Errorf("the repository does not work (repod doctor says more): %w", err)
	}
	// Younger pieces may be those of another server's uploads.
	if _, err := storage.CleanTemp(ctx, repo.Storage, time.Now().Add(-time.Hour)); err != nil {
		return fmt.Errorf("removing what broken uploads left: %w", err)
	}
	if err := repo.Recover(ctx); err != nil {
		return fmt.Errorf("publishing what was left undone: %w", err)
	}
	for _, codename := range c.distributions {
		_, err := repo.Init(ctx, aptrepo.Distribution{Codename: codename})
		if err != nil && !errors.Is(err, aptrepo.ErrDistributionExists) {
			return fmt.Errorf("--distributions %s: %w", codename, err)
		}
	}
	return nil
}

// serveHTTP answers requests until ctx ends, then lets those under way finish.
func serveHTTP(ctx context.Context, c serveConfig, l net.Listener, h http.Handler, stopping func()) error {
	srv := httpapi.NewServer(h)
	srv.ErrorLog = slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)
	failed := make(chan error, 1)
	go func() {
		if c.tls != nil {
			srv.TLSConfig = c.tls.config()
			failed <- srv.ServeTLS(l, "", "")
			return
		}
		failed <- srv.Serve(l)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	stopping()
	c.log.Info("stopping: finishing the requests under way", "limit", shutdownTime.String())
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		srv.Close()
		c.log.Warn("requests were cut off", "after", shutdownTime.String())
	}
	return nil
}
