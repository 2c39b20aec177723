package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
)

// Config says what to serve, and how. Only Repo, Auth and Settings are
// required.
type Config struct {
	Repo *aptrepo.Repo
	Auth *auth.Service
	// Jobs runs work in the background, a *jobs.Runner. Nil: there is none, and
	// what needs it answers 503 jobs_unavailable.
	Jobs Jobs

	// Import brings packages of upstream archives in; Jobs must know its
	// ImportKinds. Nil: there are no sources.
	Import *importer.Importer

	// Downloads counts what is fetched from the pool; the program calls its Run.
	// Nil: nothing is counted.
	Downloads *aptrepo.DownloadCounter

	// Scanner returns how the scanner for malware is. Nil: there is none.
	Scanner func(ctx context.Context) ScannerStatus
	// UpdateScanner says that the jobs of SafetyKinds can update its signatures.
	UpdateScanner bool

	// Settings are what administrators change while the server runs, among
	// them what clients call it and how large a package may be. Refresh must
	// have been called.
	Settings *settings.Service
	// TestLDAP connects to a directory as the settings say, and reports whether
	// the connection is encrypted. The text of its error names the step that
	// failed. Nil: there is no directory to test.
	TestLDAP func(ctx context.Context, s settings.LDAP) (encrypted bool, err error)
	// OIDC lets people log in by an OpenID Connect issuer. Nil: nobody can.
	OIDC OIDCLogin
	// TestMail sends a mail to try the settings. Nil: there is no mail.
	TestMail func(ctx context.Context, s settings.SMTP, to string) error
	// TestWebhook posts an event, once, as the settings say, and returns the status
	// of the answer, 0 for none. The text of its error holds no secret; it has a
	// method Timeout when there was no answer in time. Nil: there are no webhooks.
	TestWebhook func(ctx context.Context, s settings.Webhook, d WebhookDelivery) (status int, err error)

	// TrustedProxies are the networks whose X-Forwarded-For and
	// X-Forwarded-Proto count. Empty: none. When there are any, so do those of
	// a peer on a Unix socket, which has no address.
	TrustedProxies []netip.Prefix
	// CORSOrigins lists the origins whose scripts may read answers of the API:
	// "https://console.example.com". Empty: none. "*" is refused.
	CORSOrigins []string

	// SpoolDir is where uploads lie while they arrive, created with mode 0700
	// when it is missing. Empty: os.TempDir().
	SpoolDir string
	// BodyTimeout is how long a client may take for 480 KiB of a body (or what
	// is left of it). 0: 30 s, so that 16 KiB/s is the slowest upload.
	BodyTimeout time.Duration

	// RateLimits are the requests a minute of each principal, or client
	// address on public routes, by class. Classes that are missing have the
	// limit of DefaultRateLimits; 0 lifts one.
	RateLimits RateLimits
	// RateCounter counts them. Nil: in memory, for this handler alone.
	RateCounter RateCounter

	// Observer measures requests. Nil: nobody does.
	Observer Observer
	// Metrics answers GET /metrics, for admins and whoever shows MetricsToken as
	// a bearer token, also while the database is away. Nil: there is none.
	Metrics http.Handler
	// MetricsToken should be long and random. Empty: admins alone.
	MetricsToken string

	// Version is that of the program, which bills of materials name.
	Version string
	// Ready reports whether the program is neither starting nor shutting down;
	// /health/ready says so to load balancers. Nil: always.
	Ready func() bool
	// Logger gets one record for each request, and the causes of answers with
	// status 500. Nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// NewRequestID returns the ID of a request that came without one; it must
	// match [A-Za-z0-9._-]{1,64}. Nil: 26 random characters.
	NewRequestID func() string
}

// RateLimits holds requests a minute by class.
type RateLimits map[string]int

// DefaultRateLimits returns the limits of the API reference, and one for logins
// that only floods come up against.
func DefaultRateLimits() RateLimits {
	return RateLimits{
		"upload":          20,
		"import_fetch":    10,
		"import_batch":    5,
		"import_sync":     3,
		"forgot_password": 5,
		"reset_password":  5,
		"login":           120,
		"exchange":        120,
	}
}

// merge returns the defaults with l on top.
func (l RateLimits) merge() (RateLimits, error) {
	limits := DefaultRateLimits()
	for class, limit := range l {
		if _, ok := limits[class]; !ok {
			return nil, fmt.Errorf("rate limits: no such class %q; there are %s",
				class, strings.Join(slices.Sorted(maps.Keys(limits)), ", "))
		}
		if limit < 0 {
			return nil, fmt.Errorf("rate limits: %s: %d is negative", class, limit)
		}
		limits[class] = limit
	}
	return limits, nil
}

// withDefaults fills in what is nil and checks the rest.
func (c Config) withDefaults() (Config, error) {
	if c.Repo == nil || c.Auth == nil || c.Settings == nil {
		return c, errors.New("httpapi: Config.Repo, Config.Auth and Config.Settings are required")
	}
	for _, origin := range c.CORSOrigins {
		if !validOrigin(origin) {
			return c, fmt.Errorf("httpapi: CORS origin %q: want scheme://host[:port]", origin)
		}
	}
	var err error
	if c.RateLimits, err = c.RateLimits.merge(); err != nil {
		return c, fmt.Errorf("httpapi: %w", err)
	}
	if c.Import == nil {
		c.Import = &importer.Importer{Repo: c.Repo}
	}
	if c.SpoolDir == "" {
		c.SpoolDir = os.TempDir()
	}
	if c.BodyTimeout == 0 {
		c.BodyTimeout = 30 * time.Second
	}
	if c.RateCounter == nil {
		c.RateCounter = &memoryCounter{}
	}
	if c.Ready == nil {
		c.Ready = func() bool { return true }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.NewRequestID == nil {
		c.NewRequestID = randomID
	}
	return c, nil
}

func validOrigin(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && s == u.Scheme+"://"+u.Host
}

// An api is the handler that New returns.
type api struct {
	Config
	router http.Handler
	tree   *tree
	health health

	receiving gate          // uploads that arrive; aptrepo bounds those that it reads
	bills     chan struct{} // bills of materials that are being made

	// description is that of the API, made when it is first asked for.
	description func() (fixed, error)
}

// New returns a handler for the API and the APT tree. It fails when c is not
// sound or its SpoolDir cannot be used.
func New(c Config) (http.Handler, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &api{Config: c, receiving: gate{most: 256, mostEach: 128}, bills: make(chan struct{}, billsAtOnce)}
	if err := a.prepareSpool(); err != nil {
		return nil, err
	}
	a.tree = &tree{repo: c.Repo, base: a.baseURL, fault: a.logFault, pull: a.pull}
	a.health = health{check: c.Repo.Check, scanner: c.Scanner, now: c.Now}
	a.description = sync.OnceValues(func() (fixed, error) { return makeDescription(c.Version, c.RateLimits) })
	a.router = a.newRouter()
	return a, nil
}

// NewServer returns a server for h with bounds that suit a repository open to
// strangers. Timeouts for bodies and answers are not among them: a handler of
// New sets them as a request makes progress.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    32 << 10,
	}
}
