package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxTokenDays is the longest life of an API token that expires at all.
const MaxTokenDays = 3650

// A TokenSpec says what API token to make.
type TokenSpec struct {
	Name  string // see ValidTokenName
	Roles []Role // see SortRoles
	// ExpiresInDays is 1 to MaxTokenDays, or 0 for a token that never
	// expires.
	ExpiresInDays int
	// Distributions narrows what the token may change; empty: all. That
	// they exist is for the caller to check.
	Distributions []string
	// Packages narrows it to package names; empty: all. See CheckPackages.
	Packages []string
}

// CreateToken makes an API token in the name of by. The text it returns is
// what programs log in with; nobody can see it again.
//
// Errors: a [*ValidationError] for the spec; ErrRoleTooHigh for a role above
// the highest of by; ErrTokenScope or ErrTokenPackages when by is itself
// narrowed, to distributions or package names, and the new one would not be;
// ErrTokenNameTaken when an unexpired token has the name.
func (s *Service) CreateToken(ctx context.Context, by Principal, spec TokenSpec, c Client) (Secret, APIToken, error) {
	if err := s.ready(); err != nil {
		return "", APIToken{}, err
	}
	roles, err := spec.check()
	if err != nil {
		return "", APIToken{}, err
	}
	if !by.Has(HighestRole(roles)) {
		return "", APIToken{}, ErrRoleTooHigh
	}
	if err := by.mayGrant(spec.Distributions, spec.Packages); err != nil {
		return "", APIToken{}, err
	}
	text, t, err := s.newToken(by, spec, roles)
	if err != nil {
		return "", APIToken{}, err
	}
	e := s.event(ActionTokenCreate, by.Name, c)
	e.Target, e.Detail = t.Name, t.describe()
	err = s.Store.CreateToken(ctx, t, e)
	t.Hash = ""
	if errors.Is(err, ErrTokenNameTaken) {
		e.Detail = "the name is taken"
		if err := s.recordFailure(ctx, e); err != nil {
			return "", APIToken{}, err
		}
		return "", APIToken{}, ErrTokenNameTaken
	}
	if err != nil {
		return "", APIToken{}, fmt.Errorf("create an API token: %w", err)
	}
	return text, t, nil
}

// check returns the roles, ordered, or every fault.
func (spec TokenSpec) check() ([]Role, error) {
	var faults ValidationError
	if !ValidTokenName(spec.Name) {
		faults.add("name", "must be 1 to 64 letters, digits, spaces, '.', '_' and '-', the first a letter or digit")
	}
	roles, err := SortRoles(spec.Roles)
	faults.addFaults(err)
	if spec.ExpiresInDays < 0 || spec.ExpiresInDays > MaxTokenDays {
		faults.add("expires_in_days", "must be 1 to %d", MaxTokenDays)
	}
	if i := slices.Index(spec.Distributions, ""); i >= 0 {
		faults.add(fmt.Sprintf("distributions[%d]", i), "must not be empty")
	}
	faults.addFaults(CheckPackages(spec.Packages))
	if len(faults.Fields) > 0 {
		return nil, &faults
	}
	return roles, nil
}

// mayGrant returns ErrTokenScope or ErrTokenPackages when p may not hand on the
// right to change distributions and packages.
func (p Principal) mayGrant(distributions, packages []string) error {
	if !covers(p.Scope(), distributions, func(item, wanted string) bool { return item == wanted }) {
		return ErrTokenScope
	}
	if !covers(p.Packages(), packages, matches) {
		return ErrTokenPackages
	}
	return nil
}

func (s *Service) newToken(by Principal, spec TokenSpec, roles []Role) (Secret, APIToken, error) {
	text, err := newTokenText(s.rand())
	if err != nil {
		return "", APIToken{}, err
	}
	id, err := random62(s.rand(), 12)
	if err != nil {
		return "", APIToken{}, err
	}
	t := APIToken{
		ID:        "tok_" + id,
		Name:      spec.Name,
		Roles:     roles,
		Prefix:    string(text[:tokenShown]),
		CreatedBy: by.Name,
		CreatedAt: s.now().UTC().Truncate(time.Second),
		Hash:      hashToken(string(text)),

		Distributions: unique(spec.Distributions),
		Packages:      unique(spec.Packages),
	}
	if spec.ExpiresInDays > 0 {
		at := t.CreatedAt.Add(time.Duration(spec.ExpiresInDays) * 24 * time.Hour)
		t.ExpiresAt = &at
	}
	return text, t, nil
}

