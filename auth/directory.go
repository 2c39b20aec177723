package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Errors of directories.
var (
	// ErrDirectoryUnavailable: the directory did not answer, or not as it
	// should, so that nobody knows whether the password is right.
	ErrDirectoryUnavailable = errors.New("the directory is out of reach")
	// ErrNoDirectory: none is configured at the moment.
	ErrNoDirectory = errors.New("no directory")
	// ErrDirectoryManaged: what was to be changed, the directory decides.
	ErrDirectoryManaged = errors.New("managed by the directory")
)

// A Directory checks the passwords of users that are not local. Package
// auth/ldap has one. Its methods may be called concurrently.
type Directory interface {
	// Login returns the user of a name and password. Errors:
	// ErrInvalidCredentials, also for a user without any role;
	// ErrDirectoryUnavailable; ErrNoDirectory.
	Login(ctx context.Context, username, password string) (DirectoryUser, error)
	// ManagesRoles reports whether groups decide the roles of its users.
	ManagesRoles(ctx context.Context) bool
}

// A DirectoryUser is a user as the directory has it.
type DirectoryUser struct {
	Username string // as it is written there, the same as was asked for under FoldUsername
	Email    string // may be "", or no valid address, which is not taken over
	FullName string // may be "", or not valid, which is not taken over
	Roles    []Role // those by groups, or a default; see SortRoles
	// RolesManaged says that Roles replace those that the user had.
	RolesManaged bool
	// Provision says that the user may be created.
	Provision bool
}

// directoryLogin returns the user of that name and password in the directory,
// creating it or bringing it up to date, or the reason why there is none.
// known is the user as the store has it, nil when it has none.
func (s *Service) directoryLogin(ctx context.Context, known *User, username, password string, c Client) (u User, reason string, err error) {
	d, err := s.Directory.Login(ctx, username, password)
	switch {
	case errors.Is(err, ErrNoDirectory):
		return User{}, "unknown user", nil
	case errors.Is(err, ErrInvalidCredentials):
		return User{}, "refused by the directory", nil
	case err != nil:
		return User{}, "", fmt.Errorf("log in to the directory: %w", err)
	case FoldUsername(d.Username) != FoldUsername(username) || !ValidUsername(d.Username):
		return User{}, "the directory has another name", nil
	case known == nil && !d.Provision:
		return User{}, "not provisioned", nil
	case known == nil:
		u, err = s.provision(ctx, d, c)
	default:
		u, err = s.refresh(ctx, d, c)
	}
	if errors.Is(err, errNotOfDirectory) {
		return User{}, errNotOfDirectory.Error(), nil
	}
	return u, "", err
}

// errNotOfDirectory refuses a login by the directory to a user of that name who
// was made elsewhere while the directory was asked: its password is another.
var errNotOfDirectory = errors.New("not a user of the directory")

// provision creates the user of a first login.
func (s *Service) provision(ctx context.Context, d DirectoryUser, c Client) (User, error) {
	roles, err := SortRoles(d.Roles)
	if err != nil {
		return User{}, fmt.Errorf("roles by the directory: %w", err)
	}
	version, err := randomVersion(s.rand())
	if err != nil {
		return User{}, err
	}
	e := s.event(ActionUserCreate, "system", c)
	u := User{
		Username: d.Username, Roles: roles, Active: true, AuthSource: SourceLDAP,
		TokenVersion: version, CreatedAt: e.Time,
	}
	d.describe(&u)
	e.Target, e.Detail = u.Username, "from the directory, roles="+roleList(roles)
	err = s.Store.CreateUser(ctx, u, e)
	if errors.Is(err, ErrEmailTaken) {
		s.log().WarnContext(ctx, "e-mail address of a directory user belongs to another", "user", u.Username)
		u.Email = ""
		err = s.Store.CreateUser(ctx, u, e)
	}
	if errors.Is(err, ErrUserExists) { // another login was faster, or an administrator
		u, err = s.Store.User(ctx, u.Username)
		if err == nil && u.AuthSource != SourceLDAP {
			err = errNotOfDirectory
		}
	}
	if err != nil {
		return User{}, fmt.Errorf("create a user of the directory: %w", err)
	}
	return u, nil
}

// describe takes over what the directory says of the person.
func (d *DirectoryUser) describe(u *User) {
	if ValidEmail(d.Email) {
		u.Email = d.Email
	}
	if d.FullName != "" && ValidFullName(d.FullName) {
		u.FullName = d.FullName
	}
}

// refresh brings a user up to date with the directory. An address that belongs
// to another, and the loss of the last administrator, are left for later: the
// login goes on with what the store has.
func (s *Service) refresh(ctx context.Context, d DirectoryUser, c Client) (User, error) {
	roles, err := SortRoles(d.Roles)
	if err != nil {
		return User{}, fmt.Errorf("roles by the directory: %w", err)
	}
	e := s.event(ActionUserUpdate, "system", c)
	edit := func(withEmail, withRoles bool) (User, error) {
		return s.Store.EditUser(ctx, d.Username, func(u *User) (Event, error) {
			if u.AuthSource != SourceLDAP {
				return Event{}, errNotOfDirectory
			}
			before := *u
			d.describe(u)
			if !withEmail {
				u.Email = before.Email
			}
			var patch UserPatch
			if withRoles && d.RolesManaged && !slices.Equal(roles, u.Roles) {
				e.Target, e.Detail = u.Username, "by the directory: "+patch.apply(u, roles)
				return e, nil
			}
			return Event{}, nil
		})
	}
	u, err := edit(true, true)
	if errors.Is(err, ErrEmailTaken) {
		s.log().WarnContext(ctx, "e-mail address of a directory user belongs to another", "user", d.Username)
		u, err = edit(false, true)
	}
	if errors.Is(err, ErrLastAdmin) {
		s.log().WarnContext(ctx, "the directory takes the role from the last administrator, who keeps it", "user", d.Username)
		u, err = edit(false, false)
	}
	if err != nil {
		return User{}, fmt.Errorf("update a user of the directory: %w", err)
	}
	return u, nil
}
