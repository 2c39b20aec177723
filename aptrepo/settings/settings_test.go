package settings_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/settings/settingstest"
)

var key = []byte("0123456789abcdef0123456789abcdef")

func open(t testing.TB, store settings.Store) *settings.Service {
	t.Helper()
	s := &settings.Service{Store: store, Key: key, Logger: slog.New(slog.DiscardHandler)}
	if err := s.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func Example() {
	s := &settings.Service{Store: new(settingstest.Mem), Key: make([]byte, 32)}
	ctx := context.Background()
	if err := s.Refresh(ctx); err != nil {
		fmt.Println(err)
	}
	_, etag, err := s.Patch(ctx, []byte(`{"smtp":{"host":"mail.example.com","password":"secret"}}`), "")
	fmt.Println(s.Current().SMTP.Host, s.Current().SMTP.Password, etag, err)
	_, _, err = s.Patch(ctx, []byte(`{"smtp":{"port":0}}`), etag)
	fmt.Println(err)
	// Output:
	// mail.example.com ******** "settings-1" <nil>
	// invalid settings: smtp.port must be 1 to 65535
}

func TestMem(t *testing.T) {
	settingstest.Run(t, func(*testing.T) settings.Store { return new(settingstest.Mem) })
}

// The defaults keep their own rules, and are what a patch of them leaves.
func TestDefaults(t *testing.T) {
	mem := new(settingstest.Mem)
	s := open(t, mem)
	body, etag, err := s.View()
	if err != nil || etag != `"settings-0"` {
		t.Fatal(etag, err)
	}
	after, etag, err := s.Patch(t.Context(), body, "")
	if err != nil || !bytes.Equal(body, after) || etag != `"settings-0"` || len(mem.Changes()) != 0 {
		t.Errorf("a patch of what is there gives %s, %s, %v (%q)", after, etag, err, mem.Changes())
	}
}

// leaves are good and bad values for every leaf there is.
var leaves = map[string]struct{ good, bad []string }{
	"public_url":               {[]string{`"https://repo.example.com"`, `"http://h:8000/base"`, `""`}, []string{`"ftp://x"`, `"https://x/"`, `"https://x?y"`, `"https://u:p@x"`, `"x"`, `"javascript:alert(1)"`, `"https://x y"`, `"http://:80"`}},
	"max_upload_bytes":         {[]string{`1048576`, `1099511627776`}, []string{`1048575`, `1099511627777`, `"1048576"`, `1e6`, `1048576.5`, `-1`}},
	"signing.overlap_days":     {[]string{`0`, `3650`}, []string{`-1`, `3651`, `true`}},
	"signing.valid_until_days": {[]string{`0`, `365`}, []string{`366`}},
	"signing.keyring_package": {
		[]string{`""`, `"acme-archive-keyring"`}, []string{`"acme"`, `"Acme-archive-keyring"`, `"debian-archive-keyring"`, `"../x-archive-keyring"`, `true`},
	},
	"scan.clamav_address":         {[]string{`""`, `"tcp://127.0.0.1:3310"`, `"tcp://[::1]:3310"`, `"unix:///run/clamav/clamd.ctl"`}, []string{`"clamd"`, `"tcp://host"`, `"unix://host/path"`, `"unix:relative"`, `"tcp://u@h:1"`, `"http://x:1"`}},
	"scan.clamav_timeout_seconds": {[]string{`1`, `3600`}, []string{`0`, `3601`}},
	"scan.fail_policy":            {[]string{`"block"`, `"review"`, `"allow"`}, []string{`""`, `"warn"`}},
	"scan.rescan_cron":            {[]string{`""`, `"0 4 * * 0"`}, []string{`"weekly"`, `"TZ=0"`, `"TZ=UTC 0 4 * * 0"`}},
	"scan.cve.enabled":            {[]string{`false`}, []string{`0`}},
	"scan.cve.critical":           {[]string{`"warn"`, `"review"`}, []string{`""`, `"reject"`}},
	"scan.cve.high":               {[]string{`"warn"`, `"review"`}, []string{`""`, `"reject"`}},
	"scan.cve.medium":             {[]string{`"warn"`, `"review"`}, []string{`""`, `"reject"`}},
	"scan.cve.low":                {[]string{`"warn"`, `"review"`}, []string{`""`, `"reject"`}},
	"scan.cve.negligible":         {[]string{`"warn"`, `"review"`}, []string{`""`, `"reject"`}},
	"scan.cve.unknown":            {[]string{`"warn"`, `"review"`}, []string{`""`, `"reject"`}},
	"scan.cve.kev":                {[]string{`"warn"`, `"review"`}, []string{`""`, `"reject"`}},
	"scan.cve.epss_block":         {[]string{`0`, `1`, `0.95`}, []string{`1.01`, `-0.1`, `"0.5"`}},
	"scan.cve.epss_review":        {[]string{`0`, `0.4`}, []string{`2`, `0.95`}},
	"scan.cve.feeds": {[]string{`[]`, `[{"id":"x","kind":"osv","url":"https://example.com/all.zip"}]`},
		[]string{`"x"`, `[1]`, `[{}]`, `[{"id":"x","kind":"nvd","url":"https://example.com"}]`, `[{"id":"x","kind":"osv","url":"file:///x"}]`,
			`[{"id":"x","kind":"osv","url":"https://u:p@example.com"}]`, `[{"id":"x","kind":"osv","url":"https://x/"},{"id":"x","kind":"osv","url":"https://x/"}]`,
			`[{"id":"x","kind":"osv","url":"https://x/","other":1}]`}},
	"import.schedule_enabled": {[]string{`false`}, []string{`0`}},
	"import.schedule":         {[]string{`"*/5 1-3 * * mon"`, `"0 3 1 1 *"`}, []string{`""`, `"daily"`, `"@daily"`, `"* * * * * *"`, `"60 * * * *"`, `"TZ=UTC * * * * *"`}},
	"import.timezone":         {[]string{`"Europe/Berlin"`, `"UTC"`}, []string{`""`, `"Local"`, `"Mars/Phobos"`, `"../etc/passwd"`}},
	"import.timeout_seconds":  {[]string{`1`, `3600`}, []string{`0`, `3601`}},
	"import.concurrency":      {[]string{`1`, `16`}, []string{`0`, `17`}},
	"import.proxy_url":        {[]string{`"http://user:pw@proxy.example.com:3128"`, `"https://proxy/"`, `""`}, []string{`"socks5://proxy"`, `"http://"`, `"proxy:3128"`, `"http://proxy/path"`, `"http://proxy?x"`}},
	"sbom.publish":            {[]string{`true`, `false`}, []string{`"true"`, `1`}},
	"import.pull_through":     {[]string{`["jammy"]`, `[]`}, []string{`"jammy"`, `["a\nb"]`}},
	"import.sources": {[]string{`[]`, sourceList("x", "https://archive.example.com/debian/"), sourceList("x", "http://u:pw@archive.example.com/debian")},
		[]string{`"x"`, `[1]`, `[{}]`, sourceList("X", "https://x/"), sourceList("x", "ftp://x/"), sourceList("x", "https://x/?q"),
			sourceList("x", "https://u:********@x/"), `[{"id":"x","url":"https://x/","suite":"s"}]`,
			`[{"id":"x","url":"https://x/","suite":"s","keyring":"k","signed_by":"k"}]`, `[{"id":"x","url":"https://x/","suite":"../s","keyring":"k"}]`,
			`[{"id":"x","url":"https://x/","suite":"s","keyring":"k","other":1}]`, `[{"id":"x","url":"https://x/","suite":"s","keyring":"k","enabled":"yes"}]`,
			strings.Replace(sourceList("x", "https://x/")+sourceList("x", "https://y/"), "][", ",", 1)}},
	"retention_days":       {[]string{`0`, `90`, `3650`}, []string{`-1`, `3651`, `1000000000`, `null`, `"90"`, `1.5`}},
	"keep_versions":        {[]string{`0`, `3`, `1000`}, []string{`-1`, `1001`, `true`, `null`}},
	"audit_retention_days": {[]string{`0`, `3650`}, []string{`-1`, `3651`, `[]`, `1e99`}},
	"smtp.enabled":         {[]string{`false`}, []string{`0`, `"true"`}},
	"smtp.host":            {[]string{`"mail.example.com"`, `"192.0.2.1"`, `"::1"`, `""`}, []string{`"a b"`, `"-x"`, `"http://x"`, `"x:25"`, `"a\nb"`}},
	"smtp.port":            {[]string{`1`, `65535`}, []string{`0`, `65536`}},
	"smtp.username":        {[]string{`"user"`, `""`}, []string{`"a\r\nb"`, `1`}},
	"smtp.password":        {[]string{`"secret"`, `""`}, []string{`1`, `"\u0000"`}},
	"smtp.tls":             {[]string{`"starttls"`, `"tls"`, `"none"`}, []string{`""`, `"TLS"`}},
	"smtp.from":            {[]string{`"repod@example.com"`, `""`}, []string{`"x"`, `"A <a@b.c>"`, `"a@b.c\r\nBcc: d@e.f"`, `"ä@b.c"`}},
	"smtp.recipients":      {[]string{`["a@b.c","d@e.f"]`, `[]`}, []string{`"a@b.c"`, `["x"]`, `["a@b.c","a@b.c"]`, `[""]`, `[1]`}},
	"smtp.kinds":           {[]string{`["review_needed"]`, `[]`}, []string{`["nothing"]`}},
	"smtp.timeout_seconds": {[]string{`1`, `120`}, []string{`0`, `121`}},
	"webhook.enabled":      {[]string{`false`}, []string{`1`, `"true"`}},
	"webhook.url": {[]string{`"https://hook.example.com/a?b=c"`, `"http://10.0.0.1:8080"`, `"http://[fd00::1]/"`, `""`},
		[]string{`"hook.example.com"`, `"ftp://x/"`, `"file:///etc/passwd"`, `"gopher://x"`, `"unix:///run/x"`, `"javascript:alert(1)"`, `"http://"`,
			`"http://good@127.0.0.1/"`, `"http://u:p@x/"`, `"http://127.0.0.1#good"`, `"http://127.0.0.1/#"`, `"http://good\\@evil/"`, `"http://a\nb/"`, `"http:///x"`, `1`}},
	"webhook.secret":          {[]string{`"secret"`, `"` + strings.Repeat("ä", 256) + `"`, `""`}, []string{`"` + strings.Repeat("x", 257) + `"`, `1`, `"\u0000"`}},
	"webhook.events":          {[]string{`["package.indexed","webhook.test"]`, `[]`}, []string{`["package"]`, `["*"]`, `"package.indexed"`, `["sync.failed","sync.failed"]`, `["decision.expiring"]`}},
	"webhook.timeout_seconds": {[]string{`1`, `60`}, []string{`0`, `61`}},
	"webhook.max_attempts":    {[]string{`1`, `10`}, []string{`0`, `11`}},
	"webhook.format":          {[]string{`"auto"`, `"json"`, `"slack"`, `"mattermost"`, `"teams"`}, []string{`""`, `"xml"`, `"Slack"`}},
	"webhook.targets": {[]string{`[]`, `[{"id":"chat","url":"https://chat.example.com/","secret":"x","events":["sync.failed"],"format":"slack","enabled":false}]`},
		[]string{`{}`, `[1]`, `[{}]`, `[{"id":"a"}]`, `[{"url":"https://x/"}]`, `[{"id":"A","url":"https://x/"}]`, `[{"id":"a","url":"ftp://x/"}]`,
			`[{"id":"a","url":"https://x/","secret":"********"}]`, `[{"id":"a","url":"https://x/","events":["*"]}]`, `[{"id":"a","url":"https://x/","format":"xml"}]`,
			`[{"id":"a","url":"https://x/"},{"id":"a","url":"https://y/"}]`, `[{"id":"a","url":"https://x/","other":1}]`}},
	"oidc.enabled":            {[]string{`false`}, []string{`1`}},
	"oidc.issuer":             {[]string{`"https://login.example.com/realms/x"`, `""`}, []string{`"http://x"`, `"https://x/"`, `"x"`}},
	"oidc.client_id":          {[]string{`"repod"`}, []string{`"a\nb"`}},
	"oidc.client_secret":      {[]string{`"secret"`}, []string{`1`}},
	"oidc.scopes":             {[]string{`["openid"]`, `[]`}, []string{`"openid"`, `[""]`}},
	"oidc.username_claim":     {[]string{`"email"`}, []string{`"\u0007"`}},
	"oidc.groups_claim":       {[]string{`"roles"`}, []string{`[]`}},
	"oidc.role_groups":        {[]string{`{"admin":["ops"]}`}, []string{`{"root":["x"]}`}},
	"oidc.default_role":       {[]string{`""`, `"viewer"`}, []string{`"root"`}},
	"oidc.auto_provision":     {[]string{`true`}, []string{`0`}},
	"ldap.enabled":            {[]string{`false`}, []string{`null`, `[]`}},
	"ldap.url":                {[]string{`"ldap://ldap.example.com"`, `"ldaps://ldap.example.com:636/"`, `""`}, []string{`"http://x"`, `"ldap://"`, `"ldap://x/dc=y"`, `"ldap://x?y"`, `"ldap://u@x"`, `"ldapi://%2frun"`}},
	"ldap.starttls":           {[]string{`true`}, []string{`1`}},
	"ldap.verify_certificate": {[]string{`false`}, []string{`"no"`}},
	"ldap.ca_pem":             {[]string{`""`}, []string{`"x"`, `"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"`}},
	"ldap.bind_dn":            {[]string{`"cn=x,dc=y"`}, []string{`"a\u0007"`}},
	"ldap.bind_password":      {[]string{`"secret"`}, []string{`{}`}},
	"ldap.base_dn":            {[]string{`"dc=y"`}, []string{`"\n"`}},
	"ldap.user_filter":        {[]string{`"(&(objectClass=person)(uid={username}))"`}, []string{`"uid={username}"`, `"(uid=x)"`, `"(uid={username}"`, `"(uid={username}))("`, `"(a={username})(b=c)"`, `"(member={dn})"`, `"(|(a={username})(b={dn}))"`}},
	"ldap.attr_username":      {[]string{`"sAMAccountName"`}, []string{`"a b"`, `"a;binary"`, `"1.2"`}},
	"ldap.attr_email":         {[]string{`"mail"`, `""`}, []string{`"*"`}},
	"ldap.attr_full_name":     {[]string{`"displayName"`}, []string{`"+"`}},
	"ldap.attr_groups":        {[]string{`""`}, []string{`"("`}},
	"ldap.group_base_dn":      {[]string{`"ou=groups,dc=y"`}, []string{`"\r"`}},
	"ldap.group_filter":       {[]string{`"(member={dn})"`}, []string{`"(member=x)"`}},
	"ldap.role_groups":        {[]string{`{"admin":["cn=a,dc=y"],"viewer":[]}`, `{}`}, []string{`{"root":["x"]}`, `{"admin":"x"}`, `[]`, `{"admin":[1]}`}},
	"ldap.default_role":       {[]string{`""`, `"admin"`}, []string{`"root"`}},
	"ldap.auto_provision":     {[]string{`false`}, []string{`0`}},
	"ldap.timeout_seconds":    {[]string{`1`, `60`}, []string{`0`, `61`}},
	"downloads.enabled":       {[]string{`false`}, []string{`0`, `"no"`}},
	"downloads.keep_days":     {[]string{`1`, `3650`}, []string{`0`, `3651`, `1.5`}},
	"downloads.client_ip":     {[]string{`"none"`, `"full"`}, []string{`""`, `"Full"`, `true`}},
}

// sourceList renders a list of one source.
func sourceList(id, address string) string {
	return fmt.Sprintf(`[{"id":%q,"url":%q,"suite":"stable","keyring":"debian-archive","target_distribution":null}]`, id, address)
}

// nest renders a value at a path.
func nest(path, value string) string {
	names := strings.Split(path, ".")
	for _, name := range slices.Backward(names) {
		value = fmt.Sprintf("{%q:%s}", name, value)
	}
	return value
}

// paths lists every leaf of the tree.
func paths(t reflect.Type, prefix string) (list []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if path := prefix + f.Tag.Get("json"); f.Type.Kind() == reflect.Struct {
			list = append(list, paths(f.Type, path+".")...)
		} else {
			list = append(list, path)
		}
	}
	return list
}

