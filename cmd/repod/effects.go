package main

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/ldap"
	"github.com/repod-io/repod/auth/oidc"
	"github.com/repod-io/repod/sbom"
)

// day is the unit of settings.
const day = 24 * time.Hour

// liveSettings loads the settings and lets the repository follow them. The flag
// --public-url is what their public_url is until an administrator sets it.
func (c *serveConfig) liveSettings(ctx context.Context, o *opened) (*live.Service, error) {
	defaults := live.Default()
	defaults.PublicURL = c.publicURL
	s := &live.Service{Store: o.db, Key: o.secretKey, Defaults: defaults, Logger: c.log}
	o.repo.Signing = func() aptrepo.SigningTimes {
		now := s.Current().Signing
		return aptrepo.SigningTimes{
			KeyOverlap: time.Duration(now.OverlapDays) * day,
			ValidFor:   time.Duration(now.ValidUntilDays) * day,
		}
	}
	o.repo.Keyring = func() string { return s.Current().Signing.KeyringPackage }
	o.repo.Offers = func(codename string) bool { return slices.Contains(s.Current().Import.PullThrough, codename) }
	o.repo.Bills = func() (aptrepo.BillQuery, bool) {
		now := s.Current()
		return aptrepo.BillQuery{
			BaseURL: now.PublicURL, Author: sbom.Contact{Email: now.SMTP.From}, ToolVersion: buildVersion().Version,
			TempDir: filepath.Join(c.dataDir, "spool"),
		}, now.SBOM.Publish
	}
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	s.OnChange = func(before, after *live.Settings) {
		if name := after.Signing.KeyringPackage; name != before.Signing.KeyringPackage && name != "" {
			go func() { // Run does it, too, but later
				if err := o.repo.PublishKeyring(context.WithoutCancel(ctx)); err != nil {
					c.log.Error("the package of the repository's keys is not published everywhere", "error", err)
				}
			}()
		}
		if before.Signing.ValidUntilDays == after.Signing.ValidUntilDays {
			return
		}
		go func() { // signing takes longer than a request should wait
			if err := o.repo.Resign(context.WithoutCancel(ctx)); err != nil {
				c.log.Error("signing anew for another signing.valid_until_days failed; the next publication does it", "error", err)
			}
		}()
	}
	return s, nil
}

// downloadCounter counts downloads as the settings say.
func downloadCounter(o *opened, s *live.Service, log *slog.Logger) *aptrepo.DownloadCounter {
	return &aptrepo.DownloadCounter{
		Store: o.db, Key: aptrepo.ClientKey(o.secretKey), Logger: log,
		Rules: func() aptrepo.DownloadRules {
			now := s.Current().Downloads
			return aptrepo.DownloadRules{
				Enabled: now.Enabled, KeepDays: int(now.KeepDays), ClientIP: aptrepo.AddressForm(now.ClientIP),
			}
		},
	}
}

// directory is the one of the settings.
func (c *serveConfig) directory(s *live.Service) auth.Directory {
	return &ldap.Directory{
		Config: func(context.Context) (ldap.Config, bool) {
			now := s.Current().LDAP
			return ldapConfig(now), now.Enabled
		},
		Dial:   c.dial,
		Logger: c.log,
	}
}

func (c *serveConfig) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.outbound.DialContext(ctx, network, address)
}

func (c *serveConfig) testLDAP(ctx context.Context, s live.LDAP) (encrypted bool, err error) {
	return ldap.Test(ctx, ldapConfig(s), c.dial)
}

// oidcLogin lets people log in by the issuer of the settings.
func (c *serveConfig) oidcLogin(s *live.Service, v *oidc.Verifier, key []byte) *oidc.Login {
	return &oidc.Login{Verifier: v, Key: key, Config: func(context.Context) (oidc.LoginConfig, bool) {
		now := s.Current()
		return oidcConfig(now.OIDC, now.PublicURL), now.OIDC.Enabled && now.PublicURL != ""
	}}
}

func oidcConfig(s live.OIDC, publicURL string) oidc.LoginConfig {
	return oidc.LoginConfig{
		Issuer: s.Issuer, ClientID: s.ClientID, ClientSecret: auth.Secret(s.ClientSecret), Scopes: s.Scopes,
		RedirectURL: publicURL + "/auth/oidc/callback", UsernameClaim: s.UsernameClaim, GroupsClaim: s.GroupsClaim,
		RoleGroups: roleGroups(s.RoleGroups), DefaultRole: role(s.DefaultRole), AutoProvision: s.AutoProvision,
	}
}

// role returns the role of a name, 0 for "".
func role(name string) auth.Role {
	r, err := auth.ParseRole(name)
	if err != nil { // the settings take no other name
		return 0
	}
	return r
}

func roleGroups(groups map[string][]string) map[auth.Role][]string {
	byRole := make(map[auth.Role][]string)
	for name, list := range groups {
		byRole[role(name)] = list
	}
	return byRole
}

func ldapConfig(s live.LDAP) ldap.Config {
	return ldap.Config{
		URL: s.URL, StartTLS: s.StartTLS, VerifyCertificate: s.VerifyCertificate, CAPEM: s.CAPEM,
		BindDN: s.BindDN, BindPassword: auth.Secret(s.BindPassword),
		BaseDN: s.BaseDN, UserFilter: s.UserFilter,
		AttrUsername: s.AttrUsername, AttrEmail: s.AttrEmail, AttrFullName: s.AttrFullName, AttrGroups: s.AttrGroups,
		GroupBaseDN: s.GroupBaseDN, GroupFilter: s.GroupFilter,
		RoleGroups: roleGroups(s.RoleGroups), DefaultRole: role(s.DefaultRole), AutoProvision: s.AutoProvision,
		Timeout: time.Duration(s.TimeoutSeconds) * time.Second,
	}
}
