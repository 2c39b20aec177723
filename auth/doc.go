// Package auth knows who calls: users and their roles, passwords, login
// sessions and API tokens.
//
// A [Service] is a struct to fill in; only Store and Key are needed:
//
//	svc := &auth.Service{Store: store, Key: key}
//	generated, created, err := svc.Bootstrap(ctx, "admin", "")
//	token, lifetime, err := svc.Login(ctx, "admin", password, client)
//	who, err := svc.Authenticate(ctx, string(token))
//	if who.Has(auth.Uploader) && who.MayWrite("jammy") { ... }
//
// # Roles
//
// The five roles are strictly cumulative: [Viewer] < [Uploader] < [Auditor] <
// [Maintainer] < [Admin]. Who holds several has the rights of the highest.
//
// # Credentials
//
// A session is a JSON Web Token (RFC 7519) signed with HS256 by a key derived
// from [Service.Key] (HKDF, RFC 5869). It says only who it belongs to: roles
// are read from the store at each request, and it ends at once on logout, when
// its user is deleted or deactivated, and when the user's
// [User.TokenVersion] moves on.
//
// An API token is the text repod_ + 43 base62 characters, which encode 32
// random bytes, + 6 base62 characters, which encode the CRC-32 (IEEE) of the
// 43. The regular expression repod_[0-9A-Za-z]{49} finds one in a leak. The
// store holds only its SHA-256, which is as good as the token's 256 random
// bits: it needs neither salt nor stretching.
//
// Passwords are stored as Argon2id (RFC 9106) in the PHC string format and are
// compared byte by byte: no Unicode normalisation takes place.
//
// # What is written down
//
// Each change hands the [Store] an [Event], which it writes in the same
// transaction. Events, log records and error texts hold no password, token or
// hash; fields which do hold one have the type [Secret], which no formatter
// prints.
package auth
