package copyright_test

import (
	"strings"
	"testing"

	"github.com/repod-io/repod/deb/copyright"
)

// expression returns what a License field stands for, with the hashes at the
// ends of references replaced by "#".
func expression(t *testing.T, license string, more ...string) string {
	t.Helper()
	f := copyright.Parse(under(license, more...))
	if !f.MachineReadable {
		t.Fatalf("%s makes the file free text", license)
	}
	checkFile(t, f)
	out := f.Expression
	for _, r := range f.Refs {
		if hashed.MatchString(r.ID) {
			out = strings.ReplaceAll(out, r.ID, hashed.ReplaceAllString(r.ID, "#"))
		}
	}
	return strings.ReplaceAll(out, "LicenseRef-Debian-", "ref:")
}

func TestNames(t *testing.T) {
	for _, tt := range [][2]string{
		// GNU licences
		{"GPL-1", "GPL-1.0-only"}, {"GPL-1+", "GPL-1.0-or-later"},
		{"GPL-2", "GPL-2.0-only"}, {"GPL-2+", "GPL-2.0-or-later"},
		{"GPL-3", "GPL-3.0-only"}, {"GPL-3+", "GPL-3.0-or-later"},
		{"GPL-2.0", "GPL-2.0-only"}, {"GPL-2.0+", "GPL-2.0-or-later"}, {"GPL-2.0.0", "GPL-2.0-only"},
		{"GPLv2", "GPL-2.0-only"}, {"GPLv2+", "GPL-2.0-or-later"}, {"GPL-v2+", "GPL-2.0-or-later"},
		{"GPL 2+", "GPL-2.0-or-later"}, {"GPL2+", "GPL-2.0-or-later"}, {"gpl-2+", "GPL-2.0-or-later"}, {"GPL_2+", "GPL-2.0-or-later"},
		{"GPL 2 +", "GPL-2.0-or-later"}, {"GNU GPL v3", "GPL-3.0-only"}, {"GPL version 3", "GPL-3.0-only"},
		{"GPL-2 or later", "GPL-2.0-or-later"}, {"GPL v2 or any later version", "GPL-2.0-or-later"}, {"GPL-2 or newer", "GPL-2.0-or-later"},
		{"GPL-2.0-only", "GPL-2.0-only"}, {"GPL-2.0-or-later", "GPL-2.0-or-later"}, {"gpl-2-or-later", "GPL-2.0-or-later"},
		{"LGPL-2", "LGPL-2.0-only"}, {"LGPL-2+", "LGPL-2.0-or-later"}, {"LGPL-2.1", "LGPL-2.1-only"}, {"LGPL-2.1+", "LGPL-2.1-or-later"},
		{"LGPL2.1+", "LGPL-2.1-or-later"}, {"LGPL-3+", "LGPL-3.0-or-later"}, {"AGPL-3", "AGPL-3.0-only"}, {"AGPL-3+", "AGPL-3.0-or-later"},
		{"GFDL-1.1+", "GFDL-1.1-or-later"}, {"GFDL-1.3", "GFDL-1.3-only"}, {"FDL-1.2+", "GFDL-1.2-or-later"},
		{"GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"}, {"GFDL-NIV-1.2", "GFDL-1.2-no-invariants-only"},
		{"GFDL-1.3+-no-invariants", "GFDL-1.3-no-invariants-or-later"}, {"GFDL-1.3-invariants-only", "GFDL-1.3-invariants-only"},
		{"GPL-4", "ref:gpl-4"}, {"GPL-2.1+", "ref:gpl-2.1#"}, {"LGPL-1", "ref:lgpl-1"}, {"GFDL-2", "ref:gfdl-2"},
		{"GPL-NIV-2", "ref:gpl-niv-2"}, {"GPL-2+-only", "ref:gpl-2-only#"}, {"GPL-2-", "GPL-2.0-only"}, {"GPL-2++", "ref:gpl-2#"},
		{"LPGL-2.1+", "ref:lpgl-2.1#"}, {"XGPL-2", "ref:xgpl-2"}, {"GPL-2-like", "ref:gpl-2-like"}, {"GPL-2 like", "ref:gpl-2-like#"},

		// without a version
		{"GPL", "ref:gpl"}, {"GPL+", "ref:gpl#"}, {"LGPL", "ref:lgpl"}, {"GFDL", "ref:gfdl"}, {"Apache", "ref:apache"}, {"MPL", "ref:mpl"},
		{"CC-BY-SA", "ref:cc-by-sa"}, {"PSF", "ref:psf"}, {"Python", "ref:python"}, {"BSL", "ref:bsl"},

		// with another identifier, or none
		{"Expat", "MIT"}, {"EXPAT", "MIT"}, {"MIT", "ref:mit"}, {"MIT License", "ref:mit-license#"}, {"MIT/X11", "ref:mit-x11#"}, {"X11", "ref:x11"},
		{"Perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"}, {"same as Perl", "Artistic-1.0-Perl OR GPL-1.0-or-later"},
		{"Same as Perl itself", "Artistic-1.0-Perl OR GPL-1.0-or-later"},
		{"Artistic", "Artistic-1.0-Perl"}, {"Artistic-1.0", "Artistic-1.0"}, {"Artistic-2", "Artistic-2.0"},
		{"CC0", "CC0-1.0"}, {"Boost", "BSL-1.0"}, {"Boost-1.0", "BSL-1.0"}, {"zlib/libpng", "Zlib"}, {"OpenLDAP-2.8", "OLDAP-2.8"}, {"UIUC", "NCSA"},
		{"public-domain", "ref:public-domain"}, {"PD", "ref:pd"}, {"Public Domain", "ref:public-domain#"},
		{"BSD", "ref:bsd"}, {"BSD-like", "ref:bsd-like"}, {"BSD-3-clause-Regents", "ref:bsd-3-clause-regents"}, {"Modified-BSD-License", "ref:modified-bsd-license"},
		{"FreeBSD", "ref:freebsd"}, {"BSD-2-clause-NetBSD", "ref:bsd-2-clause-netbsd"}, {"bzip2-1.0.5", "ref:bzip2-1.0.5"}, // deprecated by SPDX

		// SPDX's own
		{"BSD-2-clause", "BSD-2-Clause"}, {"BSD-3-clause", "BSD-3-Clause"}, {"BSD-4-clause", "BSD-4-Clause"}, {"bsd 3-clause", "BSD-3-Clause"},
		{"BSD-3", "BSD-3-Clause"}, {"BSD2", "BSD-2-Clause"}, {"3-clause BSD", "BSD-3-Clause"}, {"BSD_3_Clause", "BSD-3-Clause"},
		{"Apache-2", "Apache-2.0"}, {"Apache-2.0", "Apache-2.0"}, {"Apache License 2.0", "Apache-2.0"}, {"Apache v2.0", "Apache-2.0"},
		{"ASL-2.0", "Apache-2.0"}, {"Apache2", "Apache-2.0"}, {"Apache-2.0+", "Apache-2.0+"}, {"MPL-1.1+", "MPL-1.1+"}, {"MPL-2", "MPL-2.0"},
		{"CC-BY-SA-3", "CC-BY-SA-3.0"}, {"cc-by-4.0", "CC-BY-4.0"}, {"CC-BY-3.0-US", "CC-BY-3.0-US"}, {"OFL-1.1", "OFL-1.1"}, {"SIL-1.1", "OFL-1.1"},
		{"ISC", "ISC"}, {"Zlib", "Zlib"}, {"ZLIB", "Zlib"}, {"Zlib-License", "Zlib"}, {"WTFPL-2", "WTFPL"}, {"FSFULLR", "FSFULLR"}, {"0BSD", "0BSD"},
		{"AGPL-1.0-only", "AGPL-1.0-only"}, {"BSD-3-clause+", "ref:bsd-3-clause#"}, {"ISC+", "ref:isc#"},
		{"Intel", "ref:intel"}, {"any-OSI", "ref:any-osi"}, {"LicenseRef-x", "ref:licenseref-x"}, {"NONE", "ref:none"}, {"NOASSERTION", "ref:noassertion"},
	} {
		if got := expression(t, tt[0]); got != tt[1] {
			t.Errorf("%s: %s, want %s", tt[0], got, tt[1])
		}
	}
}

