package aptrepo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/repod-io/repod/index"
)

// A signedState is how distributions should be signed at a moment.
type signedState struct {
	ring   index.Keyring // the keys that may sign; nil: nothing is known of them
	active string        // ID of the key that must be among the signers, "": any
}

// name tells one state from another.
func (s signedState) name() string {
	name := s.active
	for _, k := range s.ring {
		name += " " + k.Fingerprint()
	}
	return name
}

// signedState returns how distributions should be signed now.
func (r *Repo) signedState(ctx context.Context) (signedState, error) {
	signer, err := r.signer(ctx)
	if err != nil {
		return signedState{}, err
	}
	all := index.PublicKeys(signer)
	s := signedState{ring: r.unexpired(all)}
	if r.Signer == nil && len(s.ring) > 0 && s.ring[0] == all[0] {
		s.active = s.ring[0].KeyID()
	}
	return s, nil
}

// unexpired returns the keys that may sign now.
func (r *Repo) unexpired(keys index.Keyring) (good index.Keyring) {
	for _, k := range keys {
		if end := k.ExpiresAt(); end.IsZero() || r.now().Before(end) {
			good = append(good, k)
		}
	}
	return good
}

// announced returns the fingerprints of the keys that may sign the next state of a
// distribution, for the field Signed-By: those of a rotation while it runs, and
// none at other times. A client that heeds the field takes nothing that is signed
// by other keys until Valid-Until: with one key, that could only harm those whose
// key must be replaced at once.
func (r *Repo) announced(signer index.Signer) (fingerprints []string) {
	keys := r.unexpired(index.PublicKeys(signer))
	if len(keys) < 2 {
		return nil
	}
	for _, k := range keys {
		fingerprints = append(fingerprints, k.Fingerprint())
	}
	return fingerprints
}

// fits reports whether a distribution is signed as it should be: by the active
// key, and by no key that does not sign any more. A retiring key may be missing,
// so that two servers whose clocks differ do not undo each other's work.
func (s signedState) fits(inRelease []byte) bool {
	ids, err := index.Issuers(inRelease)
	if err != nil {
		return false
	}
	known := func(id string) bool { return s.ring.Has(id) }
	switch {
	case len(s.ring) == 0: // nobody could sign it anew
		return true
	case s.active != "" && !slices.Contains(ids, s.active):
		return false
	}
	return len(ids) > 0 && !slices.ContainsFunc(ids, func(id string) bool { return !known(id) })
}

// renew signs anew what has used up a third of its validity, and what is not
// signed by the keys that sign now: because one has retired, because another was
// configured, or because a server stopped before it had done so.
func (r *Repo) renew(ctx context.Context) error {
	state, err := r.signedState(ctx)
	if err != nil {
		return err
	}
	valid := r.validFor()
	var errs []error
	for _, p := range r.knownPublishers() {
		errs = append(errs, p.renew(ctx, state, valid))
	}
	return errors.Join(errs...)
}

func (p *publisher) renew(ctx context.Context, state signedState, valid time.Duration) error {
	aged := func(s *snapshot) bool { return valid > 0 && p.repo.now().Sub(s.gen.Date) > valid/3 }
	s := p.current.Load()
	if s == nil || s.gen.Number == 0 {
		return nil
	}
	fits := p.looked.is(s, state)
	if !aged(s) && fits {
		return nil
	}
	err := p.resign(ctx, func(s *snapshot) bool { return aged(s) || !state.fits(s.heads["InRelease"].data) })
	if err != nil || fits {
		return err
	}
	if s = p.current.Load(); !state.fits(s.heads["InRelease"].data) {
		p.repo.logger().ErrorContext(ctx, "a distribution was signed anew, and not by the keys that the signer tells of", "distribution", p.codename)
	}
	p.looked = lookedAt{s.gen.Number, state.name(), true}
	return nil
}

// lookedAt remembers what came of a look at signatures: they are looked at every
// second, and change seldom.
type lookedAt struct {
	generation int64
	state      string
	fits       bool
}

func (l *lookedAt) is(s *snapshot, state signedState) bool {
	if name := state.name(); l.generation != s.gen.Number || l.state != name {
		*l = lookedAt{s.gen.Number, name, state.fits(s.heads["InRelease"].data)}
	}
	return l.fits
}

var errSettled = errors.New("another server has done it")

// resign signs the distribution anew if the newest generation is due, too: another
// server may have come first.
func (p *publisher) resign(ctx context.Context, due func(*snapshot) bool) error {
	err := p.exclusive(ctx, func(ctx context.Context) error {
		return p.advanceFrom(ctx, p.refresh, func(ctx context.Context, cur *snapshot, d Distribution) (map[string]*index.Log, int64, error) {
			if !due(cur) {
				return nil, 0, errSettled
			}
			return p.edit(ctx, cur, d)
		})
	})
	if errors.Is(err, errSettled) {
		return nil
	}
	return err
}

// noteRetired records, once for each key, that it signs no more.
func (r *Repo) noteRetired(ctx context.Context) error {
	if r.Signer != nil {
		return nil
	}
	stored, err := r.Store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range stored {
		if r.stateOf(k) != KeyRetired {
			continue
		}
		news := false
		err := r.once(ctx, "retired "+k.Fingerprint, func(tx Tx) error {
			news = true
			e := r.audit(ctx, "settings.gpg_retire", ResultSuccess)
			e.Target = k.Fingerprint
			return tx.Audit(e)
		})
		if err != nil {
			return err
		}
		if news {
			r.logger().InfoContext(ctx, "a signing key has retired", "fingerprint", k.Fingerprint)
		}
	}
	return nil
}

// warnOfKeys logs, once a day, that signing keys expire soon or have expired.
func (r *Repo) warnOfKeys(ctx context.Context) error {
	s := r.shared()
	if now := r.now(); now.Sub(s.warned) >= 24*time.Hour {
		ring, err := r.Keys(ctx)
		if err != nil {
			return err
		}
		s.warned = now
		for _, k := range ring.Keys {
			if k.State == KeyActive && !k.ExpiresAt.IsZero() && k.ExpiresAt.Sub(now) <= keyNotice {
				r.logger().WarnContext(ctx, "the signing key "+ending(k, now)+"; make another (POST /settings/gpg/generate) and let clients fetch it",
					"fingerprint", k.Fingerprint, "expires", k.ExpiresAt)
			}
		}
	}
	return nil
}

func ending(k KeyInfo, now time.Time) string {
	if k.ExpiresAt.After(now) {
		return "expires on " + DayOf(k.ExpiresAt).String()
	}
	return "has expired on " + DayOf(k.ExpiresAt).String()
}

// activeExpired returns an index.ErrKeyExpired when the active key signs no more,
// though another may do.
func (r *Repo) activeExpired(ctx context.Context) error {
	ring, err := r.Keys(ctx)
	if err != nil || r.Signer != nil { // which says so itself
		return err
	}
	for _, k := range ring.Keys {
		if k.State == KeyActive && !k.ExpiresAt.IsZero() && !r.now().Before(k.ExpiresAt) {
			return fmt.Errorf("%w: %s on %s", index.ErrKeyExpired, k.Fingerprint, DayOf(k.ExpiresAt))
		}
	}
	return nil
}
