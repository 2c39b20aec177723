package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A UserSpec says what user to make.
type UserSpec struct {
	Username string // see ValidUsername
	Password string // see CheckPassword
	Email    string // see ValidEmail; may be ""
	FullName string // see ValidFullName
	Roles    []Role // see SortRoles
	Active   bool
}

// A UserPatch says what of a user to change: what is not nil.
type UserPatch struct {
	Roles    []Role // nil: as they are
	Email    *string
	FullName *string
	Active   *bool
}

// Users returns all users by name, without their password hashes.
func (s *Service) Users(ctx context.Context) ([]User, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	users, err := s.Store.Users(ctx)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	for i := range users {
		users[i] = users[i].public()
	}
	return users, nil
}

// public is the user without what nobody outside this package needs.
func (u User) public() User {
	u.PasswordHash, u.KeptSession, u.ExternalID = "", "", ""
	return u
}

// CreateUser makes a local user in the name of by. Errors: a
// [*ValidationError], a [*PolicyError], ErrUserExists, ErrEmailTaken.
func (s *Service) CreateUser(ctx context.Context, by Principal, spec UserSpec, c Client) (User, error) {
	if err := s.ready(); err != nil {
		return User{}, err
	}
	roles, err := spec.check()
	if err != nil {
		return User{}, err
	}
	u, err := s.newUser(ctx, spec.Username, spec.Password)
	if err != nil {
		return User{}, err
	}
	u.Email, u.FullName, u.Roles, u.Active = spec.Email, spec.FullName, roles, spec.Active
	e := s.event(ActionUserCreate, by.Name, c)
	e.Target, e.Detail = u.Username, "roles="+roleList(roles)
	if !u.Active {
		e.Detail += " inactive"
	}
	if err := s.audited(ctx, e, s.Store.CreateUser(ctx, u, e)); err != nil {
		return User{}, err
	}
	return u.public(), nil
}

// check returns the roles, ordered, or every fault of the fields that are no
// password.
func (spec *UserSpec) check() ([]Role, error) {
	var faults ValidationError
	if !ValidUsername(spec.Username) {
		faults.add("username", usernameRule)
	}
	patch := UserPatch{Roles: spec.Roles, Email: &spec.Email, FullName: &spec.FullName}
	if patch.Roles == nil {
		patch.Roles = []Role{}
	}
	roles := patch.check(&faults)
	if len(faults.Fields) > 0 {
		return nil, &faults
	}
	return roles, nil
}

const usernameRule = "must be 2 to 64 letters, digits, '.', '_', '@' and '-', the first a letter or digit"

// check adds what is wrong with the patch, and returns its roles ordered.
func (p *UserPatch) check(faults *ValidationError) (roles []Role) {
	if p.Email != nil && *p.Email != "" && !ValidEmail(*p.Email) {
		faults.add("email", "must be an e-mail address of at most %d characters", MaxEmail)
	}
	if p.FullName != nil && !ValidFullName(*p.FullName) {
		faults.add("full_name", "must have at most %d characters, none of them a control character", MaxFullName)
	}
	if p.Roles == nil {
		return nil
	}
	roles, err := SortRoles(p.Roles)
	var f *ValidationError
	if errors.As(err, &f) {
		faults.Fields = append(faults.Fields, f.Fields...)
	}
	return roles
}

