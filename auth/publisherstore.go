package auth

import (
	"context"
	"time"
)

// A Publisher is a rule by which jobs of a CI platform get tokens: who can
// show an OpenID Connect token of Issuer for Audience whose claims match may
// act with the roles, for as long as the rule stands.
type Publisher struct {
	ID   string // "pub_" and 12 base62 characters
	Name string // see ValidTokenName
	// Issuer is the platform's, "https://token.actions.githubusercontent.com"
	// or "https://gitlab.example.com".
	Issuer   string
	Audience string // what the job asks its token for
	// Repository is "owner/name" at GitHub, the project's path at GitLab.
	Repository string
	// RepositoryID, when not empty, is the number by which the platform knows
	// the repository: a name can pass to others, a number never does.
	RepositoryID string
	// Ref is the git reference, as the platform writes it ("refs/heads/main" at
	// GitHub, "main" at GitLab); with a last "*", what it begins with.
	Ref         string
	Environment string // "": any, and none
	Roles       []Role // as SortRoles returns them, none above Maintainer
	// Distributions, when not empty, are the only ones that may be changed.
	Distributions []string
	// Packages, when not empty, are patterns of the only package names that
	// may be changed, as CheckPackages has them.
	Packages []string
	// Version stands in each token: a rule that is made again does not revive
	// the tokens of the one before.
	Version   int64
	CreatedBy string
	CreatedAt time.Time
}

// PublisherStore is the part of [Store] about trusted publishers.
type PublisherStore interface {
	// Publishers returns all by name.
	Publishers(ctx context.Context) ([]Publisher, error)

	// Publisher returns one by ID, or ErrPublisherNotFound.
	Publisher(ctx context.Context, id string) (Publisher, error)

	// CreatePublisher adds one, or returns ErrPublisherExists when the name is
	// in use.
	CreatePublisher(ctx context.Context, p Publisher, e Event) error

	// DeletePublisher removes one, or returns ErrPublisherNotFound.
	DeletePublisher(ctx context.Context, id string, e Event) error

	// UseAssertion notes that a token was exchanged. It returns
	// ErrAssertionUsed when that is known already: of concurrent calls for one
	// ID only one succeeds. After the time until, when the token has expired,
	// the store may forget it.
	UseAssertion(ctx context.Context, id string, until time.Time, e Event) error
}
