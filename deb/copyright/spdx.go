package copyright

import (
	_ "embed"
	"strings"
	"sync"
)

// The identifiers of the SPDX licence list 3.28.0, without deprecated ones.
var (
	//go:embed spdx/licenses.txt
	licenseList string
	//go:embed spdx/exceptions.txt
	exceptionList string
)

// vague are identifiers that copyright files use for several licences, or that
// are rather somebody's name in them.
var vague = map[string]bool{
	"MIT": true, "X11": true,
	"Caldera": true, "Intel": true, "Nokia": true, "SL": true, "Xerox": true, "any-OSI": true,
}

// licenseIDs returns the identifiers that names of that spelling stand for.
var licenseIDs = sync.OnceValue(func() map[string]string {
	ids := make(map[string]string)
	for id := range strings.Lines(licenseList) {
		if id = strings.TrimSpace(id); !vague[id] {
			ids[spelling(id)] = id
		}
	}
	return ids
})

// exceptionIDs returns the same for exceptions. In the keys the word exception
// is left out: it stands before, behind or inside.
var exceptionIDs = sync.OnceValue(func() map[string]string {
	ids := make(map[string]string)
	for id := range strings.Lines(exceptionList) {
		id = strings.TrimSpace(id)
		ids[withoutPart(spelling(id), "exception")] = id
	}
	return ids
})

// spelling makes equal what differs in nothing but case, separators, a v in
// front of a version and ".0" at its end.
func spelling(name string) string {
	var parts []string
	for _, part := range strings.FieldsFunc(lower(name), isSeparator) {
		parts = append(parts, plainVersion(part))
	}
	return strings.Join(parts, "-")
}

func isSeparator(r rune) bool { return r == ' ' || r == '-' || r == '_' }

// plainVersion takes the v and the trailing zeros off a version: v2.0+ is 2+.
func plainVersion(part string) string {
	v := strings.TrimPrefix(part, "v")
	v, plus := strings.CutSuffix(v, "+")
	if v == "" || strings.Trim(v, "0123456789.") != "" {
		return part
	}
	for strings.HasSuffix(v, ".0") {
		v = strings.TrimSuffix(v, ".0")
	}
	if plus {
		v += "+"
	}
	return v
}

// withoutPart leaves parts out of a spelling.
func withoutPart(key string, drop ...string) string {
	var parts []string
next:
	for part := range strings.SplitSeq(key, "-") {
		for _, d := range drop {
			if part == d {
				continue next
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "-")
}

// lower is for names, whose case is that of ASCII.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
