package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
)

// sessionKey is what the service signs with, known to the worst of forgers.
func sessionKey(t testing.TB) []byte {
	t.Helper()
	k, err := hkdf.Key(sha256.New, key, nil, "repod session HS256", auth.KeySize)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

// seal signs any header and payload with HS256.
func seal(t testing.TB, header, payload string, key []byte) string {
	t.Helper()
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	sig, err := jwt.SigningMethodHS256.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64.EncodeToString(sig)
}

// refuse wants a token to be invalid, and counts the look-ups it costs.
func (w *world) refuse(t *testing.T, name, token string, lookups int) {
	t.Helper()
	before, _ := w.store.counts()
	p, err := w.Authenticate(t.Context(), token)
	if !errors.Is(err, auth.ErrInvalidToken) || p.Name != "" || p.Has(auth.Viewer) {
		t.Errorf("%s: principal %+v, error %v; want ErrInvalidToken", name, p, err)
	}
	if after, _ := w.store.counts(); after-before != lookups {
		t.Errorf("%s: %d look-ups, want %d", name, after-before, lookups)
	}
}

// payload returns the claims of a session of admin with parts replaced: the
// text "old" by "new", in pairs.
func payload(ver int64, replace ...string) string {
	text := fmt.Sprintf(`{"sub":"admin","exp":%d,"iat":%d,"jti":"j","ver":%d}`, start.Add(time.Hour).Unix(), start.Unix(), ver)
	return strings.NewReplacer(replace...).Replace(text)
}

func (w *world) version(t testing.TB) int64 {
	t.Helper()
	u, err := w.mem.User(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	return u.TokenVersion
}

func TestSessionForged(t *testing.T) {
	w := newWorld(t)
	k, ver := sessionKey(t), w.version(t)
	good := seal(t, hs256, payload(ver), k)
	w.who(t, good) // what the forgeries are made from is valid
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA", "hs256", "HS256 "} {
		header := fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, alg)
		w.refuse(t, "alg "+alg, seal(t, header, payload(ver), k), 0)
		w.refuse(t, "alg "+alg+", no signature", b64(header)+"."+body+".", 0)
	}
	for name, header := range map[string]string{
		"kid path":      `{"alg":"HS256","kid":"../../dev/null","typ":"JWT"}`,
		"kid SQL":       `{"alg":"HS256","kid":"' OR 1=1--","typ":"JWT"}`,
		"jku":           `{"alg":"HS256","jku":"http://127.0.0.1:1/k","typ":"JWT"}`,
		"x5u":           `{"alg":"HS256","typ":"JWT","x5u":"http://127.0.0.1:1/k"}`,
		"jwk":           `{"alg":"HS256","jwk":{"kty":"oct","k":"AA"},"typ":"JWT"}`,
		"crit":          `{"alg":"HS256","crit":["exp"],"typ":"JWT"}`,
		"b64":           `{"alg":"HS256","b64":false,"typ":"JWT"}`,
		"no typ":        `{"alg":"HS256"}`,
		"other typ":     `{"alg":"HS256","typ":"reset"}`,
		"other order":   `{"typ":"JWT","alg":"HS256"}`,
		"alg twice":     `{"alg":"none","alg":"HS256","typ":"JWT"}`,
		"trailing data": hs256 + "{}",
		"null":          "null",
		"empty":         "",
	} {
		w.refuse(t, "header "+name, seal(t, header, payload(ver), k), 0)
	}
	for name, token := range map[string]string{
		"empty":             "",
		"no signature":      head + "." + body + ".",
		"two parts":         head + "." + body,
		"four parts":        good + ".",
		"other payload":     head + "." + b64(payload(ver, "admin", "root")) + "." + sig,
		"roles added":       head + "." + b64(payload(ver, `}`, `,"roles":["admin"]}`)) + "." + sig,
		"key of service":    seal(t, hs256, payload(ver), key),
		"empty key":         seal(t, hs256, payload(ver), []byte{}),
		"padding":           good + "=",
		"standard base64":   head + "." + body + "." + base64.RawStdEncoding.EncodeToString([]byte("\xff\xfe\xfd")),
		"line end":          good[:len(good)-4] + "\n" + good[len(good)-4:],
		"line end at end":   good + "\n",
		"return":            good[:len(good)-4] + "\r" + good[len(good)-4:],
		"space":             good + " ",
		"list":              good + "," + good,
		"scheme":            "Bearer " + good,
		"canonical sibling": sibling(t, good),
		"truncated":         good[:len(good)-2],
		"other case":        strings.ToUpper(good),
	} {
		w.refuse(t, name, token, 0)
	}
	w.who(t, good)
}

