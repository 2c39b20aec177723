package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An ExternalUser is a user as an OpenID Connect issuer knows it. The caller
// has verified that.
type ExternalUser struct {
	// ID is the issuer, a space, and the subject.
	ID       string
	Username string // wanted, for a first login
	Email    string // may be "", or no valid address, which is not taken over
	FullName string // may be "", or not valid, which is not taken over
	Roles    []Role // those by groups, or a default; none: the login is refused
	// RolesManaged says that Roles replace those that the user had.
	RolesManaged bool
	// Provision says that the user may be created.
	Provision bool
}

// LoginExternal begins a session of a user that an issuer vouches for. The user
// is found by ID alone: an account here is never taken over because it has the
// same name or address. A first login creates the user, if that is allowed and
// the name free. Errors: ErrInvalidCredentials, whatever the reason, which
// stands in the audit log.
func (s *Service) LoginExternal(ctx context.Context, x ExternalUser, c Client) (Secret, time.Duration, error) {
	if err := s.ready(); err != nil {
		return "", 0, err
	}
	u, reason, err := s.external(ctx, x, c)
	if err != nil {
		return "", 0, err
	}
	if reason != "" {
		e := s.event(ActionLogin, "anonymous", c)
		e.Target, e.Detail = clip(x.Username), "by "+clip(x.ID)+": "+reason
		if err := s.recordFailure(ctx, e); err != nil {
			return "", 0, err
		}
		return "", 0, ErrInvalidCredentials
	}
	return s.begin(ctx, u, c)
}

// external returns the user to log in, or the reason why there is none.
func (s *Service) external(ctx context.Context, x ExternalUser, c Client) (u User, reason string, err error) {
	roles, err := SortRoles(x.Roles)
	if err != nil || x.ID == "" {
		return User{}, "no role", nil
	}
	u, err = s.Store.UserByExternalID(ctx, x.ID)
	switch {
	case errors.Is(err, ErrUserNotFound):
		return s.provisionExternal(ctx, x, roles, c)
	case err != nil:
		return User{}, "", fmt.Errorf("look up a user: %w", err)
	case !u.Active:
		return User{}, "inactive user", nil
	case !x.RolesManaged || slices.Equal(roles, u.Roles):
		return u, "", nil
	}
	e := s.event(ActionUserUpdate, "system", c)
	u, err = s.Store.EditUser(ctx, u.Username, func(u *User) (Event, error) {
		if u.ExternalID != x.ID { // made anew under that name, meanwhile
			return Event{}, errNameOfAnother
		}
		var patch UserPatch
		e.Target, e.Detail = u.Username, "by the issuer: "+patch.apply(u, roles)
		return e, nil
	})
	if errors.Is(err, errNameOfAnother) {
		return User{}, errNameOfAnother.Error(), nil
	}
	if errors.Is(err, ErrLastAdmin) {
		s.log().WarnContext(ctx, "the issuer takes the role from the last administrator, who keeps it", "user", x.Username)
		u, err = s.Store.UserByExternalID(ctx, x.ID)
	}
	if err != nil {
		return User{}, "", fmt.Errorf("update a user of the issuer: %w", err)
	}
	return u, "", nil
}

// errNameOfAnother refuses the login of an issuer's user whose name here is
// another's.
var errNameOfAnother = errors.New("the user name belongs to another")

func (s *Service) provisionExternal(ctx context.Context, x ExternalUser, roles []Role, c Client) (User, string, error) {
	switch {
	case !x.Provision:
		return User{}, "not provisioned", nil
	case !ValidUsername(x.Username):
		return User{}, "no valid user name", nil
	}
	version, err := randomVersion(s.rand())
	if err != nil {
		return User{}, "", err
	}
	e := s.event(ActionUserCreate, "system", c)
	e.Target, e.Detail = x.Username, "from the issuer "+clip(strings.Split(x.ID, " ")[0])+", roles="+roleList(roles)
	u := User{
		Username: x.Username, Roles: roles, Active: true, AuthSource: SourceOIDC, ExternalID: x.ID,
		TokenVersion: version, CreatedAt: e.Time,
	}
	d := DirectoryUser{Email: x.Email, FullName: x.FullName}
	d.describe(&u)
	err = s.Store.CreateUser(ctx, u, e)
	if errors.Is(err, ErrEmailTaken) {
		u.Email = ""
		err = s.Store.CreateUser(ctx, u, e)
	}
	if errors.Is(err, ErrUserExists) {
		return User{}, errNameOfAnother.Error(), nil
	}
	if err != nil {
		return User{}, "", fmt.Errorf("create a user of the issuer: %w", err)
	}
	return u, "", nil
}
