package ldap

import (
	"testing"

	goldap "github.com/go-ldap/ldap/v3"
)

// FuzzExpand checks that no name or DN changes the shape of a filter: it stays
// one comparison with that very value.
func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"alice", "*", "*)(uid=*", `\2a`, `a\`, "a\x00b", "(", ")", "ü", "\xff", "{dn}", "{username}", "cn=a\\, b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, filter := range []string{"(uid={username})", "(member={dn})"} {
			packet, err := goldap.CompileFilter(expand(filter, value, value))
			if err != nil {
				t.Fatalf("%q: %v", value, err)
			}
			if packet.Tag != goldap.FilterEqualityMatch || len(packet.Children) != 2 {
				if value == "" && packet.Tag == goldap.FilterPresent {
					continue
				}
				t.Fatalf("%q becomes a filter with tag %d", value, packet.Tag)
			}
			if got := packet.Children[1].Data.String(); got != value {
				t.Fatalf("%q is compared as %q", value, got)
			}
		}
	})
}
