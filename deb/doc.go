// Package deb reads Debian's formats: binary packages (deb(5)), control
// stanzas (deb822(5)), version numbers (deb-version(7)) and relationships
// between packages (Debian Policy, chapter 7).
//
// # Reading packages
//
// Read reads a whole package, ReadControl its control part alone. Both are for
// packages from strangers. dpkg, apt, tar and Go's own archive/tar disagree
// about what many malformed archives contain, which lets a package show one
// name to the repository and another to the machine that installs it. Therefore
// only those packages pass that all of them read alike:
//
//   - The ar archive has debian-binary, control.tar and data.tar in this order,
//     each once, and besides them only members whose name starts with an
//     underscore. Headers are plain, paddings in place, and nothing follows.
//   - The two archives are uncompressed or compressed with gzip, xz or zstd.
//     Checksums are verified to the end of the stream and nothing follows it. Where
//     dpkg reads the first xz stream or zstd frame only, the archive ends in it.
//   - The tar archives have V7, POSIX or GNU headers with correct checksums; no
//     pax headers, sparse files, devices or pipes. Paths are relative, in simplest
//     form, UTF-8, and used once; nothing lies below a symbolic link; hard links
//     point to earlier files.
//   - The control file is one stanza without doubtful bytes. It has Package,
//     Version and Architecture, each fit to be part of a file name; the fields that
//     programs interpret can be interpreted; none belongs to the archive, such as
//     Filename or SHA256.
//
// What dpkg cannot install is refused as well, and so are obsolete compressions
// (bzip2, lzma). The tests name some 350 malformed packages with the Reason of
// their refusal, and those odd ones that are fine.
//
// Reading is streaming and bounded: nothing is written to disk, no outside
// program runs, and memory and time stay in proportion to the Limits, whatever a
// package claims. A package costs at most one dictionary (64 MiB) or window
// (128 MiB) at a time, plus some 50 bytes for each entry of data.tar.
//
// # Writing packages
//
// New.Build makes a package of a control stanza and some files, byte for byte the
// same each time, without any outside program. It is for packages that a program
// makes of what it knows; to package software, use Debian's tools.
//
// # Errors
//
// A package at fault gives a *FormatError with a stable Reason and a message
// that can be shown to whoever made it; if a limit was exceeded, errors.Is(err,
// ErrTooLarge) holds. All other errors come from the caller's reader and
// functions and are returned as they are.
//
// # Concurrency
//
// Functions may be called from several goroutines at once. Values may be read
// by several at once if nobody changes them.
package deb
