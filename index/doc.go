// Package index writes and reads the index of an APT repository: Packages
// files, Release files and their OpenPGP signatures, as Debian's repository
// format (https://wiki.debian.org/DebianRepository/Format), deb822(5),
// apt-secure(8) and RFC 9580 (formerly RFC 4880) describe them.
//
// A [Release] lists index files with their hashes and is signed by a [Signer],
// normally an [OpenPGP] with one or more keys. [Verify] checks an InRelease
// file and returns the text that was signed; [ParseRelease] reads that text.
//
// A [Log] is one Packages file. Stanzas are appended; all but the last 128 KiB
// are kept in immutable chunks outside, together with the state of the hash
// functions at each chunk's end. Publishing one more package therefore costs
// the same in a repository of a thousand packages and of a million: apt does
// not care in which order stanzas stand, and reads a gzip file of many members
// as one. A [History] makes patches from which clients that hold an earlier
// state of the file get the present one, in a fraction of the bytes.
//
//	log := index.NewLog()
//	text, err := index.AppendStanza(nil, control, file)
//	log, err := log.Apply(ctx, blobs, index.Edit{Add: [][]byte{text}})
//	release.Files = log.Files("main/binary-amd64/Packages")
//	text, err = release.AppendTo(nil)
//	inRelease, err := signer.ClearSign(ctx, text)
//
// Nothing in this package touches files, the network or the environment.
package index
