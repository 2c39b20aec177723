package authtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/repod-io/repod/auth"
)

// create adds users that differ by name and are changed by edit.
func create(ctx context.Context, s Store, edit func(*auth.User), names ...string) error {
	for _, name := range names {
		u := user(name)
		if edit != nil {
			edit(&u)
		}
		if err := s.CreateUser(ctx, u, auth.Event{}); err != nil {
			return fmt.Errorf("CreateUser(%q): %w", name, err)
		}
	}
	return nil
}

func admin(u *auth.User) { u.Roles = []auth.Role{auth.Viewer, auth.Admin} }

func userOrder(ctx context.Context, s Store) error {
	if err := create(ctx, s, nil, "Zoe", "bob", "Ann", "b_b", "B.b"); err != nil {
		return err
	}
	users, err := s.Users(ctx)
	if err != nil {
		return fmt.Errorf("Users: %w", err)
	}
	var want []auth.User
	for _, name := range []string{"Ann", "B.b", "b_b", "bob", "Zoe"} {
		want = append(want, user(name))
	}
	if !reflect.DeepEqual(users, want) {
		return fmt.Errorf("Users are\n%+v, want\n%+v", users, want)
	}
	return nil
}

func userByEmail(ctx context.Context, s Store) error {
	withEmail := func(email string) func(*auth.User) { return func(u *auth.User) { u.Email = email } }
	find := func(email string, want error) error {
		u, err := s.UserByEmail(ctx, email)
		if want == nil && !reflect.DeepEqual(u.Username, "ann") {
			return fmt.Errorf("UserByEmail(%q) is %q, %v", email, u.Username, err)
		}
		return wantErr(fmt.Sprintf("UserByEmail(%q)", email), err, want)
	}
	return errors.Join(
		create(ctx, s, withEmail("Ann.Lee@Example.com"), "ann"),
		create(ctx, s, withEmail(""), "bob", "cid"),
		find("Ann.Lee@Example.com", nil), find("ann.lee@EXAMPLE.COM", nil),
		find("", auth.ErrUserNotFound), find("ann_lee@example.com", auth.ErrUserNotFound),
		find("%", auth.ErrUserNotFound), find("ann.lee@example.co\u212A", auth.ErrUserNotFound))
}

func userByExternalID(ctx context.Context, s Store) error {
	withID := func(id string) func(*auth.User) { return func(u *auth.User) { u.ExternalID = id } }
	find := func(id string, want error) error {
		u, err := s.UserByExternalID(ctx, id)
		if want == nil && (u.Username != "ann" || u.ExternalID != "https://issuer.example Sub-1") {
			return fmt.Errorf("UserByExternalID(%q) is %+v, %v", id, u, err)
		}
		return wantErr(fmt.Sprintf("UserByExternalID(%q)", id), err, want)
	}
	twin := user("cid")
	twin.ExternalID = "https://issuer.example Sub-1"
	_, err := s.EditUser(ctx, "nobody", nil)
	return errors.Join(
		wantErr("EditUser of nobody", err, auth.ErrUserNotFound),
		create(ctx, s, withID("https://issuer.example Sub-1"), "ann"), create(ctx, s, nil, "bob"),
		wantErr("CreateUser with a taken ExternalID", s.CreateUser(ctx, twin, event(auth.ActionUserCreate, "cid")), auth.ErrUserExists),
		find("https://issuer.example Sub-1", nil), find("https://issuer.example sub-1", auth.ErrUserNotFound),
		find("https://issuer.example Sub-", auth.ErrUserNotFound), find("", auth.ErrUserNotFound),
		wantCount(ctx, s, 2), wantEvents(ctx, s))
}

func emailTaken(ctx context.Context, s Store) error {
	if err := create(ctx, s, nil, "ann", "bob"); err != nil {
		return err
	}
	twin := user("cid")
	twin.Email = "ANN@example.com"
	_, editErr := s.EditUser(ctx, "bob", func(u *auth.User) (auth.Event, error) {
		u.Email, u.FullName = "Ann@Example.com", "changed"
		return event(auth.ActionUserUpdate, "bob"), nil
	})
	_, ownErr := s.EditUser(ctx, "ann", func(u *auth.User) (auth.Event, error) {
		u.Email = "ANN@example.com" // one's own, in other words
		return auth.Event{}, nil
	})
	ann := user("ann")
	ann.Email = "ANN@example.com"
	return errors.Join(
		wantErr("CreateUser with a taken address", s.CreateUser(ctx, twin, event(auth.ActionUserCreate, "cid")), auth.ErrEmailTaken),
		wantErr("EditUser to a taken address", editErr, auth.ErrEmailTaken),
		wantErr("EditUser to the own address", ownErr, nil),
		wantUser(ctx, s, "ann", ann), wantUser(ctx, s, "bob", user("bob")),
		wantCount(ctx, s, 2), wantEvents(ctx, s))
}

