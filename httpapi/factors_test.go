package httpapi

import (
	"fmt"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/repod-io/repod/auth"
)

func TestFactors(t *testing.T) {
	f := newFixture(t)
	f.addUser("jsmith", "viewer")
	session := f.session("jsmith", password)
	now := func(secret string) string {
		text, err := totp.GenerateCode(secret, f.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, target := range []string{"/auth/mfa", "/auth/mfa/confirm", "/auth/mfa/disable", "/auth/mfa/recovery-codes"} {
		f.json("POST", target, f.tokens[auth.Admin], `{}`).want(t, 403, "token_not_allowed")
	}
	f.do("GET", "/auth/mfa", f.tokens[auth.Admin], nil).want(t, 403, "token_not_allowed")
	f.json("POST", "/auth/mfa/confirm", session, `{"otp":"123456"}`).want(t, 409, "mfa_not_enrolled")
	f.json("POST", "/auth/mfa", session, `{"password":"wrong"}`).want(t, 400, "wrong_password")
	var enrolled struct{ Secret string }
	a := f.json("POST", "/auth/mfa", session, `{"password":"`+password+`"}`).want(t, 200, "")
	a.keys(t, "secret", "otpauth_url")
	a.decode(t, &enrolled)
	f.json("POST", "/auth/mfa/confirm", session, `{"otp":"000000"}`).want(t, 400, "wrong_otp")
	f.session("jsmith", password) // it is not in force yet
	var codes struct {
		Codes []string `json:"recovery_codes"`
	}
	f.json("POST", "/auth/mfa/confirm", session, fmt.Sprintf(`{"otp":%q}`, now(enrolled.Secret))).want(t, 200, "").decode(t, &codes)
	f.json("POST", "/auth/mfa", session, `{"password":"`+password+`"}`).want(t, 409, "mfa_exists")
	if a := f.do("GET", "/auth/mfa", session, nil).want(t, 200, ""); a.body != `{"enabled":true,"recovery_codes":10}`+"\n" {
		t.Errorf("%s", a.body)
	}

	login := func(otp string) answer {
		return f.json("POST", "/auth/token", "", fmt.Sprintf(`{"username":"jsmith","password":%q%s}`, password, otp))
	}
	login("").want(t, 401, "otp_required")
	login(`,"otp":"000000"`).want(t, 401, "invalid_credentials")
	f.json("POST", "/auth/token", "", `{"username":"jsmith","password":"wrong"}`).want(t, 401, "invalid_credentials")
	f.clock.move(30 * time.Second)
	otp := fmt.Sprintf(`,"otp":%q`, now(enrolled.Secret))
	login(otp).want(t, 200, "")
	login(otp).want(t, 401, "invalid_credentials") // it was used
	f.json("POST", "/auth/mfa/disable", session, fmt.Sprintf(`{"password":%q,"otp":%q}`, password, codes.Codes[0])).want(t, 204, "")
	login("").want(t, 200, "")
	f.do("DELETE", "/auth/users/jsmith/mfa", f.tokens[auth.Admin], nil).want(t, 409, "mfa_not_enrolled")
	f.do("DELETE", "/auth/users/nobody/mfa", f.tokens[auth.Admin], nil).want(t, 404, "user_not_found")
}