// sibling changes the bits of the last base64 character that encode nothing.
func sibling(t *testing.T, token string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	changed := token[:len(token)-1] + string(alphabet[last^1])
	a, err1 := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	b, err2 := base64.RawURLEncoding.DecodeString(changed[strings.LastIndexByte(changed, '.')+1:])
	if err1 != nil || err2 != nil || string(a) != string(b) {
		t.Fatalf("%q and %q are different signatures", token, changed)
	}
	return changed
}

// Tokens signed with public-key algorithms, and with HS256 by the bytes of a
// public key.
func TestSessionOtherAlgorithms(t *testing.T) {
	w := newWorld(t)
	claims := jwt.MapClaims{"sub": "admin", "iat": start.Unix(), "exp": start.Unix() + 3600, "jti": "j", "ver": w.version(t)}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method jwt.SigningMethod
		key    any
	}{
		{jwt.SigningMethodRS256, rsaKey},
		{jwt.SigningMethodPS256, rsaKey},
		{jwt.SigningMethodES256, ecKey},
		{jwt.SigningMethodHS384, sessionKey(t)},
		{jwt.SigningMethodHS512, sessionKey(t)},
		{jwt.SigningMethodHS256, rsaKey.N.Bytes()},
		{jwt.SigningMethodHS256, key},
		{jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType},
	} {
		token, err := jwt.NewWithClaims(tt.method, claims).SignedString(tt.key)
		if err != nil {
			t.Fatal(err)
		}
		w.refuse(t, tt.method.Alg(), token, 0)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(sessionKey(t))
	if err != nil {
		t.Fatal(err)
	}
	w.who(t, token)
}

