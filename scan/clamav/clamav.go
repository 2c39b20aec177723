// Package clamav looks for malware in packages with ClamAV's daemon, clamd.
//
// clamd 1.4 does not look into Debian packages: an ar archive is nothing to it,
// and of the compressions it does not know zstd. A [Scanner] therefore sends it
// each regular file of control.tar and data.tar by itself, maintainer scripts
// included, as [scan.Run] gets them from package deb. Signatures of whole files
// match then, and clamd's limits count per file. Archives inside the files are
// clamd's own business.
//
// # Protocol
//
// The files of a package go through one session (IDSESSION, clamd(8)), by
// INSTREAM. Up to 32 are with clamd at a time, which matters for packages of
// many small files; one of more than 1 MiB is there alone, since clamd ends the
// session when a stream is too long for it.
// Answers are told apart by their numbers.
//
// Only an OK for every file makes a package [scan.Clean]. A file that clamd
// calls encrypted or over its limits, or that is longer than it takes, is
// [scan.Incomplete], and an answer that is missing, late or garbled is
// [scan.Failed]. A file is sent once: who wants another try scans the package
// again. After the first infected file nothing more is sent. A small file costs
// clamd 0.15 ms or so of processor time, and this package a fifth of that.
//
// # Configuration of clamd
//
// The protocol does not tell the limits of clamd, and by default clamd says OK
// to what exceeds them. It has to be told otherwise:
//
//	AlertExceedsMax yes            # else what is too deep or too large inside is OK
//	AlertEncrypted yes             # else what is encrypted is OK, but for zip files, which we know
//	StreamMaxLength 100M           # at least Scanner.MaxStream
//	MaxFileSize 100M               # likewise
//	MaxScanSize 400M               # of archives, unpacked
//	ConcurrentDatabaseReload yes   # else scans wait for new signatures
//
// [Scanner.Probe] finds out whether the first of these is set. Where it is not,
// the OK of clamd is no proof for archives and for files of more than 100 MiB, and
// packages with such are Incomplete; those that clamd unpacks without their
// looking like archives (documents, mail) are not known. clamd writes each file to
// its TemporaryDirectory, which is best in memory.
package clamav

import (
	"context"
	"net"
	"time"

	"github.com/repod-io/repod/scan"
)

// DefaultMaxStream is 100 MiB: MaxFileSize and StreamMaxLength of clamd 1.4.
const DefaultMaxStream = 100 << 20

// DefaultTimeout is longer than clamd's MaxScanTime, which is two minutes.
const DefaultTimeout = 3 * time.Minute

// A Scanner has packages scanned by a clamd. It is a [scan.Scanner]. Its
// fields must not change after the first call; its methods may be called by
// several goroutines at once.
type Scanner struct {
	// Address is "unix:///run/clamav/clamd.ctl" or "tcp://127.0.0.1:3310".
	// Required. What is sent by TCP is neither encrypted nor authenticated.
	Address string
	// Dial opens connections. Nil: net.Dialer. Its errors are shown to those
	// who may see the report.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout is how long clamd may take to accept a block of a file, and to
	// answer the next one of the files that it has. 0: DefaultTimeout. How long a
	// package may take is up to the context.
	Timeout time.Duration
	// MaxStream is the size of the largest file that is sent, in bytes. Packages
	// with a larger one are Incomplete. 0: DefaultMaxStream. Raise it together
	// with the limits of clamd, which calls files over MaxFileSize OK unless it
	// is told otherwise (see the package comment).
	MaxStream int64

	probed probes
}

var _ scan.Scanner = (*Scanner)(nil)

func (s *Scanner) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return DefaultTimeout
}

func (s *Scanner) maxStream() int64 {
	if s.MaxStream > 0 {
		return s.MaxStream
	}
	return DefaultMaxStream
}

// Name implements [scan.Scanner].
func (s *Scanner) Name() string { return "clamav" }

// Begin implements [scan.Scanner]. It connects, so that a clamd that is down
// is found out before the package is read.
func (s *Scanner) Begin(ctx context.Context, _ scan.Subject) (scan.Pass, error) {
	ss, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	return &pass{scanner: s, ctx: ctx, session: ss}, nil
}
