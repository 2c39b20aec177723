package ldap_test

import (
	"context"
	"fmt"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
	"github.com/repod-io/repod/auth/ldap"
)

func Example() {
	config := ldap.Config{
		URL: "ldaps://ldap.example.com", VerifyCertificate: true,
		BindDN: "cn=repod,dc=example,dc=com", BindPassword: "secret",
		BaseDN: "ou=people,dc=example,dc=com", UserFilter: "(uid={username})",
		AttrUsername: "uid", AttrEmail: "mail", AttrFullName: "cn", AttrGroups: "memberOf",
		RoleGroups: map[auth.Role][]string{auth.Uploader: {"cn=ci,ou=groups,dc=example,dc=com"}},
	}
	service := &auth.Service{
		Store: new(authtest.Mem), Key: make([]byte, auth.KeySize),
		Directory: &ldap.Directory{Config: func(context.Context) (ldap.Config, bool) { return config, true }},
	}
	fmt.Println(service.Directory.ManagesRoles(context.Background()))
	// Output: true
}
