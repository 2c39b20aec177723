// Package httpapi serves a repository over HTTP: the REST API, the APT tree below
// /apt/ and the console for people below /ui/.
//
//	handler, err := httpapi.New(httpapi.Config{Repo: repo, Auth: users, Settings: settings})
//	server := httpapi.NewServer(handler)
//
// A program that wants its own API, or none, takes the tree alone:
//
//	mux.Handle("/apt/", httpapi.Tree(repo))
//
// # What it adds
//
// The package decides nothing about packages: it finds out who calls, holds
// requests against one table of routes (method, pattern, role, rate class,
// body), turns bodies into calls of aptrepo and auth, and their errors into
// problems (RFC 9457) by one table. An error that is not in that table is
// answered 500 with the request's ID; its cause stands only in the log.
//
// GET /openapi.json describes all of it. That is made of the table of routes, of the
// types of bodies and answers by reflection, of the table of errors, and of what
// the table operations adds: a new route has a row in each.
//
// # Checks, in this order
//
// Route (404, 405), authentication (401), role (403), rate limit (429), body
// (400, 413, 422), fields (422); then what aptrepo and auth say. No byte of a
// body is read before role and rate limit have been checked, so that a client
// which sends "Expect: 100-continue" is refused before it sends a package.
//
// # Paths
//
// Paths are matched as they were sent: an encoded slash (%2F) never separates
// segments, nothing is cleaned or redirected, and a plus sign is a plus sign.
// One trailing slash is ignored on API paths.
//
// # Time
//
// A client that stops moving is cut off: request headers must arrive within 5
// seconds, each 480 KiB of a body within 30, and each MiB of an answer must be
// taken within a minute. There is no limit on a whole request.
package httpapi