func TestExceptions(t *testing.T) {
	for _, tt := range [][2]string{
		{"GPL-2+ with Font exception", "GPL-2.0-or-later WITH Font-exception-2.0"},
		{"GPL-2+ with the Font exception", "GPL-2.0-or-later WITH Font-exception-2.0"},
		{"GPL-2+ WITH FONT EXCEPTION", "GPL-2.0-or-later WITH Font-exception-2.0"},
		{"GPL-2+-with-font-exception", "GPL-2.0-or-later WITH Font-exception-2.0"},
		{"GPL-2+ with Font-exception-2.0", "GPL-2.0-or-later WITH Font-exception-2.0"},
		{"GPL-2 with Classpath exception", "GPL-2.0-only WITH Classpath-exception-2.0"},
		{"GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"},
		{"GPL-2+ with Libtool exception", "GPL-2.0-or-later WITH Libtool-exception"},
		{"GPL-2+-libtool-exception", "GPL-2.0-or-later WITH Libtool-exception"},
		{"GPL-2 with Linux-syscall-note exception", "GPL-2.0-only WITH Linux-syscall-note"},
		{"GPL-2.0 WITH Linux-syscall-note", "GPL-2.0-only WITH Linux-syscall-note"},
		{"GPL-3+ with Bison exception", "GPL-3.0-or-later WITH Bison-exception-2.2"},
		{"GPL-2+ with Bison-2.2 exception", "GPL-2.0-or-later WITH Bison-exception-2.2"},
		{"GPL-3+ with GCC exception", "GPL-3.0-or-later WITH GCC-exception-3.1"},
		{"GPL-3+ with GCC-Runtime-Library exception", "GPL-3.0-or-later WITH GCC-exception-3.1"},
		{"GPL-2+ with GCC exception", "GPL-2.0-or-later WITH GCC-exception-2.0"},
		{"Apache-2.0 with LLVM exception", "Apache-2.0 WITH LLVM-exception"},
		{"Apache-2.0 with LLVM exceptions", "Apache-2.0 WITH LLVM-exception"},
		{"GPL-2 or later with Font exception", "GPL-2.0-or-later WITH Font-exception-2.0"},

		{"GPL-2+ with Bison exception", "ref:gpl-2-with-bison-exception#"}, // of two texts
		{"GPL-2+ with Autoconf exception", "ref:gpl-2-with-autoconf-exception#"},
		{"GPL-2+ with OpenSSL exception", "ref:gpl-2-with-openssl-exception#"},
		{"GPL-3+OpenSSL-exception", "ref:gpl-3-openssl-exception#"},
		{"GPL-2+ with exception", "ref:gpl-2-with-exception#"},
		{"GPL-2+ with", "ref:gpl-2-with#"},
		{"GPL with Classpath exception", "ref:gpl-with-classpath-exception#"},
		{"Foo with Font exception", "ref:foo-with-font-exception#"},
		{"Perl with Font-exception-2.0", "ref:perl-with-font-exception-2.0#"},
		{"Perl with Font exception", "ref:perl-with-font-exception#"},
		{"GPL-2+ with Font and OpenSSL exceptions", "ref:gpl-2-with-font-and-openssl-exceptions#"},
		{"Font exception", "ref:font-exception#"},
	} {
		if got := expression(t, tt[0]); got != tt[1] {
			t.Errorf("%s: %s, want %s", tt[0], got, tt[1])
		}
	}
}

