package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id is the cost of hashing a password (RFC 9106). The zero value is
// [DefaultArgon2id].
//
// Hashes are PHC strings, $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH, with a
// 16-byte salt and a 32-byte hash in unpadded standard base64.
type Argon2id struct {
	Memory  uint32 // KiB
	Time    uint32 // passes over the memory
	Threads uint8  // lanes, each computed by a goroutine
}

// DefaultArgon2id is 19 MiB, two passes, one lane: the parameters which the
// OWASP Password Storage Cheat Sheet names first for small memory. One lane
// keeps one login to one processor.
var DefaultArgon2id = Argon2id{Memory: 19 * 1024, Time: 2, Threads: 1}

// What a stored hash may ask for: whoever writes the database must not be able
// to make a login take all memory.
const (
	maxMemory  = 256 * 1024 // KiB
	maxTime    = 16
	maxThreads = 16
	minSalt    = 8
	maxSalt    = 64
	minDigest  = 16
	maxDigest  = 64
)

var errHashFormat = errors.New("auth: not an argon2id hash within bounds")

func (a Argon2id) orDefault() Argon2id {
	if a == (Argon2id{}) {
		return DefaultArgon2id
	}
	return a
}

func (a Argon2id) valid() bool {
	return a.Time >= 1 && a.Time <= maxTime && a.Threads >= 1 && a.Threads <= maxThreads &&
		a.Memory >= 8*uint32(a.Threads) && a.Memory <= maxMemory
}

// Hash returns the PHC string of a password, with a salt read from rand. It
// fails when rand does or when the cost is out of bounds: at most 256 MiB, 16
// passes and 16 lanes, and at least 8 KiB for each lane.
func (a Argon2id) Hash(rand io.Reader, password string) (Secret, error) {
	h := phc{Argon2id: a.orDefault(), salt: make([]byte, 16)}
	if !h.valid() {
		return "", fmt.Errorf("auth: argon2id cost out of bounds: %+v", h.Argon2id)
	}
	if _, err := io.ReadFull(rand, h.salt); err != nil {
		return "", fmt.Errorf("auth: read salt: %w", err)
	}
	h.digest = h.derive(password, 32)
	return h.encode(), nil
}

// blank returns a hash that no password has, and that costs as much to check
// as another.
func (a Argon2id) blank() phc {
	return phc{a.orDefault(), make([]byte, 16), make([]byte, 32)}
}

// phc is a parsed PHC string.
type phc struct {
	Argon2id
	salt, digest []byte
}

func (h phc) derive(password string, size int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.Time, h.Memory, h.Threads, uint32(size))
}

// matches reports whether h is the hash of password.
func (h phc) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.derive(password, len(h.digest)), h.digest) == 1
}

func (h phc) encode() Secret {
	b64 := base64.RawStdEncoding
	return Secret(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.Memory, h.Time, h.Threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.digest)))
}

func parsePHC(hash Secret) (phc, error) {
	parts := strings.Split(string(hash), "$")
	if len(parts) != 6 {
		return phc{}, errHashFormat
	}
	var h phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.Memory, &h.Time, &h.Threads); err != nil {
		return phc{}, errHashFormat
	}
	b64 := base64.RawStdEncoding
	var err1, err2 error
	h.salt, err1 = b64.DecodeString(parts[4])
	h.digest, err2 = b64.DecodeString(parts[5])
	// Writing it again catches what the lines above read leniently: another
	// algorithm or version, signs, spaces, line ends, leading zeros, surplus
	// bits, trailing text.
	if err1 != nil || err2 != nil || !h.valid() || h.encode() != hash ||
		len(h.salt) < minSalt || len(h.salt) > maxSalt || len(h.digest) < minDigest || len(h.digest) > maxDigest {
		return phc{}, errHashFormat
	}
	return h, nil
}
