package index

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// ErrSignature is returned when a file is not signed by a trusted key, or not
// in the form of a signed file.
var ErrSignature = errors.New("no valid signature")

const (
	maxInRelease  = maxRelease + 1<<20
	maxSignatures = 64
)

const clearsignStart = "-----BEGIN PGP SIGNED MESSAGE-----"

// Verify checks an InRelease file against trusted keys as of the time now, and
// returns the text that was signed, with the keys that signed it. Use that
// text and never the file: what surrounds it proves nothing.
//
// The file must be one clear-signed message with nothing before or after it.
// All signatures are looked at. Those by unknown keys and by keys that have
// expired or are revoked do not count; one by a trusted key that does not fit
// the text means that somebody changed it. SHA-1 and other weak hashes, and
// RSA keys of less than 2048 bits, do not count either. Without one that
// counts the error is [ErrSignature].
func Verify(inRelease []byte, trusted Keyring, now time.Time) (text []byte, signers []*PublicKey, err error) {
	if len(inRelease) > maxInRelease {
		return nil, nil, fmt.Errorf("%w: file longer than %d bytes", ErrSignature, maxInRelease)
	}
	if err := checkClearsigned(inRelease); err != nil {
		return nil, nil, err
	}
	block, rest := clearsign.Decode(inRelease)
	if block == nil {
		return nil, nil, fmt.Errorf("%w: not a clear-signed message", ErrSignature)
	}
	if len(rest) > 0 {
		return nil, nil, fmt.Errorf("%w: text after the signature", ErrSignature)
	}
	if block.ArmoredSignature.Type != openpgp.SignatureType {
		return nil, nil, fmt.Errorf("%w: unexpected armour", ErrSignature)
	}
	sigs, err := io.ReadAll(block.ArmoredSignature.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	signers, err = verify(block.Bytes, sigs, trusted, now, packet.SigTypeText)
	if err != nil {
		return nil, nil, err
	}
	return append(block.Plaintext, '\n'), signers, nil
}

// VerifyDetached checks a Release file against its Release.gpg, armoured or
// not, as Verify does.
func VerifyDetached(release, signature []byte, trusted Keyring, now time.Time) ([]*PublicKey, error) {
	if bytes.HasPrefix(signature, []byte("-----BEGIN ")) {
		body, err := unarmor(signature, openpgp.SignatureType)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSignature, err)
		}
		signature = body
	}
	return verify(release, signature, trusted, now, packet.SigTypeText, packet.SigTypeBinary)
}

// checkClearsigned refuses what programs are known to take apart in different
// ways: text before the message, and lines inside it that look like armour
// because their dash is not escaped (CVE-2013-1051 and its kin).
func checkClearsigned(file []byte) error {
	first, rest, _ := bytes.Cut(file, []byte{'\n'})
	if string(bytes.TrimSuffix(first, []byte{'\r'})) != clearsignStart {
		return fmt.Errorf("%w: does not begin with a clear-signed message", ErrSignature)
	}
	if bytes.IndexByte(file, 0) >= 0 {
		return fmt.Errorf("%w: NUL in it", ErrSignature)
	}
	for line := range bytes.Lines(rest) {
		if line[0] != '-' || bytes.HasPrefix(line, []byte("- ")) {
			continue
		}
		// The first line that is not escaped has to be the signature's.
		if string(bytes.TrimRight(line, "\r\n")) == "-----BEGIN PGP SIGNATURE-----" {
			return nil
		}
		break
	}
	return fmt.Errorf("%w: dash not escaped, or no signature", ErrSignature)
}

// verify checks every signature packet in sigs over message.
func verify(message, sigs []byte, trusted Keyring, now time.Time, kinds ...packet.SignatureType) ([]*PublicKey, error) {
	var signers []*PublicKey
	ring := trusted.entities()
	r := bytes.NewReader(sigs)
	for n := 0; r.Len() > 0; n++ {
		if n == maxSignatures {
			return nil, fmt.Errorf("%w: more than %d signatures", ErrSignature, maxSignatures)
		}
		before := r.Len()
		p, err := packet.NewReader(r).NextWithUnsupported()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSignature, err)
		}
		raw := sigs[len(sigs)-before : len(sigs)-r.Len()]
		sig, ok := p.(*packet.Signature)
		if !ok {
			if _, unsupported := p.(*packet.UnsupportedPacket); unsupported {
				continue
			}
			return nil, fmt.Errorf("%w: other packets among the signatures", ErrSignature)
		}
		if !counts(sig, kinds) {
			continue
		}
		signer, err := verifyOne(message, raw, sig, ring, now)
		if err != nil {
			return nil, err
		}
		if signer != nil {
			signers = append(signers, trusted.find(signer))
		}
	}
	if len(signers) == 0 {
		return nil, fmt.Errorf("%w by a trusted key", ErrSignature)
	}
	return signers, nil
}

// counts tells whether a signature is of a kind that proves something.
func counts(sig *packet.Signature, kinds []packet.SignatureType) bool {
	switch sig.Hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
	default:
		return false
	}
	for _, k := range kinds {
		if sig.SigType == k {
			return sig.IssuerKeyId != nil
		}
	}
	return false
}

// verifyOne returns the key that made a signature, or nil if the signature
// does not count.
func verifyOne(message, raw []byte, sig *packet.Signature, ring openpgp.EntityList, now time.Time) (*openpgp.Entity, error) {
	var usable openpgp.EntityList
	for _, k := range ring.KeysByIdUsage(*sig.IssuerKeyId, packet.KeyFlagSign) {
		if bits, err := k.PublicKey.BitLength(); isRSA(k.PublicKey) && (err != nil || bits < minRSA) {
			continue
		}
		usable = append(usable, k.Entity)
	}
	if len(usable) == 0 {
		return nil, nil
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	signer, err := openpgp.CheckDetachedSignature(usable, bytes.NewReader(message), bytes.NewReader(raw), config)
	switch {
	case err == nil:
		return signer, nil
	case signer != nil:
		// The signature fits, but its key or itself is not good any more.
		return nil, nil
	}
	return nil, fmt.Errorf("%w: signature by key %016X does not fit: %w", ErrSignature, *sig.IssuerKeyId, err)
}

func isRSA(k *packet.PublicKey) bool {
	return k.PubKeyAlgo == packet.PubKeyAlgoRSA || k.PubKeyAlgo == packet.PubKeyAlgoRSASignOnly
}

func (r Keyring) entities() openpgp.EntityList {
	list := make(openpgp.EntityList, len(r))
	for i, k := range r {
		list[i] = k.entity
	}
	return list
}

func (r Keyring) find(e *openpgp.Entity) *PublicKey {
	for _, k := range r {
		if k.entity == e {
			return k
		}
	}
	return nil
}
