package auth_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/repod-io/repod/auth"
)

// code returns the one-time password that an authenticator shows at a time.
func code(t *testing.T, secret auth.Secret, at time.Time) string {
	t.Helper()
	text, err := totp.GenerateCode(string(secret), at)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// enrol gives admin a confirmed factor.
func enrol(t *testing.T, w *world) (by auth.Principal, secret auth.Secret, recovery []auth.Secret) {
	t.Helper()
	by = w.who(t, w.login(t, "admin"))
	e, err := w.EnrolFactor(t.Context(), by, password, client)
	if err != nil {
		t.Fatal(err)
	}
	if recovery, err = w.ConfirmFactor(t.Context(), by, code(t, e.Secret, w.clock.now()), client); err != nil {
		t.Fatal(err)
	}
	return by, e.Secret, recovery
}

func (w *world) otpLogin(t *testing.T, otp string) error {
	t.Helper()
	token, _, err := w.LoginOTP(t.Context(), "admin", password, otp, client)
	if (err == nil) != (token != "") {
		t.Errorf("LoginOTP returns %q, %v", string(token), err)
	}
	return err
}

func TestFactor(t *testing.T) {
	w := newWorld(t)
	other := w.login(t, "admin")
	by, secret, recovery := enrol(t, w)
	w.refuse(t, "the session beside", other, 1)
	if state, err := w.FactorState(t.Context(), by); err != nil || !state.Enabled || state.RecoveryCodes != 10 {
		t.Errorf("state is %+v, %v", state, err)
	}
	if len(recovery) != 10 || len(recovery[0]) != 19 {
		t.Fatalf("recovery codes are %q", recovery)
	}
	if err := w.otpLogin(t, ""); !errors.Is(err, auth.ErrOTPRequired) {
		t.Errorf("without a code: %v", err)
	}
	if _, _, err := w.LoginOTP(t.Context(), "admin", "wrong", "", client); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("with a wrong password: %v", err)
	}
	now := w.clock.now()
	if err := w.otpLogin(t, code(t, secret, now)); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("with the code of the confirmation: %v", err)
	}
	w.clock.advance(30 * time.Second)
	fresh := code(t, secret, w.clock.now())
	if err := w.otpLogin(t, fresh[:3]+" "+fresh[3:]); err != nil {
		t.Errorf("with a fresh code: %v", err)
	}
	if err := w.otpLogin(t, fresh); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("with the same code again: %v", err)
	}
	w.clock.advance(time.Minute)
	for offset, want := range map[time.Duration]error{-2 * time.Minute: auth.ErrInvalidCredentials, 2 * time.Minute: auth.ErrInvalidCredentials} {
		if err := w.otpLogin(t, code(t, secret, w.clock.now().Add(offset))); !errors.Is(err, want) {
			t.Errorf("with a code of %s: %v", offset, err)
		}
	}
	if err := w.otpLogin(t, code(t, secret, w.clock.now().Add(-30*time.Second))); err != nil {
		t.Errorf("with a clock that is late: %v", err)
	}
	if err := w.otpLogin(t, strings.ToUpper(string(recovery[3]))); err != nil {
		t.Errorf("with a recovery code: %v", err)
	}
	if err := w.otpLogin(t, string(recovery[3])); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("with the same recovery code: %v", err)
	}
}

// A code is good once, also for many who use it at the same time.
func TestFactorReplay(t *testing.T) {
	w := newWorld(t)
	_, secret, _ := enrol(t, w)
	w.clock.advance(30 * time.Second)
	otp := code(t, secret, w.clock.now())
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, _, errs[i] = w.LoginOTP(t.Context(), "admin", password, otp, client) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d logins with one code succeeded: %v", won, errs)
	}
}

// Guessing codes is throttled like guessing passwords.
func TestFactorThrottled(t *testing.T) {
	w := newWorld(t)
	enrol(t, w)
	for range 5 {
		if err := w.otpLogin(t, "000000"); !errors.Is(err, auth.ErrInvalidCredentials) {
			t.Fatal(err)
		}
	}
	var throttled *auth.ThrottledError
	if err := w.otpLogin(t, "000000"); !errors.As(err, &throttled) {
		t.Errorf("sixth guess: %v", err)
	}
}

