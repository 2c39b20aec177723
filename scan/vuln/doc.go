// Package vuln tells which known vulnerabilities a package has. It works on a
// local database, made from public data that somebody fetched: nothing here
// reaches the network.
//
// # Feeds
//
// [DB.Import] reads feeds. A feed of kind [Debian] is the JSON of Debian's
// security tracker; [Ubuntu] and [OSV] are advisories in the format of OSV,
// singly, in a directory or in a zip file; [KEV] is CISA's catalogue of
// vulnerabilities that are known to be exploited, and [EPSS] the table of the
// probabilities that they will be.
//
// Feeds come from outside and may be broken. One that cannot be read as a
// whole, that has lost more than a fifth of its records, or a release it used
// to cover, is refused, and the data of its last import stay in use. [DB.Status]
// tells how old they are.
//
// # Database
//
// A database is a directory:
//
//	current               names the generation in use: "gen-00000042"
//	gen-00000042/         never changes once it has this name
//	    manifest.json     the feeds: their dates, sizes and sums
//	    0.seg             what one feed says, sorted by package
//	gen-00000041/         the one before, for readers that are still at it
//	status.json           how the last import of each feed went
//	lock                  held by the process that imports
//
// A new generation is written beside the others, flushed, renamed, and then
// named in current. Whoever dies on the way leaves the former in use. Any number
// of processes may read while one imports; segments of feeds that did not change
// are hard links. [DB.Export] writes the generation as a signed tar, which
// [DB.ImportBundle] takes on a machine without network.
//
// # Matching
//
// [DB.Match] holds the source package, never the binary one, against the data
// of the vendor's release that the package is for: a fifth of Debian's binary
// packages have another version than their source. Software that a package
// brings along is held against the data of its own ecosystem, unless the package
// is the vendor's, who answers for that. Versions are compared by the rules of
// their ecosystem, see [CompareVersions].
//
// Where Debian's tracker covers a release, it alone decides; Debian's OSV
// advisories then only add their names. It knows more: which flaws do not matter
// (urgency unimportant: severity negligible, does not gate), which ones will not
// be fixed, and why.
//
// All that speaks of one CVE becomes one finding. It is fixed by the first
// version that nobody calls affected.
package vuln
