package aptrepo

import (
	"context"
	"errors"
	"sync"
	"time"
)

// How long before an end people are told of it.
const (
	decisionNotice = 7 * 24 * time.Hour
	keyNotice      = 30 * 24 * time.Hour
)

// mostReminders bounds the decisions that are looked at at a time.
const mostReminders = 10_000

// reminders are the names of the notes that are known to be there: looking at
// the Store each minute would cost a transaction for each.
type reminders struct {
	mu   sync.Mutex
	made map[string]bool
}

// Remind makes events of what is about to end: decisions 7 days before, and the
// active signing key 30 days before. There is one for each, however often it is
// called, and on however many servers. Run calls it.
func (r *Repo) Remind(ctx context.Context) error {
	if r.Messages == nil && r.OnEvent == nil {
		return nil
	}
	return errors.Join(r.remindOfDecisions(ctx), r.remindOfKeys(ctx))
}

func (r *Repo) remindOfDecisions(ctx context.Context) error {
	now := r.now()
	soon, err := r.Store.ExpiredDecisions(ctx, now.Add(decisionNotice), mostReminders)
	if err != nil {
		return err
	}
	for i := range soon {
		d := &soon[i]
		if !d.ExpiresAt.After(now) {
			continue // its end is told of
		}
		if err := r.remind(ctx, "decision "+d.ID, Event{Kind: EventDecisionExpiring, Decision: d}); err != nil {
			return err
		}
	}
	return nil
}

func (r *Repo) remindOfKeys(ctx context.Context) error {
	ring, err := r.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range ring.Keys {
		if k.State != KeyActive || k.ExpiresAt.IsZero() || k.ExpiresAt.Sub(r.now()) > keyNotice {
			continue
		}
		e := Event{Kind: EventKeyExpiring, Fingerprint: k.Fingerprint, Algorithm: k.Algorithm, ExpiresAt: k.ExpiresAt}
		if err := r.remind(ctx, "key "+k.Fingerprint, e); err != nil {
			return err
		}
	}
	return nil
}

// remind makes an event unless there is a note of that name.
func (r *Repo) remind(ctx context.Context, name string, e Event) error {
	s := &r.shared().reminders
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[name] {
		return nil
	}
	var told []Event
	err := r.Store.Update(ctx, func(tx Tx) error {
		if e.Decision != nil {
			a, err := tx.Artifact(KeyOf(e.Decision.Name, e.Decision.Version, e.Decision.Arch))
			if errors.Is(err, ErrArtifactNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			e.Artifact = &a
		}
		news, err := tx.Note(name, r.now(), time.Time{})
		if err == nil && news {
			told, err = r.tellAll(ctx, tx, []Event{e})
		}
		return err
	})
	if err != nil {
		return err
	}
	if s.made == nil {
		s.made = make(map[string]bool)
	}
	s.made[name] = true
	r.emit(ctx, told...)
	return nil
}

// once does something unless there is a note of that name, which it leaves.
func (r *Repo) once(ctx context.Context, name string, f func(tx Tx) error) error {
	s := &r.shared().reminders
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[name] {
		return nil
	}
	err := r.Store.Update(ctx, func(tx Tx) error {
		news, err := tx.Note(name, r.now(), time.Time{})
		if err != nil || !news {
			return err
		}
		return f(tx)
	})
	if err == nil {
		if s.made == nil {
			s.made = make(map[string]bool)
		}
		s.made[name] = true
	}
	return err
}

// settleEvery is how often AwaitPublication looks.
const settleEvery = 20 * time.Millisecond

// AwaitPublication waits until apt sees what was committed to distributions when
// it was called, by whichever server. Unknown codenames are ignored. Messages may
// come before that; who acts on them may want to wait, with a time limit.
func (r *Repo) AwaitPublication(ctx context.Context, codenames ...string) error {
	wanted, err := r.Store.Heads(ctx)
	if err != nil {
		return err
	}
	now := wanted
	for {
		published := true
		for _, c := range codenames {
			published = published && now[c].AppliedSeq >= wanted[c].LastSeq
		}
		if published {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
		if now, err = r.Store.Heads(ctx); err != nil {
			return err
		}
	}
}
