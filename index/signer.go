package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A Signer signs Release files. Methods are safe for concurrent use.
type Signer interface {
	// ClearSign returns the InRelease file for a Release file.
	ClearSign(ctx context.Context, release []byte) ([]byte, error)
	// DetachSign returns the Release.gpg file for a Release file: armoured
	// signatures.
	DetachSign(ctx context.Context, release []byte) ([]byte, error)
}

// A KeyHolder is a Signer that knows the keys with which its signatures can be
// verified.
type KeyHolder interface {
	// PublicKeys returns the keys that clients should trust.
	PublicKeys() Keyring
}

// PublicKeys returns the keys of s if it is a [KeyHolder], else nil.
func PublicKeys(s Signer) Keyring {
	if h, ok := s.(KeyHolder); ok {
		return h.PublicKeys()
	}
	return nil
}

// ErrKeyExpired is returned when every key of a signer has expired.
var ErrKeyExpired = errors.New("signing key expired")

// OpenPGP is a [Signer] with OpenPGP keys (RFC 9580). Each of the keys signs
// both forms, so that clients are served whichever of the keys they trust;
// that is how a key is replaced. Its fields must not change while it is used.
type OpenPGP struct {
	// Keys sign, in this order, as long as they are not expired.
	Keys []*Key
	// Now is the clock, by which keys expire and signatures are dated. Nil:
	// time.Now. A signature is never dated before its key.
	Now func() time.Time
	// Rand is the source of randomness. Nil: crypto/rand.
	Rand io.Reader
}

var (
	_ Signer    = (*OpenPGP)(nil)
	_ KeyHolder = (*OpenPGP)(nil)
)

// PublicKeys implements [KeyHolder]. It includes expired keys.
func (s *OpenPGP) PublicKeys() Keyring {
	var keys Keyring
	for _, k := range s.Keys {
		keys = append(keys, k.Public())
	}
	return keys
}

// ClearSign implements [Signer]. What Verify returns for the result is exactly
// release; text of which clear-signing would lose something (white space at
// the end of a line, carriage returns, a last line without end; RFC 9580,
// section 7) is refused with [ErrRelease]. When all keys have expired, the
// error is [ErrKeyExpired].
func (s *OpenPGP) ClearSign(ctx context.Context, release []byte) ([]byte, error) {
	if err := checkClearText(release); err != nil {
		return nil, fmt.Errorf("clear-signing: %w", err)
	}
	keys, config, err := s.usable(ctx)
	if err != nil {
		return nil, fmt.Errorf("clear-signing: %w", err)
	}
	var private []*packet.PrivateKey
	for _, k := range keys {
		private = append(private, k.PrivateKey)
	}
	var out bytes.Buffer
	w, err := clearsign.EncodeMulti(&out, private, config)
	if err != nil {
		return nil, fmt.Errorf("clear-signing: %w", err)
	}
	// The line end before the signature belongs to the armour.
	if _, err := w.Write(release[:len(release)-1]); err != nil {
		return nil, fmt.Errorf("clear-signing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("clear-signing: %w", err)
	}
	signed, err := withChecksum(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("clear-signing: %w", err)
	}
	return signed, nil
}

// withChecksum gives the signature of a clear-signed text the checksum of its
// armour. RFC 9580, section 6.1, does without, and so does the library; but GnuPG
// 2.2, which apt asks, finds the end of the signature by it, or by the padding
// before it, which one in 128 has not.
func withChecksum(signed []byte) ([]byte, error) {
	at := bytes.LastIndex(signed, []byte("-----BEGIN "+openpgp.SignatureType))
	if at < 0 {
		return nil, errors.New("the text has no signature")
	}
	block, err := armor.Decode(bytes.NewReader(signed[at:]))
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(slices.Clone(signed[:at]))
	w, err := armor.Encode(out, openpgp.SignatureType, nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(w, block.Body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func checkClearText(text []byte) error {
	switch {
	case !bytes.HasSuffix(text, []byte{'\n'}):
		return fmt.Errorf("%w: last line has no end", ErrRelease)
	case bytes.ContainsAny(text, "\r\x00"):
		return fmt.Errorf("%w: carriage return or NUL in it", ErrRelease)
	case bytes.Contains(text, []byte(" \n")) || bytes.Contains(text, []byte("\t\n")):
		return fmt.Errorf("%w: white space at the end of a line", ErrRelease)
	}
	return nil
}

// DetachSign implements [Signer]. Any bytes can be signed. When all keys have
// expired, the error is [ErrKeyExpired].
func (s *OpenPGP) DetachSign(ctx context.Context, release []byte) ([]byte, error) {
	keys, config, err := s.usable(ctx)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.SignatureType, nil)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	for _, k := range keys {
		if err := openpgp.DetachSign(w, k.Entity, bytes.NewReader(release), config); err != nil {
			return nil, fmt.Errorf("signing with key %016X: %w", k.PublicKey.KeyId, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// usable returns what the unexpired keys sign with at present.
func (s *OpenPGP) usable(ctx context.Context) ([]openpgp.Key, *packet.Config, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if len(s.Keys) == 0 {
		return nil, nil, errors.New("no signing key")
	}
	now := time.Now()
	if s.Now != nil {
		now = s.Now()
	}
	for _, k := range s.Keys {
		// Another machine's clock may have made the key a moment from now.
		if made := k.CreatedAt(); made.After(now) {
			now = made
		}
	}
	var keys []openpgp.Key
	var expired error
	for _, k := range s.Keys {
		if end := k.ExpiresAt(); !end.IsZero() && !now.Before(end) {
			expired = fmt.Errorf("%w: %s on %s", ErrKeyExpired, k.Fingerprint(), end.Format(time.DateOnly))
			continue
		}
		key, ok := k.secret.SigningKey(now)
		if !ok || key.PrivateKey == nil || key.PrivateKey.Dummy() {
			return nil, nil, fmt.Errorf("key %s cannot sign", k.Fingerprint())
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, nil, expired
	}
	return keys, &packet.Config{Rand: s.Rand, Time: func() time.Time { return now }}, nil
}
