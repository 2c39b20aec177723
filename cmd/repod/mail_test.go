package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/notify"
	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/auth"
)

// TestMailPoster runs the kinds as the server does: on a runner.
func TestMailPoster(t *testing.T) {
	busy := &notify.Error{Temporary: true, Err: errors.New("451 busy")}
	for _, tt := range []struct {
		name, kind, args string
		change           func(*mailPoster)
		answers          []error // of the mail server
		tries            int
		subject, log     string
	}{
		{name: "reset", kind: "auth.password_reset", args: `{"email":"j@example.com"}`, answers: []error{nil}, tries: 1, subject: "Reset your password"},
		{name: "changed", kind: "auth.password_changed", args: `{"username":"j"}`, answers: []error{nil}, tries: 1, subject: "Your password was changed"},
		{name: "later", kind: "auth.password_reset", args: `{}`, answers: []error{busy, busy, nil}, tries: 3, subject: "Reset your password", log: "451 busy"},
		{name: "never", kind: "auth.password_reset", args: `{}`, answers: []error{busy, busy, busy}, tries: 3, log: `"job failed"`},
		{name: "refused", kind: "auth.password_reset", args: `{}`, answers: []error{&notify.Error{Err: errors.New("550 no")}}, tries: 1, log: "550 no"},
		{name: "off", kind: "auth.password_reset", args: `{}`, change: func(p *mailPoster) { p.enabled = func(context.Context) bool { return false } }, log: "switched off"},
		{name: "off just now", kind: "auth.password_reset", args: `{}`, answers: []error{notify.ErrOff}, tries: 1, log: "switched off"},
		{name: "no address of its own", kind: "auth.password_reset", args: `{}`, change: func(p *mailPoster) { p.publicURL = func() string { return "" } }, log: "set public_url"},
		{name: "nobody", kind: "auth.password_reset", args: `{"email":"nobody"}`},
		{name: "no e-mail", kind: "auth.password_changed", args: `{"username":"nobody"}`},
		{name: "bad payload", kind: "auth.password_changed", args: `[]`, log: "arguments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var sent []string
			var ids []string
			tries := 0
			var log bytes.Buffer
			p := &mailPoster{
				enabled:   func(context.Context) bool { return true },
				publicURL: func() string { return "https://repo.example.com" },
				issueReset: func(_ context.Context, id string, r auth.ResetRequest) (notify.PasswordReset, bool, error) {
					ids = append(ids, id)
					return notify.PasswordReset{To: "j@example.com", Username: "j", Token: "s3cr3t"}, r.Email != "nobody", nil
				},
				email: func(_ context.Context, username string) (string, error) {
					if username == "nobody" {
						return "", nil
					}
					return username + "@example.com", nil
				},
				send: func(_ context.Context, m notify.Mail) error {
					tries++
					if err := tt.answers[tries-1]; err != nil {
						return err
					}
					sent = append(sent, m.Subject)
					return nil
				},
			}
			p.log = slog.New(slog.NewTextHandler(&lockedWriter{mu: &mu, buf: &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
			if tt.change != nil {
				tt.change(p)
			}
			runMail(t, p, tt.kind, tt.args)
			if tries != tt.tries || tt.subject != "" && !slices.Equal(sent, []string{tt.subject}) {
				t.Errorf("%d tries, sent %q", tries, sent)
			}
			if len(slices.Compact(ids)) > 1 {
				t.Errorf("tokens for %q", ids)
			}
			if !strings.Contains(log.String(), tt.log) || strings.Contains(log.String(), "s3cr3t") {
				t.Errorf("log is %s", &log)
			}
		})
	}
}

type lockedWriter struct {
	mu  *sync.Mutex
	buf *bytes.Buffer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

// runMail does one job to its end, without the pauses.
func runMail(t *testing.T, p *mailPoster, kind, args string) {
	t.Helper()
	db, err := sql.Open("sqlite", sqlstore.SQLiteDSN(filepath.Join(t.TempDir(), "jobs.db")))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r := &jobs.Runner{DB: db, Dialect: jobs.SQLite, Logger: p.log}
	for _, k := range p.kinds() {
		if !slices.Equal(k.Retry, []time.Duration{time.Minute, 10 * time.Minute}) || !k.Internal {
			t.Errorf("kind %+v", k)
		}
		// The loop stands for the pauses; users can see the job, so the test can.
		work := k.Work
		k.Internal, k.Retry = false, nil
		k.Work = func(ctx context.Context, task *jobs.Task) (result any, err error) {
			for range 1 + len(mailRetry) {
				if result, err = work(ctx, task); err == nil || jobs.IsPermanent(err) {
					break
				}
				p.log.Warn("again", "error", err)
			}
			return result, err
		}
		r.Register(k)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(t.Context())
	job, err := r.Enqueue(t.Context(), kind, jsonText(args), jobs.Options{})
	for err == nil && !job.Ended() {
		job, err = r.Changed(t.Context(), job)
	}
	if err != nil {
		t.Fatal(err)
	}
}

type jsonText string

func (j jsonText) MarshalJSON() ([]byte, error) { return []byte(j), nil }