func TestLeaves(t *testing.T) {
	for _, path := range paths(reflect.TypeFor[settings.Settings](), "") {
		leaf, ok := leaves[path]
		if !ok || len(leaf.good) == 0 || len(leaf.bad) == 0 {
			t.Errorf("%s is not tested", path)
		}
		for _, value := range leaf.good {
			s := open(t, new(settingstest.Mem))
			body, _, err := s.Patch(t.Context(), []byte(nest(path, value)), "")
			if err != nil {
				t.Errorf("%s: %v", nest(path, value), err)
				continue
			}
			again, _, err := open(t, s.Store).View()
			if err != nil || !bytes.Equal(body, again) {
				t.Errorf("%s is read back as %s, not %s", nest(path, value), again, body)
			}
		}
		for _, value := range append(leaf.bad, "null", `{"x":1}`) {
			if strings.HasSuffix(path, ".role_groups") && value == `{"x":1}` {
				continue
			}
			mem := new(settingstest.Mem)
			s := open(t, mem)
			_, _, err := s.Patch(t.Context(), []byte(nest(path, value)), "")
			var v *settings.ValidationError
			if !errors.As(err, &v) || !strings.HasPrefix(v.Fields[0].Field, path) || len(mem.Changes()) != 0 {
				t.Errorf("%s: %v", nest(path, value), err)
			}
		}
	}
}

