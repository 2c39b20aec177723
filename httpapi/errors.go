package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/resolve"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
)

// A problem is an error as clients see it: RFC 9457, with members of our own.
// Handlers return one, or an error that the table below knows.
type problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"` // for people
	Code   string  `json:"code"`   // for programs
	Errors []fault `json:"errors,omitempty"`

	RequestID      string      `json:"request_id,omitempty"`
	RetryAfter     int         `json:"retry_after,omitempty"` // seconds
	RequiredRole   string      `json:"required_role,omitempty"`
	Roles          []auth.Role `json:"roles,omitempty"`
	MaxBytes       int64       `json:"max_bytes,omitempty"`
	IncomingSHA256 string      `json:"incoming_sha256,omitempty"`
	ExistingSHA256 string      `json:"existing_sha256,omitempty"`
	Reason         string      `json:"reason,omitempty"` // of upstream_rejected
	Signature      string      `json:"signature,omitempty"`
	Scan           *scanJSON   `json:"scan,omitempty"`
	HTTPStatus     int         `json:"http_status,omitempty"` // of webhook_failed

	// Results and Sources are those of work that failed as a whole.
	Results json.RawMessage `json:"results,omitempty"`
	Sources json.RawMessage `json:"sources,omitempty"`
}

// A fault is what is wrong with one field, parameter or part of a request.
type fault struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (p *problem) Error() string { return p.Code + ": " + p.Detail }

func newProblem(status int, code, format string, args ...any) *problem {
	return &problem{
		Type:   "urn:repod:error:" + code,
		Title:  http.StatusText(status),
		Status: status,
		Detail: fmt.Sprintf(format, args...),
		Code:   code,
	}
}

// invalid is the answer to fields that are not valid.
func invalid(faults ...fault) *problem {
	noun := "fields"
	if len(faults) == 1 {
		noun = "field"
	}
	p := newProblem(http.StatusUnprocessableEntity, "validation_failed", "The request has %d invalid %s.", len(faults), noun)
	p.Errors = faults
	return p
}

// retry asks the client to come again after a time, rounded up to seconds.
func (p *problem) retry(after time.Duration) *problem {
	p.RetryAfter = max(1, int((after+time.Second-1)/time.Second))
	return p
}

// Errors of this package's own.
var (
	errRoute                = errors.New("no such route")
	errDistributionNotFound = errors.New("no such distribution in the path")
	errNoToken              = errors.New("no token")
)

// storageRetry is when a client should come again that storage failed.
const storageRetry = 5 * time.Second

