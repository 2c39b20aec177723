// Package ldap lets the users of an LDAP directory (RFC 4511) log in.
//
// A login binds as the service account (or anonymously), searches the one entry
// that the user filter finds below the base, binds as that entry with the
// user's password, and reads the user's groups. Groups within groups are not
// followed; a server that resolves them in memberOf, or by its matching rule in
// the group filter, does it for us.
//
// Referrals are never followed, and a password is only ever sent to the
// configured server. An empty password is refused before it is sent: servers
// take a bind with one for an anonymous bind that succeeded (RFC 4513, section
// 5.1.2).
package ldap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"
	"unicode"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/repod-io/repod/auth"
)

// A Config says where the directory is and how to read it. Filters are those
// of RFC 4515; {username} and {dn} in them are replaced by escaped values.
type Config struct {
	URL               string // ldap://host[:389] or ldaps://host[:636]
	StartTLS          bool   // for ldap:// only
	VerifyCertificate bool   // false: any certificate will do, and anybody in between
	CAPEM             string // certificates to trust; "": those of the system

	BindDN       string // service account; "": anonymous
	BindPassword auth.Secret

	BaseDN       string // where users are
	UserFilter   string // "(uid={username})"
	AttrUsername string // "uid"
	AttrEmail    string // "mail"
	AttrFullName string // "cn"
	AttrGroups   string // "memberOf": DNs of groups; "": not read

	GroupBaseDN string // where groups are searched; "": nowhere
	GroupFilter string // "(member={dn})"

	// RoleGroups lists the groups that give a role. Whole DNs are compared,
	// regardless of case and of spaces around commas. DefaultRole is that of
	// users in none of them; 0: they may not log in.
	RoleGroups  map[auth.Role][]string
	DefaultRole auth.Role
	// AutoProvision lets unknown users in; else somebody must have been here
	// before the directory was, which nobody can.
	AutoProvision bool

	Timeout time.Duration // of a whole login; 0: 10 s
}

// A Directory is an [auth.Directory]. Its fields must not change after the
// first call.
type Directory struct {
	// Config returns the present configuration, and false while the directory
	// is switched off. Required.
	Config func(ctx context.Context) (Config, bool)
	// Dial opens connections. Nil: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger gets the causes of what users are not told. Nil: slog.Default().
	Logger *slog.Logger
}

var _ auth.Directory = (*Directory)(nil)

func (d *Directory) logger() *slog.Logger {
	if d.Logger != nil {
		return d.Logger
	}
	return slog.Default()
}

// ManagesRoles implements [auth.Directory].
func (d *Directory) ManagesRoles(ctx context.Context) bool {
	c, on := d.Config(ctx)
	return on && len(c.RoleGroups) > 0
}

// Login implements [auth.Directory]. Unknown users cost one step less than
// wrong passwords: the bind. How long that takes is up to the server.
func (d *Directory) Login(ctx context.Context, username, password string) (auth.DirectoryUser, error) {
	c, on := d.Config(ctx)
	switch {
	case !on:
		return auth.DirectoryUser{}, auth.ErrNoDirectory
	case password == "" || !auth.ValidUsername(username):
		return auth.DirectoryUser{}, auth.ErrInvalidCredentials
	}
	ctx, cancel := c.bound(ctx)
	defer cancel()
	s, err := open(ctx, c, d.Dial)
	if err != nil {
		return auth.DirectoryUser{}, d.unavailable(ctx, err)
	}
	defer s.close()
	u, err := s.login(username, password)
	if errors.Is(err, auth.ErrInvalidCredentials) {
		d.logger().InfoContext(ctx, "the directory refused a login", "reason", err)
		return auth.DirectoryUser{}, auth.ErrInvalidCredentials
	}
	if err != nil {
		return auth.DirectoryUser{}, d.unavailable(ctx, err)
	}
	return u, nil
}

// unavailable logs why the directory could not tell.
func (d *Directory) unavailable(ctx context.Context, err error) error {
	d.logger().WarnContext(ctx, "the directory could not be asked", "error", err)
	return fmt.Errorf("%w: %w", auth.ErrDirectoryUnavailable, err)
}

const defaultTimeout = 10 * time.Second

func (c *Config) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return context.WithTimeout(ctx, timeout)
}

// refused is the reason why a login is not let in, for the log.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", auth.ErrInvalidCredentials, fmt.Sprintf(format, args...))
}

// login finds the user and checks the password.
func (s *session) login(username, password string) (auth.DirectoryUser, error) {
	c := s.config
	entry, err := s.find(username)
	if err != nil {
		return auth.DirectoryUser{}, err
	}
	name, ok := c.nameIn(entry, username)
	if !ok {
		return auth.DirectoryUser{}, refused("the entry found for %s has another name", username)
	}
	switch err := s.conn.Bind(entry.DN, password); {
	case refusesPassword(err):
		return auth.DirectoryUser{}, refused("wrong password of %s", username)
	case err != nil:
		return auth.DirectoryUser{}, fmt.Errorf("bind as the user: %w", err)
	}
	groups, err := s.groups(entry, name)
	if err != nil {
		return auth.DirectoryUser{}, err
	}
	roles := c.roles(groups)
	if len(roles) == 0 {
		return auth.DirectoryUser{}, refused("%s is in no group with a role", username)
	}
	return auth.DirectoryUser{
		Username:     name,
		Email:        strings.TrimSpace(entry.GetEqualFoldAttributeValue(c.AttrEmail)),
		FullName:     strings.TrimSpace(entry.GetEqualFoldAttributeValue(c.AttrFullName)),
		Roles:        roles,
		RolesManaged: len(c.RoleGroups) > 0,
		Provision:    c.AutoProvision,
	}, nil
}