// unique returns the items of a list, each once.
func unique(list []string) (items []string) {
	for _, item := range list {
		if !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	return items
}

// describe tells the audit log what the token may do.
func (t *APIToken) describe() string {
	names := make([]string, len(t.Roles))
	for i, r := range t.Roles {
		names[i] = r.String()
	}
	text := fmt.Sprintf("id=%s roles=%s", t.ID, strings.Join(names, ","))
	text += describeScope(t.Distributions, t.Packages)
	if t.ExpiresAt != nil {
		text += " expires=" + t.ExpiresAt.Format(time.RFC3339)
	}
	return text
}

// describeScope is the part of an audit entry's detail about a scope, "" when
// that is all.
func describeScope(distributions, packages []string) string {
	text := ""
	if len(distributions) > 0 {
		text += " distributions=" + strings.Join(distributions, ",")
	}
	if len(packages) > 0 {
		text += " packages=" + strings.Join(packages, ",")
	}
	return text
}

func hashToken(text string) Secret {
	sum := sha256.Sum256([]byte(text))
	return Secret(hex.EncodeToString(sum[:]))
}

// Tokens returns all API tokens, expired ones too, newest first, without their
// hashes.
func (s *Service) Tokens(ctx context.Context) ([]APIToken, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	tokens, err := s.Store.Tokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("list API tokens: %w", err)
	}
	for i := range tokens {
		tokens[i].Hash = ""
	}
	return tokens, nil
}

// RevokeToken removes an API token by its ID, in the name of by. It no longer
// works when RevokeToken returns. Errors: ErrTokenNotFound.
func (s *Service) RevokeToken(ctx context.Context, by Principal, id string, c Client) error {
	tokens, err := s.Tokens(ctx)
	if err != nil {
		return err
	}
	e := s.event(ActionTokenRevoke, by.Name, c)
	err = ErrTokenNotFound
	if i := slices.IndexFunc(tokens, func(t APIToken) bool { return t.ID == id }); i >= 0 {
		e.Target, e.Detail = tokens[i].Name, "id="+id
		err = s.Store.RevokeToken(ctx, id, e)
	}
	if errors.Is(err, ErrTokenNotFound) {
		e.Target, e.Detail = clip(id), "no such token"
		if err := s.recordFailure(ctx, e); err != nil {
			return err
		}
		return ErrTokenNotFound
	}
	if err != nil {
		return fmt.Errorf("revoke an API token: %w", err)
	}
	return nil
}

// apiToken returns the principal of an API token.
func (s *Service) apiToken(ctx context.Context, text string) (Principal, error) {
	if !ValidTokenText(text) {
		return Principal{}, fmt.Errorf("%w: not an API token", ErrInvalidToken)
	}
	t, err := s.Store.TokenByHash(ctx, hashToken(text))
	now := s.now()
	switch {
	case errors.Is(err, ErrTokenNotFound):
		return Principal{}, fmt.Errorf("%w: no such API token", ErrInvalidToken)
	case err != nil:
		return Principal{}, fmt.Errorf("look up an API token: %w", err)
	case t.Expired(now):
		return Principal{}, fmt.Errorf("%w: expired", ErrInvalidToken)
	}
	t.Hash = ""
	s.touch(ctx, t, now)
	return Principal{Kind: KindToken, Name: "token:" + t.Name, Roles: t.Roles, Token: &t}, nil
}

// lastUsedPrecision is how exact APIToken.LastUsedAt is.
const lastUsedPrecision = time.Minute

// touch records the use of a token. The request does not wait for it, and a
// failure is no reason to refuse the request.
func (s *Service) touch(ctx context.Context, t APIToken, now time.Time) {
	if t.LastUsedAt != nil && now.Sub(*t.LastUsedAt) < lastUsedPrecision {
		return
	}
	if !s.touches.begin(t.ID, now) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	go func() {
		defer cancel()
		err := s.Store.TouchToken(ctx, t.ID, now.UTC().Truncate(time.Second))
		if err != nil {
			s.log().WarnContext(ctx, "use of an API token not recorded", "token", t.Name, "error", err)
		}
		s.touches.end(t.ID, err == nil)
	}()
}

// touches bounds the writes of last uses: a few at a time, and for each token
// one a minute.
type touches struct {
	mu      sync.Mutex
	recent  map[string]time.Time // by token ID
	running int
	closed  bool
	idle    chan struct{} // closed when closed and none is running
}

const (
	maxTouches = 4    // at a time
	maxRecent  = 4096 // before tokens not used of late are forgotten
)

func (t *touches) init() {
	t.recent = map[string]time.Time{}
	t.idle = make(chan struct{})
}

// begin reports whether a use should be written; then end must be called. A
// use that finds too many running is left to the next one.
func (t *touches) begin(id string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.recent[id]
	if ok && now.Sub(last) < lastUsedPrecision || t.closed || t.running == maxTouches {
		return false
	}
	if len(t.recent) >= maxRecent {
		maps.DeleteFunc(t.recent, func(_ string, last time.Time) bool {
			return now.Sub(last) >= lastUsedPrecision
		})
	}
	t.recent[id] = now
	t.running++
	return true
}

func (t *touches) end(id string, written bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !written {
		delete(t.recent, id)
	}
	t.running--
	if t.closed && t.running == 0 {
		close(t.idle)
	}
}

// close waits for what begin let through, and lets nothing through after.
func (t *touches) close(ctx context.Context) error {
	t.mu.Lock()
	if !t.closed && t.running == 0 {
		close(t.idle)
	}
	t.closed = true
	t.mu.Unlock()
	select {
	case <-t.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
