package client

import "time"

// Login is who logs in.
type Login struct {
	Username string `json:"username"`
	Password string `json:"password"`
	OTP      string `json:"otp,omitempty"`
}

// A Session is what a login gives. ExpiresIn is in seconds.
type Session struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"` // seconds
}

// A User is a user, or the user that an API token acts as.
type User struct {
	Username   string    `json:"username"`
	Email      string    `json:"email"`
	FullName   string    `json:"full_name"`
	Roles      []string  `json:"roles"`
	Active     bool      `json:"active"`
	AuthSource string    `json:"auth_source"`
	CreatedAt  time.Time `json:"created_at"`
	LastLogin  time.Time `json:"last_login"`
	Token      *OwnToken `json:"token,omitempty"`
}

// An OwnToken says by which token a caller acts.
type OwnToken struct {
	ID            string    `json:"id"`
	Name          string    `json:"name"`
	Distributions []string  `json:"distributions"`
	Packages      []string  `json:"packages,omitempty"`
	ExpiresAt     time.Time `json:"expires_at"`
}

// A NewUser is a user to be created.
type NewUser struct {
	Username string   `json:"username"`
	Password string   `json:"password"`
	Email    string   `json:"email,omitempty"`
	FullName string   `json:"full_name,omitempty"`
	Roles    []string `json:"roles,omitempty"`
	Active   *bool    `json:"active,omitempty"`
}

// A NewToken is an API token to be created.
type NewToken struct {
	Name          string   `json:"name"`
	Roles         []string `json:"roles"`
	ExpiresInDays int      `json:"expires_in_days,omitempty"`
	Distributions []string `json:"distributions,omitempty"`
	Packages      []string `json:"packages,omitempty"`
}

// An APIToken is an API token. Token, the secret, is there when it was just created.
type APIToken struct {
	ID            string    `json:"id"`
	Token         string    `json:"token,omitempty"` // the secret, shown once
	Name          string    `json:"name"`
	Roles         []string  `json:"roles"`
	Prefix        string    `json:"prefix"`
	Distributions []string  `json:"distributions"`
	Packages      []string  `json:"packages,omitempty"`
	CreatedBy     string    `json:"created_by"`
	CreatedAt     time.Time `json:"created_at"`
	ExpiresAt     time.Time `json:"expires_at"`
	LastUsedAt    time.Time `json:"last_used_at"`
}
