// Package repod is the root of a library that keeps a signed APT repository,
// and of a thin server around it. It holds nothing but this picture of the
// house and the test that guards it.
//
//	deb/             reads a .deb strictly; control stanzas (deb822), versions, relations
//	  copyright/     licences from debian/copyright
//	index/           writes and reads Packages, Release and InRelease; signs them
//	sbom/            component graph -> CycloneDX, SPDX
//	scan/            scanners and findings, and the policy that judges them
//	auth/            users, roles, passwords, sessions, API tokens
//	aptrepo/         the repository itself: publish, promote, remove, query
//	  storage/       where its files live: a directory, memory, a bucket, or your own
//	  sqlstore/      its metadata, and the users, in SQLite or PostgreSQL
//	httpapi/         routes, errors and JSON, and the tree that apt reads
//	cmd/repod/       the server and its command line
//	examples/        whole programs to start from
//
// Imports point one way:
//
//	deb <- index, scan <- aptrepo <- sqlstore, httpapi <- cmd
//
// The packages auth, sbom and storage import nothing of ours, and aptrepo knows
// neither users nor HTTP nor SQL: who acts reaches it as a name in the context.
// SQL drivers are the choice of the program, in cmd and examples. What keeps a
// repository safe, such as the order of publication, is in aptrepo, so that a
// program which embeds that package alone has all of it.
//
// Packages named after another with "test" at the end (debtest, authtest,
// storagetest) serve the tests of those who implement or embed it.
//
// Start at package aptrepo to embed a repository, at cmd/repod to run one.
package repod
