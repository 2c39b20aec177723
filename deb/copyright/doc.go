// Package copyright reads the copyright files of Debian packages (Debian
// Policy, 12.5): what licences a package is under, as an SPDX licence expression
// (SPDX specification 2.3, Annex D) of the SPDX licence list 3.28.0.
//
// # What is read
//
// Files in the machine-readable format 1.0 ("DEP-5"): those whose first
// paragraph has a Format field with one of the addresses that the format has had
// on debian.org. All others are free text, also those that merely look alike:
// what their fields mean was never said. Nothing is concluded from free text.
//
// The expression joins by AND what all paragraphs about files and the header
// state, each once and in alphabetical order. This includes the paragraph about
// debian/*: manual pages, scripts and patches from there are in binary packages,
// and no paragraph tells. The file speaks for a source package, so the expression
// may name more than what is in one of its binary packages.
//
// A field may join licences: "and" binds stronger than "or", a comma in front of
// them weaker. "and/or", which programs write when they do not know, and a mere
// comma count as "and": that grants the least.
//
// # Names
//
// Debian's short names are not SPDX's identifiers. A name is replaced by an
// identifier only where it says precisely that licence:
//
//   - GPL-2 is GPL-2.0-only and GPL-2+ is GPL-2.0-or-later, likewise LGPL, AGPL,
//     GFDL and GFDL-NIV, in all customary spellings.
//   - Expat is MIT. Debian's own MIT is none in particular, and the format
//     advises against it; X11 is in use for no fewer. What the file quotes under
//     such a name decides, if it is the text of MIT, X11 or
//     X11-distribute-modifications-variant, word by word.
//   - Artistic is Artistic-1.0-Perl, the text that Debian keeps under that name;
//     Perl is that or GPL-1.0-or-later.
//   - SPDX's own identifiers stand for themselves, without regard to case and to
//     ".0" at the end of versions: Apache-2 is Apache-2.0.
//   - "with ... exception" becomes WITH if SPDX has a text for that exception and
//     that licence. Autoconf exceptions have several, of which the quoted text
//     must be one. OpenSSL exceptions have even more, each by the name of a
//     program, and remain references.
//   - A name without a version, such as GPL or Apache, means the lowest version by
//     the format. Hardly anybody means that: it is no claim that could be relied
//     upon, and becomes a reference. So do BSD and its unnumbered relatives.
//
// What has no identifier becomes a reference, such as
// LicenseRef-Debian-public-domain, which stands for whatever copyright files
// call by that name (see [Ref]). A field that cannot be understood becomes one
// reference as a whole. Therefore an expression is always complete: where
// nothing can be said of some files, there is a reference for it.
//
// # Hostile files
//
// Reading never fails, and takes time and memory in proportion to the file. What
// exceeds the bounds counts as free text: 4 MiB of text, 50,000 paragraphs, 2,000
// different names and an expression of 64 KiB. The largest of some 700 files of
// Debian 12 has 2 MiB, the longest expression 1 KiB.
package copyright
