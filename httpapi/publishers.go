package httpapi

import (
	"net/http"
	"time"

	"github.com/repod-io/repod/auth"
)

// Trusted publishers are beyond the API reference: jobs of GitHub Actions,
// GitLab and other platforms that issue OpenID Connect tokens get a token of
// ours without keeping a secret.

type publisherJSON struct {
	ID            string      `json:"id"`
	Name          string      `json:"name"`
	Issuer        string      `json:"issuer"`
	Audience      string      `json:"audience"`
	Repository    string      `json:"repository"`
	RepositoryID  string      `json:"repository_id"`
	Ref           string      `json:"ref"`
	Environment   string      `json:"environment"`
	Roles         []auth.Role `json:"roles"`
	Distributions []string    `json:"distributions"`
	Packages      []string    `json:"packages,omitempty"`
	CreatedBy     string      `json:"created_by"`
	CreatedAt     timestamp   `json:"created_at"`
}

func newPublisher(p *auth.Publisher) publisherJSON {
	return publisherJSON{
		p.ID, p.Name, p.Issuer, p.Audience, p.Repository, p.RepositoryID, p.Ref, p.Environment,
		list(p.Roles), list(p.Distributions), p.Packages, p.CreatedBy, timestamp(p.CreatedAt),
	}
}

type publishersJSON struct {
	Publishers []publisherJSON `json:"publishers"`
	Total      int             `json:"total"`
}

func (a *api) listPublishers(c *call) error {
	all, err := a.Auth.Publishers(c.Context())
	if err != nil {
		return err
	}
	out := publishersJSON{[]publisherJSON{}, len(all)}
	for i := range all {
		out.Publishers = append(out.Publishers, newPublisher(&all[i]))
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type newPublisherBody struct {
	Name          string   `json:"name" rule:"required,trim"`
	Issuer        string   `json:"issuer" rule:"required,trim"`
	Audience      string   `json:"audience" rule:"trim"`
	Repository    string   `json:"repository" rule:"required,trim"`
	RepositoryID  string   `json:"repository_id" rule:"trim"`
	Ref           string   `json:"ref" rule:"required,trim"`
	Environment   string   `json:"environment" rule:"trim"`
	Roles         []string `json:"roles" rule:"required" enum:"roles"`
	Distributions []string `json:"distributions" rule:"0..1000"`
	Packages      []string `json:"packages" rule:"1..100"`
}

var newPublisherDefault = newPublisherBody{Audience: "repod"}

func (a *api) createPublisher(c *call) error {
	in := newPublisherDefault
	if err := a.decode(c, &in); err != nil {
		return err
	}
	roles, err := auth.ParseRoles(in.Roles)
	if err != nil {
		return err
	}
	for _, codename := range in.Distributions {
		if _, err := a.Repo.Distribution(c.Context(), codename); err != nil {
			return err
		}
	}
	p, err := a.Auth.CreatePublisher(c.detach(), c.who, auth.PublisherSpec{
		Name: in.Name, Issuer: in.Issuer, Audience: in.Audience, Repository: in.Repository, RepositoryID: in.RepositoryID,
		Ref: in.Ref, Environment: in.Environment, Roles: roles, Distributions: in.Distributions, Packages: in.Packages,
	}, c.client())
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", "/auth/trusted-publishers")
	return writeJSON(c.w, http.StatusCreated, newPublisher(&p))
}

func (a *api) deletePublisher(c *call) error {
	if err := a.Auth.DeletePublisher(c.detach(), c.who, c.vars["publisher_id"], c.client()); err != nil {
		return err
	}
	return noContent(c)
}

type exchangeBody struct {
	Token string `json:"token" rule:"required,1..16384"`
}

type exchangeJSON struct {
	AccessToken   string      `json:"access_token"`
	TokenType     string      `json:"token_type"`
	ExpiresIn     int         `json:"expires_in"` // seconds
	Roles         []auth.Role `json:"roles"`
	Distributions []string    `json:"distributions"`
	Packages      []string    `json:"packages,omitempty"`
}

func (a *api) exchange(c *call) error {
	var in exchangeBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	token, p, err := a.Auth.Exchange(c.detach(), in.Token, c.client())
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, exchangeJSON{string(token), "bearer", int(auth.PublisherLifetime / time.Second), list(p.Roles), list(p.Distributions), p.Packages})
}
