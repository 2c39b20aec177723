package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/notify"
	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/httpapi"
)

// jobConnections is the size of the pool that background work has for itself.
const jobConnections = 4

// background is the work that goes on beside requests.
type background struct {
	pool   *sql.DB
	runner *jobs.Runner
	relay  *jobs.Relay
	within time.Duration // work that runs when the server stops may finish
}

// startBackground starts it.
func (c *serveConfig) startBackground(ctx context.Context, o *opened, set *live.Service, users *auth.Service, im *importer.Importer, safety *scanning,
	observe func(kind string, took time.Duration, a jobs.Attempt)) (*background, error) {
	driver, dsn, dialect := "pgx", c.postgres, c.jobsDialect()
	server := "" // PostgreSQL may have others, of no name of their own
	if c.sqlite != "" {
		driver, dsn, server = "sqlite", sqlstore.SQLiteDSN(c.sqlite), "local"
	}
	pool, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, errors.New("opening the database for jobs: --database-url is not valid") // err may hold the password
	}
	pool.SetMaxOpenConns(jobConnections)
	b := &background{pool: pool, within: shutdownTime, runner: &jobs.Runner{DB: pool, Dialect: dialect, Server: server, Logger: c.log, Observe: observe}}
	mail := c.mailPoster(o, set, users)
	b.runner.Register(mail.kinds()...)
	events := c.newNotifier(o, set, mail)
	events.mailTo = b.mailTo
	b.runner.Register(events.kinds()...)
	b.runner.Register(httpapi.ImportKinds(im, safety.updateFeeds)...)
	b.runner.Register(safety.db.current(httpapi.SafetyKinds(o.repo, safety.updateFeeds, safety.update))...)
	b.runner.Register(httpapi.RetentionKinds(o.repo, set)...)
	if err := b.runner.Start(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("starting background work: %w", err)
	}
	if err := b.followSources(ctx, set, im, c.log); err != nil {
		return nil, errors.Join(err, b.stop(ctx), pool.Close())
	}
	b.relay = jobs.NewRelay(outbox{o.db}, b.runner)
	o.db.OnMessage(b.relay.Wake)
	return b, nil
}

// jobsDialect is that of the database for the queue of jobs.
func (c *storeConfig) jobsDialect() jobs.Dialect {
	if c.sqlite != "" {
		return jobs.SQLite
	}
	return jobs.Postgres
}

// followSources keeps to the sources, the schedule and the offers of the
// settings. It adds itself to their OnChange, so that they must not be refreshed
// yet.
func (b *background) followSources(ctx context.Context, set *live.Service, im *importer.Importer, log *slog.Logger) error {
	ctx = context.WithoutCancel(ctx)
	offer := func(former []string) {
		if err := im.RefreshOffers(ctx, former...); err != nil {
			log.Error("indices do not list what the sources offer now; the next sync does it", "error", err)
		}
	}
	also := set.OnChange
	set.OnChange = func(before, after *live.Settings) {
		also(before, after)
		was, is := before.Import, after.Import
		if err := im.SourcesChanged(ctx, was.Sources, is.Sources); err != nil {
			log.Error("what former sources offered could not be dropped", "error", err)
		}
		if err := b.schedule(after); err != nil {
			log.Error("the schedules cannot be followed", "error", err)
		}
		if len(was.PullThrough)+len(is.PullThrough) > 0 {
			go offer(was.PullThrough) // which takes longer than a request should wait
		}
	}
	now := set.Current().Import
	if len(now.PullThrough) > 0 {
		go offer(nil)
	}
	return b.schedule(set.Current())
}

// schedule keeps to the schedules of the settings.
func (b *background) schedule(s *live.Settings) error {
	return errors.Join(httpapi.ScheduleImports(b.runner, s.Import), httpapi.ScheduleRescans(b.runner, s),
		httpapi.ScheduleRetention(b.runner, s))
}

// stop lets work that runs finish, for a time. What is then cancelled is told of,
// but is no failure: it is taken up again, or recorded as interrupted.
func (b *background) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.within)
	defer cancel()
	err := b.runner.Stop(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		b.runner.Logger.Warn("background jobs were interrupted", "after", b.within.String())
		return nil
	}
	return err
}

// mailTo has a notice sent to one operator, once for a key.
func (b *background) mailTo(ctx context.Context, n notify.Notice, key string) error {
	_, err := b.runner.Enqueue(ctx, topicMailEach, n, jobs.Options{Once: key})
	return err
}

// outbox is a Store's, as the relay wants it.
type outbox struct{ store aptrepo.Store }

// Outbox implements [jobs.Outbox].
func (o outbox) Outbox(ctx context.Context, limit int) ([]jobs.Message, error) {
	messages, err := o.store.Outbox(ctx, limit)
	list := make([]jobs.Message, len(messages))
	for i, m := range messages {
		list[i] = jobs.Message{ID: m.ID, Topic: m.Topic, Payload: m.Payload, CreatedAt: m.CreatedAt}
	}
	return list, err
}

// Delete implements [jobs.Outbox].
func (o outbox) Delete(ctx context.Context, ids []int64) error {
	return o.store.Update(ctx, func(tx aptrepo.Tx) error { return tx.DeleteMessages(ids) })
}

func (c *serveConfig) mailPoster(o *opened, set *live.Service, users *auth.Service) *mailPoster {
	mailer := &notify.Mailer{
		Dial: c.dial,
		SMTP: func(context.Context) (notify.SMTP, bool) {
			now := set.Current().SMTP
			return smtpConfig(now), now.Enabled
		},
	}
	return &mailPoster{
		send:      mailer.Send,
		enabled:   func(context.Context) bool { return set.Current().SMTP.Enabled },
		publicURL: func() string { return set.Current().PublicURL },
		issueReset: func(ctx context.Context, id string, r auth.ResetRequest) (notify.PasswordReset, bool, error) {
			mail, due, err := users.IssueReset(ctx, id, r.Email)
			return notify.PasswordReset{To: mail.To, Username: mail.Username, Token: string(mail.Token), Expires: mail.ExpiresAt}, due, err
		},
		email: func(ctx context.Context, username string) (string, error) {
			u, err := o.db.User(ctx, username)
			if errors.Is(err, auth.ErrUserNotFound) {
				return "", nil
			}
			return u.Email, err
		},
		log: c.log,
	}
}

// testMail sends a mail as the settings say, switched on or not.
func (c *serveConfig) testMail(ctx context.Context, s live.SMTP, to string) error {
	mail, err := notify.Test{To: to}.Mail()
	if err != nil {
		return err
	}
	return (&notify.Mailer{Dial: c.dial}).SendBy(ctx, smtpConfig(s), mail)
}

func smtpConfig(s live.SMTP) notify.SMTP {
	return notify.SMTP{
		Host: s.Host, Port: int(s.Port), Username: s.Username, Password: string(s.Password), TLS: s.TLS, From: s.From,
		Timeout: time.Duration(s.TimeoutSeconds) * time.Second,
	}
}
