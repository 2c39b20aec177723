package aptrepo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// An Actor is who causes a change. The zero Actor is the system itself.
type Actor struct {
	Name      string // "admin", "token:ci"; "" = "system"
	IP        string // client address, "" for scheduled work
	RequestID string
	// Distributions, when not empty, are the only ones this actor may write:
	// other changes give ErrScope.
	Distributions []string
	// Packages, when not empty, are the only package names this actor may
	// write, those that end in * all names that begin so: other changes give
	// ErrNameScope.
	Packages []string
}

// MayWrite reports whether the actor's scope takes in a distribution.
func (a Actor) MayWrite(codename string) bool {
	return len(a.Distributions) == 0 || slices.Contains(a.Distributions, codename)
}

// MayName reports whether the actor's scope takes in a package name.
func (a Actor) MayName(name string) bool {
	return len(a.Packages) == 0 || slices.ContainsFunc(a.Packages, func(pattern string) bool { return matchesName(pattern, name) })
}

// matchesName reports whether a name is the pattern or, when that ends in "*",
// begins with the rest of it.
func matchesName(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return name == pattern
}

// mayWriteAll returns ErrScope unless the actor's scope takes in all places.
func (a Actor) mayWriteAll(places []Publication) error {
	for _, p := range places {
		if !a.MayWrite(p.Distribution) {
			return ErrScope
		}
	}
	return nil
}

type actorKey struct{}

// WithActor returns a context in which changes are done, and audited, in the
// name of a.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns the context's actor, by default the system.
func ActorFrom(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	a.Name = a.name()
	return a
}

func (a Actor) name() string { return cmp.Or(a.Name, "system") }

// Results of audited actions.
const (
	ResultSuccess = "success"
	ResultFailure = "failure"
	ResultDenied  = "denied"
	ResultPartial = "partial"
	// ResultPendingReview: done as far as the gate allows.
	ResultPendingReview = "pending_review"
)

// An AuditEntry records one action. Entries form a hash chain: changing,
// removing or reordering one breaks every later Hash.
type AuditEntry struct {
	ID        int64     `json:"id"`        // 1, 2, 3 ..., set by the Store
	Time      time.Time `json:"timestamp"` // UTC, whole seconds
	Action    string    `json:"action"`    // "package.upload"
	User      string    `json:"user"`
	IP        string    `json:"ip"`
	Result    string    `json:"result"`
	Target    string    `json:"target"`
	Package   string    `json:"package"`
	Version   string    `json:"version"`
	Detail    string    `json:"detail"`
	RequestID string    `json:"request_id"`
	Hash      string    `json:"hash,omitempty"` // hex, set by the Store
}

// Chain returns the hash of e behind an entry with hash prev ("" for the
// first): lower-case hex of SHA-256 over prev and e's JSON form, keys in the
// order of the struct, without hash.
func (e AuditEntry) Chain(prev string) (string, error) {
	e.Hash = ""
	e.Time = e.Time.UTC().Truncate(time.Second)
	body, err := json.Marshal(e)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(prev), body...))
	return hex.EncodeToString(sum[:]), nil
}

// audit starts an entry for the context's actor.
func (r *Repo) audit(ctx context.Context, action, result string) AuditEntry {
	a := ActorFrom(ctx)
	return AuditEntry{
		Time:      r.now().UTC().Truncate(time.Second),
		Action:    action,
		User:      a.Name,
		IP:        a.IP,
		Result:    result,
		RequestID: a.RequestID,
	}
}

// Record appends an entry for something that is done outside of the repository,
// in the name of the context's actor: only Action, Result, Target, Package,
// Version and Detail of e count. Events are told of in the same transaction;
// their Time and Actor do not count.
func (r *Repo) Record(ctx context.Context, e AuditEntry, events ...Event) error {
	full := r.audit(ctx, e.Action, e.Result)
	full.Target, full.Package, full.Version, full.Detail = e.Target, e.Package, e.Version, e.Detail
	var told []Event
	err := r.Store.Update(ctx, func(tx Tx) (err error) {
		if told, err = r.tellAll(ctx, tx, events); err != nil {
			return err
		}
		return tx.Audit(full)
	})
	if err == nil {
		r.emit(ctx, told...)
	}
	return err
}
