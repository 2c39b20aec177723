package authtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/repod-io/repod/auth"
)

func userRoundTrip(ctx context.Context, s Store) error {
	full, bare := user("Full.User"), auth.User{
		Username:   "ldap@example.com",
		Roles:      []auth.Role{auth.Viewer},
		AuthSource: auth.SourceLDAP,
		CreatedAt:  epoch,
	}
	full.LastLogin = epoch.Add(time.Hour)
	in := full
	in.CreatedAt = in.CreatedAt.In(time.FixedZone("", 3600)) // UTC must come back
	return errors.Join(
		wantErr("CreateUser", s.CreateUser(ctx, in, event(auth.ActionUserCreate, "full")), nil),
		wantErr("CreateUser", s.CreateUser(ctx, bare, event(auth.ActionUserCreate, "bare")), nil),
		wantUser(ctx, s, "Full.User", full),
		wantUser(ctx, s, "ldap@example.com", bare),
		wantCount(ctx, s, 2),
		wantEvents(ctx, s, event(auth.ActionUserCreate, "full"), event(auth.ActionUserCreate, "bare")))
}

func wantCount(ctx context.Context, s Store, want int) error {
	if got, err := s.CountUsers(ctx); err != nil || got != want {
		return fmt.Errorf("CountUsers returns %d, %v; want %d", got, err, want)
	}
	return nil
}

func userNames(ctx context.Context, s Store) error {
	created := event(auth.ActionUserCreate, "u")
	if err := s.CreateUser(ctx, user("Kim_1"), created); err != nil {
		return err
	}
	taken := func(name string) error {
		err := s.CreateUser(ctx, user(name), event(auth.ActionUserCreate, "taken"))
		return wantErr(fmt.Sprintf("CreateUser(%q)", name), err, auth.ErrUserExists)
	}
	missing := func(name string) error {
		_, err := s.User(ctx, name)
		return wantErr(fmt.Sprintf("User(%q)", name), err, auth.ErrUserNotFound)
	}
	return errors.Join(
		taken("Kim_1"), taken("kim_1"), taken("KIM_1"),
		wantUser(ctx, s, "kim_1", user("Kim_1")),
		wantUser(ctx, s, "KIM_1", user("Kim_1")),
		missing("kim"), missing("kim_12"), missing("kimX1"), missing("kim%"), missing(""),
		missing("\u212Aim_1"), // the Kelvin sign, which Unicode folds to k
		missing("kim_1 "), missing("kim_1' OR '1'='1"),
		wantEvents(ctx, s, created)) // a refused user leaves no entry
}

func firstUser(ctx context.Context, s Store) error {
	first := event(auth.ActionUserCreate, "first")
	return errors.Join(
		wantCount(ctx, s, 0),
		wantErr("CreateFirstUser", s.CreateFirstUser(ctx, user("first"), first), nil),
		wantErr("second CreateFirstUser", s.CreateFirstUser(ctx, user("second"), event(auth.ActionUserCreate, "second")), auth.ErrUserExists),
		wantUser(ctx, s, "first", user("first")),
		wantCount(ctx, s, 1),
		wantEvents(ctx, s, first))
}

func firstUserRace(ctx context.Context, s Store) error {
	errs := race(8, func(i int) error {
		name := fmt.Sprintf("user-%d", i)
		return s.CreateFirstUser(ctx, user(name), event(auth.ActionUserCreate, name))
	})
	return errors.Join(wantOne("CreateFirstUser", errs, auth.ErrUserExists), wantCount(ctx, s, 1))
}

func recordLogin(ctx context.Context, s Store) error {
	at := epoch.Add(90 * time.Second)
	want := user("ann")
	want.LastLogin = at
	created, login := event(auth.ActionUserCreate, "ann"), event(auth.ActionLogin, "ann")
	return errors.Join(
		wantErr("CreateUser", s.CreateUser(ctx, user("ann"), created), nil),
		wantErr("CreateUser", s.CreateUser(ctx, user("bob"), created), nil),
		wantErr("RecordLogin", s.RecordLogin(ctx, "ANN", at, login), nil),
		wantErr("RecordLogin of nobody", s.RecordLogin(ctx, "nobody", at, event(auth.ActionLogin, "nobody")), auth.ErrUserNotFound),
		wantUser(ctx, s, "ann", want),
		wantUser(ctx, s, "bob", user("bob")),
		wantEvents(ctx, s, created, created, login))
}