func TestFactorChanges(t *testing.T) {
	w := newWorld(t)
	w.addUser(t, "bob", nil, auth.Viewer)
	by, secret, recovery := enrol(t, w)
	ctx := t.Context()
	if _, err := w.EnrolFactor(ctx, by, password, client); !errors.Is(err, auth.ErrFactorExists) {
		t.Errorf("EnrolFactor again: %v", err)
	}
	if _, err := w.EnrolFactor(ctx, by, "wrong", client); !errors.Is(err, auth.ErrWrongPassword) {
		t.Errorf("EnrolFactor with a wrong password: %v", err)
	}
	if err := w.DisableFactor(ctx, by, password, "000000", client); !errors.Is(err, auth.ErrWrongOTP) {
		t.Errorf("DisableFactor with a wrong code: %v", err)
	}
	codes, err := w.RenewRecoveryCodes(ctx, by, password, string(recovery[0]), client)
	if err != nil || len(codes) != 10 {
		t.Fatalf("RenewRecoveryCodes: %q, %v", codes, err)
	}
	if err := w.otpLogin(t, string(recovery[1])); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("with a replaced recovery code: %v", err)
	}
	w.clock.advance(30 * time.Second)
	if err := w.DisableFactor(ctx, by, password, code(t, secret, w.clock.now()), client); err != nil {
		t.Error(err)
	}
	if err := w.otpLogin(t, ""); err != nil {
		t.Errorf("without a factor: %v", err)
	}
	if err := w.DisableFactor(ctx, by, password, "000000", client); !errors.Is(err, auth.ErrNoFactor) {
		t.Errorf("DisableFactor without one: %v", err)
	}

	enrol(t, w)
	admin := auth.Principal{Kind: auth.KindToken, Name: "token:a"}
	if err := w.ResetFactor(ctx, admin, "ADMIN", client); err != nil {
		t.Error(err)
	}
	if err := w.otpLogin(t, ""); err != nil {
		t.Errorf("after a reset: %v", err)
	}
	for name, want := range map[string]error{"bob": auth.ErrNoFactor, "nobody": auth.ErrUserNotFound, "*": auth.ErrUserNotFound} {
		if err := w.ResetFactor(ctx, admin, name, client); !errors.Is(err, want) {
			t.Errorf("ResetFactor of %s: %v", name, err)
		}
	}
	if _, err := w.EnrolFactor(ctx, admin, password, client); !errors.Is(err, auth.ErrTokenNotAllowed) {
		t.Errorf("EnrolFactor of an API token: %v", err)
	}
}

// The store holds neither the secret nor a recovery code, and a factor that
// was begun and not confirmed is not asked for.
func TestFactorSecrets(t *testing.T) {
	w := newWorld(t)
	by := w.who(t, w.login(t, "admin"))
	e, err := w.EnrolFactor(t.Context(), by, password, client)
	if err != nil {
		t.Fatal(err)
	}
	if want := "otpauth://totp/repod:admin?secret=" + string(e.Secret) + "&issuer=repod&algorithm=SHA1&digits=6&period=30"; string(e.URL) != want {
		t.Errorf("URL is %s, want %s", string(e.URL), want)
	}
	if err := w.otpLogin(t, ""); err != nil {
		t.Errorf("unconfirmed: %v", err)
	}
	f, err := w.mem.Factor(t.Context(), "admin")
	if err != nil || strings.Contains(string(f.Sealed), string(e.Secret)) {
		t.Errorf("factor is %q, %v", string(f.Sealed), err)
	}
	codes, err := w.ConfirmFactor(t.Context(), by, code(t, e.Secret, w.clock.now()), client)
	if err != nil {
		t.Fatal(err)
	}
	f, _ = w.mem.Factor(t.Context(), "admin")
	for i := range codes {
		if string(codes[i]) == string(f.Recovery[i]) {
			t.Error("a recovery code is stored as it is")
		}
	}
}
