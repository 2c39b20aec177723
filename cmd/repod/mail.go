package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/notify"
	"github.com/repod-io/repod/auth"
)

// mailRetry are the pauses before the second and the third attempt.
var mailRetry = []time.Duration{time.Minute, 10 * time.Minute}

// A mailPoster turns messages of accounts into mail.
type mailPoster struct {
	// send is that of a notify.Mailer.
	send func(context.Context, notify.Mail) error
	// enabled reports whether mail is switched on.
	enabled func(context.Context) bool
	// publicURL is the configured address, "" when there is none.
	publicURL func() string
	// issueReset makes a token for whoever asked, the same for the same id;
	// false: no mail is due.
	issueReset func(ctx context.Context, id string, r auth.ResetRequest) (notify.PasswordReset, bool, error)
	// email returns a user's address, "" without one or when the user is gone.
	email func(ctx context.Context, username string) (string, error)
	log   *slog.Logger
}

// kinds returns what is done about each topic.
func (p *mailPoster) kinds() []jobs.Kind {
	kind := func(topic string, work func(context.Context, *jobs.Task) error) jobs.Kind {
		return jobs.Kind{
			Name: topic, Internal: true, Retry: mailRetry, Timeout: 3 * time.Minute,
			Work: func(ctx context.Context, t *jobs.Task) (any, error) { return nil, work(ctx, t) },
		}
	}
	return []jobs.Kind{
		kind(auth.TopicPasswordReset, p.passwordReset),
		kind(auth.TopicPasswordChanged, p.passwordChanged),
	}
}

func (p *mailPoster) passwordReset(ctx context.Context, t *jobs.Task) error {
	var request auth.ResetRequest
	if err := t.Args(&request); err != nil {
		return err
	}
	if !p.on(ctx, t) {
		return nil
	}
	if p.publicURL() == "" { // before a token is made that nobody gets
		return jobs.Permanent(notify.ErrNoPublicURL)
	}
	reset, due, err := p.issueReset(ctx, t.ID, request)
	if err != nil || !due {
		return err
	}
	reset.PublicURL = p.publicURL()
	return p.post(ctx, t, reset.Mail)
}

func (p *mailPoster) passwordChanged(ctx context.Context, t *jobs.Task) error {
	var change struct {
		Username string `json:"username"`
	}
	if err := t.Args(&change); err != nil {
		return err
	}
	if !p.on(ctx, t) {
		return nil
	}
	to, err := p.email(ctx, change.Username)
	if err != nil || to == "" {
		return err
	}
	return p.post(ctx, t, notify.PasswordChanged{To: to, Username: change.Username}.Mail)
}

// on reports whether mail is switched on. While it is not, mail is dropped.
func (p *mailPoster) on(ctx context.Context, t *jobs.Task) bool {
	if p.enabled(ctx) {
		return true
	}
	p.log.DebugContext(ctx, "a mail is dropped: mail is switched off", "job", t.ID)
	return false
}

func (p *mailPoster) post(ctx context.Context, t *jobs.Task, write func() (notify.Mail, error)) error {
	mail, err := write()
	if err != nil {
		return jobs.Permanent(err)
	}
	err = p.send(ctx, mail)
	var refused *notify.Error
	switch {
	case errors.Is(err, notify.ErrOff): // just now
		p.log.DebugContext(ctx, "a mail is dropped: mail is switched off", "job", t.ID)
		return nil
	case errors.As(err, &refused) && !refused.Temporary:
		return jobs.Permanent(err)
	}
	return err
}
