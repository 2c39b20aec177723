package authtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/repod-io/repod/auth"
)

// CheckFailures checks the contract of auth.FailureStore on an empty store.
func CheckFailures(ctx context.Context, s auth.FailureStore) error {
	const here, there = "192.0.2.7/32", "2001:db8::/64"
	at := func(minute int) time.Time { return epoch.Add(time.Duration(minute) * time.Minute) }
	add := func(name, address string, minute int) error {
		return s.AddFailure(ctx, name, address, at(minute), at(minute-60))
	}
	want := func(name, address string, ofName, ofAddress auth.Failures) error {
		n, a, err := s.Failures(ctx, name, address)
		same := n.N == ofName.N && n.Last.Equal(ofName.Last) && a.N == ofAddress.N && a.Last.Equal(ofAddress.Last)
		if err != nil || !same {
			return fmt.Errorf("failures of %q from %q: %+v and %+v, %v; want %+v and %+v", name, address, n, a, err, ofName, ofAddress)
		}
		return nil
	}
	none := auth.Failures{}
	err := errors.Join(
		want("ann", here, none, none),
		add("ann", here, 0), add("ann", here, 1), add("bob", here, 2), add("ann", there, 3), add("", "", 4), add("a'\x00\xff", here, 5),
		want("ann", here, auth.Failures{N: 2, Last: at(1)}, auth.Failures{N: 4, Last: at(5)}),
		want("bob", here, auth.Failures{N: 1, Last: at(2)}, auth.Failures{N: 4, Last: at(5)}),
		want("bob", there, none, auth.Failures{N: 1, Last: at(3)}),
		want("", here, none, auth.Failures{N: 4, Last: at(5)}), // the address is no name
		want("", "", auth.Failures{N: 1, Last: at(4)}, auth.Failures{N: 1, Last: at(4)}),
		s.ForgetFailures(ctx, "ann", here),
		want("ann", here, none, auth.Failures{N: 4, Last: at(5)}),
		want("ann", there, auth.Failures{N: 1, Last: at(3)}, auth.Failures{N: 1, Last: at(3)}),
		add("ann", here, 6),
		s.ForgetUserFailures(ctx, "ann"),
		want("ann", here, none, auth.Failures{N: 5, Last: at(6)}),
		want("ann", there, none, auth.Failures{N: 1, Last: at(3)}),
		s.ForgetFailures(ctx, "nobody", here), s.ForgetUserFailures(ctx, "nobody"),
		// What is an hour old is counted anew.
		add("bob", here, 63),
		want("bob", here, auth.Failures{N: 1, Last: at(63)}, auth.Failures{N: 6, Last: at(63)}),
		add("bob", there, 63),
		want("bob", there, auth.Failures{N: 1, Last: at(63)}, auth.Failures{N: 1, Last: at(63)}),
	)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, canceled := s.Failures(ended, "ann", here); canceled == nil {
		err = errors.Join(err, errors.New("Failures works with a canceled context"))
	}
	return err
}
