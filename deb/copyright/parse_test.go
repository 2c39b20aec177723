package copyright_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb/copyright"
)

const format = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"

// under is a copyright file of a package under one licence, with further
// paragraphs.
func under(license string, more ...string) []byte {
	return []byte(format + "\nFiles: *\nCopyright: 2024 Somebody\nLicense: " + license + "\n\n" + strings.Join(more, "\n"))
}

const (
	expatText = `
 Permission is hereby granted, free of charge, to any person obtaining a copy
 of this software and associated documentation files (the "Software"), to
 deal in the Software without restriction, including without limitation the
 rights to use, copy, modify, merge, publish, distribute, sublicense, and/or
 sell copies of the Software, and to permit persons to whom the Software is
 furnished to do so, subject to the following conditions:
 .
 The above copyright notice and this permission notice shall be included in
 all copies or substantial portions of the Software.
 .
 THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
 ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
 WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`
	autoconfText = `
 As a special exception to the GNU General Public License, if you distribute
 this file as part of a program that contains a configuration script generated
 by Autoconf, you may include it under the same distribution terms that you
 use for the rest of that program.
`
	macroText = `
 As a special exception, the respective Autoconf Macro's copyright owner gives
 unlimited permission to copy, distribute and modify the configure scripts
 that are the output of Autoconf when processing the Macro.
`
)

func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   bool
	}{
		{"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", true},
		{"Format: http://www.debian.org/doc/packaging-manuals/copyright-format/1.0", true},
		{"format: HTTPS://WWW.Debian.org/doc/packaging-manuals/copyright-format/1.0/", true},
		{"Format:\n https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", true},
		{"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\r", true},
		{"\ufeffFormat: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", true},
		{"# a remark\n\nFormat: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", true},
		{"Upstream-Name: hello\nFormat: https://debian.org/doc/packaging-manuals/copyright-format/1.0/", true},
		{"Format: www.debian.org/doc/packaging-manuals/copyright-format/1.0/", true},
		{"Format: http://www.debian.org/doc/debian-policy/copyright-format-1.0.html", true},
		{"Format: http://dep.debian.net/deps/dep5", true},
		{"Format: http://dep.debian.net/deps/dep5/", true},
		{"Format: http://svn.debian.org/wsvn/dep/web/deps/dep5.mdwn?op=file&rev=166", true},
		{"Format-Specification: http://svn.debian.org/wsvn/dep/web/deps/dep5.mdwn?rev=174", true},
		{"Format-Specification: http://anonscm.debian.org/viewvc/dep/web/deps/dep5.mdwn?revision=174&view=markup", true},
		{"Format: http://anonscm.debian.org/loggerhead/dep/dep5/trunk/annotate/179/dep5/copyright-format.xml", true},
		{"Format-Specification: http://wiki.debian.org/Proposals/CopyrightFormat?action=recall&rev=196", true},

		{"Upstream-Name: hello", false},
		{"Upstream-Name: hello\n\n" + format, false}, // not in the first paragraph
		{"This package was debianized by: somebody\n" + format, true},
		{"Format:", false},
		{"Format: 1.0", false},
		{"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/2.0/", false},
		{"Format: https://www.debian.org/doc/packaging-manuals/", false},
		{"Format: https://dep-team.pages.debian.net/deps/dep50/", false},
		{"Format: https://example.org/copyright-format/1.0/", false},
		{"Format: https://notdebian.org/copyright-format/1.0/", false},
		{"Format: https://example.org/www.debian.org/copyright-format/1.0/", false},
		{" Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/", false},
	} {
		f := copyright.Parse([]byte(tt.header + "\n\nFiles: *\nLicense: ISC\n"))
		if f.MachineReadable != tt.want || (f.Expression == "ISC") != tt.want {
			t.Errorf("%s\nmachine-readable %v, expression %q", tt.header, f.MachineReadable, f.Expression)
		}
	}
}

func TestFreeText(t *testing.T) {
	for _, text := range []string{
		"", "\n", " ", ":", ":\n:", "\x00\xff",
		"This package was debianized by somebody.\n\nLicense: GPL-2+\n",
		"Files: *\nCopyright: 2024 Somebody\nLicense: GPL-2+\n",
		strings.TrimSuffix(expatText, "\n"),
	} {
		if f := copyright.Parse([]byte(text)); f.MachineReadable || f.Expression != "" || f.Licenses != nil || f.Refs != nil {
			t.Errorf("%q: %+v", text, f)
		}
	}
}

