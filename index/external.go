package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// A Form is one of the two ways to sign a Release file.
type Form string

// The forms.
const (
	// Clear is a clear-signed message, the text in it (RFC 9580, section 7).
	Clear Form = "clearsign"
	// Detached is armoured signatures, without the text.
	Detached Form = "detach"
)

// maxDetached bounds detached signatures: each takes some hundred bytes.
const maxDetached = 1 << 20

// signerSkew is how far ahead the clock of a signer elsewhere may be.
const signerSkew = time.Minute

// External is a [Signer] whose private keys are elsewhere: in another process,
// on another machine, in a token. Nothing that Sign returns is passed on unless
// it verifies: one of Keys must have signed exactly what was to be signed, no
// signature by one of them may be wrong, and there must be nothing besides. Its
// fields must not change while it is used. See [CheckKeys] for keys that may be
// unfit.
type External struct {
	// Keys are the public keys of which one signs at least. Those that are
	// expired do not count.
	Keys Keyring
	// Sign signs text in a form. It may be called by several goroutines at once.
	Sign func(ctx context.Context, form Form, text []byte) ([]byte, error)
	// Now is the clock, by which keys expire. Nil: time.Now.
	Now func() time.Time
}

var (
	_ Signer    = (*External)(nil)
	_ KeyHolder = (*External)(nil)
)

// PublicKeys implements [KeyHolder].
func (s *External) PublicKeys() Keyring { return s.Keys }

// ClearSign implements [Signer], with the errors of [OpenPGP.ClearSign], those
// of Sign, and [ErrSignature] when what Sign returned is not the text signed by
// one of Keys.
func (s *External) ClearSign(ctx context.Context, release []byte) ([]byte, error) {
	if err := checkClearText(release); err != nil {
		return nil, fmt.Errorf("clear-signing: %w", err)
	}
	signed, err := s.sign(ctx, Clear, release)
	if err != nil {
		return nil, fmt.Errorf("clear-signing: %w", err)
	}
	if signed, err = s.checkClear(signed, release); err != nil {
		return nil, fmt.Errorf("clear-signing: what the signer returned: %w", err)
	}
	return signed, nil
}

// checkClear returns the signed text in the armour that all clients read, if it is
// what it should be.
func (s *External) checkClear(signed, release []byte) ([]byte, error) {
	if err := s.verify(signed, release); err != nil {
		return nil, err
	}
	signed, err := withChecksum(signed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	if err := checkHashes(signed); err != nil {
		return nil, err
	}
	return signed, s.verify(signed, release)
}

func (s *External) verify(signed, release []byte) error {
	text, _, err := Verify(signed, s.Keys, s.now().Add(signerSkew))
	if err == nil && !bytes.Equal(text, release) {
		err = fmt.Errorf("%w: another text was signed", ErrSignature)
	}
	return err
}

// DetachSign implements [Signer], with the errors of [OpenPGP.DetachSign], those
// of Sign, and [ErrSignature] when what Sign returned is not armoured signatures
// of the text, one of Keys among those who signed.
func (s *External) DetachSign(ctx context.Context, release []byte) ([]byte, error) {
	signature, err := s.sign(ctx, Detached, release)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	if signature, err = s.checkDetached(signature, release); err != nil {
		return nil, fmt.Errorf("signing: what the signer returned: %w", err)
	}
	return signature, nil
}

func (s *External) checkDetached(signature, release []byte) ([]byte, error) {
	switch {
	case len(signature) > maxDetached:
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrSignature, maxDetached)
	case !bytes.HasPrefix(signature, []byte(armoredSignature)):
		return nil, fmt.Errorf("%w: not armoured", ErrSignature)
	}
	signature, err := withChecksum(signature)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	_, err = VerifyDetached(release, signature, s.Keys, s.now().Add(signerSkew))
	return signature, err
}

// sign has text signed if a key is left that may.
func (s *External) sign(ctx context.Context, form Form, text []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.Sign == nil || len(s.Keys) == 0 {
		return nil, errors.New("no signing key")
	}
	if err := unexpired(s.Keys, s.now()); err != nil {
		return nil, err
	}
	return s.Sign(ctx, form, text)
}

func (s *External) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// unexpired returns ErrKeyExpired when all keys have expired.
func unexpired(keys Keyring, now time.Time) error {
	var expired error
	for _, k := range keys {
		end := k.ExpiresAt()
		if end.IsZero() || now.Before(end) {
			return nil
		}
		expired = fmt.Errorf("%w: %s on %s", ErrKeyExpired, k.Fingerprint(), end.Format(time.DateOnly))
	}
	return expired
}

// CheckKeys returns [ErrKey] for a keyring with a key whose signatures common
// clients do not verify, see [ParseKey], and for an empty one.
func CheckKeys(keys Keyring) error {
	if len(keys) == 0 {
		return fmt.Errorf("%w: there is none", ErrKey)
	}
	for _, k := range keys {
		if err := checkEntity(k.entity); err != nil {
			return fmt.Errorf("key %s: %w", k.Fingerprint(), err)
		}
	}
	return nil
}

// Issuers returns the IDs of the keys, in upper-case hexadecimal, that an
// InRelease file says it is signed by, each once. Subkeys have IDs of their own.
// Nothing is verified: this is for those who wrote the file.
func Issuers(inRelease []byte) ([]string, error) {
	var ids []string
	err := eachSignature(inRelease, func(sig *packet.Signature) error {
		if sig.IssuerKeyId != nil {
			if id := fmt.Sprintf("%016X", *sig.IssuerKeyId); !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return nil
	})
	return ids, err
}

const armoredSignature = "-----BEGIN PGP SIGNATURE-----"

// eachSignature calls f with the signatures of a clear-signed message.
func eachSignature(inRelease []byte, f func(*packet.Signature) error) error {
	at := bytes.LastIndex(inRelease, []byte(armoredSignature))
	if at < 0 {
		return fmt.Errorf("%w: not a clear-signed message", ErrSignature)
	}
	body, err := unarmor(inRelease[at:], openpgp.SignatureType)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	for r, n := bytes.NewReader(body), 0; r.Len() > 0; n++ {
		p, err := packet.NewReader(r).NextWithUnsupported()
		if err != nil || n == maxSignatures {
			return fmt.Errorf("%w: malformed or too many signatures", ErrSignature)
		}
		if sig, ok := p.(*packet.Signature); ok {
			if err := f(sig); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkHashes refuses a message whose headers do not name the hash of each
// signature: RFC 9580 does without, but GnuPG 2.2 then takes MD5 for it.
func checkHashes(signed []byte) error {
	block, _ := clearsign.Decode(signed)
	if block == nil {
		return fmt.Errorf("%w: not a clear-signed message", ErrSignature)
	}
	named := strings.Join(block.Headers["Hash"], ",")
	return eachSignature(signed, func(sig *packet.Signature) error {
		name := strings.ReplaceAll(sig.Hash.String(), "-", "")
		for header := range strings.SplitSeq(named, ",") {
			if strings.TrimSpace(header) == name {
				return nil
			}
		}
		return fmt.Errorf("%w: no header names the hash %s", ErrSignature, name)
	})
}
