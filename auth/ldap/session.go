package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

// The steps of a test.
const (
	StepConnect = "connect"
	StepTLS     = "tls"
	StepBind    = "bind"
	StepSearch  = "search"
)

// A StepError says at which step a directory could not be used.
type StepError struct {
	Step string // one of the Step constants
	Err  error
}

func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }

// Test connects, binds as the service account and reads the base entry once.
// It reports whether the connection is encrypted. Its error is a [*StepError].
func Test(ctx context.Context, c Config, dial func(ctx context.Context, network, address string) (net.Conn, error)) (encrypted bool, err error) {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	s, err := open(ctx, c, dial)
	if err != nil {
		return false, err
	}
	defer s.close()
	found, err := s.search(c.BaseDN, goldap.ScopeBaseObject, 1, "(objectClass=*)", []string{"1.1"})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("the base %q is not there, or the service account may not see it", c.BaseDN)
	}
	if err != nil {
		return s.encrypted, &StepError{StepSearch, err}
	}
	return s.encrypted, nil
}

// A session is a connection that is bound as the service account.
type session struct {
	config    *Config
	conn      *goldap.Conn
	encrypted bool
	stop      func() bool
}

// open connects and binds. Its error is a *StepError. When ctx ends, so does
// the session.
func open(ctx context.Context, c Config, dial func(context.Context, string, string) (net.Conn, error)) (*session, error) {
	address, host, secure, err := c.address()
	if err != nil {
		return nil, &StepError{StepConnect, err}
	}
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, &StepError{StepConnect, err}
	}
	raw = &boundedConn{Conn: raw, left: maxAnswers}
	if deadline, ok := ctx.Deadline(); ok {
		_ = raw.SetDeadline(deadline) // a connection that cannot have one is cut by ctx
	}
	s := &session{config: &c}
	if err := s.secure(ctx, raw, host, secure); err != nil {
		return nil, err
	}
	if err := s.bindService(); err != nil {
		s.close()
		return nil, &StepError{StepBind, err}
	}
	return s, nil
}

// maxAnswers bounds what a server may send in one session, in bytes, so that
// none fills our memory: a size limit is only a wish. It is room for a user in
// thousands of groups.
const maxAnswers = 1 << 20

// A boundedConn is a connection of which only so much can be read.
type boundedConn struct {
	net.Conn
	left int // bytes; one goroutine reads at a time
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("the server sent more than %d bytes", maxAnswers)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// address returns what to dial, the server's name, and whether TLS comes first.
func (c *Config) address() (address, host string, secure bool, err error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "ldap" && u.Scheme != "ldaps" {
		return "", "", false, errors.New("the URL is not ldap://host[:port] or ldaps://host[:port]")
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "ldaps":
		port = "636"
	default:
		port = "389"
	}
	return net.JoinHostPort(u.Hostname(), port), u.Hostname(), u.Scheme == "ldaps", nil
}

// secure starts TLS if it is wanted, and the reading of answers.
func (s *session) secure(ctx context.Context, raw net.Conn, host string, first bool) error {
	config, err := s.config.tls(host)
	if err != nil {
		raw.Close()
		return &StepError{StepTLS, err}
	}
	if first {
		over := tls.Client(raw, config)
		if err := over.HandshakeContext(ctx); err != nil {
			raw.Close()
			return &StepError{StepTLS, err}
		}
		raw = over
	}
	s.encrypted = first
	s.conn = goldap.NewConn(raw, first)
	s.stop = context.AfterFunc(ctx, func() { raw.Close() })
	if deadline, ok := ctx.Deadline(); ok {
		s.conn.SetTimeout(time.Until(deadline))
	}
	s.conn.Start()
	if s.config.StartTLS && !first {
		if err := s.conn.StartTLS(config); err != nil {
			s.close()
			return &StepError{StepTLS, err}
		}
		s.encrypted = true
	}
	return nil
}

func (c *Config) tls(host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: !c.VerifyCertificate}
	if c.CAPEM != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(c.CAPEM)) {
			return nil, errors.New("ca_pem holds no certificate")
		}
	}
	return config, nil
}

func (s *session) close() {
	s.stop()
	_ = s.conn.Close()
}

// bindService binds as the service account, or anonymously.
func (s *session) bindService() error {
	if s.config.BindDN == "" {
		return s.conn.UnauthenticatedBind("")
	}
	if s.config.BindPassword == "" {
		return errors.New("the service account has no password")
	}
	return s.conn.Bind(s.config.BindDN, string(s.config.BindPassword))
}

// search returns the entries that match. References to other servers, which
// come beside them, are left alone.
func (s *session) search(base string, scope, limit int, filter string, attributes []string) ([]*goldap.Entry, error) {
	result, err := s.conn.Search(goldap.NewSearchRequest(base, scope, goldap.NeverDerefAliases, limit, 0, false, filter, attributes, nil))
	if goldap.IsErrorWithCode(err, goldap.ErrorFilterCompile) {
		return nil, errors.New("the filter is malformed") // the cause quotes it, with the user's name
	}
	if err != nil {
		return nil, err
	}
	return result.Entries, nil
}
