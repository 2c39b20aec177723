package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/repod-io/repod/auth"
)

// meanwhile runs something between looking up a user of an issuer and editing it.
type meanwhile struct {
	auth.Store
	do func()
}

func (s meanwhile) EditUser(ctx context.Context, name string, edit func(*auth.User) (auth.Event, error)) (auth.User, error) {
	s.do()
	return s.Store.EditUser(ctx, name, edit)
}

// A login by an issuer neither opens nor changes an account that somebody else
// got under the name while it was going on.
func TestExternalNameMeanwhile(t *testing.T) {
	w := newWorld(t)
	x := auth.ExternalUser{
		ID: "https://issuer.example 1", Username: "ann", Roles: []auth.Role{auth.Viewer}, RolesManaged: true, Provision: true,
	}
	if _, _, err := w.LoginExternal(t.Context(), x, client); err != nil {
		t.Fatal(err)
	}
	w.Store = meanwhile{w.mem, func() {
		if err := w.mem.DeleteUser(t.Context(), "ann", auth.Event{}); err != nil {
			t.Fatal(err)
		}
		w.addUser(t, "ann", nil, auth.Admin)
	}}
	x.Roles = []auth.Role{auth.Uploader}
	if token, _, err := w.LoginExternal(t.Context(), x, client); !errors.Is(err, auth.ErrInvalidCredentials) || token != "" {
		t.Errorf("LoginExternal: %v", err)
	}
	u, err := w.mem.User(t.Context(), "ann")
	if err != nil || len(u.Roles) != 1 || u.Roles[0] != auth.Admin {
		t.Errorf("user is %+v, %v", u, err)
	}
}
