package authtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/repod-io/repod/auth"
)

func wantFactor(ctx context.Context, s Store, name string, want auth.Factor, wanted error) error {
	got, err := s.Factor(ctx, name)
	if wanted == nil && !reflect.DeepEqual(got, want) {
		return fmt.Errorf("Factor(%q) is %+v (%q, %q), want %+v", name, got, string(got.Sealed), got.Recovery, want)
	}
	return wantErr("Factor of "+name, err, wanted)
}

func setFactor(f auth.Factor, e auth.Event) func(*auth.Factor) (auth.Event, error) {
	return func(dst *auth.Factor) (auth.Event, error) {
		*dst = f
		return e, nil
	}
}

func factorRoundTrip(ctx context.Context, s Store) error {
	refused := errors.New("refused")
	full := auth.Factor{Sealed: "sealed", Confirmed: true, LastStep: 59_000_000, Recovery: []auth.Secret{"aa", "bb"}, CreatedAt: epoch}
	bare := auth.Factor{Sealed: "other", CreatedAt: epoch}
	set, unset := event(auth.ActionFactorEnable, "ann"), event(auth.ActionFactorDisable, "ann")
	var seen auth.Factor
	return errors.Join(
		create(ctx, s, nil, "ann", "bob"),
		wantFactor(ctx, s, "ann", full, auth.ErrNoFactor),
		wantErr("EditFactor", s.EditFactor(ctx, "ANN", setFactor(full, set)), nil),
		wantFactor(ctx, s, "Ann", full, nil),
		wantFactor(ctx, s, "bob", full, auth.ErrNoFactor),
		wantErr("EditFactor that is refused", s.EditFactor(ctx, "ann", func(f *auth.Factor) (auth.Event, error) {
			seen = *f
			*f = bare
			return event(auth.ActionFactorEnable, "x"), refused
		}), refused),
		wantErr("what it saw", map[bool]error{true: nil, false: errors.New("another factor")}[reflect.DeepEqual(seen, full)], nil),
		wantFactor(ctx, s, "ann", full, nil),
		wantErr("EditFactor of nobody", s.EditFactor(ctx, "nobody", setFactor(full, set)), auth.ErrUserNotFound),
		wantErr("EditFactor", s.EditFactor(ctx, "bob", setFactor(bare, auth.Event{})), nil),
		wantFactor(ctx, s, "bob", bare, nil),
		wantErr("EditFactor", s.EditFactor(ctx, "ann", setFactor(auth.Factor{}, unset)), nil),
		wantFactor(ctx, s, "ann", full, auth.ErrNoFactor),
		wantErr("DeleteUser", s.DeleteUser(ctx, "bob", auth.Event{}), nil),
		create(ctx, s, nil, "bob"),
		wantFactor(ctx, s, "bob", bare, auth.ErrNoFactor), // it was the earlier one's
		wantEvents(ctx, s, set, unset))
}

// Of those who use one step at once, one succeeds.
func factorRace(ctx context.Context, s Store) error {
	used := errors.New("used")
	err := errors.Join(create(ctx, s, nil, "ann"), s.EditFactor(ctx, "ann", setFactor(auth.Factor{Sealed: "x", CreatedAt: epoch}, auth.Event{})))
	if err != nil {
		return err
	}
	return wantOne("EditFactor", race(8, func(int) error {
		return s.EditFactor(ctx, "ann", func(f *auth.Factor) (auth.Event, error) {
			if f.LastStep >= 7 {
				return auth.Event{}, used
			}
			f.LastStep = 7
			return auth.Event{}, nil
		})
	}), used)
}