// Claims that only the holder of the key can sign are held to what we write.
func TestSessionClaims(t *testing.T) {
	w := newWorld(t)
	k, ver := sessionKey(t), w.version(t)
	exp := fmt.Sprintf(`"exp":%d`, start.Add(time.Hour).Unix())
	iat := fmt.Sprintf(`"iat":%d`, start.Unix())
	at := func(claim string, d time.Duration) string { return fmt.Sprintf(`%q:%d`, claim, start.Add(d).Unix()) }
	for name, replace := range map[string][]string{
		"no exp":           {exp + ",", ""},
		"exp 0":            {exp, `"exp":0`},
		"exp string":       {exp, `"exp":"1778583600"`},
		"exp float":        {exp, exp + ".0"},
		"exp with e":       {exp, `"exp":1778583e3`},
		"exp 1e308":        {exp, `"exp":1e308`},
		"exp null":         {exp, `"exp":null`},
		"exp negative":     {exp, `"exp":-1`},
		"exp 2^63":         {exp, `"exp":9223372036854775808`},
		"exp 2^63-1":       {exp, `"exp":9223372036854775807`},
		"exp year 9999":    {exp, `"exp":253402300799`},
		"exp past":         {exp, at("exp", -time.Second), iat, at("iat", -time.Hour)},
		"exp now":          {exp, at("exp", 0), iat, at("iat", -time.Hour)},
		"lasts too long":   {exp, at("exp", time.Hour+time.Second)},
		"no iat":           {iat + ",", ""},
		"iat 31 s ahead":   {iat, at("iat", 31*time.Second)},
		"iat a day ahead":  {iat, at("iat", 24*time.Hour), exp, at("exp", 25*time.Hour)},
		"iat 2^63-1":       {iat, `"iat":9223372036854775807`},
		"iat list":         {iat, `"iat":[1]`},
		"no sub":           {`"sub":"admin",`, ""},
		"sub empty":        {`"admin"`, `""`},
		"sub number":       {`"admin"`, `1`},
		"no jti":           {`"jti":"j",`, ""},
		"jti object":       {`"j"`, `{}`},
		"no ver":           {`,"ver"`, `,"vers"`},
		"ver bool":         {fmt.Sprint(ver), `true`},
		"ver 2^53":         {fmt.Sprint(ver), `9007199254740992`},
		"sub twice":        {`{"sub"`, `{"sub":"bob","sub"`},
		"sub twice, later": {`}`, `,"sub":"admin"}`},
		"exp twice":        {`}`, `,` + exp + `}`},
		"SUB":              {`"sub"`, `"SUB"`},
		"exp and EXP":      {`}`, `,"EXP":1}`},
		"roles":            {`}`, `,"roles":["admin"]}`},
		"aud":              {`}`, `,"aud":"reset"}`},
		"nbf":              {`}`, `,"nbf":99999999999}`},
		"trailing data":    {`}`, `}{}`},
		"not closed":       {`}`, ``},
		"array":            {`{`, `[{`, `}`, `}]`},
		"BOM":              {`{`, "\ufeff{"},
	} {
		text := payload(ver, replace...)
		if text == payload(ver) {
			t.Fatalf("%s changes nothing", name)
		}
		w.refuse(t, name, seal(t, hs256, text, k), 0)
	}
	for _, text := range []string{"", "null", "{}", "1", `"x"`, "[]", strings.Repeat("[", 5000)} {
		w.refuse(t, "payload "+text, seal(t, hs256, text, k), 0)
	}
	for name, replace := range map[string][]string{
		"iat 30 s ahead": {iat, at("iat", 30*time.Second)},
		"spaces":         {`,`, " ,\n"},
		"ends in 1 s":    {exp, at("exp", time.Second)},
	} {
		if _, err := w.Authenticate(t.Context(), seal(t, hs256, payload(ver, replace...), k)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.refuse(t, "other version", seal(t, hs256, payload(ver+1), k), 1)
	w.refuse(t, "unknown user", seal(t, hs256, payload(ver, "admin", "bob"), k), 1)
}

func TestSessionExpires(t *testing.T) {
	w := newWorld(t)
	w.clock.advance(900 * time.Millisecond) // lifetimes count from the whole second
	token := w.login(t, "admin")
	w.clock.advance(time.Hour - time.Second)
	w.who(t, token)
	w.clock.advance(100 * time.Millisecond)
	w.refuse(t, "expired", token, 0)

	w = newWorld(t)
	w.Service = serviceWith(w, w.store)
	w.SessionLifetime = 10 * time.Minute
	long := w.login(t, "admin")
	w.clock.advance(10*time.Minute - time.Second)
	w.who(t, long)
	w.Service = serviceWith(w, w.store)
	w.SessionLifetime = 5 * time.Minute
	w.refuse(t, "made to last longer than sessions now do", long, 0)
}

func TestSessionEnds(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(w *world, by auth.Principal) error{
		"logout":            func(w *world, by auth.Principal) error { return w.Logout(ctx, by, false, client) },
		"logout everywhere": func(w *world, by auth.Principal) error { return w.Logout(ctx, by, true, client) },
		"deactivated":       func(w *world, _ auth.Principal) error { return w.mem.SetActive(ctx, "admin", false) },
		"deleted":           func(w *world, _ auth.Principal) error { return w.mem.Remove(ctx, "admin") },
		"version moved on": func(w *world, _ auth.Principal) error {
			_, err := w.mem.EditUser(ctx, "admin", func(u *auth.User) (auth.Event, error) {
				u.TokenVersion++
				return auth.Event{}, nil
			})
			return err
		},
		"other key": func(w *world, _ auth.Principal) error {
			w.Service = &auth.Service{Store: w.store, Key: []byte(strings.Repeat("x", 32)), Argon2id: cheap, Now: w.clock.now}
			return nil
		},
	} {
		w := newWorld(t)
		token := w.login(t, "admin")
		if err := end(w, w.who(t, token)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.Authenticate(ctx, token); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: the session goes on (error %v)", name, err)
		}
	}
}

// A user created again under an old name does not inherit sessions.
func TestSessionOfFormerUser(t *testing.T) {
	w := newWorld(t)
	token := w.login(t, "admin")
	if err := w.mem.Remove(t.Context(), "admin"); err != nil {
		t.Fatal(err)
	}
	if _, created, err := w.Bootstrap(t.Context(), "admin", password); err != nil || !created {
		t.Fatal(created, err)
	}
	w.refuse(t, "session of a former user", token, 1)
}

// A session that has ended changes no password, not even if it ended just now.
func TestChangePasswordOfEndedSession(t *testing.T) {
	w := newWorld(t)
	by := w.who(t, w.login(t, "admin"))
	if err := w.Logout(t.Context(), by, true, client); err != nil {
		t.Fatal(err)
	}
	if err := w.ChangePassword(t.Context(), by, password, "Another-pass-1", client); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("ChangePassword: %v", err)
	}
	w.login(t, "admin") // with the old one
}

func TestLogout(t *testing.T) {
	w := newWorld(t)
	first, second := w.login(t, "admin"), w.login(t, "admin")
	if first == second {
		t.Fatal("two sessions have one token")
	}
	w.clock.advance(time.Second)
	if err := w.Logout(t.Context(), w.who(t, first), false, client); err != nil {
		t.Fatal(err)
	}
	want := auth.Event{Time: start.Add(time.Second), Action: "auth.logout", User: "admin", IP: "192.0.2.7", Result: "success", RequestID: "req-1"}
	if got := w.lastEvent(t); !reflect.DeepEqual(got, want) {
		t.Errorf("event is %+v, want %+v", got, want)
	}
	w.refuse(t, "the session logged out", first, 1)
	by := w.who(t, second)
	if err := w.Logout(t.Context(), by, true, client); err != nil {
		t.Fatal(err)
	}
	if got := w.lastEvent(t); got.Detail != "all sessions" {
		t.Errorf("event is %+v", got)
	}
	w.refuse(t, "the other session", second, 1)
	if err := w.mem.Remove(t.Context(), "admin"); err != nil {
		t.Fatal(err)
	}
	if err := w.Logout(t.Context(), by, true, client); err != nil {
		t.Errorf("logout of a user just deleted: %v", err)
	}
	for _, p := range []auth.Principal{{}, {Kind: auth.KindToken, Name: "token:ci", Token: &auth.APIToken{}}} {
		if err := w.Logout(t.Context(), p, false, client); err != auth.ErrTokenNotAllowed {
			t.Errorf("Logout of %+v: %v", p, err)
		}
	}
}

// Roles are those of now, not of when the session began.
func TestSessionRoles(t *testing.T) {
	w := newWorld(t)
	token := w.login(t, "admin")
	if err := w.mem.SetRoles(t.Context(), "admin", auth.Viewer, auth.Uploader); err != nil {
		t.Fatal(err)
	}
	p := w.who(t, token)
	if p.Has(auth.Auditor) || !p.Has(auth.Uploader) || !p.MayWrite("jammy") || roleNames(p.Roles) != "[viewer uploader]" {
		t.Errorf("principal is %+v", p)
	}
}

func TestAuthenticateStoreFails(t *testing.T) {
	w := newWorld(t)
	session, down := w.login(t, "admin"), errors.New("down")
	secret, _, err := w.CreateToken(t.Context(), w.who(t, session), auth.TokenSpec{Name: "ci", Roles: []auth.Role{auth.Viewer}}, client)
	if err != nil {
		t.Fatal(err)
	}
	w.store.fail(down)
	for _, token := range []string{session, string(secret)} {
		if _, err := w.Authenticate(t.Context(), token); !errors.Is(err, down) || errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("Authenticate without a store: %v", err)
		}
	}
}

