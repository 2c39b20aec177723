package sbom

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
)

// rootRef is the reference of the root. No package has it: theirs begin with
// pkg:.
const rootRef = "root"

// embeddedRef returns the reference of a package's i-th component.
func embeddedRef(pkg string, i int) string { return pkg + "#component-" + strconv.Itoa(i+1) }

// namespaceUUID is the name space of the documents' UUIDs.
var namespaceUUID = [16]byte{
	0x5c, 0x1f, 0x0b, 0x0a, 0x7e, 0x0b, 0x4d, 0x52, 0x9d, 0x3c, 0x4a, 0x55, 0x8e, 0x21, 0x6f, 0x90,
}

// uuid returns the document's identity as a UUID of version 5 (RFC 9562).
func (d *Document) uuid() string {
	h := sha1.New() // as version 5 has it; nothing rests on its strength
	h.Write(namespaceUUID[:])
	for _, part := range []string{string(d.Format), d.version(), d.Name, d.State, strconv.FormatBool(d.Flat)} {
		h.Write(binary.AppendUvarint(nil, uint64(len(part))))
		h.Write([]byte(part))
	}
	sum := h.Sum(nil)[:16]
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	s := hex.EncodeToString(sum)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// namespace returns the namespace of an SPDX document.
func (d *Document) namespace() string {
	if d.Namespace == "" {
		return "urn:uuid:" + d.uuid()
	}
	return strings.TrimSuffix(d.Namespace, "/") + "/" + url.PathEscape(oneLine(d.Name)) + "-" + d.uuid()
}

const upperHex = "0123456789ABCDEF"

// spdxID returns the SPDX identifier of a reference. Different references have
// different identifiers: letters, digits and dots stand for themselves, a hyphen
// is doubled, and each other byte is a hyphen and two upper-case hexadecimal
// digits. The scheme of package URLs is left out.
func spdxID(ref string) string {
	ref = strings.TrimPrefix(ref, "pkg:")
	b := append(make([]byte, 0, 256), "SPDXRef-"...) // that the string copies
	for i := range len(ref) {
		switch c := ref[i]; {
		case alphanumeric(c) || c == '.':
			b = append(b, c)
		case c == '-':
			b = append(b, '-', '-')
		default:
			b = append(b, '-', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}