func TestParagraphs(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", format, ""},
		{"each once, sorted", "\nFiles: *\nLicense: ISC\n\nFiles: a\nLicense: Expat\n\nFiles: b\nLicense: ISC\n", "ISC AND MIT"},
		{"packaging counts", "\nFiles: *\nLicense: ISC\n\nFiles: debian/*\nLicense: GPL-2+\n", "GPL-2.0-or-later AND ISC"},
		{"alternatives in parentheses", "\nFiles: *\nLicense: GPL-2+ or Expat\n\nFiles: a\nLicense: ISC\n", "(GPL-2.0-or-later OR MIT) AND ISC"},
		{"the same alternatives", "\nFiles: *\nLicense: GPL-2+ or Expat\n\nFiles: a\nLicense: Expat or GPL-2.0+\n", "GPL-2.0-or-later OR MIT"},
		{"no absorption", "\nFiles: *\nLicense: ISC\n\nFiles: a\nLicense: ISC or Expat\n", "(ISC OR MIT) AND ISC"},
		{"quoted licences", "\nFiles: *\nLicense: ISC\n\nLicense: ISC\n text\n\nLicense: GPL-2\n text\n", "ISC"},
		{"header", "License: GPL-3+\n\nFiles: *\nLicense: ISC\n", "GPL-3.0-or-later AND ISC"},
		{"header alone", "License: GPL-3+\nCopyright: 2024 Somebody\n", "GPL-3.0-or-later"},
		{"remark in the header", "License:\n see below\n\nFiles: *\nLicense: ISC\n", "ISC"},
		{"files in the header", "Files: *\nLicense: ISC\n\nFiles: a\nLicense: Expat\n", "ISC AND MIT"},
		{"text within the paragraph", "\nFiles: *\nLicense: ISC\n License: GPL-2\n .\n Files: a\n\n", "ISC"},
		{"no Files field", "\nCopyright: 2024 Somebody\nLicense: ISC\n", "ISC"},
		{"no empty line", "\nFiles: a\nLicense: ISC\nFiles: b\nLicense: Expat\n", "ISC AND MIT"},
		{"two of them in a row", "\nFiles: a\nFiles: b\nLicense: ISC\n", "ISC"},
		{"second License field", "\nFiles: a\nLicense: ISC\nLicense: Expat\n", "ISC AND MIT"},
		{"line of blanks", "\nFiles: a\nLicense: ISC\n \t\nLicense: GPL-2\n", "ISC"},
		{"carriage returns", "\r\nFiles: a\r\nLicense: ISC\r\n text\r\n\r\nFiles: b\r\nLicense: Expat\r\n", "ISC AND MIT"},
		{"case of fields", "\nFILES: a\nlicense: ISC\n", "ISC"},
		{"remarks", "\n# Files: b\nFiles: a\n# License: Expat\nLicense: ISC\n#\n text\n", "ISC"},
		{"text that is not indented", "\nFiles: a\nLicense: ISC\nPermission to use: granted\n", "ISC"},
		{"fields alike", "\nFiles: a\nLicense-Grant: Expat\nLicense: ISC\nX-License: Zlib\nLicense Text: x\n", "ISC"},
		{"no newline at the end", "\nFiles: a\nLicense: ISC", "ISC"},
	} {
		f := copyright.Parse([]byte(format + tt.text))
		if !f.MachineReadable || f.Expression != tt.want || len(f.Refs) > 0 {
			t.Errorf("%s: %q %v, want %q", tt.name, f.Expression, f.Refs, tt.want)
		}
	}
}

// A paragraph that does not name its licence must not vanish.
func TestUnnamed(t *testing.T) {
	parse := func(text string) copyright.File {
		return copyright.Parse([]byte(format + "\nFiles: *\nLicense: ISC\n\n" + text))
	}
	texts := []string{"Files: a\nLicense:\n you may copy", "Files: a\nLicense:\n you may not", "Files: a\nLicense: ISC\nFiles: b\n"}
	seen := map[string]bool{}
	for _, text := range texts {
		f := parse(text)
		if len(f.Refs) != 1 || f.Refs[0].Name != "" || f.Expression != "ISC AND "+f.Refs[0].ID {
			t.Errorf("%q: %q %v", text, f.Expression, f.Refs)
		}
		seen[f.Expression] = true
	}
	if len(seen) != len(texts) {
		t.Errorf("different texts have one reference: %v", seen)
	}
	again, wrapped := parse(texts[0]), parse("Files: b\nLicense:\n you\n may   copy\n")
	if again.Expression != wrapped.Expression {
		t.Errorf("line breaks make a difference: %q, %q", again.Expression, wrapped.Expression)
	}
}

func TestLicenses(t *testing.T) {
	f := copyright.Parse(under("GPL-2+", "Files: a", "License: GPL-2+", "", "Files: b", "License: Expat  or\tfoo", "", "Files: c", "License: gpl-2+"))
	want := "[{GPL-2+ GPL-2.0-or-later} {Expat or foo LicenseRef-Debian-foo OR MIT} {gpl-2+ GPL-2.0-or-later}]"
	if got := fmt.Sprint(f.Licenses); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBounds(t *testing.T) {
	files := func(n int, license func(int) string) []byte {
		var b strings.Builder
		b.WriteString(format)
		for i := range n {
			fmt.Fprintf(&b, "\nFiles: %d\nLicense: %s\n", i, license(i))
		}
		return []byte(b.String())
	}
	same := func(int) string { return "ISC" }
	numbered := func(i int) string { return fmt.Sprintf("a%d", i) }
	long := func(i int) string { return fmt.Sprintf("a%d%s", i, strings.Repeat("x", 50)) }
	large := under("ISC", "Comment: ")
	large = append(large, strings.Repeat("x", 4<<20-len(large))...)
	for _, tt := range []struct {
		name string
		text []byte
		want bool
	}{
		{"4 MiB", large, true},
		{"a byte more", append(large, 'x'), false},
		{"50,000 paragraphs", files(49_999, same), true},
		{"one more", files(50_000, same), false},
		{"2,000 names", files(2000, numbered), true},
		{"one more", files(2001, numbered), false},
		{"64 KiB of names", files(700, long), true},
		{"more", files(900, long), false},
	} {
		f := copyright.Parse(tt.text)
		if f.MachineReadable != tt.want || (f.Expression != "") != tt.want || (f.Licenses != nil) != tt.want {
			t.Errorf("%s: machine-readable %v, an expression of %d bytes", tt.name, f.MachineReadable, len(f.Expression))
		}
		if len(f.Expression) > 64<<10 {
			t.Errorf("%s: the expression has %d bytes", tt.name, len(f.Expression))
		}
	}
}