func TestOperators(t *testing.T) {
	for _, tt := range [][2]string{
		{"ISC or Zlib", "ISC OR Zlib"},
		{"Zlib OR isc", "ISC OR Zlib"},
		{"ISC and Zlib", "ISC AND Zlib"},
		{"ISC and/or Zlib", "ISC AND Zlib"},
		{"ISC or Zlib or ISC", "ISC OR Zlib"},
		{"ISC or Zlib and W3C", "(W3C AND Zlib) OR ISC"},
		{"ISC or Zlib, and W3C", "(ISC OR Zlib) AND W3C"},
		{"ISC and Zlib, or W3C", "(ISC AND Zlib) OR W3C"},
		{"ISC or Zlib, and Zlib or ISC", "ISC OR Zlib"},
		{"ISC or Zlib, and W3C or Beerware, and Unlicense", "(Beerware OR W3C) AND (ISC OR Zlib) AND Unlicense"},
		{"ISC, Zlib", "ISC AND Zlib"},
		{"ISC, Zlib and W3C", "ISC AND W3C AND Zlib"},
		{"ISC, Zlib or W3C", "ISC OR W3C OR Zlib"},
		{"ISC, Zlib, or W3C", "ISC OR W3C OR Zlib"},
		{"ISC, Zlib, and W3C", "ISC AND W3C AND Zlib"},
		{"(ISC or Zlib) and W3C", "(ISC OR Zlib) AND W3C"},
		{"((ISC))", "ISC"},
		{"foo(bar) or ISC", "ISC OR ref:foo-bar#"},
		{"(ISC or Zlib), (W3C or Zlib)", "ref:isc-or-zlib-w3c-or-zlib#"}, // says nothing of the comma
		{"GPL-2+ with Font exception or Expat, and ISC", "(GPL-2.0-or-later WITH Font-exception-2.0 OR MIT) AND ISC"},
		{"GPL-2 or later or Expat", "GPL-2.0-or-later OR MIT"},
		{"Perl or GPL-1+", "Artistic-1.0-Perl OR GPL-1.0-or-later"},
		{"Perl and ISC", "(Artistic-1.0-Perl OR GPL-1.0-or-later) AND ISC"},
		{"ISC or foo", "ISC OR ref:foo"},

		// what cannot be understood is one reference
		{"ISC or", "ref:isc-or#"},
		{"or ISC", "ref:or-isc#"},
		{"ISC or or Zlib", "ref:isc-or-or-zlib#"},
		{"ISC or and Zlib", "ref:isc-or-and-zlib#"},
		{"ISC, ", "ref:isc#"},
		{", ISC", "ref:isc#"},
		{"ISC,, Zlib", "ref:isc-zlib#"},
		{"(ISC or Zlib", "ref:isc-or-zlib#"},
		{"ISC or Zlib)", "ref:isc-or-zlib#"},
		{"()", "ref:license#"},
		{"ISC (or Zlib)", "ref:isc-or-zlib#"},
		{"ISC, and Zlib, or W3C", "ref:isc-and-zlib-or-w3c#"},
		{"ISC or Zlib, W3C", "ref:isc-or-zlib-w3c#"},
		{"ISC, Zlib or W3C and Zlib", "ref:isc-zlib-or-w3c-and-zlib#"},
		{"or later", "ref:or-later#"},
		{strings.Repeat("(", 17) + "ISC" + strings.Repeat(")", 17), "ref:isc#"},
		{strings.Repeat("(", 16) + "ISC" + strings.Repeat(")", 16), "ISC"},
		{"ISC" + strings.Repeat(" or ISC", 200), "ref:isc" + strings.Repeat("-or-isc", 8) + "-or-i#"},
	} {
		if got := expression(t, tt[0]); got != tt[1] {
			t.Errorf("%s: %s, want %s", tt[0], got, tt[1])
		}
	}
}

