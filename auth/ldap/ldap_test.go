package ldap_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/ldap"
	"github.com/repod-io/repod/auth/ldap/slapdtest"
)

// people: two users called by mail twin@, one whose DN needs escapes, a group
// of each kind, and a reference to another server.
const people = `dn: ou=people,dc=test,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=test,dc=example
objectClass: organizationalUnit
ou: groups

dn: uid=alice,ou=people,dc=test,dc=example
objectClass: inetOrgPerson
uid: alice
cn: Alice Lee
sn: Lee
mail: alice@test.example
userPassword: alicepw
memberOf: cn=Upload Team,ou=groups,dc=test,dc=example
memberOf: cn=maintainers,ou=groups,dc=test,dc=example

dn: uid=Bob,ou=people,dc=test,dc=example
objectClass: inetOrgPerson
uid: Bob
cn: Bob
sn: B
mail: twin@test.example
userPassword: bobpw

dn: cn=Comma\, \#1 (x)*,ou=people,dc=test,dc=example
objectClass: inetOrgPerson
uid: comma
cn: Comma, #1 (x)*
sn: C
mail: twin@test.example
userPassword: commapw

dn: cn=Upload Team,ou=groups,dc=test,dc=example
objectClass: groupOfNames
cn: Upload Team
member: uid=alice,ou=people,dc=test,dc=example
member: cn=Comma\, \#1 (x)*,ou=people,dc=test,dc=example

dn: cn=maintainers,ou=groups,dc=test,dc=example
objectClass: groupOfNames
cn: maintainers
member: uid=alice,ou=people,dc=test,dc=example

`

func config(s *slapdtest.Server) ldap.Config {
	return ldap.Config{
		URL: s.URL, VerifyCertificate: true,
		BindDN: slapdtest.AdminDN, BindPassword: slapdtest.AdminPassword, BaseDN: slapdtest.BaseDN,
		UserFilter: "(uid={username})", AttrUsername: "uid", AttrEmail: "mail", AttrFullName: "cn",
		GroupBaseDN: "ou=groups," + slapdtest.BaseDN, GroupFilter: "(member={dn})",
		RoleGroups: map[auth.Role][]string{
			auth.Uploader:   {"CN=upload team, OU=Groups,dc=test,dc=example"},
			auth.Maintainer: {"cn=nobody,dc=test,dc=example", "cn=maintainers,ou=groups,dc=test,dc=example"},
		},
		DefaultRole: auth.Viewer, AutoProvision: true, Timeout: 10 * time.Second,
	}
}

// directory is one with a configuration that change has changed.
func directory(c ldap.Config, change func(c *ldap.Config)) *ldap.Directory {
	if change != nil {
		change(&c)
	}
	return &ldap.Directory{
		Config: func(context.Context) (ldap.Config, bool) { return c, true },
		Logger: slog.New(slog.DiscardHandler),
	}
}

