package sbom

import (
	"strings"
	"testing"
)

func TestCheckLicense(t *testing.T) {
	for _, valid := range []string{
		"MIT", "GPL-2.0-or-later", "GPL-2.0+", "Apache-2.0+", "LicenseRef-x.1-y", "(MIT)", "((MIT))",
		"MIT AND Apache-2.0", "MIT OR (Apache-2.0 AND BSD-3-Clause)", "(MIT OR ISC) AND Zlib",
		"GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Linux-syscall-note OR MIT",
		"(GPL-3.0-or-later WITH GCC-exception-3.1) AND MIT", "LicenseRef-a WITH GCC-exception-3.1", " MIT  AND  ISC ",
		strings.Repeat("(", 1000) + "MIT" + strings.Repeat(")", 1000),
	} {
		if err := CheckLicense(valid); err != nil {
			t.Errorf("%q: %v", valid, err)
		}
	}
	for _, invalid := range []string{
		"", " ", "GPL-2+", "GPL", "mit", "Expat", "MIT and ISC", "MIT ISC", "MIT AND", "AND MIT", "MIT AND OR ISC", "(MIT", "MIT)", ")MIT(", "()",
		"MIT AND ()", "MIT (ISC)", "(MIT) ISC", "MIT WITH", "MIT WITH ISC", "MIT WITH (GCC-exception-3.1)", "(MIT) WITH GCC-exception-3.1",
		"MIT WITH GCC-exception-3.1 WITH GCC-exception-3.1", "GCC-exception-3.1", "WITH GCC-exception-3.1",
		"LicenseRef-", "LicenseRef-ä", "LicenseRef-a_b", "LicenseRef-a+", "DocumentRef-x:LicenseRef-y", "NONE", "NOASSERTION",
		"MIT\tAND ISC", "MIT\nAND ISC", "MIT\x00", "+", "MIT++", "MIT/ISC", "MIT, ISC",
		strings.Repeat("MIT OR ", 3000) + "MIT",
	} {
		if CheckLicense(invalid) == nil {
			t.Errorf("%.80q passes", invalid)
		}
	}
}

func TestRenameRefs(t *testing.T) {
	for in, want := range map[string]string{
		"MIT":                             "MIT",
		"LicenseRef-a":                    "LicenseRef-a-1",
		"( MIT OR LicenseRef-a )AND(ISC)": "(MIT OR LicenseRef-a-1) AND (ISC)",
		"((LicenseRef-a WITH GCC-exception-3.1))": "((LicenseRef-a-1 WITH GCC-exception-3.1))",
	} {
		if got := renameRefs(in, func(name string) string { return name + "-1" }); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestLicenseList(t *testing.T) {
	if len(licenseIDs) < 700 || len(exceptionIDs) < 80 {
		t.Errorf("%d licences, %d exceptions", len(licenseIDs), len(exceptionIDs))
	}
	for _, list := range []map[string]struct{}{licenseIDs, exceptionIDs} {
		for id := range list {
			if !idString(strings.TrimSuffix(id, "+")) {
				t.Errorf("the identifier %q is none", id)
			}
		}
	}
}

// A valid expression stays valid inside a larger one and when its references have
// other names, and has words of known kinds only.
func FuzzCheckLicense(f *testing.F) {
	for _, s := range []string{"MIT", "(MIT OR LicenseRef-x) AND GPL-2.0-only WITH GCC-exception-3.1", "GPL-2.0+", "MIT AND", "(", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if CheckLicense(s) != nil {
			return
		}
		if len(s) < maxExpression-20 {
			if err := CheckLicense("(" + s + ") OR ISC"); err != nil {
				t.Errorf("%q is valid, but not in parentheses: %v", s, err)
			}
			if CheckLicense(s+" ISC") == nil {
				t.Errorf("%q is valid, and so it is with a word more", s)
			}
		}
		longer := func(name string) string { return name + "." }
		if renamed := renameRefs(s, longer); len(renamed) < maxExpression && CheckLicense(renamed) != nil {
			t.Errorf("%q is valid, %q is not", s, renamed)
		}
		for _, r := range s {
			if r < ' ' || r > '~' {
				t.Errorf("%q has the character %q", s, r)
			}
		}
		if strings.Count(s, "(") != strings.Count(s, ")") {
			t.Errorf("%q has parentheses that do not match", s)
		}
	})
}
