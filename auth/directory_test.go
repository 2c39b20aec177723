package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

// fakeDirectory answers as its fields say.
type fakeDirectory struct {
	user    auth.DirectoryUser
	err     error
	managed bool
	asked   []string
}

func (d *fakeDirectory) Login(_ context.Context, username, password string) (auth.DirectoryUser, error) {
	d.asked = append(d.asked, username)
	if d.err == nil && password != "directory" {
		return auth.DirectoryUser{}, auth.ErrInvalidCredentials
	}
	return d.user, d.err
}

func (d *fakeDirectory) ManagesRoles(context.Context) bool { return d.managed }

// withDirectory is a world whose directory knows Ann.
func withDirectory(t *testing.T) (*world, *fakeDirectory) {
	w := newWorld(t)
	d := &fakeDirectory{managed: true, user: auth.DirectoryUser{
		Username: "Ann", Email: "ann@example.com", FullName: "Ann Lee", Roles: []auth.Role{auth.Uploader},
		RolesManaged: true, Provision: true,
	}}
	w.Directory = d
	return w, d
}

func (w *world) directoryLogin(t *testing.T, name, password string) (string, error) {
	t.Helper()
	token, _, err := w.Login(t.Context(), name, password, client)
	return string(token), err
}

func TestDirectoryLogin(t *testing.T) {
	w, d := withDirectory(t)
	token, err := w.directoryLogin(t, "ann", "directory")
	if err != nil {
		t.Fatal(err)
	}
	u := *w.who(t, token).User
	if u.Username != "Ann" || u.Email != "ann@example.com" || u.FullName != "Ann Lee" || u.AuthSource != auth.SourceLDAP ||
		!slices.Equal(u.Roles, []auth.Role{auth.Uploader}) || !u.Active || u.PasswordHash != "" {
		t.Errorf("user is %+v", u)
	}
	// Other groups change the roles at the next login, and end the sessions.
	d.user.Roles, d.user.Email = []auth.Role{auth.Auditor}, "lee@example.com"
	second, err := w.directoryLogin(t, "ANN", "directory")
	if err != nil {
		t.Fatal(err)
	}
	w.refuse(t, "session before the roles changed", token, 1)
	u = *w.who(t, second).User
	if !slices.Equal(u.Roles, []auth.Role{auth.Auditor}) || u.Email != "lee@example.com" {
		t.Errorf("user is %+v", u)
	}
	events, err := w.mem.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range events[1:] {
		actions = append(actions, e.User+" "+e.Action+" "+e.Detail)
	}
	if want := []string{
		"system user.create from the directory, roles=uploader", "Ann auth.login ",
		"system user.update by the directory: roles: uploader -> auditor", "Ann auth.login ",
	}; !slices.Equal(actions, want) {
		t.Errorf("events %q, want %q", actions, want)
	}
}

func TestDirectoryRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *world, d *fakeDirectory)
		user   string
		want   error
		asked  bool
	}{
		"wrong password":      {func(_ *world, d *fakeDirectory) { d.err = auth.ErrInvalidCredentials }, "ann", auth.ErrInvalidCredentials, true},
		"out of reach":        {func(_ *world, d *fakeDirectory) { d.err = auth.ErrDirectoryUnavailable }, "ann", auth.ErrDirectoryUnavailable, true},
		"switched off":        {func(_ *world, d *fakeDirectory) { d.err = auth.ErrNoDirectory }, "ann", auth.ErrInvalidCredentials, true},
		"another name":        {func(_ *world, d *fakeDirectory) { d.user.Username = "admin" }, "ann", auth.ErrInvalidCredentials, true},
		"not provisioned":     {func(_ *world, d *fakeDirectory) { d.user.Provision = false }, "ann", auth.ErrInvalidCredentials, true},
		"no name of ours":     {func(*world, *fakeDirectory) {}, "*)(uid=*", auth.ErrInvalidCredentials, false},
		"a local user's name": {func(_ *world, d *fakeDirectory) { d.user.Username = "admin" }, "admin", auth.ErrInvalidCredentials, false},
		"deactivated": {func(w *world, _ *fakeDirectory) {
			w.addUser(t, "Ann", func(u *auth.User) { u.AuthSource, u.PasswordHash, u.Active = auth.SourceLDAP, "", false }, auth.Viewer)
		}, "ann", auth.ErrInvalidCredentials, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, d := withDirectory(t)
			test.change(w, d)
			token, err := w.directoryLogin(t, test.user, "directory")
			if !errors.Is(err, test.want) || token != "" {
				t.Errorf("Login = %q, %v; want %v", token, err, test.want)
			}
			if asked := len(d.asked) > 0; asked != test.asked {
				t.Errorf("the directory was asked for %q", d.asked)
			}
		})
	}
}

