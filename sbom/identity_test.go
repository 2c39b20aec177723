package sbom

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func TestSPDXID(t *testing.T) {
	for ref, want := range map[string]string{
		"root":                          "SPDXRef-root",
		"DOCUMENT":                      "SPDXRef-DOCUMENT",
		"pkg:deb/debian/g%2B%2B@4%3A12": "SPDXRef-deb-2Fdebian-2Fg-252B-252B-404-253A12",
		"pkg:deb/a-b@1":                 "SPDXRef-deb-2Fa--b-401",
		"pkg:deb/a+b@1":                 "SPDXRef-deb-2Fa-2Bb-401",
		"pkg:deb/a@1#component-12":      "SPDXRef-deb-2Fa-401-23component--12",
	} {
		if got := spdxID(ref); got != want {
			t.Errorf("%s has the identifier %s, want %s", ref, got, want)
		}
	}
}

var wellFormed = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]*$`)

// The reference can be told from its identifier: no two have the same.
func FuzzSPDXID(f *testing.F) {
	for _, s := range []string{"pkg:deb/debian/a-b@1?arch=amd64", "pkg:deb/a+b", "a--2Bb", "-", "--", "-2D", "\x00\xffä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		id := spdxID(ref)
		if !wellFormed.MatchString(id) {
			t.Fatalf("%q has the identifier %q", ref, id)
		}
		var back strings.Builder
		for rest := strings.TrimPrefix(id, "SPDXRef-"); rest != ""; {
			switch {
			case strings.HasPrefix(rest, "--"):
				back.WriteByte('-')
				rest = rest[2:]
			case rest[0] == '-':
				b, err := hex.DecodeString(rest[1:3])
				if err != nil {
					t.Fatalf("%q has the identifier %q: %v", ref, id, err)
				}
				back.Write(b)
				rest = rest[3:]
			default:
				back.WriteByte(rest[0])
				rest = rest[1:]
			}
		}
		if back.String() != strings.TrimPrefix(ref, "pkg:") {
			t.Errorf("%q has the identifier %q, which is that of %q", ref, id, back.String())
		}
	})
}

func TestUUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]Document{}
	for _, d := range []Document{
		{Format: CycloneDX, Name: "a", State: "b"}, {Format: CycloneDX, Name: "ab"}, {Format: CycloneDX, State: "ab"},
		{Format: CycloneDX, SpecVersion: "1.5", Name: "a", State: "b"}, {Format: SPDX, Name: "a", State: "b"},
		{Format: CycloneDX, Name: "a", State: "b", Flat: true},
	} {
		id := d.uuid()
		if other, ok := seen[id]; ok || !form.MatchString(id) {
			t.Errorf("%+v has the identity %s, and so has %+v", d, id, other)
		}
		seen[id] = d
	}
	// The default version is a version.
	explicit, implied := Document{Format: CycloneDX, SpecVersion: "1.6"}, Document{Format: CycloneDX}
	if explicit.uuid() != implied.uuid() {
		t.Error("the default version makes another identity than the same version")
	}
}

func TestRefSet(t *testing.T) {
	s, want := newRefSet(), map[string]bool{}
	for range 200_000 {
		ref := fmt.Sprint("pkg:deb/", rand.IntN(60_000))
		if s.has(ref) != want[ref] || s.add(ref) == want[ref] || !s.has(ref) {
			t.Fatalf("%s is not told from others", ref)
		}
		want[ref] = true
	}
	slots := 0
	for _, table := range s.tables {
		slots += len(table.slots)
	}
	if each := float64(8*slots) / float64(len(want)); each > 12 {
		t.Errorf("%.1f bytes for a reference", each)
	}
}

// A hash may be any number but 0, and tables begin empty.
func TestRefTable(t *testing.T) {
	var table refTable
	for _, h := range []uint64{1, ^uint64(0), ^uint64(0) - 1, ^uint64(0) - 2, 2, 3, 1 << 63, 1<<63 + 1, 1<<55 - 1} {
		if _, found := table.find(h); found || !table.add(h) || table.add(h) {
			t.Errorf("%x is not told from others", h)
		}
	}
	if table.used != 9 {
		t.Errorf("%d hashes", table.used)
	}
}
