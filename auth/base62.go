package auth

import (
	"fmt"
	"hash/crc32"
	"io"
	"math/big"
	"strings"
)

// base62 lists the digits in the order of their values.
const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// encode62 writes the big-endian number in b in base 62, with leading zeros up
// to width digits.
func encode62(b []byte, width int) string {
	text := make([]byte, width)
	n, digit, radix := new(big.Int).SetBytes(b), new(big.Int), big.NewInt(62)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, radix, digit)
		text[i] = base62[digit.Int64()]
	}
	return string(text)
}

// random62 returns base62 characters, each of which is any of the 62 with the
// same probability.
func random62(rand io.Reader, length int) (string, error) {
	text := make([]byte, 0, length)
	buf := make([]byte, length)
	for tries := 0; len(text) < length; tries++ {
		if tries == 100 {
			return "", fmt.Errorf("auth: the source of randomness repeats itself")
		}
		if _, err := io.ReadFull(rand, buf); err != nil {
			return "", fmt.Errorf("auth: read random bytes: %w", err)
		}
		for _, b := range buf {
			if b < 4*62 && len(text) < length { // 4*62 and up would favour some
				text = append(text, base62[b%62])
			}
		}
	}
	return string(text), nil
}

// The parts of an API token's text.
const (
	tokenPrefix   = "repod_"
	tokenDigits   = 43 // of 32 random bytes: 62^43 > 2^256
	tokenChecksum = 6  // of a CRC-32: 62^6 > 2^32
	tokenLength   = len(tokenPrefix) + tokenDigits + tokenChecksum
	tokenShown    = len(tokenPrefix) + 6 // APIToken.Prefix
)

// newTokenText returns the text of a new API token.
func newTokenText(rand io.Reader) (Secret, error) {
	var b [32]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("auth: read random bytes: %w", err)
	}
	digits := encode62(b[:], tokenDigits)
	return Secret(tokenPrefix + digits + checksum62(digits)), nil
}

func checksum62(digits string) string {
	sum := crc32.ChecksumIEEE([]byte(digits))
	return encode62([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}, tokenChecksum)
}

// ValidTokenText reports whether text has the form of an API token, checksum
// included. Whether there is such a token, only the store knows.
func ValidTokenText(text string) bool {
	if len(text) != tokenLength || !strings.HasPrefix(text, tokenPrefix) {
		return false
	}
	digits := text[len(tokenPrefix) : tokenLength-tokenChecksum]
	for i := range digits {
		if strings.IndexByte(base62, digits[i]) < 0 {
			return false
		}
	}
	return checksum62(digits) == text[tokenLength-tokenChecksum:]
}
