package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// A postbox is an SMTP server that keeps what it is sent.
type postbox struct{ mails chan string }

func (b *postbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &delivery{box: b}, nil }

type delivery struct {
	box *postbox
	to  string
}

func (d *delivery) Reset()                               {}
func (d *delivery) Logout() error                        { return nil }
func (d *delivery) Mail(string, *smtp.MailOptions) error { return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error {
	d.to = to
	return nil
}

func (d *delivery) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err == nil {
		d.box.mails <- d.to + "\n" + string(text)
	}
	return err
}

// openPostbox starts an SMTP server on loopback and returns its address.
func openPostbox(t *testing.T) (*postbox, *net.TCPAddr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	box := &postbox{mails: make(chan string, 10)}
	server := smtp.NewServer(box)
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return box, l.Addr().(*net.TCPAddr)
}

// next returns who gets the next mail, its subject and its plain text.
func (b *postbox) next(t *testing.T) (to, subject, text string) {
	t.Helper()
	select {
	case raw := <-b.mails:
		to, raw, _ = strings.Cut(raw, "\n")
		m, err := netmail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		part, err := multipart.NewReader(m.Body, params["boundary"]).NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return to, m.Header.Get("Subject"), string(content)
	case <-time.After(30 * time.Second):
		t.Fatal("no mail comes")
	}
	return "", "", ""
}

// A user who has forgotten the password gets a mail from a real server by a
// real SMTP server, with the configured address in its link whatever the
// request said, and sets a new password with it.
func TestForgottenPassword(t *testing.T) {
	box, address := openPostbox(t)
	s := startServer(t, "--outbound", "any")
	admin, err := makeToken(s.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	must := func(want int, method, path, token, body string) string {
		t.Helper()
		status, answer := s.call(t, method, path, token, body)
		if status != want {
			t.Fatalf("%s %s: %d %s", method, path, status, answer)
		}
		return answer
	}
	must(201, "POST", "/auth/users", admin, `{"username":"jsmith","password":"`+testPassword+`","email":"jsmith@example.com"}`)
	must(200, "PATCH", "/settings/", admin, fmt.Sprintf(`{"public_url":"https://repo.example.com",
		"smtp":{"enabled":true,"host":"127.0.0.1","port":%d,"tls":"none","from":"repod@example.com"}}`, address.Port))
	must(200, "POST", "/settings/test-email", admin, `{"to":"ops@example.com"}`)
	if to, subject, _ := box.next(t); to != "ops@example.com" || subject != "Test mail" {
		t.Errorf("test mail %q to %s", subject, to)
	}

	must(200, "POST", "/auth/forgot-password", "", `{"email":"nobody@example.com"}`)
	must(200, "POST", "/auth/forgot-password", "", `{"email":"JSmith@example.com"}`)
	to, _, text := box.next(t)
	link := regexp.MustCompile(`https://repo\.example\.com/ui/reset-password\?token=([\w-]+)`).FindStringSubmatch(text)
	if to != "jsmith@example.com" || link == nil {
		t.Fatalf("mail to %s:\n%s", to, text)
	}
	body, err := json.Marshal(map[string]string{"token": link[1], "new_password": "Better-1234"})
	if err != nil {
		t.Fatal(err)
	}
	must(200, "POST", "/auth/reset-password", "", string(body))
	must(400, "POST", "/auth/reset-password", "", string(body))
	must(200, "POST", "/auth/token", "", `{"username":"jsmith","password":"Better-1234"}`)
	if to, subject, text := box.next(t); to != "jsmith@example.com" || subject != "Your password was changed" || strings.Contains(text, "Better-1234") {
		t.Errorf("mail %q to %s:\n%s", subject, to, text)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
