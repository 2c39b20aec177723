package deb_test

import (
	"fmt"
	"strings"
)

func hostileControl() []hostile {
	cases := []hostile{
		{"CF second stanza", "stanza-several", withControl(minimal + "\nPackage: openssl\nVersion: 99:9\n")},
		{"CF second stanza after a blank continuation", "stanza-blank-line", withControl(minimal + "Description: x\n \nPackage: openssl\n")},
		{"CF blank line with tab", "stanza-blank-line", withControl(minimal + "\t\n")},
		{"CF empty line first", "stanza-several", withControl("\n" + minimal)},
		{"CF no final newline", "stanza-no-newline", withControl(strings.TrimSuffix(minimal, "\n"))},
		{"CF Package twice", "stanza-duplicate-field", withField("Package: openssl")},
		{"CF Package twice in other case", "stanza-duplicate-field", withField("pAcKaGe: openssl")},
		{"CF CRLF", "stanza-control-character", withControl(strings.ReplaceAll(minimal, "\n", "\r\n"))},
		{"CF carriage return hides a field", "stanza-control-character", withField("X-A: b\rPackage: openssl")},
		{"CF NUL", "stanza-control-character", withField("X-A: \x00")},
		{"CF vertical tab", "stanza-control-character", withField("X-A: b\vPackage: openssl")},
		{"CF form feed", "stanza-control-character", withField("X-A: b\fPackage: openssl")},
		{"CF escape sequence", "stanza-control-character", withField("Description: \x1b]0;title\a")},
		{"CF Latin-1", "stanza-encoding", withField("Maintainer: J\xf6rg <j@example.com>")},
		{"CF UTF-16", "stanza-control-character", withControl("\xff\xfeP\x00a\x00")},
		{"CF comment", "stanza-field-name", withField("# Package: openssl")},
		{"CF blank before the colon", "stanza-field-name", withField("X-A : b")},
		{"CF line without colon", "stanza-field-name", withField("hello")},
		{"CF continuation first", "stanza-field-name", withControl(" x\n" + minimal)},
		{"CF signed text", "stanza-field-name", withControl("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + minimal)},
		{"CF thousands of fields", "stanza-too-many-fields", func() []byte {
			var b strings.Builder
			for i := range 20000 {
				fmt.Fprintf(&b, "X-%d: a\n", i)
			}
			return withControl(minimal + b.String())()
		}},
		{"CF architecture is missing", "control-missing-field", replaced("Architecture: amd64\n", "")},
		{"CF version is missing", "control-missing-field", replaced("Version: 1.0\n", "")},
		{"CF name is missing", "control-missing-field", replaced("Package: hello\n", "")},
		{"CF name is empty", "control-missing-field", replaced("hello", "")},
		{"CF version is folded", "control-folded-field", replaced("1.0", "1.0\n -1")},
		{"CF name is folded", "control-folded-field", replaced("hello", "\n hello")},
		{"CF maintainer is folded", "control-folded-field", withField("Maintainer: a\n b")},
		{"CF name and version are too long together", "control-name-too-long",
			withControl("Package: " + strings.Repeat("a", 128) + "\nVersion: " + strings.Repeat("1", 130) + "\nArchitecture: amd64\n")},
		{"CF last field is empty", "control-empty-field", withField("Homepage:")},
		{"CF field name of one letter", "control-field-name", withField("X: y")},
		{"CF Depends ends in a comma", "control-relations", withField("Depends: a,")},
		{"CF Depends with substitution", "control-relations", withField("Depends: ${shlibs:Depends}")},
		{"CF Depends with architectures", "control-relations", withField("Depends: a [amd64]")},
		{"CF Depends with a malformed version", "control-relations", withField("Depends: a (>= v1)")},
		{"CF Conflicts with alternatives", "control-relations", withField("Conflicts: a | b")},
		{"CF Provides with a range", "control-relations", withField("Provides: a (>= 1)")},
		{"CF Depends with a hundred thousand entries", "control-relations", withField("Depends: " + strings.Repeat("a, ", 100_000) + "a")},
	}
	for _, field := range []string{"Filename: pool/x.deb", "Size: 1", "MD5sum: x", "SHA1: x", "sha256: x", "SHA512: x", "Description-md5: x",
		"Status: install ok installed", "Conffiles:\n /etc/x 0", "Config-Version: 1"} {
		cases = append(cases, hostile{"CF archive's field " + field, "control-archive-field", withField(field)})
	}
	for _, field := range []string{"Package-Revision: 2", "Revision: 2", "Recommended: a", "Class: important"} {
		cases = append(cases, hostile{"CF obsolete field " + field, "control-obsolete-field", withField(field)})
	}
	for _, name := range []string{"Hello", "a", "-hello", "he llo", "../../etc", "hello/x", "hello_1", "héllo", "hello%2f", ".hello", "hello:any",
		strings.Repeat("a", 129)} {
		cases = append(cases, hostile{"CF name " + name, "control-package", replaced("hello", name)})
	}
	for _, version := range []string{"abc", "1.0/../../x", "1_0", "-1", "1.0-", "1:", "a:1", "1.0 ~x", "9999999999:1", "1%00", "1.0-1:2"} {
		cases = append(cases, hostile{"CF version " + version, "control-version", replaced("1.0", version)})
	}
	for _, arch := range []string{"../amd64", "any", "source", "linux-any", "amd64 i386", "AMD64", "x86_64", "amd64/x", "linux-amd64", "foo"} {
		cases = append(cases, hostile{"CF architecture " + arch, "control-architecture", replaced("amd64", arch)})
	}
	for _, source := range []string{"../../../../tmp/x", "hello (", "hello (v1)", "hello (1.0) x", "Hello", "hello/x", "h", "hello ()", "hello 1.0"} {
		cases = append(cases, hostile{"CF source " + source, "control-source", withField("Source: " + source)})
	}
	for _, section := range []string{"../../x", "a/b/c", "my section", "/x", "x/", "-x", "<script>"} {
		cases = append(cases, hostile{"CF section " + section, "control-section", withField("Section: " + section)})
	}
	for _, c := range [][2]string{
		{"Priority: very high", "control-priority"}, {"Priority: ../x", "control-priority"},
		{"Installed-Size: many", "control-installed-size"}, {"Installed-Size: -1", "control-installed-size"},
		{"Installed-Size: +1", "control-installed-size"}, {"Installed-Size: 1e9", "control-installed-size"},
		{"Installed-Size: 99999999999999999999", "control-installed-size"},
		{"Multi-Arch: maybe", "control-multi-arch"}, {"Multi-Arch: Same", "control-multi-arch"},
		{"Essential: maybe", "control-flag"}, {"Protected: YES", "control-flag"},
	} {
		cases = append(cases, hostile{"CF " + c[0], c[1], withField(c[0])})
	}
	return append(cases, hostile{"CF Multi-Arch same for all", "control-multi-arch",
		withControl("Package: hello\nVersion: 1\nArchitecture: all\nMulti-Arch: same\n")})
}
