// Package aptrepo keeps a signed APT repository: distributions, the packages
// published in them, and the rules that make them safe to serve.
//
// A [Repo] stands on a [storage.Backend], where files live, and a [Store],
// where everything else does. [Repo.Publish] reads a .deb strictly (package
// deb), stores it, records it together with its audit entry in one
// transaction, and returns when a signed index names it: from then on apt
// finds it. The same name, version and architecture never gets other bytes.
//
// # Publication
//
// Changes of a distribution form a log in the Store. Its publisher takes all
// that was committed since its last run, appends to the index files (package
// index: immutable chunks and a tail, so the cost does not grow with the
// repository), signs, writes a manifest to storage, and makes it current by
// a compare-and-swap of the generation number in the Store. Readers are
// served from an immutable snapshot that is swapped whole. A crash at any
// step leaves the former generation valid; [Repo.Recover] finishes by the
// same code. Several processes may publish the same distribution: who comes
// second starts again from the first one's generation.
//
// # Storage layout
//
//	pool/COMPONENT/PREFIX/SOURCE/NAME_VERSION_ARCH.deb   packages, as in Debian
//	index/CODENAME/blobs/XX/HASH                         chunks of index files
//	index/CODENAME/generations/NUMBER-HASH.json          manifests
//	dists/CODENAME/...                                   only with Materialise
//	lost+found/...                                       what Fsck moved away
//	audit/head.json                                      an earlier end of the audit log
//	audit/archive/FIRST.jsonl.gz                         its oldest entries, see RunRetention
//
// # Who acts
//
// Changes are made, audited and limited in the name of the context's [Actor].
package aptrepo
