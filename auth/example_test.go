package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/authtest"
)

// exampleService is a service whose output is the same each time. A real one
// needs only Store and Key.
func exampleService() *auth.Service {
	return &auth.Service{
		Store:    new(authtest.Mem), // a program uses package sqlstore
		Key:      []byte("32 random bytes, kept in a file."),
		Now:      func() time.Time { return time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC) },
		Rand:     new(counter),
		Argon2id: auth.Argon2id{Memory: 8, Time: 1, Threads: 1},
	}
}

func Example() {
	ctx := context.Background()
	svc := exampleService()
	client := auth.Client{IP: netip.MustParseAddr("192.0.2.7")}

	if _, _, err := svc.Bootstrap(ctx, "admin", "Correct horse 1"); err != nil {
		fmt.Println(err)
		return
	}
	session, lifetime, err := svc.Login(ctx, "admin", "Correct horse 1", client)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("session:", session, "for", lifetime)

	who, err := svc.Authenticate(ctx, string(session))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("caller:", who, who.Roles)
	// Output:
	// session: [redacted] for 1h0m0s
	// caller: admin [admin]
}

func ExampleService_CreateToken() {
	ctx := context.Background()
	svc := exampleService()
	admin := auth.Principal{Kind: auth.KindSession, Name: "admin", Roles: []auth.Role{auth.Admin}}

	secret, token, err := svc.CreateToken(ctx, admin, auth.TokenSpec{
		Name:          "gitlab-ci",
		Roles:         []auth.Role{auth.Uploader},
		Distributions: []string{"jammy"},
		ExpiresInDays: 90,
	}, auth.Client{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("show once:", string(secret))
	fmt.Println("known by: ", token.Prefix, "until", token.ExpiresAt)

	who, err := svc.Authenticate(ctx, string(secret))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(who, who.Has(auth.Uploader), who.MayWrite("jammy"), who.MayWrite("noble"))
	// Output:
	// show once: repod_028mMKUSEWoSdvoqTpZr39Q7qI4DQHQ6nB2BG8BIyOR2DHFfH
	// known by:  repod_028mMK until 2026-08-10 10:00:00 +0000 UTC
	// token:gitlab-ci true true false
}

func ExampleService_Login_throttled() {
	ctx := context.Background()
	svc := exampleService()
	for range 6 {
		_, _, err := svc.Login(ctx, "admin", "guess", auth.Client{})
		var throttled *auth.ThrottledError
		if errors.As(err, &throttled) {
			fmt.Println("Retry-After:", int(throttled.RetryAfter.Seconds()))
			continue
		}
		fmt.Println(err)
	}
	// Output:
	// invalid user name or password
	// invalid user name or password
	// invalid user name or password
	// invalid user name or password
	// invalid user name or password
	// Retry-After: 1
}

func ExampleCheckPassword() {
	err := auth.CheckPassword("admin", "password1")
	var weak *auth.PolicyError
	if errors.As(err, &weak) {
		for _, v := range weak.Violations {
			fmt.Printf("%s: %s\n", v.Rule, v.Message)
		}
	}
	fmt.Println(auth.CheckPassword("admin", "Admin1234!"))
	// Output:
	// upper_case: must have an upper-case letter
	// common: must not be one of the most common passwords
	// <nil>
}

func ExampleRoles() {
	for _, info := range auth.Roles() {
		fmt.Println(info.Level, info.Role, info.Permissions)
	}
	// Output:
	// 1 viewer [read]
	// 2 uploader [read upload import]
	// 3 auditor [read upload import audit review]
	// 4 maintainer [read upload import audit review sync decide quarantine distribute delete]
	// 5 admin [read upload import audit review sync decide quarantine distribute delete users settings]
}
