package auth

import (
	"context"
	"time"
)

// A Factor is a user's second factor: one-time passwords by time (RFC 6238).
type Factor struct {
	// Sealed is the shared secret, encrypted with a key derived from
	// Service.Key and bound to the user.
	Sealed    Secret `json:"-"`
	Confirmed bool   // until then it is not asked for
	// LastStep is the time step of the last password used: no step is taken
	// twice.
	LastStep int64
	// Recovery holds the SHA-256 of each recovery code that is left, 64
	// lower-case hex digits.
	Recovery  []Secret `json:"-"`
	CreatedAt time.Time
}

// FactorStore is the part of [Store] about second factors.
type FactorStore interface {
	// Factor returns the factor of a user, or ErrNoFactor.
	Factor(ctx context.Context, username string) (Factor, error)

	// EditFactor lets edit change the factor of a user, the zero Factor when
	// there is none; one that has no Sealed afterwards is removed. Edit must
	// not block and is called at most once, perhaps on another goroutine. The
	// event that it returns is recorded with the change, or none when its
	// Action is empty. An error of edit is returned as it is, and nothing
	// changes then. ErrUserNotFound. A factor goes with its user.
	EditFactor(ctx context.Context, username string, edit func(f *Factor) (Event, error)) error
}