// While the directory is down, local users log in, and failures of others are
// nobody's: they do not count.
func TestDirectoryDown(t *testing.T) {
	w, d := withDirectory(t)
	d.err = fmt.Errorf("dial: %w", auth.ErrDirectoryUnavailable)
	for range 30 {
		if _, err := w.directoryLogin(t, "ann", "directory"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
			t.Fatalf("Login: %v", err)
		}
	}
	w.login(t, "admin")
	d.err = nil
	if _, err := w.directoryLogin(t, "ann", "directory"); err != nil {
		t.Error(err)
	}
}

// What cannot be taken over is left as it is, and nobody is kept out for it.
func TestDirectoryKeeps(t *testing.T) {
	w, d := withDirectory(t)
	w.addUser(t, "bob", func(u *auth.User) { u.Email = "ann@example.com" }, auth.Viewer)
	d.user.Roles = []auth.Role{auth.Admin}
	token, err := w.directoryLogin(t, "ann", "directory")
	if err != nil {
		t.Fatal(err)
	}
	if u := w.who(t, token).User; u.Email != "" {
		t.Errorf("she has the address %q of another", u.Email)
	}
	// The last administrator keeps the role, whatever the groups say.
	if err := w.mem.SetActive(t.Context(), "admin", false); err != nil {
		t.Fatal(err)
	}
	d.user.Roles, d.user.Email, d.user.FullName = []auth.Role{auth.Viewer}, "not an address", "bell\a"
	if token, err = w.directoryLogin(t, "ann", "directory"); err != nil {
		t.Fatal(err)
	}
	if u := w.who(t, token).User; !slices.Equal(u.Roles, []auth.Role{auth.Admin}) || u.Email != "" || u.FullName != "Ann Lee" {
		t.Errorf("user is %+v", u)
	}
	// Roles that no group manages are those given here.
	d.user.RolesManaged = false
	if _, err := w.directoryLogin(t, "ann", "directory"); err != nil {
		t.Error(err)
	}
}

// Passwords of directory users, and roles that groups decide, are not ours.
func TestDirectoryManaged(t *testing.T) {
	w, d := withDirectory(t)
	token, err := w.directoryLogin(t, "ann", "directory")
	if err != nil {
		t.Fatal(err)
	}
	ctx, ann, admin := t.Context(), w.who(t, token), w.who(t, w.login(t, "admin"))
	if err := w.ChangePassword(ctx, ann, "directory", "Better horse 2", client); !errors.Is(err, auth.ErrDirectoryManaged) {
		t.Errorf("ChangePassword: %v", err)
	}
	if err := w.SetPassword(ctx, admin, "ann", "Better horse 2", client); !errors.Is(err, auth.ErrDirectoryManaged) {
		t.Errorf("SetPassword: %v", err)
	}
	if _, ok, err := w.IssueReset(ctx, "1", "ann@example.com"); ok || err != nil {
		t.Errorf("IssueReset: %t, %v", ok, err)
	}
	roles := auth.UserPatch{Roles: []auth.Role{auth.Viewer}}
	if _, err := w.UpdateUser(ctx, admin, "ann", roles, client); !errors.Is(err, auth.ErrDirectoryManaged) {
		t.Errorf("UpdateUser of roles: %v", err)
	}
	d.managed = false
	if _, err := w.UpdateUser(ctx, admin, "ann", roles, client); err != nil {
		t.Errorf("UpdateUser of roles that no group decides: %v", err)
	}
}

