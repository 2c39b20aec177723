// Package e2e proves repod on real input: it builds the binary, starts it in
// a directory of its own and lets real clients judge it: apt-get, mmdebstrap,
// gpgv and sqv, Chromium for the console, and a checker that shares no code with
// the server.
//
// Without further ado go test runs one short test. REPOD_E2E=1, or CI=true,
// runs all of them, which takes some minutes, a network for the packages of a
// minimal Debian system (kept in REPOD_TEST_CACHE between runs) and, for the
// drills that mount a file system or start PostgreSQL, root. REPOD_LONG=1
// (with -timeout 30m) makes the drills exhaustive: a server is then killed
// before and after every single step, where an ordinary run takes the one or
// the other by turns.
//
// The drills, TestDrillR1 and so on, arrange faults: kills, errors of system calls,
// full disks, lost databases, stores, scanners, clocks. Clients beside them write
// a history of what they were answered and saw; it is judged afterwards with the
// served tree, the database and the files, all read past the server. make test
// runs their short form; aptrepo/bench/faults/run.sh the long one, by
// REPOD_DRILLS=long.
//
// REPOD_BINARY names a repod to be tested instead of the one built from this
// source, such as the one of a release.
//
// REPOD_SCREENSHOTS names a folder for pictures of the console's pages.
//
// A test whose programs or rights are missing is skipped, and fails where
// CI=true.
package e2e
