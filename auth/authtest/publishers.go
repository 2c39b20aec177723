package authtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/repod-io/repod/auth"
)

func publisher(n int, name string) auth.Publisher {
	return auth.Publisher{
		ID: fmt.Sprintf("pub_%012d", n), Name: name, Issuer: "https://ci.example.com", Audience: "repod",
		Repository: "acme/tool", RepositoryID: "42", Ref: "refs/heads/*", Environment: "prod",
		Roles: []auth.Role{auth.Viewer, auth.Uploader}, Distributions: []string{"focal", "jammy"},
		Packages: []string{"acme-*", "libacme+1.0"},
		Version:  1<<31 - 1, CreatedBy: "admin", CreatedAt: epoch,
	}
}

func publisherRoundTrip(ctx context.Context, s Store) error {
	first, second := publisher(1, "zeta"), publisher(2, "Alpha")
	second.RepositoryID, second.Environment, second.Distributions = "", "", nil
	second.Packages = nil
	made, gone := event(auth.ActionPublisherCreate, "zeta"), event(auth.ActionPublisherDelete, "zeta")
	err := errors.Join(
		wantErr("CreatePublisher", s.CreatePublisher(ctx, first, made), nil),
		wantErr("CreatePublisher", s.CreatePublisher(ctx, second, auth.Event{}), nil),
		wantErr("CreatePublisher of a taken name", s.CreatePublisher(ctx, publisher(3, "zeta"), event(auth.ActionPublisherCreate, "x")), auth.ErrPublisherExists))
	if err != nil {
		return err
	}
	list, err := s.Publishers(ctx)
	if err != nil || !reflect.DeepEqual(list, []auth.Publisher{second, first}) {
		return fmt.Errorf("Publishers are\n%+v, %v; want\n%+v", list, err, []auth.Publisher{second, first})
	}
	one, err := s.Publisher(ctx, first.ID)
	if err != nil || !reflect.DeepEqual(one, first) {
		return fmt.Errorf("Publisher is %+v, %v; want %+v", one, err, first)
	}
	_, missing := s.Publisher(ctx, "pub_none")
	err = errors.Join(
		wantErr("Publisher", missing, auth.ErrPublisherNotFound),
		wantErr("DeletePublisher", s.DeletePublisher(ctx, first.ID, gone), nil),
		wantErr("second DeletePublisher", s.DeletePublisher(ctx, first.ID, gone), auth.ErrPublisherNotFound))
	_, missing = s.Publisher(ctx, first.ID)
	return errors.Join(err, wantErr("Publisher that was deleted", missing, auth.ErrPublisherNotFound), wantEvents(ctx, s, made, gone))
}

// Of those who exchange one token at once, one succeeds.
func assertionRace(ctx context.Context, s Store) error {
	used := event(auth.ActionTokenExchange, "x")
	errs := race(8, func(int) error { return s.UseAssertion(ctx, "a", epoch.Add(time.Hour), used) })
	return errors.Join(
		wantOne("UseAssertion", errs, auth.ErrAssertionUsed),
		wantErr("UseAssertion of another", s.UseAssertion(ctx, "b", epoch.Add(time.Hour), auth.Event{}), nil),
		wantErr("UseAssertion again", s.UseAssertion(ctx, "a", epoch.Add(time.Hour), used), auth.ErrAssertionUsed),
		wantEvents(ctx, s, used))
}
