// Package upstream reads other people's APT archives: it fetches their indices,
// believes nothing that is not signed by the keys of the source, and downloads
// packages as those indices describe them. It follows Debian's repository
// format (https://wiki.debian.org/DebianRepository/Format), apt-secure(8) and
// deb822(5).
//
// A [Syncer] brings the packages of a [Source] into a [Catalog], from which
// users search and dependencies are resolved. A [Downloader] fetches one of
// them, and [MatchesControl] holds it against its index.
//
// # What is believed, and why
//
// Each source names its keys, which count for it alone. An InRelease file, or
// Release with Release.gpg, must be signed by one of them; of it only the text
// that was signed is read. It must be of the wanted suite, keep origin and
// codename, be dated neither in the future nor before an earlier one, and be
// valid still, which is asked again when the server says that nothing has
// changed. From it hashes lead to the Packages files: the size and SHA-256 of
// what is fetched are checked before it is opened, and those of what was
// opened before it is parsed. From these, hashes lead to the packages. SHA-256
// is required; where only other hashes are listed, an archive is refused.
//
// Anything wrong is a [*Failure], with the code and the reason for which the
// source was refused. Then the catalogue stays as it was: one bad stanza
// refuses a whole archive, since who signs it has lost control of it.
//
// # What it costs
//
// A source that has not changed costs one request, which the server answers
// without a body. Otherwise only Packages files that have changed are fetched,
// as patches where the archive has some. Memory does not grow with an index:
// Debian's main, 50 MB, takes about 30 MB and one second.
package upstream
