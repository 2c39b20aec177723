// Package notify sends mail, plain text with an HTML alternative, over SMTP, and
// posts events to webhooks.
//
// A [Mailer] reads its settings anew for each mail. Its errors say whether
// another try may help, see [Error], and hold neither the password nor the
// mail's text. A [Poster] makes one attempt to deliver one event; whoever calls
// it keeps events, and tries again.
package notify

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"
)

// The ways to protect the connection.
const (
	StartTLS    = "starttls" // begins in the clear; a server without STARTTLS is refused
	ImplicitTLS = "tls"
	NoTLS       = "none"
)

// SMTP says how mail is sent. It mirrors the settings smtp.*.
type SMTP struct {
	Host     string
	Port     int    // 0: 587
	Username string // "": no authentication
	Password string
	TLS      string        // StartTLS, ImplicitTLS or NoTLS; "": StartTLS
	From     string        // address of the sender
	Timeout  time.Duration // for a whole mail; 0: 10 s
	// RootCAs are the authorities to trust. Nil: the system's.
	RootCAs *x509.CertPool
}

// A Mail is what is sent. To holds addresses, Subject and Text are required.
type Mail struct {
	To      []string
	Subject string
	Text    string
	HTML    string // "": there is none
}

// A Mailer sends mail. It may be used by several goroutines.
type Mailer struct {
	// SMTP returns the settings, and false while mail is switched off.
	SMTP func(context.Context) (SMTP, bool)
	// Dial connects. Nil: net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// ErrOff says that mail is switched off.
var ErrOff = errors.New("mail is switched off")

// An Error is why a mail was not sent.
type Error struct {
	// Temporary says that another try may help: the server could not be
	// reached, or said so with a code 4xx.
	Temporary bool
	Err       error
}

func (e *Error) Error() string { return "sending mail: " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Send sends a mail. It returns ErrOff or an *Error.
func (m *Mailer) Send(ctx context.Context, mail Mail) error {
	s, on := m.SMTP(ctx)
	if !on {
		return ErrOff
	}
	return m.SendBy(ctx, s, mail)
}

// SendBy sends a mail by other settings than the Mailer's.
func (m *Mailer) SendBy(ctx context.Context, s SMTP, content Mail) error {
	msg, err := message(s.From, content)
	if err != nil {
		return &Error{Err: err}
	}
	client, err := m.client(s)
	if err != nil {
		return &Error{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.Timeout, 10*time.Second))
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return &Error{Temporary: temporary(err), Err: err}
	}
	return nil
}

// Reach connects to the server, protects the connection and logs in, as sending a
// mail does, and sends none. It returns an *Error.
func (m *Mailer) Reach(ctx context.Context, s SMTP) error {
	client, err := m.client(s)
	if err != nil {
		return &Error{Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.Timeout, 10*time.Second))
	defer cancel()
	if err := client.DialWithContext(ctx); err != nil {
		return &Error{Temporary: temporary(err), Err: err}
	}
	_ = client.Close() // it has shown what it can
	return nil
}

// temporary reports whether another try may help. Servers say so themselves;
// certificates and missing abilities do not mend within minutes.
func temporary(err error) bool {
	var (
		sendErr   *mail.SendError
		cert      *tls.CertificateVerificationError
		networkEr net.Error
		reply     *textproto.Error
	)
	switch {
	case errors.As(err, &cert):
		return false
	case errors.As(err, &sendErr):
		return sendErr.IsTemp() || sendErr.ErrorCode() == 0
	case errors.As(err, &reply):
		return reply.Code/100 == 4
	case errors.As(err, &networkEr), errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF):
		return true
	}
	return false
}

func (m *Mailer) client(s SMTP) (*mail.Client, error) {
	config := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12, RootCAs: s.RootCAs}
	options := []mail.Option{
		mail.WithPort(cmp.Or(s.Port, 587)), mail.WithTimeout(cmp.Or(s.Timeout, 10*time.Second)),
		mail.WithTLSConfig(config), mail.WithoutNoop(),
	}
	dial := m.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	mechanisms := []mail.SMTPAuthType{mail.SMTPAuthPlain, mail.SMTPAuthLogin}
	switch cmp.Or(s.TLS, StartTLS) {
	case StartTLS:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	case ImplicitTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
		plain := dial
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := plain(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			secure := tls.Client(conn, config)
			if err := secure.HandshakeContext(ctx); err != nil {
				conn.Close()
				return nil, err
			}
			return secure, nil
		}
	case NoTLS:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
		mechanisms = []mail.SMTPAuthType{mail.SMTPAuthPlainNoEnc, mail.SMTPAuthLoginNoEnc}
	default:
		return nil, fmt.Errorf("unknown kind of TLS %q", s.TLS)
	}
	options = append(options, mail.WithDialContextFunc(dial))
	if s.Username != "" {
		options = append(options, mail.WithOpportunisticSMTPAuth(mechanisms...),
			mail.WithUsername(s.Username), mail.WithPassword(s.Password))
	}
	return mail.NewClient(s.Host, options...)
}

// message builds the mail. Text that would end a header field is refused.
func message(from string, content Mail) (*mail.Msg, error) {
	if len(content.To) == 0 {
		return nil, errors.New("nobody is to get the mail")
	}
	for _, text := range append([]string{from, content.Subject}, content.To...) {
		if strings.ContainsFunc(text, unicode.IsControl) {
			return nil, errors.New("an address or the subject holds control characters")
		}
	}
	for _, to := range content.To {
		if _, err := netmail.ParseAddress(to); err != nil {
			return nil, errors.New("an address is not valid")
		}
	}
	msg := mail.NewMsg()
	if err := msg.From(from); err != nil {
		return nil, errors.New("the sender's address is not valid")
	}
	if err := msg.To(content.To...); err != nil {
		return nil, errors.New("an address is not valid")
	}
	msg.Subject(content.Subject)
	msg.SetDate()
	_, domain, _ := strings.Cut(msg.GetFromString()[0], "@")
	msg.SetMessageIDWithValue(newID() + "@" + strings.Trim(domain, ">"))
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, content.Text)
	if content.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, content.HTML)
	}
	return msg, nil
}