// errorTable says how errors that are told apart by errors.Is are answered.
// The first that matches counts.
var errorTable = []struct {
	err    error
	status int
	code   string
	detail string
}{
	{errRoute, 404, "route_not_found", "There is no such route."},
	{errDistributionNotFound, 404, "distribution_not_found", "The distribution does not exist."},
	{errNoToken, 401, "authentication_required", "Send a session token or an API token as bearer token."},

	{auth.ErrInvalidToken, 401, "invalid_token", "The token is not valid, or is no longer."},
	{auth.ErrInvalidCredentials, 401, "invalid_credentials", "Invalid user name or password."},
	{auth.ErrOTPRequired, 401, "otp_required", "Send a one-time password, too, as otp."},
	{auth.ErrWrongOTP, 400, "wrong_otp", "The one-time password is wrong, or was used before."},
	{auth.ErrNoFactor, 409, "mfa_not_enrolled", "There is no second factor."},
	{auth.ErrFactorExists, 409, "mfa_exists", "There is a second factor; disable it first."},
	{auth.ErrTokenNotAllowed, 403, "token_not_allowed", "This needs a session, not an API token."},
	{auth.ErrTokenScope, 403, "token_scope", "The token may write to its own distributions only."},
	{auth.ErrTokenPackages, 403, "token_scope", "The token may write to its own package names only."},
	{auth.ErrRoleTooHigh, 403, "role_too_high", "Nobody may give a role above the own."},
	{auth.ErrWrongPassword, 400, "wrong_password", "The current password is another."},
	{auth.ErrInvalidReset, 400, "invalid_reset_token", "The reset token is unknown, used or expired."},
	{auth.ErrUserNotFound, 404, "user_not_found", "The user does not exist."},
	{auth.ErrUserExists, 409, "user_exists", "A user of this name exists."},
	{auth.ErrEmailTaken, 409, "email_taken", "Another user has this e-mail address."},
	{auth.ErrLastAdmin, 409, "last_admin", "No active administrator would be left."},
	{auth.ErrDeleteSelf, 409, "cannot_delete_self", "Nobody can delete himself."},
	{auth.ErrDirectoryManaged, 409, "ldap_managed", "The directory decides this for its users."},
	{auth.ErrDirectoryUnavailable, 503, "ldap_unavailable", "The directory is out of reach."},
	{auth.ErrPublisherNotFound, 404, "publisher_not_found", "The trusted publisher does not exist."},
	{auth.ErrPublisherExists, 409, "publisher_exists", "A trusted publisher of this name exists."},
	{auth.ErrIssuerUnavailable, 503, "issuer_unavailable", "The issuer of the token is out of reach."},
	{auth.ErrTokenNotFound, 404, "token_not_found", "The API token does not exist."},
	{auth.ErrTokenNameTaken, 409, "token_name_taken", "An API token of this name is in use."},

	{jobs.ErrNotFound, 404, "job_not_found", "The job does not exist."},

	{aptrepo.ErrScope, 403, "token_scope", "The token may write to its own distributions only."},
	{aptrepo.ErrNameScope, 403, "token_scope", "The token may write to its own package names only."},
	{aptrepo.ErrUnknownDistribution, 400, "unknown_distribution", "The distribution does not exist."},
	{aptrepo.ErrUnknownComponent, 400, "unknown_component", "The distribution has no such component."},
	{aptrepo.ErrUnsupportedArch, 400, "unsupported_architecture", "The distribution does not take this architecture."},
	{aptrepo.ErrSameDistribution, 400, "same_distribution", "Source and target distribution are the same."},
	{aptrepo.ErrPackageNotFound, 404, "package_not_found", "The package does not exist."},
	{aptrepo.ErrVersionNotFound, 404, "version_not_found", "The package has no such version, architecture or publication."},
	{aptrepo.ErrNotPublished, 409, "not_published", "The version is not published there."},
	{aptrepo.ErrDistributionExists, 409, "distribution_exists", "The distribution exists already."},
	{aptrepo.ErrConflict, 409, "duplicate_conflict", "Name, version and architecture are taken by other contents."},
	{aptrepo.ErrReservedName, 409, "reserved_name", "Packages of this name are made by the server: it has the repository's own keys."},
	{aptrepo.ErrForeignSigner, 409, "foreign_signer", "The signing keys are configured outside of the repository, which cannot change them."},

	{aptrepo.ErrQuarantined, 409, "quarantined", "The package is in quarantine; release it first."},
	{aptrepo.ErrNotQuarantined, 409, "not_quarantined", "The package is not in quarantine."},
	{aptrepo.ErrNothingToDecide, 409, "nothing_to_decide", "There is nothing to decide about the package."},
	{aptrepo.ErrNoFile, 409, "no_file", "The bytes of the package are not kept."},
	{aptrepo.ErrGroupNotFound, 404, "group_not_found", "The group does not exist."},

	{settings.ErrSourceNotFound, 404, "source_not_found", "The source does not exist."},
	{settings.ErrSourceExists, 409, "source_exists", "A source of this ID exists."},
	{importer.ErrUnknownSource, 400, "unknown_source", "The source does not exist."},
	{importer.ErrSourceDisabled, 409, "source_disabled", "The source is disabled."},
	{importer.ErrNoSources, 400, "no_sources_enabled", "No such source is enabled."},
	{importer.ErrNotSynced, 424, "sources_not_synced", "No source that serves this has been synced yet; sync them first."},
	{resolve.ErrPackageNotFound, 404, "package_not_found", "No source offers the package."},
	{resolve.ErrVersionNotFound, 404, "version_not_found", "No source offers the package in this version."},
	{resolve.ErrTooLarge, 400, "closure_too_large", "The package needs more others than one request may import."},

	{index.ErrKeyExpired, 503, "signing_failed", "The signing key has expired. What was changed is kept, and published once there is another."},
	{aptrepo.ErrSigning, 503, "signing_failed", "The indices could not be signed. What was changed is kept, and published once they can."},
	{aptrepo.ErrFull, 507, "storage_full", "The storage is full."},
	{aptrepo.ErrUnavailable, 503, "storage_unavailable", "Database or file storage is out of reach."},
	{context.DeadlineExceeded, 503, "storage_unavailable", "Database or file storage did not answer in time."},
	{context.Canceled, 503, "storage_unavailable", "The request was given up."},
}

// problemOf turns any error into a problem. For one that it does not know it
// returns false, and a problem that says nothing about the cause.
func problemOf(err error) (*problem, bool) {
	if p, ok := detailed(err); ok {
		return p, true
	}
	if p, ok := settingsProblem(err); ok {
		return p, true
	}
	if p, ok := importProblem(err); ok {
		return p, true
	}
	for _, row := range errorTable {
		if !errors.Is(err, row.err) {
			continue
		}
		p := newProblem(row.status, row.code, "%s", row.detail)
		if row.status == http.StatusServiceUnavailable {
			p.retry(storageRetry)
		}
		return p, true
	}
	return newProblem(http.StatusInternalServerError, "internal_error", "Internal server error"), false
}