// UpdateUser changes a user in the name of by, and returns the user as it then
// is. When the roles or Active change, the user's sessions end. Errors: a
// [*ValidationError], ErrUserNotFound, ErrLastAdmin, ErrEmailTaken, and
// ErrDirectoryManaged for the roles of a user whose directory decides them.
func (s *Service) UpdateUser(ctx context.Context, by Principal, username string, patch UserPatch, c Client) (User, error) {
	if err := s.ready(); err != nil {
		return User{}, err
	}
	var faults ValidationError
	roles := patch.check(&faults)
	if len(faults.Fields) > 0 {
		return User{}, &faults
	}
	managed := roles != nil && s.Directory != nil && s.Directory.ManagesRoles(ctx)
	e := s.event(ActionUserUpdate, by.Name, c)
	e.Target = clip(username)
	u, err := s.editUser(ctx, username, func(u *User) (Event, error) {
		if managed && u.AuthSource == SourceLDAP && !slices.Equal(roles, u.Roles) {
			return e, ErrDirectoryManaged
		}
		e.Target = u.Username
		e.Detail = patch.apply(u, roles)
		return e, nil
	})
	if err := s.audited(ctx, e, err); err != nil {
		return User{}, err
	}
	return u.public(), nil
}

// apply changes u and tells what was what before.
func (p *UserPatch) apply(u *User, roles []Role) string {
	var changes []string
	changed := func(what, before, after string) bool {
		if before == after {
			return false
		}
		changes = append(changes, fmt.Sprintf("%s: %s -> %s", what, before, after))
		return true
	}
	ends := false
	if roles != nil {
		ends = changed("roles", roleList(u.Roles), roleList(roles))
		u.Roles = roles
	}
	if p.Active != nil {
		ends = changed("active", fmt.Sprint(u.Active), fmt.Sprint(*p.Active)) || ends
		u.Active = *p.Active
	}
	if p.Email != nil {
		changed("email", fmt.Sprintf("%q", u.Email), fmt.Sprintf("%q", *p.Email))
		u.Email = *p.Email
	}
	if p.FullName != nil {
		changed("full_name", fmt.Sprintf("%q", u.FullName), fmt.Sprintf("%q", *p.FullName))
		u.FullName = *p.FullName
	}
	if ends {
		u.endSessions("")
	}
	if len(changes) == 0 {
		return "no change"
	}
	return strings.Join(changes, "; ")
}

// DeleteUser removes a user in the name of by; the user's sessions end, API
// tokens made by the user stay. Errors: ErrUserNotFound, ErrLastAdmin,
// ErrDeleteSelf.
func (s *Service) DeleteUser(ctx context.Context, by Principal, username string, c Client) error {
	if err := s.ready(); err != nil {
		return err
	}
	e := s.event(ActionUserDelete, by.Name, c)
	e.Target = clip(username)
	err := ErrUserNotFound
	switch {
	case by.Kind == KindSession && FoldUsername(by.Name) == FoldUsername(username):
		err = ErrDeleteSelf
	case ValidUsername(username):
		err = s.Store.DeleteUser(ctx, username, e)
	}
	return s.audited(ctx, e, err)
}

// editUser is Store.EditUser for a name that a client sent.
func (s *Service) editUser(ctx context.Context, username string, edit func(u *User) (Event, error)) (User, error) {
	if !ValidUsername(username) { // nobody has it, and a database may choke on it
		return User{}, ErrUserNotFound
	}
	return s.Store.EditUser(ctx, username, edit)
}

// refusals are the errors that say that an action was refused, and not that
// something broke.
var refusals = []error{
	ErrUserNotFound, ErrUserExists, ErrEmailTaken, ErrLastAdmin, ErrDeleteSelf, ErrDirectoryManaged, ErrWrongPassword,
	ErrNoFactor, ErrFactorExists, ErrWrongOTP, ErrPublisherNotFound, ErrPublisherExists, ErrRoleTooHigh,
	ErrTokenScope, ErrTokenPackages,
}

// audited records that e was refused when err says so, and names the action of
// other errors.
func (s *Service) audited(ctx context.Context, e Event, err error) error {
	if err == nil {
		return nil
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			e.Detail, e.Messages = refusal.Error(), nil
			if err := s.recordFailure(ctx, e); err != nil {
				return err
			}
			return refusal
		}
	}
	return fmt.Errorf("%s: %w", e.Action, err)
}

func roleList(roles []Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.String()
	}
	return strings.Join(names, ",")
}