func TestPatchRefusals(t *testing.T) {
	s := open(t, new(settingstest.Mem))
	for body, want := range map[string]string{
		``:                             "not well-formed",
		`{`:                            "not well-formed",
		`{} {}`:                        "not well-formed",
		`{"smtp":{"port":1,"port":2}}`: "not well-formed",
		"{\"public_url\":\"\xff\"}":    "not well-formed",
		strings.Repeat(`{"smtp":`, 20) + `1` + strings.Repeat(`}`, 20): "not well-formed",
		`[]`:                            "body must be an object",
		`null`:                          "body must be an object",
		`{"smtp":null}`:                 "smtp must be an object",
		`{"smtp":1,"nope":1,"SMTP":{}}`: "SMTP is not a known field; nope is not a known field; smtp must be an object",
		`{"webhook":{"enabled":true}}`:  "webhook.url must not be empty while webhook.enabled is true",
		`{"smtp":{"enabled":true}}`:     "smtp.host must not be empty while smtp.enabled is true; smtp.from must not be empty",
		`{"ldap":{"enabled":true}}`:     "ldap.url must not be empty while ldap.enabled is true; ldap.base_dn must not be empty",
		`{"ldap":{"url":"ldaps://x","starttls":true}}`: "ldap.starttls must be false",
	} {
		if _, _, err := s.Patch(t.Context(), []byte(body), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}

// A stored secret does not go to another server than it was given for.
func TestSecretsStay(t *testing.T) {
	s := open(t, new(settingstest.Mem))
	patch := func(body, want string) {
		t.Helper()
		_, _, err := s.Patch(t.Context(), []byte(body), "")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
	patch(`{"ldap":{"url":"ldap://a","bind_password":"one"},"smtp":{"host":"a","password":"two"}}`, "")
	patch(`{"ldap":{"url":"ldap://b"}}`, "ldap.bind_password must be entered again when ldap.url changes")
	patch(`{"ldap":{"url":"ldap://b","bind_password":"********"}}`, "ldap.bind_password must be entered again")
	patch(`{"ldap":{"url":"ldaps://a"}}`, "ldap.bind_password must be entered again when ldap.url changes")
	patch(`{"ldap":{"verify_certificate":false}}`, "ldap.bind_password must be entered again when ldap.verify_certificate changes")
	patch(`{"ldap":{"starttls":true}}`, "")
	patch(`{"ldap":{"starttls":false}}`, "ldap.bind_password must be entered again when ldap.starttls changes")
	patch(`{"smtp":{"tls":"none"}}`, "smtp.password must be entered again when smtp.tls changes")
	patch(`{"smtp":{"port":25}}`, "smtp.password must be entered again when smtp.port changes")
	patch(`{"smtp":{"tls":"tls"}}`, "")
	patch(`{"ldap":{"enabled":true,"base_dn":"dc=x","user_filter":""}}`, "ldap.user_filter must not be empty")
	patch(`{"ldap":{"enabled":true,"base_dn":"dc=x","attr_username":""}}`, "ldap.attr_username must not be empty")
	patch(`{"ldap":{"url":"ldap://b","bind_password":"three"}}`, "")
	patch(`{"smtp":{"host":"b"}}`, "smtp.password must be entered again when smtp.host changes")
	patch(`{"smtp":{"host":"b","password":""}}`, "")
	if c := s.Current(); string(c.LDAP.BindPassword) != "three" || c.SMTP.Password != "" {
		t.Errorf("secrets are %q, %q", string(c.LDAP.BindPassword), string(c.SMTP.Password))
	}
}

func TestSecretsSealed(t *testing.T) {
	mem := new(settingstest.Mem)
	s := open(t, mem)
	body, _, err := s.Patch(t.Context(), []byte(`{"smtp":{"password":"canary-1"},"ldap":{"bind_password":"canary-2"}}`), "")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := mem.LoadSettings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%s %s %v %+v %#v %q", body, doc.JSON, *s.Current(), *s.Current(), s.Current().SMTP, s)
	if strings.Contains(shown, "canary") || !strings.Contains(string(body), `"password":"********"`) {
		t.Errorf("a secret is shown: %s", shown)
	}
	if got := string(open(t, mem).Current().SMTP.Password); got != "canary-1" {
		t.Errorf("read back %q", got)
	}
	// Sealed for one leaf, it opens at no other.
	swapped := strings.NewReplacer("smtp", "ldap", "ldap", "smtp", `"password"`, `"bind_password"`, `"bind_password"`, `"password"`).Replace(string(doc.JSON))
	other := new(settingstest.Mem)
	if err := other.SaveSettings(t.Context(), settings.Document{Version: 1, JSON: []byte(swapped)}, settings.Change{}); err != nil {
		t.Fatal(err)
	}
	if c := open(t, other).Current(); c.SMTP.Password != "" || c.LDAP.BindPassword != "" {
		t.Errorf("secrets were swapped: %q, %q", string(c.SMTP.Password), string(c.LDAP.BindPassword))
	}
	// With another key they count as not set, and can be set again.
	s = &settings.Service{Store: mem, Key: make([]byte, 32), Logger: slog.New(slog.DiscardHandler)}
	if err := s.Refresh(t.Context()); err != nil || s.Current().SMTP.Password != "" {
		t.Errorf("with another key: %q, %v", string(s.Current().SMTP.Password), err)
	}
	if _, _, err := s.Patch(t.Context(), []byte(`{"smtp":{"password":"again"}}`), ""); err != nil || string(s.Current().SMTP.Password) != "again" {
		t.Errorf("set again: %v", err)
	}
}

func TestIfMatch(t *testing.T) {
	s := open(t, new(settingstest.Mem))
	_, first, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := s.Patch(t.Context(), []byte(`{"smtp":{"port":25}}`), first)
	if err != nil || second == first {
		t.Fatalf("%s, %v", second, err)
	}
	if _, _, err := s.Patch(t.Context(), []byte(`{"smtp":{"port":26}}`), first); !errors.Is(err, settings.ErrPrecondition) {
		t.Errorf("with the old tag: %v", err)
	}
	if _, _, err := s.Patch(t.Context(), []byte(`{"smtp":{"port":26}}`), "*"); err != nil {
		t.Errorf("with *: %v", err)
	}
}

// Changes of several servers at once are all kept, and seen by all.
func TestServers(t *testing.T) {
	mem := new(settingstest.Mem)
	var wg sync.WaitGroup
	bodies := []string{`{"smtp":{"port":1}}`, `{"smtp":{"host":"h"}}`, `{"ldap":{"timeout_seconds":2}}`, `{"signing":{"overlap_days":3}}`, `{"public_url":"http://x"}`}
	services := make([]*settings.Service, len(bodies))
	var changes [5]int
	for i, body := range bodies {
		services[i] = open(t, mem)
		services[i].OnChange = func(before, after *settings.Settings) {
			if reflect.DeepEqual(before, after) {
				t.Error("a change that is none")
			}
			changes[i]++
		}
		wg.Go(func() {
			if _, _, err := services[i].Patch(t.Context(), []byte(body), ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want := settings.Default()
	want.SMTP.Port, want.SMTP.Host, want.LDAP.TimeoutSeconds, want.Signing.OverlapDays, want.PublicURL = 1, "h", 2, 3, "http://x"
	for i, s := range services {
		if err := s.Refresh(t.Context()); err != nil || !reflect.DeepEqual(s.Current(), want) {
			t.Errorf("server %d has %+v, %v", i, s.Current(), err)
		}
		if changes[i] == 0 {
			t.Errorf("server %d was told of no change", i)
		}
	}
	if n := len(mem.Changes()); n != len(bodies) {
		t.Errorf("%d saves", n)
	}
}

// What a later version has set survives an earlier one.
func TestUnknownKept(t *testing.T) {
	mem := new(settingstest.Mem)
	stored := `{"future":{"a":[1,{"b":null}]},"smtp":{"port":70000,"later":1.50,"host":"h"}}`
	if err := mem.SaveSettings(t.Context(), settings.Document{Version: 1, JSON: []byte(stored)}, settings.Change{}); err != nil {
		t.Fatal(err)
	}
	s := open(t, mem)
	if c := s.Current(); c.SMTP.Port != 587 || c.SMTP.Host != "h" {
		t.Errorf("settings are %+v", c.SMTP)
	}
	if _, _, err := s.Patch(t.Context(), []byte(`{"smtp":{"host":"i"}}`), ""); err != nil {
		t.Fatal(err)
	}
	doc, _ := mem.LoadSettings(t.Context())
	var got, want any
	if err := errors.Join(json.Unmarshal(doc.JSON, &got), json.Unmarshal([]byte(strings.Replace(stored, `"h"`, `"i"`, 1)), &want)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("stored %s, %v", doc.JSON, err)
	}
}

// A leaf that is put back to its default follows later defaults.
func TestBackToDefault(t *testing.T) {
	mem := new(settingstest.Mem)
	s := open(t, mem)
	for _, body := range []string{`{"smtp":{"port":25,"host":"h"}}`, `{"smtp":{"port":587}}`} {
		if _, _, err := s.Patch(t.Context(), []byte(body), ""); err != nil {
			t.Fatal(err)
		}
	}
	if doc, _ := mem.LoadSettings(t.Context()); string(doc.JSON) != `{"smtp":{"host":"h"}}` {
		t.Errorf("stored %s", doc.JSON)
	}
}

func FuzzPatch(f *testing.F) {
	for path, leaf := range leaves {
		for _, value := range append(leaf.good, leaf.bad...) {
			f.Add(nest(path, value))
		}
	}
	f.Fuzz(func(t *testing.T, body string) {
		s := open(t, new(settingstest.Mem))
		view, _, err := s.Patch(t.Context(), []byte(body), "")
		if err != nil {
			return
		}
		// What was taken is read back the same, and taken again.
		again := open(t, s.Store)
		got, _, err := again.View()
		if err != nil || !bytes.Equal(got, view) {
			t.Fatalf("%q gives %s, then %s (%v)", body, view, got, err)
		}
		if _, _, err := again.Patch(t.Context(), view, ""); err != nil {
			t.Fatalf("%q gives %s, which is refused: %v", body, view, err)
		}
	})
}