// detailed answers errors that carry more than their name.
func detailed(err error) (*problem, bool) {
	var (
		p         *problem
		conflict  *aptrepo.ConflictError
		validity  *auth.ValidationError
		policy    *auth.PolicyError
		throttled *auth.ThrottledError
		format    *deb.FormatError
		refused   *aptrepo.RefusedError
	)
	switch {
	case errors.As(err, &p):
		return p, true
	case errors.As(err, &conflict):
		p = newProblem(http.StatusConflict, "duplicate_conflict", "%s %s %s exists with other contents.",
			conflict.Key.Name, conflict.Key.Version, conflict.Key.Arch)
		p.IncomingSHA256, p.ExistingSHA256 = conflict.Incoming, conflict.Existing
	case errors.As(err, &refused):
		p = refusal(refused)
	case errors.As(err, &throttled):
		p = newProblem(http.StatusTooManyRequests, "too_many_attempts", "Too many login attempts.").retry(throttled.RetryAfter)
	case errors.As(err, &validity):
		p = invalid()
		for _, f := range validity.Fields {
			p.Errors = append(p.Errors, fault(f))
		}
		p = invalid(p.Errors...)
	case errors.As(err, &policy):
		p = weakPassword(policy, "password")
	case errors.Is(err, aptrepo.ErrInvalidPackage) && errors.As(err, &format):
		p = newProblem(http.StatusUnprocessableEntity, "invalid_deb", "The package is not acceptable: %s", format.Error())
	case errors.Is(err, aptrepo.ErrInvalidPackage):
		p = newProblem(http.StatusUnprocessableEntity, "invalid_deb", "The package is not acceptable.")
	case errors.Is(err, aptrepo.ErrInvalid):
		p = invalid(fieldErrors(err)...)
	default:
		return nil, false
	}
	return p, true
}

// scannerRetry is when a client should come again whose package could not be
// scanned.
const scannerRetry = 30 * time.Second

// refusal is the answer to a package that the gate does not let in.
func refusal(e *aptrepo.RefusedError) *problem {
	var p *problem
	switch e.Cause {
	case aptrepo.ErrMalware:
		p = newProblem(http.StatusUnprocessableEntity, "rejected_malware", "The package holds malware: %s.", e.Scan.Signature)
		p.Signature = e.Scan.Signature
	case aptrepo.ErrBlocked:
		p = newProblem(http.StatusConflict, "blocked_by_policy", "The policy of the distribution does not let the package in.")
	case aptrepo.ErrScanner:
		return newProblem(http.StatusServiceUnavailable, "scanner_unavailable", "The package could not be scanned: %s", oneLine(e.Detail)).retry(scannerRetry)
	default:
		p = newProblem(http.StatusUnprocessableEntity, "rejected_cve", "The package has vulnerabilities that must not be published.")
	}
	s := newScan(e.Scan)
	p.Scan = &s
	return p
}

// weakPassword is the answer to a password that the policy refuses.
func weakPassword(e *auth.PolicyError, field string) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "weak_password", "The password is too weak.")
	for _, v := range e.Violations {
		p.Errors = append(p.Errors, fault{field, v.Message})
	}
	return p
}

// fieldErrors collects the *aptrepo.FieldErrors that err wraps.
func fieldErrors(err error) []fault {
	switch e := err.(type) {
	case *aptrepo.FieldError:
		return []fault{{e.Field, e.Message}}
	case interface{ Unwrap() []error }:
		var faults []fault
		for _, inner := range e.Unwrap() {
			faults = append(faults, fieldErrors(inner)...)
		}
		return faults
	case interface{ Unwrap() error }:
		return fieldErrors(e.Unwrap())
	}
	return nil
}

// writeProblem sends p, with the header fields that its status asks for.
func writeProblem(w http.ResponseWriter, p *problem) {
	if rec, ok := w.(*recorder); ok {
		rec.code = p.Code
	}
	h := w.Header()
	if p.Status == http.StatusUnauthorized {
		challenge := "Bearer"
		if p.Code == "invalid_token" {
			challenge = `Bearer error="invalid_token"`
		}
		h.Set("WWW-Authenticate", challenge)
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	body, err := json.Marshal(p)
	if err != nil { // roles that are none: cannot come from a store
		panic(err)
	}
	writeBody(w, p.Status, "application/problem+json", body)
}
