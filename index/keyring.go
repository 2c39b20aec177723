package index

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A PublicKey is an OpenPGP public key. It never changes, and its methods are
// safe for concurrent use.
type PublicKey struct {
	entity *openpgp.Entity
	packet []byte // transferable public key
}

// A Keyring is a set of keys to trust.
type Keyring []*PublicKey

const maxKeyring = 4 << 20

// ParseKeyring reads public keys, armoured or not: the contents of files for
// apt's Signed-By. Keys of kinds that are not supported are skipped, but one
// must remain. The error is [ErrKey].
func ParseKeyring(data []byte) (Keyring, error) {
	if len(data) > maxKeyring {
		return nil, fmt.Errorf("reading keyring: %w: longer than %d bytes", ErrKey, maxKeyring)
	}
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		body, err := unarmor(data, openpgp.PublicKeyType)
		if err != nil {
			return nil, fmt.Errorf("reading keyring: %w", err)
		}
		data = body
	}
	keys, err := readKeys(data)
	if err != nil {
		return nil, fmt.Errorf("reading keyring: %w", err)
	}
	return keys, nil
}

func readKeys(data []byte) (Keyring, error) {
	list, err := openpgp.ReadKeyRing(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	var keys Keyring
	for _, e := range list {
		if e.PrivateKey != nil {
			return nil, fmt.Errorf("%w: a private key among public ones", ErrKey)
		}
		if sig, _ := e.PrimarySelfSignature(); sig == nil {
			continue
		}
		var out bytes.Buffer
		if err := e.Serialize(&out); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		keys = append(keys, &PublicKey{entity: e, packet: out.Bytes()})
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: no usable key", ErrKey)
	}
	return keys, nil
}

// Binary returns the keys as a binary keyring, "repod.gpg".
func (r Keyring) Binary() []byte {
	var out []byte
	for _, k := range r {
		out = append(out, k.packet...)
	}
	return out
}

// Armored returns the keys in one armoured block, "repod.asc".
func (r Keyring) Armored() []byte { return toArmor(openpgp.PublicKeyType, r.Binary()) }

// Has reports whether a key, or a subkey of one, has that ID: 16 digits in
// upper-case hexadecimal.
func (r Keyring) Has(keyID string) bool {
	for _, k := range r {
		if k.KeyID() == keyID {
			return true
		}
		for _, sub := range k.entity.Subkeys {
			if fmt.Sprintf("%016X", sub.PublicKey.KeyId) == keyID {
				return true
			}
		}
	}
	return false
}

// Fingerprint returns the fingerprint in upper-case hexadecimal.
func (k *PublicKey) Fingerprint() string {
	return strings.ToUpper(hex.EncodeToString(k.entity.PrimaryKey.Fingerprint))
}

// KeyID returns the 64-bit key ID in upper-case hexadecimal.
func (k *PublicKey) KeyID() string { return fmt.Sprintf("%016X", k.entity.PrimaryKey.KeyId) }

// Algorithm returns [Ed25519], [RSA4096], or a name like "rsa2048" or
// "algorithm19" for keys that come from elsewhere.
func (k *PublicKey) Algorithm() string {
	p := k.entity.PrimaryKey
	switch p.PubKeyAlgo {
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		bits, _ := p.BitLength()
		return fmt.Sprintf("rsa%d", bits)
	case packet.PubKeyAlgoEdDSA:
		if curve, err := p.Curve(); err == nil && curve == packet.Curve25519 {
			return Ed25519
		}
	}
	return fmt.Sprintf("algorithm%d", p.PubKeyAlgo)
}

// CreatedAt returns when the key was made, in whole seconds, UTC.
func (k *PublicKey) CreatedAt() time.Time { return k.entity.PrimaryKey.CreationTime.UTC() }

// ExpiresAt returns when the key ceases to be good, or zero for never.
func (k *PublicKey) ExpiresAt() time.Time {
	sig, _ := k.entity.PrimarySelfSignature()
	if sig == nil || sig.KeyLifetimeSecs == nil || *sig.KeyLifetimeSecs == 0 {
		return time.Time{}
	}
	return k.CreatedAt().Add(time.Duration(*sig.KeyLifetimeSecs) * time.Second)
}

// UserIDs returns the user IDs, the primary one first.
func (k *PublicKey) UserIDs() []string {
	var primary string
	if id := k.entity.PrimaryIdentity(); id != nil {
		primary = id.Name
	}
	var ids []string
	for name := range k.entity.Identities {
		if name != primary {
			ids = append(ids, name)
		}
	}
	slices.Sort(ids)
	return slices.Insert(ids, 0, primary)
}

// String describes the key in one line.
func (k *PublicKey) String() string {
	return fmt.Sprintf("%s %s %q", k.Algorithm(), k.Fingerprint(), k.UserIDs()[0])
}

func toArmor(kind string, body []byte) []byte {
	var out bytes.Buffer
	// Writing to memory cannot fail.
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		panic(err)
	}
	w.Write(body)
	w.Close()
	out.WriteByte('\n')
	return out.Bytes()
}

// unarmor returns the contents of an armoured block of the wanted kind.
func unarmor(data []byte, kind string) ([]byte, error) {
	if len(data) > maxKeyring {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrKey, maxKeyring)
	}
	block, err := armor.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: not armoured", ErrKey)
	}
	if block.Type != kind {
		return nil, fmt.Errorf("%w: %q in place of %q", ErrKey, block.Type, kind)
	}
	body, err := io.ReadAll(block.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return body, nil
}
