package httpapi

import (
	"net/http"

	"github.com/repod-io/repod/auth"
)

// Second factors are beyond the API reference: one-time passwords by time (RFC
// 6238) and recovery codes. A user who has one sends "otp" to POST /auth/token.

type factorJSON struct {
	Enabled       bool `json:"enabled"`
	RecoveryCodes int  `json:"recovery_codes"` // that are left
}

func (a *api) showFactor(c *call) error {
	state, err := a.Auth.FactorState(c.Context(), c.who)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, factorJSON{state.Enabled, state.RecoveryCodes})
}

type enrolBody struct {
	Password string `json:"password" rule:"required,1..1024"`
}

type enrolmentJSON struct {
	Secret string `json:"secret"`
	URL    string `json:"otpauth_url"`
}

func (a *api) enrolFactor(c *call) error {
	if err := c.needSession(); err != nil {
		return err
	}
	var in enrolBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	e, err := a.Auth.EnrolFactor(c.detach(), c.who, in.Password, c.client())
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, enrolmentJSON{string(e.Secret), string(e.URL)})
}

// recoveryCodes is the only answer that shows them.
type recoveryCodes struct {
	Codes []string `json:"recovery_codes"`
}

func newRecoveryCodes(codes []auth.Secret) recoveryCodes {
	out := recoveryCodes{}
	for _, code := range codes {
		out.Codes = append(out.Codes, string(code))
	}
	return out
}

type confirmBody struct {
	OTP string `json:"otp" rule:"required,1..32"`
}

func (a *api) confirmFactor(c *call) error {
	if err := c.needSession(); err != nil {
		return err
	}
	var in confirmBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	codes, err := a.Auth.ConfirmFactor(c.detach(), c.who, in.OTP, c.client())
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newRecoveryCodes(codes))
}

// bothFactors is what changing a factor takes.
type bothFactors struct {
	Password string `json:"password" rule:"required,1..1024"`
	OTP      string `json:"otp" rule:"required,1..32"`
}

func (a *api) renewRecoveryCodes(c *call) error {
	if err := c.needSession(); err != nil {
		return err
	}
	var in bothFactors
	if err := a.decode(c, &in); err != nil {
		return err
	}
	codes, err := a.Auth.RenewRecoveryCodes(c.detach(), c.who, in.Password, in.OTP, c.client())
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newRecoveryCodes(codes))
}

func (a *api) disableFactor(c *call) error {
	if err := c.needSession(); err != nil {
		return err
	}
	var in bothFactors
	if err := a.decode(c, &in); err != nil {
		return err
	}
	if err := a.Auth.DisableFactor(c.detach(), c.who, in.Password, in.OTP, c.client()); err != nil {
		return err
	}
	return noContent(c)
}

func (a *api) resetFactor(c *call) error {
	if err := a.Auth.ResetFactor(c.detach(), c.who, c.vars["username"], c.client()); err != nil {
		return err
	}
	return noContent(c)
}
