package httpapi

import (
	"errors"
	"net/http"

	"github.com/repod-io/repod/auth"
)

// newUserJSON shows a user as the store has it.
func newUserJSON(u *auth.User) userJSON {
	return userJSON{
		Username: u.Username, Email: u.Email, FullName: u.FullName, Roles: list(u.Roles), Active: u.Active,
		AuthSource: u.AuthSource, CreatedAt: timestamp(u.CreatedAt), LastLogin: timestamp(u.LastLogin),
	}
}

type usersJSON struct {
	Users []userJSON `json:"users"`
	Total int        `json:"total"`
}

func (a *api) listUsers(c *call) error {
	users, err := a.Auth.Users(c.Context())
	if err != nil {
		return err
	}
	out := usersJSON{[]userJSON{}, len(users)}
	for i := range users {
		out.Users = append(out.Users, newUserJSON(&users[i]))
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// rolesOf reads names of roles; nil stays nil.
func rolesOf(names *[]string) ([]auth.Role, error) {
	if names == nil {
		return nil, nil
	}
	return auth.ParseRoles(*names)
}

type newUserBody struct {
	Username string    `json:"username" rule:"required,trim"`
	Password string    `json:"password" rule:"required"`
	Email    string    `json:"email" rule:"trim"`
	FullName string    `json:"full_name" rule:"trim"`
	Roles    *[]string `json:"roles" enum:"roles"`
	Active   bool      `json:"active"`
}

var newUserDefault = newUserBody{Active: true}

func (a *api) createUser(c *call) error {
	in := newUserDefault
	if err := a.decode(c, &in); err != nil {
		return err
	}
	if in.Roles == nil {
		in.Roles = &[]string{auth.Viewer.String()}
	}
	roles, err := rolesOf(in.Roles)
	if err != nil {
		return err
	}
	u, err := a.Auth.CreateUser(c.detach(), c.who, auth.UserSpec{
		Username: in.Username, Password: in.Password, Email: in.Email, FullName: in.FullName, Roles: roles, Active: in.Active,
	}, c.client())
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/auth/users")
	return writeJSON(c.w, http.StatusCreated, newUserJSON(&u))
}

type userPatchBody struct {
	Roles    *[]string `json:"roles" enum:"roles"`
	Email    *string   `json:"email" rule:"trim"`
	FullName *string   `json:"full_name" rule:"trim"`
	Active   *bool     `json:"active"`
}

func (a *api) updateUser(c *call) error {
	var in userPatchBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	if in.Roles == nil && in.Email == nil && in.FullName == nil && in.Active == nil {
		return invalid(fault{"body", "must have at least one of roles, email, full_name and active"})
	}
	roles, err := rolesOf(in.Roles)
	if err != nil {
		return err
	}
	u, err := a.Auth.UpdateUser(c.detach(), c.who, c.vars["username"],
		auth.UserPatch{Roles: roles, Email: in.Email, FullName: in.FullName, Active: in.Active}, c.client())
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newUserJSON(&u))
}

func (a *api) deleteUser(c *call) error {
	if err := a.Auth.DeleteUser(c.detach(), c.who, c.vars["username"], c.client()); err != nil {
		return err
	}
	return noContent(c)
}

// status is the answer to requests that change a password.
type status struct {
	Username string `json:"username,omitempty"`
	Status   string `json:"status"`
	Message  string `json:"message,omitempty"`
}

// newPassword names the field that a refused password stood in.
func newPassword(err error) error {
	var policy *auth.PolicyError
	if !errors.As(err, &policy) {
		return err
	}
	return weakPassword(policy, "new_password")
}

type setPasswordBody struct {
	NewPassword string `json:"new_password" rule:"required"`
}

func (a *api) setPassword(c *call) error {
	var in setPasswordBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	name := c.vars["username"]
	if err := a.Auth.SetPassword(c.detach(), c.who, name, in.NewPassword, c.client()); err != nil {
		return newPassword(err)
	}
	return writeJSON(c.w, http.StatusOK, status{Username: name, Status: "password_reset"})
}

type changePasswordBody struct {
	CurrentPassword string `json:"current_password" rule:"required"`
	NewPassword     string `json:"new_password" rule:"required"`
}

func (a *api) changePassword(c *call) error {
	if err := c.needSession(); err != nil {
		return err
	}
	var in changePasswordBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	if err := a.Auth.ChangePassword(c.detach(), c.who, in.CurrentPassword, in.NewPassword, c.client()); err != nil {
		return newPassword(err)
	}
	return writeJSON(c.w, http.StatusOK, status{Status: "password_changed"})
}

type forgotPasswordBody struct {
	Email string `json:"email" rule:"required,trim"`
}

func (a *api) forgotPassword(c *call) error {
	var in forgotPasswordBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	if err := a.Auth.ForgotPassword(c.detach(), in.Email, c.client()); err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, status{
		Status: "ok", Message: "If an account with this address exists, a reset link has been sent.",
	})
}

type resetPasswordBody struct {
	Token       string `json:"token" rule:"required,1..256"`
	NewPassword string `json:"new_password" rule:"required"`
}

func (a *api) resetPassword(c *call) error {
	var in resetPasswordBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	if err := a.Auth.ResetPassword(c.detach(), in.Token, in.NewPassword, c.client()); err != nil {
		return newPassword(err)
	}
	return writeJSON(c.w, http.StatusOK, status{Status: "password_reset"})
}
