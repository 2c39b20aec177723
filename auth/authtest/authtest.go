// Package authtest checks implementations of auth.Store, and has one in memory
// for the tests of programs that use package auth.
//
// The rules are plain functions on a store, so that they can be tested
// themselves, on stores which break them.
package authtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

// A Store is an auth.Store whose events and messages can be read back, oldest
// first: a test of a store that writes them to an audit log and an outbox makes
// them up from there.
type Store interface {
	auth.Store
	// Events returns all events without their messages.
	Events(ctx context.Context) ([]auth.Event, error)
	// Messages returns those of all events.
	Messages(ctx context.Context) ([]auth.Message, error)
}

// A Check is one rule of the contract of auth.Store. Func wants an empty
// store.
type Check struct {
	Name string
	Func func(ctx context.Context, s Store) error
}

// RunStore tests the stores that open makes, a fresh and empty one for each
// check.
func RunStore(t *testing.T, open func(t *testing.T) Store) {
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Func(t.Context(), open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Checks returns all rules.
func Checks() []Check {
	return []Check{
		{"UserRoundTrip", userRoundTrip},
		{"UserNames", userNames},
		{"FirstUser", firstUser},
		{"FirstUserRace", firstUserRace},
		{"RecordLogin", recordLogin},
		{"Rehash", rehash},
		{"UserOrder", userOrder},
		{"UserByEmail", userByEmail},
		{"UserByExternalID", userByExternalID},
		{"EmailTaken", emailTaken},
		{"EditUser", editUser},
		{"EditUserRace", editUserRace},
		{"DeleteUser", deleteUser},
		{"LastAdmin", lastAdmin},
		{"LastAdminRace", lastAdminRace},
		{"ResetRoundTrip", resetRoundTrip},
		{"ResetEnds", resetEnds},
		{"ResetLimit", resetLimit},
		{"ResetRace", resetRace},
		{"FactorRoundTrip", factorRoundTrip},
		{"FactorRace", factorRace},
		{"PublisherRoundTrip", publisherRoundTrip},
		{"AssertionRace", assertionRace},
		{"Messages", messages},
		{"TokenRoundTrip", tokenRoundTrip},
		{"TokenOrder", tokenOrder},
		{"TokenNameTaken", tokenNameTaken},
		{"TokenNameRace", tokenNameRace},
		{"RevokeToken", revokeToken},
		{"TouchToken", touchToken},
		{"RevokeSession", revokeSession},
		{"Record", record},
		{"CanceledContext", canceledContext},
	}
}

// epoch is when all checks take place.
var epoch = time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)

func user(name string) auth.User {
	return auth.User{
		Username:     name,
		Email:        name + "@example.com",
		FullName:     "Jörg \"J\" O'Neil",
		Roles:        []auth.Role{auth.Viewer, auth.Maintainer},
		Active:       true,
		AuthSource:   auth.SourceLocal,
		PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		TokenVersion: 1<<31 - 1,
		CreatedAt:    epoch,
	}
}

func token(n int) auth.APIToken {
	return auth.APIToken{
		ID:        fmt.Sprintf("tok_%012d", n),
		Name:      fmt.Sprintf("token %d", n),
		Roles:     []auth.Role{auth.Uploader},
		Prefix:    fmt.Sprintf("repod_%06d", n),
		CreatedBy: "admin",
		CreatedAt: epoch,
		Hash:      auth.Secret(fmt.Sprintf("%064x", n)),
	}
}

// event returns one that differs in each field from those of other targets.
func event(action, target string) auth.Event {
	return auth.Event{
		Time:      epoch,
		Action:    action,
		User:      "by-" + target,
		IP:        "2001:db8::1",
		Result:    auth.ResultSuccess,
		Target:    target,
		Detail:    "detail of " + target,
		RequestID: "req-" + target,
	}
}

// wantEvents checks all that was recorded so far.
func wantEvents(ctx context.Context, s Store, want ...auth.Event) error {
	got, err := s.Events(ctx)
	if err != nil {
		return fmt.Errorf("Events: %w", err)
	}
	if len(got) == 0 && len(want) == 0 {
		return nil
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("events are\n%+v, want\n%+v", got, want)
	}
	return nil
}

// wantErr checks the error of a call.
func wantErr(call string, got, want error) error {
	if !errors.Is(got, want) {
		return fmt.Errorf("%s: error is %v, want %v", call, got, want)
	}
	return nil
}

// wantUser checks a user in the store, its secret included.
func wantUser(ctx context.Context, s Store, name string, want auth.User) error {
	got, err := s.User(ctx, name)
	if err != nil {
		return fmt.Errorf("User(%q): %w", name, err)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("User(%q) is\n%+v (hash %q), want\n%+v (hash %q)",
			name, got, string(got.PasswordHash), want, string(want.PasswordHash))
	}
	return nil
}

// wantTokens checks all tokens in the store.
func wantTokens(ctx context.Context, s Store, want ...auth.APIToken) error {
	got, err := s.Tokens(ctx)
	if err != nil {
		return fmt.Errorf("Tokens: %w", err)
	}
	if len(got) != len(want) {
		return fmt.Errorf("Tokens returns %d, want %d", len(got), len(want))
	}
	for i := range got {
		if err := sameToken("Tokens", got[i], want[i]); err != nil {
			return err
		}
	}
	return nil
}

func sameToken(call string, got, want auth.APIToken) error {
	if len(got.Distributions)+len(want.Distributions) == 0 {
		got.Distributions = want.Distributions // nil or empty, both mean all
	}
	if len(got.Packages)+len(want.Packages) == 0 {
		got.Packages = want.Packages
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s: token is\n%s, want\n%s", call, showToken(got), showToken(want))
	}
	return nil
}

func showToken(t auth.APIToken) string {
	text := fmt.Sprintf("%+v (hash %q)", t, string(t.Hash))
	if t.ExpiresAt != nil {
		text += fmt.Sprint(" expires ", *t.ExpiresAt)
	}
	if t.LastUsedAt != nil {
		text += fmt.Sprint(" used ", *t.LastUsedAt)
	}
	return text
}

// race calls f n times at once and returns the errors.
func race(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// wantOne checks that of concurrent calls exactly one succeeded and the others
// failed with lost.
func wantOne(call string, errs []error, lost error) error {
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost):
			return fmt.Errorf("%s: error is %w, want %w", call, err, lost)
		}
	}
	if won != 1 {
		return fmt.Errorf("%s: %d of %d concurrent calls succeeded, want 1", call, won, len(errs))
	}
	return nil
}
