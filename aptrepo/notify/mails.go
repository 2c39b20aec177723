package notify

import (
	"crypto/rand"
	"errors"
	htmltemplate "html/template"
	"net/url"
	"strings"
	"text/template"
	"time"
	"unicode"
)

func newID() string { return rand.Text() }

// ErrNoPublicURL says that a mail needs a link, and the program has not been
// told by which address people reach it.
var ErrNoPublicURL = errors.New("no mail with a link can be sent: set public_url to the address by which people reach the server")

// PasswordReset tells how to set a new password.
type PasswordReset struct {
	To, Username string
	PublicURL    string // from the configuration, never from a request
	Token        string
	Expires      time.Time
}

// Mail returns the mail. It fails with ErrNoPublicURL.
func (p PasswordReset) Mail() (Mail, error) {
	if p.PublicURL == "" {
		return Mail{}, ErrNoPublicURL
	}
	link := strings.TrimRight(p.PublicURL, "/") + "/ui/reset-password?token=" + url.QueryEscape(p.Token)
	return render(p.To, "Reset your password", "reset", map[string]string{
		"Username": p.Username, "Link": link, "Expires": p.Expires.UTC().Format("2006-01-02 15:04 UTC"),
	})
}

// PasswordChanged tells a user that the password is another one.
type PasswordChanged struct{ To, Username string }

// Mail returns the mail.
func (p PasswordChanged) Mail() (Mail, error) {
	return render(p.To, "Your password was changed", "changed", map[string]string{"Username": p.Username})
}

// A Notice tells operators what has happened.
type Notice struct {
	To string
	// Subject says it in one line. What would end the header field, or is longer
	// than a line, is taken out.
	Subject string
	Facts   []Fact
	Link    string // where more is to be seen; "": nowhere
}

// A Fact is a line of a Notice.
type Fact struct{ Name, Value string }

// maxSubject bounds subjects, in characters.
const maxSubject = 150

// Mail returns the mail.
func (n Notice) Mail() (Mail, error) {
	n.Subject = oneLine(n.Subject)
	subject := []rune(n.Subject)
	if len(subject) > maxSubject {
		subject = append(subject[:maxSubject-1], '…')
	}
	facts := make([]Fact, len(n.Facts))
	for i, f := range n.Facts {
		facts[i] = Fact{oneLine(f.Name), oneLine(f.Value)}
	}
	n.Facts = facts
	return render(n.To, "[repod] "+string(subject), "notice", n)
}

// oneLine takes out what would begin another line.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// Test shows that mail works.
type Test struct{ To string }

// Mail returns the mail.
func (t Test) Mail() (Mail, error) { return render(t.To, "Test mail", "test", nil) }

const texts = `
{{define "reset"}}Hello {{.Username}},

somebody asked to reset the password of your account. To set a new one, open

{{.Link}}

The link works once, until {{.Expires}} (30 minutes). If it was not you who
asked, ignore this mail: your password stays as it is.
{{end}}
{{define "changed"}}Hello {{.Username}},

the password of your account was changed, and all sessions have ended. If it
was not you, ask your administrator at once.
{{end}}
{{define "notice"}}{{.Subject}}
{{range .Facts}}
{{.Name}}: {{.Value}}{{end}}
{{with .Link}}
{{.}}
{{end}}{{end}}
{{define "test"}}This is a test: mail from the package repository works.
{{end}}`

const pages = `
{{define "reset"}}<p>Hello {{.Username}},</p>
<p>somebody asked to reset the password of your account.
<a href="{{.Link}}">Set a new password</a></p>
<p>The link works once, until {{.Expires}} (30 minutes). If it was not you who
asked, ignore this mail: your password stays as it is.</p>
{{end}}
{{define "changed"}}<p>Hello {{.Username}},</p>
<p>the password of your account was changed, and all sessions have ended. If it
was not you, ask your administrator at once.</p>
{{end}}
{{define "notice"}}<p>{{.Subject}}</p>
<table>{{range .Facts}}<tr><td>{{.Name}}</td><td>{{.Value}}</td></tr>{{end}}</table>
{{with .Link}}<p><a href="{{.}}">{{.}}</a></p>
{{end}}{{end}}
{{define "test"}}<p>This is a test: mail from the package repository works.</p>
{{end}}`

var (
	textTemplates = template.Must(template.New("").Parse(texts))
	htmlTemplates = htmltemplate.Must(htmltemplate.New("").Parse(pages))
)

func render(to, subject, name string, data any) (Mail, error) {
	var text, html strings.Builder
	if err := textTemplates.ExecuteTemplate(&text, name, data); err != nil {
		return Mail{}, err
	}
	if err := htmlTemplates.ExecuteTemplate(&html, name, data); err != nil {
		return Mail{}, err
	}
	return Mail{To: []string{to}, Subject: subject, Text: text.String(), HTML: html.String()}, nil
}
