// Package inventory takes stock of the software that packages bring along
// inside, beside what their control files say: modules linked into Go and Rust
// programs, Python distributions, Java archives, packages of npm.
//
// # What is found
//
//   - Go: the main module, the modules linked in and the standard library of
//     each ELF program or shared library that the go command built (package
//     debug/buildinfo reads Go 1.13 and later). The standard library is "stdlib",
//     as in OSV, with the version of the toolchain.
//   - crates.io: the crates that cargo-auditable listed in the section .dep-v0.
//     Crates used in building alone are left out.
//   - PyPI: *.dist-info/METADATA, *.egg-info/PKG-INFO, EGG-INFO/PKG-INFO and the
//     older single file *.egg-info (Core metadata specifications). Names are
//     normalised (PEP 503).
//   - Maven: each META-INF/maven/**/pom.properties, of which shaded archives
//     have several. Archives without one are named after their own file name and
//     manifest; the group is a guess then, and may be missing.
//   - npm: the package.json of each package directly below a node_modules, or
//     below Debian's own directories for Node.js. Others are fixtures and
//     markers. Private packages and those without a version are left out.
//
// Archives (.jar, .war, .ear and their kin, .whl, .egg) are looked into, and the
// archives inside them. Programs inside archives are not, nor is anything found
// out about C libraries that were linked statically.
//
// Version is "" where what is inside is known and its version is not: a program
// built from a working copy, a module replaced by a directory. Go versions are
// spelled as Go does, with a "v".
//
// # Hostile packages
//
// What a package says of itself is taken as it stands: somebody who wants to
// hide a library can. No content makes a pass fail, though, and what it may cost
// is bounded by [Limits]. What is malformed is left out; what exceeds a limit is
// left out and logged. A pass keeps some 5 MiB in memory, and at worst, for an
// archive that is all directory, 200 MiB.
package inventory

import (
	"context"
	"log/slog"

	"github.com/repod-io/repod/scan"
)

// A Scanner takes stock of packages. The zero value is ready for use. Its fields
// must not be changed while it is in use; it may then be used by several
// goroutines at once.
type Scanner struct {
	Limits Limits
	// SpoolDir is where programs and archives above 4 MiB are written while
	// they are looked at, as files without a name where the system allows that.
	// "": the system's directory for temporary files.
	SpoolDir string
	// Logger is told, once for a package, what exceeded the limits. Nil:
	// slog.Default().
	Logger *slog.Logger
}

// Limits bounds what taking stock of one package may cost. A zero field has the
// stated default.
type Limits struct {
	// File bounds a program or an archive, in bytes, also one inside an archive;
	// 1 GiB. Each costs that much room in SpoolDir, one at a time and one for
	// each level of archives in archives.
	File int64
	// Spool bounds all programs and archives of a package together, in bytes,
	// without those inside archives; 16 GiB.
	Spool int64
	// Text bounds a file that is read into memory, such as a package.json, in
	// bytes; 1 MiB.
	Text int64
	// Components bounds the components of a package; 50,000.
	Components int
	// Depth bounds how deep archives are looked into: 1 is a .jar of the package
	// itself; 4.
	Depth int
	// Entries bounds the entries of all archives of a package; 2,000,000.
	Entries int
	// Expanded bounds what is read out of all archives of a package, once
	// decompressed, in bytes; 8 GiB. One entry is bounded by File or Text.
	Expanded int64
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// filled returns l with its defaults.
func (l Limits) filled() Limits {
	setDefault(&l.File, 1*gib)
	setDefault(&l.Spool, 16*gib)
	setDefault(&l.Text, 1*mib)
	setDefault(&l.Components, 50_000)
	setDefault(&l.Depth, 4)
	setDefault(&l.Entries, 2_000_000)
	setDefault(&l.Expanded, 8*gib)
	return l
}

func setDefault[T int | int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Name returns "inventory".
func (s *Scanner) Name() string { return "inventory" }

// Begin starts to take stock of a package. It does not fail: what needs
// SpoolDir asks for it when the first large program comes.
func (s *Scanner) Begin(ctx context.Context, sub scan.Subject) (scan.Pass, error) {
	log := s.Logger
	if log == nil {
		log = slog.Default()
	}
	limits := s.Limits.filled()
	return &pass{
		ctx:     ctx,
		log:     log.With("package", sub.Name, "version", sub.Version, "arch", sub.Arch),
		limits:  limits,
		left:    limits,
		dir:     s.SpoolDir,
		found:   newComponents(limits.Components),
		skipped: make(map[string]int),
	}, nil
}
