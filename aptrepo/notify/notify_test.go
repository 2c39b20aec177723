package notify

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// A server keeps what it receives.
type server struct {
	mu     sync.Mutex
	mails  [][]byte
	refuse []*smtp.SMTPError // for the recipients to come
	roots  *x509.CertPool
	addr   *net.TCPAddr
	authed bool
}

func (s *server) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{server: s}, nil }

type session struct{ server *server }

func (*session) Reset()                               {}
func (*session) Logout() error                        { return nil }
func (*session) Mail(string, *smtp.MailOptions) error { return nil }
func (*session) AuthMechanisms() []string             { return []string{sasl.Plain} }
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "repod" || password != "hunter2" {
			return smtp.ErrAuthFailed
		}
		s.server.mu.Lock()
		defer s.server.mu.Unlock()
		s.server.authed = true
		return nil
	}), nil
}

func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if len(s.server.refuse) > 0 {
		err := s.server.refuse[0]
		s.server.refuse = s.server.refuse[1:]
		return err
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, text)
	return err
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// newServer starts a server for a kind of TLS.
func newServer(t *testing.T, kind string) *server {
	t.Helper()
	s := new(server)
	var cert tls.Certificate
	cert, s.roots = certificate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = listener.Addr().(*net.TCPAddr)
	backend := smtp.NewServer(s)
	backend.Domain = "localhost"
	backend.AllowInsecureAuth = kind == NoTLS
	backend.ErrorLog = log.New(io.Discard, "", 0)
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	switch kind {
	case StartTLS:
		backend.TLSConfig = config
	case ImplicitTLS:
		listener = tls.NewListener(listener, config)
	}
	go backend.Serve(listener)
	t.Cleanup(func() { backend.Close() })
	return s
}

func (s *server) settings(kind string) SMTP {
	return SMTP{Host: "localhost", Port: s.addr.Port, TLS: kind, From: "Répo <repod@example.com>",
		Username: "repod", Password: "hunter2", RootCAs: s.roots, Timeout: 5 * time.Second}
}

// dial reaches the loopback address whatever localhost is.
func (s *server) mailer(settings SMTP) *Mailer {
	return &Mailer{
		SMTP: func(context.Context) (SMTP, bool) { return settings, true },
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.addr.String())
		},
	}
}

func resetMail(t *testing.T) Mail {
	t.Helper()
	m, err := PasswordReset{To: "Jürgen <j@example.com>", Username: "<b>j</b>", PublicURL: "https://repo.example.com/",
		Token: "s3cr3t+/", Expires: time.Date(2026, 5, 12, 10, 30, 0, 0, time.UTC)}.Mail()
	if err != nil {
		t.Fatal(err)
	}
	m.Subject = "Passwort für Jürgen"
	return m
}

func TestSend(t *testing.T) {
	for _, kind := range []string{StartTLS, ImplicitTLS, NoTLS} {
		t.Run(kind, func(t *testing.T) {
			s := newServer(t, kind)
			if err := s.mailer(s.settings(kind)).Send(t.Context(), resetMail(t)); err != nil {
				t.Fatal(err)
			}
			if !s.authed || len(s.mails) != 1 {
				t.Fatalf("authenticated %t, %d mails", s.authed, len(s.mails))
			}
			checkMail(t, s.mails[0])
		})
	}
}

func checkMail(t *testing.T, raw []byte) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Passwort für Jürgen" {
		t.Errorf("subject is %q, %v", subject, err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Name != "Jürgen" || to[0].Address != "j@example.com" {
		t.Errorf("recipients are %v, %v", to, err)
	}
	if _, err := m.Header.Date(); err != nil || m.Header.Get("Auto-Submitted") != "auto-generated" ||
		!strings.HasSuffix(m.Header.Get("Message-ID"), "@example.com>") {
		t.Errorf("header is %v", m.Header)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []struct{ mediaType, link, name string }{
		{"text/plain", "https://repo.example.com/ui/reset-password?token=s3cr3t%2B%2F", "<b>j</b>"},
		{"text/html", `href="https://repo.example.com/ui/reset-password?token=s3cr3t%2B%2F"`, "&lt;b&gt;j&lt;/b&gt;"},
	} {
		p, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil || !strings.HasPrefix(p.Header.Get("Content-Type"), want.mediaType) ||
			!bytes.Contains(text, []byte(want.link)) || !bytes.Contains(text, []byte(want.name)) {
			t.Errorf("part %s: %v\n%s", p.Header, err, text)
		}
	}
}

func TestSendRefused(t *testing.T) {
	for _, tt := range []struct {
		name      string
		kind      string // of the server
		change    func(*server, *SMTP)
		temporary bool
	}{
		{"greylisted", StartTLS, func(s *server, _ *SMTP) { s.refuse = []*smtp.SMTPError{{Code: 451, Message: "later"}} }, true},
		{"no such user", StartTLS, func(s *server, _ *SMTP) { s.refuse = []*smtp.SMTPError{{Code: 550, Message: "no"}} }, false},
		{"wrong password", StartTLS, func(_ *server, c *SMTP) { c.Password = "hunter3" }, false},
		{"downgrade", NoTLS, func(_ *server, c *SMTP) { c.TLS = StartTLS }, false},
		{"unknown authority", StartTLS, func(_ *server, c *SMTP) { c.RootCAs = x509.NewCertPool() }, false},
		{"unknown authority, implicit", ImplicitTLS, func(_ *server, c *SMTP) { c.RootCAs = x509.NewCertPool() }, false},
		{"wrong name", StartTLS, func(_ *server, c *SMTP) { c.Host = "mail.example.com" }, false},
		{"bad TLS", StartTLS, func(_ *server, c *SMTP) { c.TLS = "ssl" }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, tt.kind)
			settings := s.settings(tt.kind)
			tt.change(s, &settings)
			err := s.mailer(settings).Send(t.Context(), resetMail(t))
			var e *Error
			if !errors.As(err, &e) || e.Temporary != tt.temporary {
				t.Fatalf("error is %v, want temporary %t", err, tt.temporary)
			}
			for _, secret := range []string{"hunter", "s3cr3t"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q is in the error: %v", secret, err)
				}
			}
			if len(s.mails) != 0 || s.authed && tt.name == "downgrade" {
				t.Error("something was sent")
			}
		})
	}
}

