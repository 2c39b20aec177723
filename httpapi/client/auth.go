package client

import "context"

// Login returns a session. Its token is for [Client.WithToken]. Codes:
// invalid_credentials, otp_required, too_many_attempts.
func (c *Client) Login(ctx context.Context, who Login) (Session, error) {
	return post[Session](ctx, c, "/auth/token", nil, who)
}

// Logout ends the session that the client's token is of, or all of its user.
func (c *Client) Logout(ctx context.Context, everywhere bool) error {
	return c.exchange(ctx, request{method: "POST", path: "/auth/logout", query: queryOf(struct {
		Everywhere bool `url:"everywhere"`
	}{everywhere})}, nil)
}

// Me returns who the client's token makes the caller.
func (c *Client) Me(ctx context.Context) (User, error) { return get[User](ctx, c, "/auth/me", nil) }

// Users returns all users, by name.
func (c *Client) Users(ctx context.Context) ([]User, error) {
	out, err := get[struct {
		Users []User `json:"users"`
	}](ctx, c, "/auth/users", nil)
	return out.Users, err
}

// CreateUser creates a user. Codes: user_exists, email_taken, weak_password.
func (c *Client) CreateUser(ctx context.Context, u NewUser) (User, error) {
	return post[User](ctx, c, "/auth/users", nil, u)
}

// DeleteUser deletes a user, whose sessions end. Codes: user_not_found,
// cannot_delete_self, last_admin.
func (c *Client) DeleteUser(ctx context.Context, name string) error {
	return remove(ctx, c, at("auth", "users", name), nil)
}

// Tokens returns all API tokens, newest first, without the secrets.
func (c *Client) Tokens(ctx context.Context) ([]APIToken, error) {
	out, err := get[struct {
		Tokens []APIToken `json:"tokens"`
	}](ctx, c, "/auth/api-tokens", nil)
	return out.Tokens, err
}

// CreateToken creates an API token. This answer is the only one that has the
// secret. Codes: token_name_taken, unknown_distribution, role_too_high.
func (c *Client) CreateToken(ctx context.Context, t NewToken) (APIToken, error) {
	return post[APIToken](ctx, c, "/auth/api-tokens", nil, t)
}

// RevokeToken ends an API token. Code: token_not_found.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return remove(ctx, c, at("auth", "api-tokens", id), nil)
}
