// Package sbom writes software bills of materials of Debian packages, as
// CycloneDX 1.6 or 1.5 and as SPDX 2.3, both in JSON.
//
// Write takes a Document, which is what is said once, and a sequence of Packages,
// which it walks once and in its order. A Package has all that is known of it:
// where it comes from, what it depends on, what it brings along inside, its
// licences, its vulnerabilities and what was decided about them. The package knows
// nothing of repositories: who calls it finds the dependencies, makes the package
// URLs, and maps licences to SPDX expressions.
//
// # Size
//
// A document is written element by element, each a struct of the format's library.
// What has to come after all packages, because it names several of them, goes to
// temporary files in Document.TempDir as soon as it is more than 64 KiB: relations,
// vulnerabilities, texts of licences. The other way would be to walk the packages
// twice. But then the two walks had to see the same packages, and a sequence out of
// a database transaction would keep that open for longer, or read it all again; a
// file of relations is smaller than what they are read from.
//
// What stays in memory is the package at hand, some 400 KiB of buffers, and for
// each reference in the document 11 bytes of hash, which tell a second one and
// dangling ones: 0.7 MB for the packages of Debian 12. In SPDX there are also the names of
// LicenseRef- licences, each with a digest of its text.
//
// # Determinism
//
// The same document and the same packages give the same bytes. Nothing is random
// and no clock is read: the serial number and the SPDX namespace are UUIDs of
// version 5 over the format, its version, and Document's Name, State and Flat. A
// State that stays when packages change makes two documents with one identity.
//
// # References
//
// A package is referred to by its package URL, embedded software by that of its
// package and a number, a source package in SPDX by its package URL and "#source".
// SPDX identifiers are made of these, reversibly, so that a+b and a-b do not
// become one. A document has no reference to anything that is not in it:
// dependencies that are not are left out, and count as missing. A second package
// with a reference is an error.
//
// # What comes from strangers
//
// Descriptions, names, addresses and whatever else packages say of themselves is
// made valid UTF-8 without control characters, and cut: names after 1 KiB, texts
// after 8 KiB, licences after 64 KiB. What has the wrong form for its field is left
// out: URLs that are not http, https or ftp (or for VCS git, ssh or svn), e-mail
// addresses, digests, package URLs of embedded software, scores out of range. A
// licence that is no expression becomes NOASSERTION, and what was declared a
// property.
//
// A LicenseRef- that two packages use with different texts has a digest added to
// its name in SPDX documents, since there it can have one text only. What embedded
// software declares is a licence when it is one expression, and a text when it is
// anything else.
//
// # CycloneDX
//
// The components of the document are the packages, those of a package what it brings
// along inside. The source package is the package's ancestor. Each package depends
// on others and on what it brings along. Compositions tell how complete the lists
// are: the root's as Document.Completeness has it, what packages bring along inside
// is always incomplete, and dependencies are complete unless some are missing.
//
// There is a vulnerability for each pair of an ID and what has it, with the analysis
// of that pair. The severity, which is the vendor's, and the CVSS score are two
// ratings. Properties have what there is no field for:
//
//	repod:arch, :distribution, :section, :status   of a package
//	repod:size                  of its file, in bytes
//	repod:license               NOASSERTION when there is no licence
//	repod:license_declared      that is no expression
//	repod:copyright_sha256      digest of debian/copyright
//	repod:unresolved            a clause of Depends that nothing satisfies
//	repod:ecosystem             of embedded software
//	repod:kev, :epss, :fixed_version               of a vulnerability
//
// Version 1.5 has no manufacturers, no acknowledgement of licences and no
// references to source code: the author's name, nothing, and a reference of type
// other take their places. All that is said of vulnerabilities is in both.
//
// # SPDX
//
// The document describes the root, which contains the packages. Source packages and
// embedded software are packages of the document too, GENERATED_FROM and CONTAINS
// lead to them. In a flat document there is nothing but the packages, and it
// describes them. A package that depends on nothing depends on NONE, one whose
// dependencies are not all known on NOASSERTION. Properties are lines of the
// package's comment, and so is the distributor, repod:distributor. Of a
// vulnerability there are the addresses, as external references of the category
// SECURITY, with its ID and the state of its analysis as their comment.
//
// # NTIA and BSI
//
// The minimum elements of NTIA (2021) and the fields of BSI TR-03183-2 (2.1.0), and
// what has them in either format. Those of a package are there if it has what they
// are made of, and package sbomtest checks that they are.
//
//	NTIA                         CycloneDX                           SPDX
//	author of SBOM data          metadata.authors                    creationInfo.creators
//	timestamp                    metadata.timestamp                  creationInfo.created
//	supplier name                supplier.name                       supplier
//	component name               name                                name
//	component version            version                             versionInfo
//	other unique identifiers     purl                                externalRefs purl
//	dependency relationship      dependencies                        DEPENDS_ON
//
//	BSI, document
//	creator of the SBOM          metadata.manufacturer (1.6)         creationInfo.creators
//	SBOM-URI                     serialNumber                        documentNamespace
//
//	BSI, component
//	component creator            manufacturer (1.6), supplier        originator
//	filename                     bsi:component:filename              packageFileName
//	completeness of dependencies compositions                        DEPENDS_ON NONE, NOASSERTION
//	licences                     licenses, declared                  licenseDeclared
//	hash value                   externalReferences distribution,    checksums SHA512
//	                             SHA-512; hashes
//	executable property          bsi:component:executable            -
//	archive property             bsi:component:archive               -
//	structured property          bsi:component:structured            -
//	URI of the deployable form   externalReferences distribution     downloadLocation
//	source code URI              externalReferences                  downloadLocation of the
//	                             source-distribution                 source package
//
// What cannot be given:
//
//   - TR-03183-2 accepts SPDX from 3.0.1 on and CycloneDX from 1.6 on. Documents in
//     SPDX 2.3 and CycloneDX 1.5 have its fields as far as they can, and do not
//     conform.
//   - It forbids vulnerabilities in an SBOM. They are there only if packages have
//     them: leave them out for a document that is to conform.
//   - Distribution licences, which it wants "concluded": nobody has concluded
//     anything, so that the licences that debian/copyright declares, its original
//     licences, are given alone. It accepts no NOASSERTION, which is the truth where
//     a copyright file is for people only.
//   - Embedded software has no digest, no creator, and of BSI's properties the
//     filename alone: it is known by what it says of itself.
//   - Hashes of source code, security.txt and effective licences, which it leaves
//     to the author.
package sbom