// Reach finds what would keep a mail from being sent, and sends none.
func TestReach(t *testing.T) {
	for _, kind := range []string{StartTLS, ImplicitTLS, NoTLS} {
		s := newServer(t, kind)
		settings := s.settings(kind)
		if err := s.mailer(settings).Reach(t.Context(), settings); err != nil || !s.authed || len(s.mails) != 0 {
			t.Errorf("%s: %v; authenticated %t, %d mails", kind, err, s.authed, len(s.mails))
		}
	}
	for name, change := range map[string]func(c *SMTP){
		"wrong password":    func(c *SMTP) { c.Password = "hunter3" },
		"unknown authority": func(c *SMTP) { c.RootCAs = x509.NewCertPool() },
		"bad TLS":           func(c *SMTP) { c.TLS = "ssl" },
	} {
		s := newServer(t, StartTLS)
		settings := s.settings(StartTLS)
		change(&settings)
		err := s.mailer(settings).Reach(t.Context(), settings)
		var e *Error
		if !errors.As(err, &e) || e.Temporary || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGreylistedThenTaken(t *testing.T) {
	s := newServer(t, StartTLS)
	s.refuse = []*smtp.SMTPError{{Code: 451, Message: "later"}}
	m := s.mailer(s.settings(StartTLS))
	if err := m.Send(t.Context(), resetMail(t)); err == nil {
		t.Fatal("the first try succeeded")
	}
	if err := m.Send(t.Context(), resetMail(t)); err != nil || len(s.mails) != 1 {
		t.Errorf("second try: %v, %d mails", err, len(s.mails))
	}
}

func TestSendToSilence(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s := &server{addr: listener.Addr().(*net.TCPAddr)}
	settings := s.settings(StartTLS)
	settings.Timeout = 50 * time.Millisecond
	var e *Error
	if err := s.mailer(settings).Send(t.Context(), resetMail(t)); !errors.As(err, &e) || !e.Temporary {
		t.Errorf("error is %v", err)
	}
}

func TestInjection(t *testing.T) {
	s := newServer(t, NoTLS)
	for _, m := range []Mail{
		{To: []string{"j@example.com\r\nBcc: x@example.com"}, Subject: "s", Text: "t"},
		{To: []string{"\"j\nx\" <j@example.com>"}, Subject: "s", Text: "t"},
		{To: []string{"j@example.com"}, Subject: "s\r\nBcc: x@example.com", Text: "t"},
		{To: []string{"j@example.com"}, Subject: "s\rx", Text: "t"},
		{To: []string{"j"}, Subject: "s", Text: "t"},
		{Subject: "s", Text: "t"},
	} {
		var e *Error
		if err := s.mailer(s.settings(NoTLS)).Send(t.Context(), m); !errors.As(err, &e) || e.Temporary {
			t.Errorf("%q: error is %v", m, err)
		}
	}
	if len(s.mails) != 0 {
		t.Error("something was sent")
	}
}

func TestOff(t *testing.T) {
	m := &Mailer{SMTP: func(context.Context) (SMTP, bool) { return SMTP{}, false }}
	if err := m.Send(t.Context(), Mail{}); !errors.Is(err, ErrOff) {
		t.Errorf("error is %v", err)
	}
	if _, err := (PasswordReset{}).Mail(); !errors.Is(err, ErrNoPublicURL) {
		t.Errorf("error without a public URL is %v", err)
	}
}