func editUser(ctx context.Context, s Store) error {
	refused := errors.New("refused")
	want := auth.User{
		Username: "ann", Email: "new@example.com", FullName: "New", Roles: []auth.Role{auth.Auditor}, AuthSource: auth.SourceLDAP,
		PasswordHash: "other", TokenVersion: 7, KeptSession: "kept", CreatedAt: epoch, LastLogin: epoch.Add(time.Hour),
	}
	changed := event(auth.ActionUserUpdate, "ann")
	if err := create(ctx, s, nil, "ann", "bob"); err != nil {
		return err
	}
	var before auth.User
	got, err := s.EditUser(ctx, "ANN", func(u *auth.User) (auth.Event, error) {
		before = *u
		*u = want
		u.Username, u.CreatedAt, u.Roles = "eve", time.Time{}, append([]auth.Role(nil), want.Roles...)
		return changed, nil
	})
	_, err2 := s.EditUser(ctx, "bob", func(u *auth.User) (auth.Event, error) {
		u.FullName = "changed"
		return event(auth.ActionUserUpdate, "bob"), refused
	})
	_, err3 := s.EditUser(ctx, "nobody", func(*auth.User) (auth.Event, error) {
		return event(auth.ActionUserUpdate, "nobody"), nil
	})
	if !reflect.DeepEqual(before, user("ann")) || !reflect.DeepEqual(got, want) {
		err = errors.Join(err, fmt.Errorf("EditUser gave %+v and returns %+v, want %+v", before, got, want))
	}
	return errors.Join(
		wantErr("EditUser", err, nil), wantErr("EditUser that is refused", err2, refused),
		wantErr("EditUser of nobody", err3, auth.ErrUserNotFound),
		wantUser(ctx, s, "ann", want), wantUser(ctx, s, "bob", user("bob")),
		wantEvents(ctx, s, changed))
}

// No edit is lost when several come at once.
func editUserRace(ctx context.Context, s Store) error {
	if err := create(ctx, s, nil, "ann"); err != nil {
		return err
	}
	const n = 16
	errs := race(n, func(int) error {
		_, err := s.EditUser(ctx, "ann", func(u *auth.User) (auth.Event, error) {
			u.TokenVersion++
			return auth.Event{}, nil
		})
		return err
	})
	want := user("ann")
	want.TokenVersion += n
	return errors.Join(errors.Join(errs...), wantUser(ctx, s, "ann", want))
}

func deleteUser(ctx context.Context, s Store) error {
	gone := event(auth.ActionUserDelete, "ann")
	missing := func(name string) error {
		return wantErr("DeleteUser of "+name, s.DeleteUser(ctx, name, event(auth.ActionUserDelete, name)), auth.ErrUserNotFound)
	}
	return errors.Join(
		create(ctx, s, nil, "ann", "bob"),
		wantErr("DeleteUser", s.DeleteUser(ctx, "ANN", gone), nil),
		missing("ann"), missing("nobody"), missing("bo%"),
		wantUser(ctx, s, "bob", user("bob")), wantCount(ctx, s, 1), wantEvents(ctx, s, gone),
		create(ctx, s, nil, "Ann"))
}

// lastAdmin takes the role from one administrator after the other, in each way
// that there is; the last one keeps it.
func lastAdmin(ctx context.Context, s Store) error {
	inactive := func(u *auth.User) { admin(u); u.Active = false }
	err := errors.Join(create(ctx, s, admin, "ann", "bob", "cid"), create(ctx, s, inactive, "dan"), create(ctx, s, nil, "eve"))
	if err != nil {
		return err
	}
	edit := func(name string, change func(*auth.User)) error {
		_, err := s.EditUser(ctx, name, func(u *auth.User) (auth.Event, error) {
			change(u)
			return event(auth.ActionUserUpdate, name), nil
		})
		return err
	}
	demote := func(u *auth.User) { u.Roles = []auth.Role{auth.Maintainer} }
	deactivate := func(u *auth.User) { u.Active = false }
	want := user("cid")
	admin(&want)
	want.FullName = "kept"
	return errors.Join(
		wantErr("demoting one of three", edit("ann", demote), nil),
		wantErr("deactivating one of two", edit("bob", deactivate), nil),
		wantErr("demoting the last", edit("cid", demote), auth.ErrLastAdmin),
		wantErr("deactivating the last", edit("cid", deactivate), auth.ErrLastAdmin),
		wantErr("deleting the last", s.DeleteUser(ctx, "cid", event(auth.ActionUserDelete, "cid")), auth.ErrLastAdmin),
		wantErr("renaming the last", edit("cid", func(u *auth.User) { u.FullName = "kept" }), nil),
		wantErr("demoting an inactive one", edit("dan", demote), nil),
		wantErr("deactivating another", edit("eve", deactivate), nil),
		wantUser(ctx, s, "cid", want),
		wantEvents(ctx, s, event(auth.ActionUserUpdate, "ann"), event(auth.ActionUserUpdate, "bob"),
			event(auth.ActionUserUpdate, "cid"), event(auth.ActionUserUpdate, "dan"), event(auth.ActionUserUpdate, "eve")))
}