func rehash(ctx context.Context, s Store) error {
	old := user("ann").PasswordHash
	want := user("ann")
	want.PasswordHash = "new"
	created := event(auth.ActionUserCreate, "ann")
	return errors.Join(
		wantErr("CreateUser", s.CreateUser(ctx, user("ann"), created), nil),
		wantErr("Rehash", s.Rehash(ctx, "Ann", old, "new"), nil),
		wantUser(ctx, s, "ann", want),
		wantErr("Rehash of a changed hash", s.Rehash(ctx, "ann", old, "newer"), nil),
		wantUser(ctx, s, "ann", want),
		wantErr("Rehash of nobody", s.Rehash(ctx, "nobody", old, "new"), nil),
		wantEvents(ctx, s, created))
}

func tokenRoundTrip(ctx context.Context, s Store) error {
	expires, used := epoch.Add(24*time.Hour), epoch.Add(time.Minute)
	bare, full := token(1), token(2)
	full.Roles = []auth.Role{auth.Viewer, auth.Admin}
	full.Distributions = []string{"jammy", "bookworm"}
	full.Packages = []string{"tool", "acme-*"}
	full.ExpiresAt, full.LastUsedAt = &expires, &used
	e1, e2 := event(auth.ActionTokenCreate, "1"), event(auth.ActionTokenCreate, "2")
	err := errors.Join(
		wantTokens(ctx, s),
		wantErr("CreateToken", s.CreateToken(ctx, bare, e1), nil),
		wantErr("CreateToken", s.CreateToken(ctx, full, e2), nil),
		wantTokens(ctx, s, bare, full),
		wantEvents(ctx, s, e1, e2))
	for _, want := range []auth.APIToken{bare, full} {
		got, e := s.TokenByHash(ctx, want.Hash)
		err = errors.Join(err, wantErr("TokenByHash", e, nil), sameToken("TokenByHash", got, want))
	}
	for _, hash := range []auth.Secret{"", "x", token(3).Hash, "%"} {
		_, e := s.TokenByHash(ctx, hash)
		err = errors.Join(err, wantErr("TokenByHash of none", e, auth.ErrTokenNotFound))
	}
	return err
}

func tokenOrder(ctx context.Context, s Store) error {
	old, b, a, latest := token(1), token(3), token(2), token(0)
	old.CreatedAt = epoch.Add(-time.Hour)
	latest.CreatedAt = epoch.Add(time.Second)
	for _, t := range []auth.APIToken{b, latest, old, a} {
		if err := s.CreateToken(ctx, t, event(auth.ActionTokenCreate, t.Name)); err != nil {
			return err
		}
	}
	return wantTokens(ctx, s, latest, a, b, old)
}

func tokenNameTaken(ctx context.Context, s Store) error {
	expires := epoch.Add(time.Hour)
	first := token(1)
	first.ExpiresAt = &expires
	again := func(n int, name string, at time.Time) auth.APIToken {
		t := token(n)
		t.Name, t.CreatedAt = name, at
		return t
	}
	create := func(t auth.APIToken, want error) error {
		err := s.CreateToken(ctx, t, event(auth.ActionTokenCreate, t.ID))
		return wantErr(fmt.Sprintf("CreateToken of %q, created at %v", t.Name, t.CreatedAt), err, want)
	}
	other := again(4, "Token 1", epoch) // names are told apart by case
	late := again(3, "token 1", expires)
	return errors.Join(
		create(first, nil),
		create(again(2, "token 1", expires.Add(-time.Second)), auth.ErrTokenNameTaken),
		create(late, nil), // the first has just expired
		create(again(5, "token 1", expires.Add(time.Hour)), auth.ErrTokenNameTaken),
		create(other, nil),
		wantTokens(ctx, s, late, first, other),
		wantEvents(ctx, s, event(auth.ActionTokenCreate, first.ID),
			event(auth.ActionTokenCreate, late.ID), event(auth.ActionTokenCreate, other.ID)))
}

func tokenNameRace(ctx context.Context, s Store) error {
	errs := race(8, func(i int) error {
		t := token(i)
		t.Name = "same"
		return s.CreateToken(ctx, t, event(auth.ActionTokenCreate, t.ID))
	})
	tokens, err := s.Tokens(ctx)
	if err == nil && len(tokens) != 1 {
		err = fmt.Errorf("%d tokens have one name, want 1", len(tokens))
	}
	return errors.Join(wantOne("CreateToken", errs, auth.ErrTokenNameTaken), err)
}

