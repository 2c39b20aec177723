package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/repod-io/repod/index"
)

// Keyrings finds the keys of sources. The zero value knows those only that
// sources bring with them (Source.SignedBy).
type Keyrings struct {
	// Dirs are folders with keyrings, the first before the later ones. The keys
	// named "debian-archive" are those in the first file there is of
	// debian-archive.gpg, .asc and .pgp and debian-archive-keyring.gpg, .asc
	// and .pgp. On Debian and Ubuntu, packages put such files into
	// /usr/share/keyrings.
	Dirs []string
}

// keyringEnds are the ends of the names of files, in the order of preference.
var keyringEnds = []string{".gpg", ".asc", ".pgp", "-keyring.gpg", "-keyring.asc", "-keyring.pgp"}

const maxKeyringFile = 4 << 20

// Find returns the keys that may sign for a source: those and no other. The
// error is a *Failure with code BadSignature when there are none.
func (k Keyrings) Find(s Source) (index.Keyring, error) {
	if s.SignedBy != "" {
		keys, err := parseKeys([]byte(s.SignedBy))
		if err != nil {
			return nil, fail(BadSignature, "the keys in signed_by: %w", err)
		}
		return keys, nil
	}
	if !keyringName.MatchString(s.Keyring) || strings.Contains(s.Keyring, "..") {
		return nil, fail(BadSignature, "%.100q is not the name of a keyring", s.Keyring)
	}
	for _, dir := range k.Dirs {
		for _, end := range keyringEnds {
			data, err := readKeyring(filepath.Join(dir, s.Keyring+end))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			var keys index.Keyring
			if err == nil {
				keys, err = parseKeys(data)
			}
			if err != nil {
				return nil, fail(BadSignature, "keyring %s: %w", s.Keyring+end, err)
			}
			return keys, nil
		}
	}
	return nil, fail(BadSignature, "there is no keyring %s: %s", s.Keyring, k.advice(s.Keyring))
}

// advice tells how to get a keyring that is missing.
func (k Keyrings) advice(name string) string {
	place := "no folder for keyrings is configured"
	if len(k.Dirs) > 0 {
		place = fmt.Sprintf("place %s.gpg or %s.asc in %s", name, name, k.Dirs[0])
	}
	switch name {
	case "debian-archive":
		return "install the package debian-archive-keyring, or " + place
	case "ubuntu-archive":
		return "install the package ubuntu-archive-keyring (on Ubuntu ubuntu-keyring), or " + place
	}
	return place
}

func readKeyring(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("not a regular file"))
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyringFile+1))
	if err == nil && len(data) > maxKeyringFile {
		err = fmt.Errorf("longer than %d bytes", maxKeyringFile)
	}
	return data, err
}

// parseKeys reads one keyring, or several armoured ones after each other.
func parseKeys(data []byte) (index.Keyring, error) {
	begin := []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")
	first := bytes.Index(data, begin)
	if first < 0 {
		return index.ParseKeyring(data)
	}
	var keys index.Keyring
	for _, block := range bytes.Split(data[first:], begin)[1:] {
		more, err := index.ParseKeyring(append(bytes.Clone(begin), block...))
		if err != nil {
			return nil, err
		}
		keys = append(keys, more...)
	}
	return keys, nil
}
