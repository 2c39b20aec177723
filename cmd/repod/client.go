package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/repod-io/repod/httpapi/client"
)

const defaultRetries = 5

// client returns a client for REPOD_URL and REPOD_TOKEN, which makes that many
// attempts after a failed one and waits for busy servers.
func (p *program) client(retries int) (*client.Client, error) {
	address := p.env("REPOD_URL")
	if address == "" {
		return nil, usagef("REPOD_URL is not set: set it to the server, e.g. https://repo.example.com")
	}
	token := p.env("REPOD_TOKEN")
	if path := p.env("REPOD_TOKEN_FILE"); token == "" && path != "" {
		var err error
		if token, err = readSecret(path); err != nil {
			return nil, err
		}
	}
	if _, err := client.New(address, "", nil); err != nil {
		return nil, usagef("REPOD_URL is not an http or https address, e.g. https://repo.example.com")
	}
	c, err := client.New(address, token, nil)
	if err != nil {
		return nil, usagef("REPOD_TOKEN: %w", err)
	}
	c.UserAgent, c.Retries, c.WaitBusy = "repod/"+buildVersion().Version, retries, true
	c.Note = noteTo(func(format string, args ...any) {
		fmt.Fprintln(p.stderr, "repod: "+oneLine(fmt.Sprintf(format, args...)))
	})
	return c, nil
}

// noteTo tells a user why it takes longer.
func noteTo(print func(format string, args ...any)) func(error, time.Duration) {
	return func(err error, delay time.Duration) {
		var u *url.Error
		if errors.As(err, &u) { // without the request's whole URL
			err = u.Err
		}
		print("%s: trying again in %v", explain(err), delay.Round(time.Second))
	}
}

// explain says what went wrong, in one line, and what to do where that is known.
func explain(err error) string {
	text := err.Error()
	var refusal *client.Error
	switch {
	case errors.Is(err, client.ErrAnswer):
		text += ": check REPOD_URL"
	case !errors.As(err, &refusal):
	case refusal.Status >= 300 && refusal.Status < 400:
		text += ": set REPOD_URL to where the server is"
	case hints[refusal.Code] != "":
		text += ": " + hints[refusal.Code]
	}
	return oneLine(text)
}

// hints say what to do next, by problem code.
var hints = map[string]string{
	"authentication_required":  "set REPOD_TOKEN to an API token",
	"invalid_token":            "REPOD_TOKEN is wrong, expired or revoked; have an administrator create another",
	"insufficient_role":        "ask an administrator for a token with that role",
	"token_scope":              "this token may not write there; use another distribution or token",
	"unknown_distribution":     "check the codename, or have a maintainer create the distribution",
	"unknown_component":        "check --component",
	"unsupported_architecture": "the distribution does not take this architecture",
	"duplicate_conflict":       "contents of a version never change; give the package a new version",
	"not_published":            "only published versions can be promoted",
	"sources_not_synced":       "have a maintainer run repod sync",
	"unknown_source":           "check --source",
	"no_sources_enabled":       "have an administrator enable sources (setting import.sources)",
	"upload_too_large":         "the server limits the size of uploads",
	"storage_full":             "free space on the server",
	"internal_error":           "the server's log says more",
}