func lastAdminRace(ctx context.Context, s Store) error {
	const n = 50
	name := func(i int) string { return fmt.Sprintf("admin-%d", i) }
	for i := range n {
		if err := create(ctx, s, admin, name(i)); err != nil {
			return err
		}
	}
	errs := race(n, func(i int) error {
		switch i % 3 {
		case 0:
			return s.DeleteUser(ctx, name(i), event(auth.ActionUserDelete, name(i)))
		case 1:
			_, err := s.EditUser(ctx, name(i), func(u *auth.User) (auth.Event, error) {
				u.Active = false
				return auth.Event{}, nil
			})
			return err
		}
		_, err := s.EditUser(ctx, name(i), func(u *auth.User) (auth.Event, error) {
			u.Roles = []auth.Role{auth.Viewer}
			return auth.Event{}, nil
		})
		return err
	})
	kept := 0
	for _, err := range errs {
		if errors.Is(err, auth.ErrLastAdmin) {
			kept++
		} else if err != nil {
			return err
		}
	}
	if kept != 1 {
		return fmt.Errorf("of %d administrators that went at once %d were kept, want 1", n, kept)
	}
	return nil
}

func reset(n int, username string) auth.Reset {
	return auth.Reset{
		ID: fmt.Sprintf("reset-%d", n), Username: username, Hash: auth.Secret(fmt.Sprintf("%064x", n)),
		CreatedAt: epoch.Add(time.Duration(n) * time.Minute), ExpiresAt: epoch.Add(time.Duration(30+n) * time.Minute),
	}
}

// wantReset creates a reset, of which there may be many.
func wantReset(ctx context.Context, s Store, r auth.Reset, want auth.Reset, wanted error) error {
	got, err := s.CreateReset(ctx, r, epoch.Add(-time.Hour), 100)
	if wanted == nil && !reflect.DeepEqual(got, want) {
		return fmt.Errorf("CreateReset returns %+v, %v; want %+v", got, err, want)
	}
	return wantErr("CreateReset of "+r.ID, err, wanted)
}

func wantOpen(ctx context.Context, s Store, r auth.Reset, at time.Time, want error) error {
	got, err := s.ResetByHash(ctx, r.Hash, at)
	if want == nil && !reflect.DeepEqual(got, r) {
		return fmt.Errorf("ResetByHash returns %+v, %v; want %+v", got, err, r)
	}
	return wantErr("ResetByHash of "+r.ID, err, want)
}

func setHash(u *auth.User) (auth.Event, error) {
	u.PasswordHash = "by reset"
	return event(auth.ActionPasswordReset, u.Username), nil
}

func resetRoundTrip(ctx context.Context, s Store) error {
	r := reset(1, "ann")
	again := r
	again.CreatedAt, again.ExpiresAt = r.CreatedAt.Add(time.Hour), r.ExpiresAt.Add(time.Hour)
	want := user("ann")
	want.PasswordHash = "by reset"
	just, late := r.ExpiresAt.Add(-time.Second), r.ExpiresAt
	return errors.Join(
		create(ctx, s, nil, "ann"),
		wantReset(ctx, s, r, r, nil),
		wantReset(ctx, s, again, r, nil), // it stays as it is
		wantOpen(ctx, s, r, just, nil),
		wantOpen(ctx, s, r, late, auth.ErrInvalidReset),
		wantOpen(ctx, s, reset(2, "ann"), epoch, auth.ErrInvalidReset),
		wantErr("UseReset, expired", s.UseReset(ctx, r.Hash, late, setHash), auth.ErrInvalidReset),
		wantErr("UseReset", s.UseReset(ctx, r.Hash, just, setHash), nil),
		wantUser(ctx, s, "ann", want),
		wantErr("second UseReset", s.UseReset(ctx, r.Hash, just, setHash), auth.ErrInvalidReset),
		wantOpen(ctx, s, r, epoch, auth.ErrInvalidReset),
		wantReset(ctx, s, again, r, auth.ErrInvalidReset),
		wantEvents(ctx, s, event(auth.ActionPasswordReset, "ann")))
}