// TestQuotedTexts has names that several texts go by.
func TestQuotedTexts(t *testing.T) {
	mit := func(text string) string { return "License: MIT" + text }
	xorg := strings.Replace(expatText, "this permission notice shall", "this permission\n notice (including the next paragraph) shall", 1)
	x11 := expatText + ` .
 Except as contained in this notice, the names of the authors shall not be used
 in advertising or otherwise to promote the sale, use or other deal-
 ings in this Software without prior written authorization from the authors.
`
	variant := strings.Replace(x11, "distribute, sub", "distribute,\n distribute with modifications, sub", 1)
	condition := "\n You must not sell this." + expatText
	advice := strings.Replace(expatText, "portions of the Software.\n", "portions of the Software.\n .\n Send a postcard.\n", 1)
	for _, tt := range []struct {
		name, license string
		paragraphs    []string
		want          string
	}{
		{"Expat", "MIT", []string{mit(expatText)}, "MIT"},
		{"Expat of X.org", "MIT", []string{mit(xorg)}, "MIT"},
		{"with notice", "MIT", []string{mit("\n Copyright (c) 2024 Somebody <x@example.org>\n" + expatText[1:])}, "MIT"},
		{"within an expression", "MIT or Apache-2.0", []string{mit(expatText)}, "Apache-2.0 OR MIT"},
		{"in another case", "mit", []string{mit(expatText)}, "MIT"},
		{"twice", "MIT", []string{mit(expatText), mit(expatText)}, "MIT"},
		{"in a paragraph about files", "MIT", []string{"Files: a\nLicense: MIT" + expatText}, "MIT"},
		{"X11 under the name MIT", "MIT", []string{mit(x11)}, "X11"},
		{"X11", "X11", []string{"License: X11" + x11}, "X11"},
		{"X11 with FSF's addition", "X11", []string{"License: X11" + x11 + " .\n FSF changes to this file are in the public domain.\n"}, "X11"},
		{"X11 of ncurses", "MIT/X11", []string{"License: MIT/X11" + variant}, "X11-distribute-modifications-variant"},
		{"Expat under the name X11", "X11", []string{"License: X11" + expatText}, "MIT"},
		{"no text of X11", "X11", nil, "ref:x11"},
		{"variant without advertising", "X11", []string{"License: X11" + strings.Replace(expatText, "distribute, sub", "distribute, distribute with modifications, sub", 1)}, "ref:x11"},
		{"no text", "MIT", nil, "ref:mit"},
		{"two texts", "MIT", []string{mit(expatText), mit(x11)}, "ref:mit"},
		{"two texts, the other way round", "MIT", []string{mit(x11), mit(expatText)}, "ref:mit"},
		{"another condition behind", "MIT", []string{mit(expatText + " Send a postcard.\n")}, "ref:mit"},
		{"behind that of X11", "MIT", []string{mit(x11 + " Send a postcard.\n")}, "ref:mit"},
		{"a request in front", "MIT", []string{mit("\n Send a postcard." + expatText)}, "ref:mit"},
		{"title", "MIT", []string{mit("\n The MIT License (MIT)\n .\n Copyright (c) 2024 Somebody\n ." + expatText)}, "MIT"},
		{"another condition in front", "MIT", []string{mit(condition)}, "ref:mit"},
		{"another condition in the notices", "MIT", []string{mit("\n Copyright 2024 Somebody. You must not sell this." + expatText)}, "ref:mit"},
		{"another condition within", "MIT", []string{mit(advice)}, "ref:mit"},
		{"a word less", "MIT", []string{mit(strings.Replace(expatText, "publish, ", "", 1))}, "ref:mit"},
		{"text of another name", "MIT", []string{"License: MIT-1" + expatText}, "ref:mit"},
		{"another name", "MIT-1", []string{"License: MIT-1" + expatText}, "ref:mit-1"},

		{"Autoconf", "GPL-2+ with Autoconf exception", []string{"License: GPL-2+ with Autoconf exception" + autoconfText}, "GPL-2.0-or-later WITH Autoconf-exception-generic"},
		{"its macros", "GPL-3+ with AutoConf exception", []string{"License: GPL-3+ with AutoConf exception" + macroText}, "GPL-3.0-or-later WITH Autoconf-exception-macro"},
		{"by section 7", "GPL-3+ with Autoconf exception", []string{"License: GPL-3+ with Autoconf exception" + autoconfText +
			" This Exception is an additional permission under section 7 of the GNU General\n Public License, version 3.\n"}, "GPL-3.0-or-later WITH Autoconf-exception-generic-3.0"},
		{"both", "GPL-2+ with Autoconf exception", []string{"License: GPL-2+ with Autoconf exception" + autoconfText + macroText[1:]}, "ref:gpl-2-with-autoconf-exception#"},
		{"neither", "GPL-2+ with Autoconf exception", []string{"License: GPL-2+ with Autoconf exception\n Ask.\n"}, "ref:gpl-2-with-autoconf-exception#"},
	} {
		got := expression(t, tt.license, tt.paragraphs...)
		if got != tt.want && got != tt.want+" AND "+tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