func TestAuthenticateHuge(t *testing.T) {
	w := newWorld(t)
	w.login(t, "admin")
	for name, token := range map[string]string{
		"dots":           strings.Repeat(".", 1_000_000),
		"session":        seal(t, hs256, payload(0), key) + strings.Repeat("A", 1_000_000),
		"dots within":    strings.Repeat(".", 8192),
		"header, dots":   base64.RawURLEncoding.EncodeToString([]byte(hs256)) + strings.Repeat(".", 8000),
		"API token":      "repod_" + strings.Repeat("0", 1_000_000),
		"8 KiB of token": "repod_" + strings.Repeat("0", 8000),
	} {
		var before, after runtime.MemStats
		const runs = 100
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := w.Authenticate(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > 64<<10 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	w := newWorld(f)
	w.Service = serviceWith(w, new(authtest.Mem)) // without users: no token is valid
	k := sessionKey(f)
	f.Add(seal(f, hs256, payload(0), k))
	f.Add(seal(f, `{"alg":"none"}`, payload(0), k))
	f.Add("repod_0000000000000000000000000000000000000000000" + "2CZclj")
	f.Add("repod_")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := w.Authenticate(t.Context(), text); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("Authenticate(%q): %v", text, err)
		}
		// As claims behind a right signature.
		token := seal(t, hs256, text, k)
		_, err := w.Authenticate(t.Context(), token)
		if !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("claims %q: %v", text, err)
		}
	})
}