func TestLogin(t *testing.T) {
	server := slapdtest.Start(t, people)
	for name, test := range map[string]struct {
		user, password string
		change         func(c *ldap.Config)
		want           string // user, roles; or an error's text
	}{
		"groups":            {"alice", "alicepw", nil, "alice <alice@test.example> Alice Lee uploader,maintainer"},
		"name in capitals":  {"ALICE", "alicepw", nil, "alice <alice@test.example> Alice Lee uploader,maintainer"},
		"DN with escapes":   {"comma", "commapw", nil, "comma <twin@test.example> Comma, #1 (x)* uploader"},
		"anonymous":         {"alice", "alicepw", func(c *ldap.Config) { c.BindDN, c.BindPassword = "", "" }, "alice <alice@test.example> Alice Lee uploader,maintainer"},
		"default role":      {"bob", "bobpw", nil, "Bob <twin@test.example> Bob viewer"},
		"no role":           {"bob", "bobpw", func(c *ldap.Config) { c.DefaultRole = 0 }, auth.ErrInvalidCredentials.Error()},
		"memberOf":          {"alice", "alicepw", func(c *ldap.Config) { c.GroupBaseDN, c.AttrGroups = "", "memberOf" }, "alice <alice@test.example> Alice Lee uploader,maintainer"},
		"wrong password":    {"alice", "bobpw", nil, auth.ErrInvalidCredentials.Error()},
		"empty password":    {"alice", "", nil, auth.ErrInvalidCredentials.Error()},
		"unknown":           {"carol", "alicepw", nil, auth.ErrInvalidCredentials.Error()},
		"wildcard":          {"*", "alicepw", nil, auth.ErrInvalidCredentials.Error()},
		"filter injection":  {"*)(uid=*", "alicepw", nil, auth.ErrInvalidCredentials.Error()},
		"filter injection2": {"alice)(|(cn=*", "alicepw", nil, auth.ErrInvalidCredentials.Error()},
		"escape":            {`\2a`, "alicepw", nil, auth.ErrInvalidCredentials.Error()},
		"NUL":               {"alice\x00", "alicepw", nil, auth.ErrInvalidCredentials.Error()},
		"DN for a name":     {"uid=alice,ou=people", "alicepw", nil, auth.ErrInvalidCredentials.Error()},
		"space behind":      {"alice ", "alicepw", nil, auth.ErrInvalidCredentials.Error()},
		"by mail":           {"alice@test.example", "alicepw", func(c *ldap.Config) { c.UserFilter, c.AttrUsername = "(mail={username})", "mail" }, "alice@test.example <alice@test.example> Alice Lee uploader,maintainer"},
		"two entries":       {"twin@test.example", "bobpw", func(c *ldap.Config) { c.UserFilter, c.AttrUsername = "(mail={username})", "mail" }, auth.ErrInvalidCredentials.Error()},
		"another's entry":   {"bob", "alicepw", func(c *ldap.Config) { c.UserFilter = "(uid=alice)" }, auth.ErrInvalidCredentials.Error()},
		"all entries":       {"alice", "alicepw", func(c *ldap.Config) { c.UserFilter = "(objectClass=*)" }, auth.ErrInvalidCredentials.Error()},
		"service refused":   {"alice", "alicepw", func(c *ldap.Config) { c.BindPassword = "x" }, auth.ErrDirectoryUnavailable.Error()},
		"no service secret": {"alice", "alicepw", func(c *ldap.Config) { c.BindPassword = "" }, auth.ErrDirectoryUnavailable.Error()},
		"no such base":      {"alice", "alicepw", func(c *ldap.Config) { c.BaseDN = "dc=none" }, auth.ErrDirectoryUnavailable.Error()},
		"broken filter":     {"alice", "alicepw", func(c *ldap.Config) { c.UserFilter = "(uid={username}" }, auth.ErrDirectoryUnavailable.Error()},
		"ldaps":             {"bob", "bobpw", func(c *ldap.Config) { c.URL, c.CAPEM = server.TLS, server.CAPEM }, "Bob <twin@test.example> Bob viewer"},
		"starttls":          {"bob", "bobpw", func(c *ldap.Config) { c.StartTLS, c.CAPEM = true, server.CAPEM }, "Bob <twin@test.example> Bob viewer"},
		"by name": {"bob", "bobpw", func(c *ldap.Config) {
			c.URL, c.CAPEM = strings.Replace(server.TLS, "127.0.0.1", "localhost", 1), server.CAPEM
		}, "Bob <twin@test.example> Bob viewer"},
		"strange CA":        {"bob", "bobpw", func(c *ldap.Config) { c.URL = server.TLS }, auth.ErrDirectoryUnavailable.Error()},
		"strange CA, start": {"bob", "bobpw", func(c *ldap.Config) { c.StartTLS = true }, auth.ErrDirectoryUnavailable.Error()},
		"unverified":        {"bob", "bobpw", func(c *ldap.Config) { c.URL, c.VerifyCertificate = server.TLS, false }, "Bob <twin@test.example> Bob viewer"},
		"no CA":             {"bob", "bobpw", func(c *ldap.Config) { c.URL, c.CAPEM = server.TLS, "no certificate" }, auth.ErrDirectoryUnavailable.Error()},
		"TLS to plain port": {"bob", "bobpw", func(c *ldap.Config) { c.URL = strings.Replace(server.URL, "ldap:", "ldaps:", 1) }, auth.ErrDirectoryUnavailable.Error()},
		"no URL":            {"bob", "bobpw", func(c *ldap.Config) { c.URL = "http://127.0.0.1" }, auth.ErrDirectoryUnavailable.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := directory(config(server), test.change).Login(t.Context(), test.user, test.password)
			got := fmt.Sprintf("%s <%s> %s %s", u.Username, u.Email, u.FullName, names(u.Roles))
			if err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("Login(%q) = %s, want %s", test.user, got, test.want)
			}
			if err == nil && (!u.RolesManaged || !u.Provision) {
				t.Errorf("user is %+v", u)
			}
			if strings.Contains(got, test.password+"\x00") || strings.Contains(got, slapdtest.AdminPassword) {
				t.Errorf("the error tells a secret: %s", got)
			}
		})
	}
}

