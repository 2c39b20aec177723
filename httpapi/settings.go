package httpapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
)

func (a *api) showSettings(c *call) error {
	if err := a.Settings.Refresh(c.Context()); err != nil {
		return err
	}
	body, etag, err := a.Settings.View()
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", etag)
	writeBody(c.w, http.StatusOK, "application/json", append(body, '\n'))
	return nil
}

func (a *api) patchSettings(c *call) error {
	data, err := a.read(c)
	if err != nil {
		return err
	}
	body, etag, err := a.Settings.Patch(c.detach(), data, c.Header.Get("If-Match"))
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", etag)
	writeBody(c.w, http.StatusOK, "application/json", append(body, '\n'))
	return nil
}

// recordTest writes the outcome of a test into the audit log, and returns what
// went wrong, as a problem of a code.
func (a *api) recordTest(c *call, action, target, code, what string, failed error) error {
	e := aptrepo.AuditEntry{Action: action, Result: aptrepo.ResultSuccess, Target: target}
	if failed != nil {
		e.Result, e.Detail = aptrepo.ResultFailure, oneLine(failed.Error())
	}
	if err := a.Repo.Record(c.detach(), e); err != nil {
		return err
	}
	if failed != nil {
		return newProblem(http.StatusBadGateway, code, "%s: %s", what, oneLine(failed.Error()))
	}
	return nil
}

// oneLine makes text of another server fit for an answer.
func oneLine(s string) string { return clip(strings.Join(strings.Fields(s), " ")) }

type ldapTestJSON struct {
	Status  string `json:"status"`
	Message string `json:"message"`
	Server  string `json:"server"`
	TLS     bool   `json:"tls"`
}

func (a *api) testLDAP(c *call) error {
	s := a.Settings.Current().LDAP
	if a.TestLDAP == nil || s.URL == "" || s.BaseDN == "" {
		return newProblem(http.StatusBadRequest, "ldap_not_configured", "The settings ldap.url and ldap.base_dn are needed.")
	}
	encrypted, err := a.TestLDAP(c.Context(), s)
	if err := a.recordTest(c, "settings.test_ldap", s.URL, "ldap_failed", "The directory cannot be used", err); err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, ldapTestJSON{"ok", "Bind and search succeeded", s.URL, encrypted})
}

type testEmailBody struct {
	To *string `json:"to" rule:"trim,1..254"`
}

type emailTestJSON struct {
	Status string `json:"status"`
	To     string `json:"to"`
}

func (a *api) testEmail(c *call) error {
	var in testEmailBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	s := a.Settings.Current().SMTP
	to, err := a.recipient(c, in.To, s)
	if err != nil {
		return err
	}
	if a.TestMail == nil || s.Host == "" || s.From == "" {
		return newProblem(http.StatusBadRequest, "smtp_not_configured", "The settings smtp.host and smtp.from are needed.")
	}
	if to == "" {
		return newProblem(http.StatusBadRequest, "no_recipient", "Neither the request, nor your account, nor smtp.recipients has an address.")
	}
	err = a.TestMail(c.detach(), s, to)
	if err := a.recordTest(c, "settings.test_email", to, "smtp_failed", "The mail could not be sent", err); err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, emailTestJSON{"ok", to})
}

// recipient returns who gets a test mail: whom the request names, else the
// caller, else the first of the operators.
func (a *api) recipient(c *call, to *string, s settings.SMTP) (string, error) {
	switch {
	case to != nil && !auth.ValidEmail(*to):
		return "", invalid(fault{"to", "must be an e-mail address"})
	case to != nil:
		return *to, nil
	case c.who.User != nil && c.who.User.Email != "":
		return c.who.User.Email, nil
	case len(s.Recipients) > 0:
		return s.Recipients[0], nil
	}
	return "", nil
}

// settingsProblem answers errors of package settings.
func settingsProblem(err error) (*problem, bool) {
	var invalidity *settings.ValidationError
	switch {
	case errors.As(err, &invalidity):
		var faults []fault
		for _, f := range invalidity.Fields {
			faults = append(faults, fault(f))
		}
		return invalid(faults...), true
	case errors.Is(err, settings.ErrSyntax):
		return errInvalidJSON, true
	case errors.Is(err, settings.ErrPrecondition):
		return newProblem(http.StatusPreconditionFailed, "precondition_failed", "The settings have changed since they were read."), true
	}
	return nil, false
}
