package main

import (
	"context"
	"net"
	"time"

	"github.com/repod-io/repod/aptrepo"
	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/ldap"
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
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	s.OnChange = func(before, after *live.Settings) {
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

func ldapConfig(s live.LDAP) ldap.Config {
	c := ldap.Config{
		URL: s.URL, StartTLS: s.StartTLS, VerifyCertificate: s.VerifyCertificate, CAPEM: s.CAPEM,
		BindDN: s.BindDN, BindPassword: auth.Secret(s.BindPassword),
		BaseDN: s.BaseDN, UserFilter: s.UserFilter,
		AttrUsername: s.AttrUsername, AttrEmail: s.AttrEmail, AttrFullName: s.AttrFullName, AttrGroups: s.AttrGroups,
		GroupBaseDN: s.GroupBaseDN, GroupFilter: s.GroupFilter,
		RoleGroups: make(map[auth.Role][]string), AutoProvision: s.AutoProvision,
		Timeout: time.Duration(s.TimeoutSeconds) * time.Second,
	}
	for name, groups := range s.RoleGroups {
		if role, err := auth.ParseRole(name); err == nil { // the settings take no other
			c.RoleGroups[role] = groups
		}
	}
	if role, err := auth.ParseRole(s.DefaultRole); err == nil { // "" is none
		c.DefaultRole = role
	}
	return c
}