// refusesPassword reports whether a server has looked at name and password,
// and said no. Some answer constraintViolation for an account that is locked,
// and unwillingToPerform for one that is disabled or expired, the latter only
// after the right password: any other answer to the client would tell that it
// was right.
func refusesPassword(err error) bool {
	return goldap.IsErrorAnyOf(err, goldap.LDAPResultInvalidCredentials, goldap.LDAPResultNoSuchObject,
		goldap.LDAPResultInappropriateAuthentication, goldap.LDAPResultInvalidDNSyntax,
		goldap.LDAPResultConstraintViolation, goldap.LDAPResultUnwillingToPerform)
}

// find returns the one entry of a user name.
func (s *session) find(username string) (*goldap.Entry, error) {
	c := s.config
	attributes := []string{"1.1"} // RFC 4511, section 4.5.1.8: none
	for _, a := range []string{c.AttrUsername, c.AttrEmail, c.AttrFullName, c.AttrGroups} {
		if a != "" {
			attributes = append(attributes, a)
		}
	}
	if len(attributes) > 1 {
		attributes = attributes[1:]
	}
	// Two are enough to know that there is more than one.
	found, err := s.search(c.BaseDN, goldap.ScopeWholeSubtree, 2, expand(c.UserFilter, "", username), attributes)
	switch {
	case goldap.IsErrorAnyOf(err, goldap.LDAPResultSizeLimitExceeded), err == nil && len(found) > 1:
		return nil, refused("more than one entry matches %s", username)
	case goldap.IsErrorAnyOf(err, goldap.LDAPResultNoSuchObject):
		return nil, fmt.Errorf("search: the base %q does not exist, or the service account may not see it", c.BaseDN)
	case err != nil:
		return nil, fmt.Errorf("search: %w", err)
	case len(found) == 0 || found[0].DN == "":
		return nil, refused("no entry matches %s", username)
	}
	return found[0], nil
}

// nameIn returns the user name that an entry bears. Servers compare names in
// their own way, without regard to accents or spaces: such an entry is another
// user's.
func (c *Config) nameIn(entry *goldap.Entry, username string) (string, bool) {
	for _, name := range entry.GetEqualFoldAttributeValues(c.AttrUsername) {
		if auth.FoldUsername(name) == auth.FoldUsername(username) {
			return name, true
		}
	}
	return "", false
}

// groups returns the DNs of the groups of a user.
func (s *session) groups(entry *goldap.Entry, username string) ([]string, error) {
	c := s.config
	var groups []string
	if c.AttrGroups != "" {
		groups = append(groups, entry.GetEqualFoldAttributeValues(c.AttrGroups)...)
	}
	if c.GroupBaseDN == "" {
		return groups, nil
	}
	if err := s.bindService(); err != nil { // users often may not search
		return nil, err
	}
	found, err := s.search(c.GroupBaseDN, goldap.ScopeWholeSubtree, 0, expand(c.GroupFilter, entry.DN, username), []string{"1.1"})
	if err != nil {
		return nil, fmt.Errorf("search for groups: %w", err)
	}
	for _, g := range found {
		groups = append(groups, g.DN)
	}
	return groups, nil
}

// roles returns the roles that groups give, or the default one.
func (c *Config) roles(groups []string) []auth.Role {
	var have []*goldap.DN
	for _, g := range groups {
		if dn, err := goldap.ParseDN(g); err == nil {
			have = append(have, dn)
		}
	}
	var roles []auth.Role
	for role := auth.Viewer; role <= auth.Admin; role++ {
		if anyEqual(have, c.RoleGroups[role]) {
			roles = append(roles, role)
		}
	}
	if len(roles) == 0 && c.DefaultRole.Valid() {
		roles = []auth.Role{c.DefaultRole}
	}
	return roles
}

func anyEqual(have []*goldap.DN, wanted []string) bool {
	for _, w := range wanted {
		dn, err := goldap.ParseDN(w)
		if err != nil {
			continue
		}
		for _, h := range have {
			if h.EqualFold(dn) {
				return true
			}
		}
	}
	return false
}

// expand fills in a filter. No value can change what the filter means: RFC
// 4515 escapes are put for every character that has a meaning there, and for
// control characters, which some servers trip over.
func expand(filter, dn, username string) string {
	return strings.NewReplacer("{dn}", escape(dn), "{username}", escape(username)).Replace(filter)
}

func escape(value string) string {
	var b strings.Builder
	for _, r := range goldap.EscapeFilter(value) {
		if unicode.IsControl(r) && r < 0x80 {
			fmt.Fprintf(&b, `\%02x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
