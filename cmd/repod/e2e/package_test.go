package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
)

// A pkg is a package made for a test.
type pkg struct {
	Name, Version, Arch string
	Deb                 []byte
}

// SHA256 returns the hash of the file, in hex.
func (p pkg) SHA256() string {
	sum := sha256.Sum256(p.Deb)
	return hex.EncodeToString(sum[:])
}

// ID names a package as the checker does.
func (p pkg) ID() string { return p.Name + " " + p.Version + " " + p.Arch }

// newPkg builds a package for amd64 with a payload of size random bytes, the
// same for equal arguments. It is written here from deb(5), not with the
// server's code.
func newPkg(name, version string, size int) pkg {
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nSection: misc\nPriority: optional\n"+
		"Maintainer: Test <test@example.org>\nInstalled-Size: %d\nDescription: package for a test\n", name, version, size/1024+1)
	payload := make([]byte, size)
	seed := sha256.Sum256([]byte(name + version))
	rand.NewChaCha8(seed).Read(payload)
	return packed(name, version, control, payload)
}

// packed puts a package together.
func packed(name, version, control string, payload []byte) pkg {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	member(&b, "debian-binary", []byte("2.0\n"))
	member(&b, "control.tar.gz", tarball("./control", []byte(control)))
	member(&b, "data.tar.gz", tarball("./usr/share/"+name+"/payload", payload))
	return pkg{name, version, "amd64", b.Bytes()}
}

// member appends a member of an ar archive.
func member(b *bytes.Buffer, name string, data []byte) {
	fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", name, 1700000000, 0, 0, 0o100644, len(data))
	b.Write(data)
	if len(data)%2 == 1 {
		b.WriteByte('\n')
	}
}

func tarball(name string, data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatGNU})
	w.Write(data)
	w.Close()
	z.Close()
	return b.Bytes()
}