func revokeToken(ctx context.Context, s Store) error {
	created, revoked := event(auth.ActionTokenCreate, "1"), event(auth.ActionTokenRevoke, "1")
	err := errors.Join(
		wantErr("CreateToken", s.CreateToken(ctx, token(1), created), nil),
		wantErr("CreateToken", s.CreateToken(ctx, token(2), created), nil),
		wantErr("RevokeToken", s.RevokeToken(ctx, token(1).ID, revoked), nil),
		wantErr("second RevokeToken", s.RevokeToken(ctx, token(1).ID, revoked), auth.ErrTokenNotFound),
		wantTokens(ctx, s, token(2)),
		wantErr("CreateToken of the name of a revoked one", s.CreateToken(ctx, token(1), created), nil),
		wantErr("RevokeToken", s.RevokeToken(ctx, token(1).ID, revoked), nil),
		wantEvents(ctx, s, created, created, revoked, created, revoked))
	_, e := s.TokenByHash(ctx, token(1).Hash)
	return errors.Join(err, wantErr("TokenByHash of a revoked token", e, auth.ErrTokenNotFound))
}

func touchToken(ctx context.Context, s Store) error {
	at := epoch.Add(time.Hour)
	used := token(1)
	used.LastUsedAt = &at
	created := event(auth.ActionTokenCreate, "1")
	touch := func(id string, at time.Time) error {
		return wantErr("TouchToken", s.TouchToken(ctx, id, at), nil)
	}
	return errors.Join(
		wantErr("CreateToken", s.CreateToken(ctx, token(1), created), nil),
		wantErr("CreateToken", s.CreateToken(ctx, token(2), created), nil),
		touch(used.ID, epoch.Add(time.Second)),
		touch(used.ID, at),
		touch(used.ID, at.Add(-time.Minute)), // of a slower server
		touch("tok_gone", at),
		wantTokens(ctx, s, used, token(2)),
		wantEvents(ctx, s, created, created))
}

func revokeSession(ctx context.Context, s Store) error {
	until := time.Now().Add(time.Hour)
	first, again := event(auth.ActionLogout, "1"), event(auth.ActionLogout, "2")
	err := errors.Join(
		wantErr("CreateUser", s.CreateUser(ctx, user("ann"), auth.Event{}), nil),
		wantRevoked(ctx, s, "a", false),
		wantErr("RevokeSession", s.RevokeSession(ctx, "a", until, first), nil),
		wantRevoked(ctx, s, "a", true),
		wantErr("second RevokeSession", s.RevokeSession(ctx, "a", until, again), nil),
		wantRevoked(ctx, s, "a", true),
		wantRevoked(ctx, s, "A", false),
		wantRevoked(ctx, s, "", false))
	return errors.Join(err, wantEvents(ctx, s, first, again))
}

func wantRevoked(ctx context.Context, s Store, id string, want bool) error {
	u, got, err := s.Session(ctx, id, "Ann")
	if err != nil || got != want || !reflect.DeepEqual(u, user("ann")) {
		return fmt.Errorf("Session(%q) returns %+v, %t, %v; want %t", id, u, got, err, want)
	}
	_, _, err = s.Session(ctx, id, "nobody")
	return wantErr("Session of nobody", err, auth.ErrUserNotFound)
}

func record(ctx context.Context, s Store) error {
	failure := event(auth.ActionLogin, "x")
	failure.Result, failure.User, failure.IP, failure.RequestID = auth.ResultFailure, "anonymous", "", ""
	denied := event(auth.ActionDenied, "POST /upload/ \u202e'\"\n")
	denied.Result = auth.ResultDenied
	return errors.Join(
		wantErr("Record", s.Record(ctx, failure), nil),
		wantErr("Record", s.Record(ctx, denied), nil),
		wantEvents(ctx, s, failure, denied))
}

// canceledContext wants that a change whose context has ended fails and
// leaves nothing.
func canceledContext(ctx context.Context, s Store) error {
	ended, cancel := context.WithCancel(ctx)
	cancel()
	e := event(auth.ActionUserCreate, "x")
	for call, err := range map[string]error{
		"CreateUser":      s.CreateUser(ended, user("x"), e),
		"CreateFirstUser": s.CreateFirstUser(ended, user("x"), e),
		"CreateToken":     s.CreateToken(ended, token(1), e),
		"RevokeSession":   s.RevokeSession(ended, "x", epoch, e),
		"Record":          s.Record(ended, e),
	} {
		if err == nil {
			return fmt.Errorf("%s succeeded after its context was canceled", call)
		}
	}
	return errors.Join(wantCount(ctx, s, 0), wantTokens(ctx, s), wantEvents(ctx, s),
		create(ctx, s, nil, "ann"), wantRevoked(ctx, s, "x", false))
}