func resetEnds(ctx context.Context, s Store) error {
	refused := errors.New("refused")
	edit := func(what string, change func(*auth.User)) error {
		_, err := s.EditUser(ctx, "ANN", func(u *auth.User) (auth.Event, error) {
			change(u)
			return auth.Event{}, nil
		})
		return wantErr(what, err, nil)
	}
	first, second, third, others := reset(1, "ann"), reset(2, "Ann"), reset(3, "ann"), reset(4, "bob")
	return errors.Join(
		create(ctx, s, nil, "ann", "bob"),
		wantReset(ctx, s, others, others, nil),
		wantReset(ctx, s, first, first, nil),
		wantReset(ctx, s, second, second, nil),
		wantOpen(ctx, s, first, epoch, auth.ErrInvalidReset), // a later one ends it
		wantOpen(ctx, s, second, epoch, nil),
		wantErr("UseReset that is refused", s.UseReset(ctx, second.Hash, epoch, func(u *auth.User) (auth.Event, error) {
			u.FullName = "changed"
			return event(auth.ActionPasswordReset, "ann"), refused
		}), refused),
		wantUser(ctx, s, "ann", user("ann")),
		wantOpen(ctx, s, second, epoch, nil), // not used up
		edit("renaming", func(u *auth.User) { u.FullName = "changed" }),
		wantOpen(ctx, s, second, epoch, nil),
		edit("another password", func(u *auth.User) { u.PasswordHash = "another" }),
		wantOpen(ctx, s, second, epoch, auth.ErrInvalidReset),
		wantReset(ctx, s, third, third, nil),
		wantErr("DeleteUser", s.DeleteUser(ctx, "ann", auth.Event{}), nil),
		create(ctx, s, nil, "ann"),
		wantOpen(ctx, s, third, epoch, auth.ErrInvalidReset), // it was the earlier one's
		wantOpen(ctx, s, others, epoch, nil), wantEvents(ctx, s))
}

func resetLimit(ctx context.Context, s Store) error {
	try := func(n int, username string, since time.Time, want error) error {
		_, err := s.CreateReset(ctx, reset(n, username), since, 2)
		return wantErr(fmt.Sprintf("CreateReset number %d", n), err, want)
	}
	return errors.Join(
		create(ctx, s, nil, "ann", "bob"),
		try(1, "ann", epoch, nil), try(2, "ANN", epoch, nil),
		try(3, "ann", epoch, auth.ErrInvalidReset),
		wantOpen(ctx, s, reset(2, "ANN"), epoch, nil), // what is refused ends nothing
		try(2, "ANN", epoch, nil),                     // nor is one refused that is there
		try(4, "bob", epoch, nil),
		try(5, "ann", epoch.Add(time.Minute), nil)) // the first is long ago
}

func resetRace(ctx context.Context, s Store) error {
	r := reset(1, "ann")
	if err := errors.Join(create(ctx, s, nil, "ann"), wantReset(ctx, s, r, r, nil)); err != nil {
		return err
	}
	errs := race(8, func(int) error { return s.UseReset(ctx, r.Hash, epoch, setHash) })
	return wantOne("UseReset", errs, auth.ErrInvalidReset)
}

// Messages are kept with their event, and only with it.
func messages(ctx context.Context, s Store) error {
	message := func(text string) auth.Message {
		return auth.Message{Topic: "topic " + text, Payload: []byte(`{"text":"` + text + `"}`)}
	}
	with := func(target string, messages ...auth.Message) auth.Event {
		e := event(auth.ActionUserCreate, target)
		e.Messages = messages
		return e
	}
	err := errors.Join(
		wantErr("Record", s.Record(ctx, with("1", message("a"), message("b"))), nil),
		wantErr("CreateUser", s.CreateUser(ctx, user("ann"), with("2", message("c"))), nil),
		wantErr("second CreateUser", s.CreateUser(ctx, user("ann"), with("3", message("d"))), auth.ErrUserExists),
		wantErr("DeleteUser", s.DeleteUser(ctx, "ann", with("4", message("e"))), nil))
	if err != nil {
		return err
	}
	got, err := s.Messages(ctx)
	want := []auth.Message{message("a"), message("b"), message("c"), message("e")}
	if err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("messages are %q, %v; want %q", got, err, want)
	}
	return wantEvents(ctx, s, event(auth.ActionUserCreate, "1"), event(auth.ActionUserCreate, "2"), event(auth.ActionUserCreate, "4"))
}
