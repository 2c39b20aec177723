package auth

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// KeySize is the length of [Service.Key] in bytes.
const KeySize = 32

// DefaultSessionLifetime is how long a session lasts.
const DefaultSessionLifetime = time.Hour

// A Service logs users in and finds out who calls. Fill in the fields, then
// use it from any number of goroutines; do not copy it or change its fields
// after the first call.
//
// All that counts is in the Store, save failed logins, which are in memory
// unless there are Failures: servers that share a Store and a Key accept each
// other's sessions, and a session or API token ended at one is ended at all.
type Service struct {
	Store Store // required

	// Key signs sessions: KeySize random bytes, required. Other keys are
	// derived from it by purpose, so that it may serve elsewhere too.
	// Changing it ends all sessions, but no API token.
	Key []byte `json:"-"`

	// SessionLifetime is how long a session lasts, in whole seconds; 0
	// means DefaultSessionLifetime. Lowering it ends sessions which were
	// made to last longer.
	SessionLifetime time.Duration

	// Argon2id is the cost of new password hashes. A user whose hash cost
	// something else gets a new one at the next login.
	Argon2id Argon2id

	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // nil: crypto/rand.Reader; must be as good

	// Failures counts failed logins for several servers. Nil: they are counted
	// in memory, by each Service for itself. Logins that run at the same time
	// count at their own server until they end, so that N servers may check N
	// times what is free in the first moment.
	Failures FailureStore

	// Directory checks the passwords of users that are not local. Nil: only
	// local users can log in.
	Directory Directory

	// Assertions verifies tokens of CI platforms, for trusted publishers. Nil:
	// there are none.
	Assertions AssertionVerifier

	Logger *slog.Logger // nil: silent

	once       sync.Once
	broken     error
	sessionKey []byte
	resetKey   []byte
	factorKey  []byte
	logins     throttle
	hashing    chan struct{} // a slot for each password being hashed
	touches    touches
}

// maxHashing is how many passwords are hashed at a time: each takes a
// processor for tens of milliseconds and the memory that Argon2id says.
const maxHashing = 2

// A Client is the other end of a request, for the audit log and the login
// throttle.
type Client struct {
	// IP is the client's address: not that of a proxy. Clients without a
	// valid one, such as those of a Unix socket, count as one client.
	IP        netip.Addr
	RequestID string
}

// Format hides the key, whatever the verb.
func (s *Service) Format(f fmt.State, _ rune) { fmt.Fprint(f, "auth.Service") }

// LogValue hides the key.
func (s *Service) LogValue() slog.Value { return slog.StringValue("auth.Service") }

// ready prepares the service at its first use.
func (s *Service) ready() error {
	s.once.Do(func() {
		switch {
		case s.Store == nil:
			s.broken = errors.New("auth: Service.Store is nil")
		case len(s.Key) != KeySize:
			s.broken = fmt.Errorf("auth: Service.Key has %d bytes, not %d", len(s.Key), KeySize)
		case !s.Argon2id.orDefault().valid():
			s.broken = fmt.Errorf("auth: Service.Argon2id is out of bounds: %+v", s.Argon2id)
		default:
			var err1, err2, err3 error
			s.sessionKey, err1 = hkdf.Key(sha256.New, s.Key, nil, "repod session HS256", KeySize)
			s.resetKey, err2 = hkdf.Key(sha256.New, s.Key, nil, "repod password reset", KeySize)
			s.factorKey, err3 = hkdf.Key(sha256.New, s.Key, nil, "repod second factor", KeySize)
			s.broken = errors.Join(err1, err2, err3)
		}
		s.logins.shared = s.Failures
		s.hashing = make(chan struct{}, maxHashing)
		s.touches.init()
	})
	return s.broken
}

func (s *Service) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Service) rand() io.Reader {
	if s.Rand != nil {
		return s.Rand
	}
	return rand.Reader
}

func (s *Service) log() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.New(slog.DiscardHandler)
}

func (s *Service) lifetime() time.Duration {
	if s.SessionLifetime != 0 {
		return s.SessionLifetime.Truncate(time.Second)
	}
	return DefaultSessionLifetime
}

// Close waits until the uses of API tokens so far are recorded, or until ctx
// ends. A closed Service works on, but records no more uses.
func (s *Service) Close(ctx context.Context) error {
	if err := s.ready(); err != nil {
		return nil // nothing was ever started
	}
	return s.touches.close(ctx)
}

// Denied records that a principal was refused for want of rights. The target
// says what was tried, as "POST /upload/".
func (s *Service) Denied(ctx context.Context, by Principal, c Client, target string) error {
	if err := s.ready(); err != nil {
		return err
	}
	e := s.event(ActionDenied, by.Name, c)
	e.Result, e.Target = ResultDenied, clip(target)
	if err := s.Store.Record(ctx, e); err != nil {
		return fmt.Errorf("record a refusal: %w", err)
	}
	return nil
}

// event starts the event of a success.
func (s *Service) event(action, user string, c Client) Event {
	e := Event{
		Time:      s.now().UTC().Truncate(time.Second),
		Action:    action,
		User:      user,
		Result:    ResultSuccess,
		RequestID: c.RequestID,
	}
	if c.IP.IsValid() {
		e.IP = c.IP.Unmap().String()
	}
	return e
}

// recordFailure records what a client should not escape by hanging up.
func (s *Service) recordFailure(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	e.Result = ResultFailure
	if err := s.Store.Record(ctx, e); err != nil {
		return fmt.Errorf("record a failure of %s: %w", e.Action, err)
	}
	return nil
}