func TestIssueReset(t *testing.T) {
	w := newWorld(t)
	w.addUser(t, "bob", func(u *auth.User) { u.Email = "Bob@example.com" }, auth.Viewer)
	w.addUser(t, "off", func(u *auth.User) { u.Email, u.Active = "off@example.com", false }, auth.Viewer)
	issue := func(id, email string, want bool) auth.ResetMail {
		t.Helper()
		mail, ok, err := w.IssueReset(t.Context(), id, email)
		if ok != want || err != nil {
			t.Errorf("IssueReset(%s, %s) = %t, %v; want %t", id, email, ok, err, want)
		}
		return mail
	}
	first := issue("1", "bob@EXAMPLE.com", true)
	if first.To != "Bob@example.com" || first.Username != "bob" || !first.ExpiresAt.Equal(start.Add(30*time.Minute)) || len(first.Token) != 43 {
		t.Errorf("mail is %+v (token %q)", first, string(first.Token))
	}
	w.clock.advance(10 * time.Minute)
	if again := issue("1", "bob@example.com", true); again != first {
		t.Errorf("the same request gives %+v, then %+v", first, again)
	}
	second := issue("2", "bob@example.com", true)
	issue("1", "bob@example.com", false) // a later one has ended it
	if second.Token == first.Token {
		t.Error("two requests give one token")
	}
	issue("3", "bob@example.com", true)
	issue("4", "bob@example.com", false) // three an hour
	issue("5", "off@example.com", false)
	issue("6", "nobody@example.com", false)
	issue("7", "", false)
	w.clock.advance(51 * time.Minute)
	issue("8", "bob@example.com", true)
	for _, r := range []auth.ResetMail{first, second} {
		if err := w.ResetPassword(t.Context(), string(r.Token), "Better horse 2", client); err != auth.ErrInvalidReset {
			t.Errorf("ResetPassword with an ended token: %v", err)
		}
	}
}

func TestValidEmail(t *testing.T) {
	for email, want := range map[string]bool{
		"a@b": true, "a.b+c@example.com": true, "o'neil@x-y.example": true, "a@1.2": true,
		"": false, "a": false, "a@": false, "@b": false, "a@b@c": false, "a b@c": false, "a@b.": false, "a@.b": false,
		".a@b": false, "a.@b": false, "a..b@c": false, "a@-b": false, "a@b\r\nBcc: c@d": false, "a@b\n": false,
		`"a b"@c`: false, "a@[1.2.3.4]": false, "A <a@b>": false, "a@bä": false, "a,b@c": false, "a@b\x00": false,
	} {
		if got := auth.ValidEmail(email); got != want {
			t.Errorf("ValidEmail(%q) = %t", email, got)
		}
	}
}

// during runs something while the directory is asked.
type during struct {
	auth.Directory
	do func()
}

func (d during) Login(ctx context.Context, username, password string) (auth.DirectoryUser, error) {
	d.do()
	return d.Directory.Login(ctx, username, password)
}

// The directory's password opens no local user, not even one that was made
// while the directory was asked, and leaves the user as it is.
func TestDirectoryLocalMeanwhile(t *testing.T) {
	for name, known := range map[string]bool{"first login": false, "later login": true} {
		t.Run(name, func(t *testing.T) {
			w, d := withDirectory(t)
			if known {
				if _, err := w.directoryLogin(t, "ann", "directory"); err != nil {
					t.Fatal(err)
				}
			}
			w.Directory = during{d, func() {
				if known {
					if err := w.mem.DeleteUser(t.Context(), "ann", auth.Event{}); err != nil {
						t.Fatal(err)
					}
				}
				w.addUser(t, "Ann", nil, auth.Admin)
			}}
			if token, err := w.directoryLogin(t, "ann", "directory"); !errors.Is(err, auth.ErrInvalidCredentials) || token != "" {
				t.Errorf("Login = %q, %v", token, err)
			}
			u, err := w.mem.User(t.Context(), "ann")
			if err != nil || u.AuthSource != auth.SourceLocal || !slices.Equal(u.Roles, []auth.Role{auth.Admin}) {
				t.Errorf("user is %+v, %v", u, err)
			}
		})
	}
}

// With the password, open resets end.
func TestPasswordEndsResets(t *testing.T) {
	for name, change := range map[string]func(w *world, session auth.Principal) error{
		"by an administrator": func(w *world, _ auth.Principal) error {
			return w.SetPassword(t.Context(), auth.Principal{Name: "system"}, "bob", "Better horse 2", client)
		},
		"by the user": func(w *world, session auth.Principal) error {
			return w.ChangePassword(t.Context(), session, password, "Better horse 2", client)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.addUser(t, "bob", func(u *auth.User) { u.Email = "bob@example.com" }, auth.Viewer)
			mail, ok, err := w.IssueReset(t.Context(), "1", "bob@example.com")
			if !ok || err != nil {
				t.Fatalf("IssueReset: %t, %v", ok, err)
			}
			if err := change(w, w.who(t, w.login(t, "bob"))); err != nil {
				t.Fatal(err)
			}
			if err := w.ResetPassword(t.Context(), string(mail.Token), "Other horse 3", client); !errors.Is(err, auth.ErrInvalidReset) {
				t.Errorf("ResetPassword with a token from before: %v", err)
			}
		})
	}
}