func names(roles []auth.Role) string {
	var list []string
	for _, r := range roles {
		list = append(list, r.String())
	}
	return strings.Join(list, ",")
}

// A server that wants encryption gets no password without.
func TestCleartextRefused(t *testing.T) {
	server := slapdtest.Start(t, people, "security simple_bind=128")
	if _, err := directory(config(server), nil).Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
		t.Errorf("in clear: %v", err)
	}
	encrypted := func(c *ldap.Config) { c.StartTLS, c.CAPEM = true, server.CAPEM }
	if _, err := directory(config(server), encrypted).Login(t.Context(), "alice", "alicepw"); err != nil {
		t.Errorf("by StartTLS: %v", err)
	}
}

// References to another server are not followed, whatever the configured one
// answers with.
func TestReferrals(t *testing.T) {
	trap, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer trap.Close()
	elsewhere := "ldap://" + trap.Addr().String() + "/"
	server := slapdtest.Start(t, people+fmt.Sprintf(`dn: ou=elsewhere,dc=test,dc=example
objectClass: referral
objectClass: extensibleObject
ou: elsewhere
ref: %sou=people,dc=evil

`, elsewhere), "referral "+elsewhere)
	if _, err := directory(config(server), nil).Login(t.Context(), "alice", "alicepw"); err != nil {
		t.Errorf("beside a reference: %v", err)
	}
	at := func(c *ldap.Config) { c.BaseDN = "ou=elsewhere," + slapdtest.BaseDN }
	if _, err := directory(config(server), at).Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
		t.Errorf("at a reference: %v", err)
	}
	outside := func(c *ldap.Config) { c.BaseDN = "dc=other" }
	if _, err := directory(config(server), outside).Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
		t.Errorf("outside: %v", err)
	}
	// The trap accepts in the order of arrival: ours must be the first to come.
	ours, err := net.Dial("tcp", trap.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	first, err := trap.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if first.RemoteAddr().String() != ours.LocalAddr().String() {
		t.Error("a reference was followed")
	}
}

// Whose group gets another name has another role from the next login on.
func TestGroupRenamed(t *testing.T) {
	server := slapdtest.Start(t, people)
	d := directory(config(server), nil)
	login := func(want string) {
		t.Helper()
		u, err := d.Login(t.Context(), "alice", "alicepw")
		if err != nil || names(u.Roles) != want {
			t.Fatalf("roles are %q, %v; want %s", names(u.Roles), err, want)
		}
	}
	login("uploader,maintainer")
	conn, err := goldap.DialURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind(slapdtest.AdminDN, slapdtest.AdminPassword); err != nil {
		t.Fatal(err)
	}
	rename := func(from, to string) {
		t.Helper()
		dn := "cn=" + from + ",ou=groups," + slapdtest.BaseDN
		if err := conn.ModifyDN(goldap.NewModifyDNRequest(dn, "cn="+to, true, "")); err != nil {
			t.Fatal(err)
		}
	}
	rename("maintainers", "former")
	login("uploader")
	rename("Upload Team", "team")
	login("viewer")
	rename("former", "maintainers")
	login("maintainer")
}

func TestDown(t *testing.T) {
	server := slapdtest.Start(t, people)
	d := directory(config(server), nil)
	server.Stop()
	if _, err := d.Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
		t.Errorf("Login: %v", err)
	}
}

// Servers that take a connection and answer nothing, rubbish or nothing more
// end a login in its time.
func TestBadServers(t *testing.T) {
	for name, serve := range map[string]func(conn net.Conn){
		"hangs":    func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) },
		"closes":   func(conn net.Conn) { conn.Close() },
		"hangs up": func(conn net.Conn) { _, _ = conn.Read(make([]byte, 10)); conn.Close() },
		"rubbish": func(conn net.Conn) {
			_, _ = conn.Write([]byte("220 mail.example ESMTP\r\n"))
			_, _ = conn.Read(make([]byte, 1<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go serve(conn)
				}
			}()
			for _, scheme := range []string{"ldap://", "ldaps://"} {
				c := ldap.Config{URL: scheme + l.Addr().String(), BaseDN: "dc=x", UserFilter: "(uid={username})", AttrUsername: "uid", Timeout: 200 * time.Millisecond}
				if _, err := directory(c, nil).Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
					t.Errorf("%s: %v", scheme, err)
				}
			}
		})
	}
}

func TestSwitchedOff(t *testing.T) {
	d := &ldap.Directory{Config: func(context.Context) (ldap.Config, bool) { return ldap.Config{}, false }}
	if _, err := d.Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrNoDirectory) || d.ManagesRoles(t.Context()) {
		t.Errorf("Login: %v", err)
	}
}

// TestTest wants each step named that fails.
func TestTest(t *testing.T) {
	server := slapdtest.Start(t, people)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	for name, test := range map[string]struct {
		change func(c *ldap.Config)
		step   string // "": it works
		tls    bool
	}{
		"works":      {func(*ldap.Config) {}, "", false},
		"anonymous":  {func(c *ldap.Config) { c.BindDN, c.BindPassword = "", "" }, "", false},
		"ldaps":      {func(c *ldap.Config) { c.URL, c.CAPEM = server.TLS, server.CAPEM }, "", true},
		"starttls":   {func(c *ldap.Config) { c.StartTLS, c.CAPEM = true, server.CAPEM }, "", true},
		"nobody":     {func(c *ldap.Config) { c.URL = "ldap://" + free.Addr().String() }, ldap.StepConnect, false},
		"no URL":     {func(c *ldap.Config) { c.URL = "" }, ldap.StepConnect, false},
		"strange CA": {func(c *ldap.Config) { c.URL = server.TLS }, ldap.StepTLS, false},
		"start, CA":  {func(c *ldap.Config) { c.StartTLS = true }, ldap.StepTLS, false},
		"password":   {func(c *ldap.Config) { c.BindPassword = "x" }, ldap.StepBind, false},
		"base":       {func(c *ldap.Config) { c.BaseDN = "ou=none," + slapdtest.BaseDN }, ldap.StepSearch, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(server)
			test.change(&c)
			encrypted, err := ldap.Test(t.Context(), c, nil)
			var step *ldap.StepError
			if test.step == "" && (err != nil || encrypted != test.tls) {
				t.Errorf("Test = %t, %v", encrypted, err)
			}
			if test.step != "" && (!errors.As(err, &step) || step.Step != test.step) {
				t.Errorf("Test: %v, want step %s", err, test.step)
			}
		})
	}
}

// A dialler of one's own is used for every connection.
func TestDial(t *testing.T) {
	refusal := errors.New("not there")
	d := directory(ldap.Config{URL: "ldap://directory.example", AttrUsername: "uid"}, nil)
	var asked []string
	d.Dial = func(_ context.Context, network, address string) (net.Conn, error) {
		asked = append(asked, network+" "+address)
		return nil, refusal
	}
	if _, err := d.Login(t.Context(), "alice", "x"); !errors.Is(err, refusal) || !slices.Equal(asked, []string{"tcp directory.example:389"}) {
		t.Errorf("Login: %v, dialled %q", err, asked)
	}
}
