package aptrepo

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/repod-io/repod/index"
)

// KeyOptions describes a key to generate; zero fields have the defaults of
// index.KeyOptions, and "repod <repod@localhost>".
type KeyOptions struct {
	Name       string
	Email      string
	Algorithm  string // "ed25519" (default, OpenPGP v4 EdDSA) or "rsa4096"
	ExpireDays int    // 0 = never
}

// Key states.
const (
	KeyActive   = "active"   // signs, and is the one to announce
	KeyRetiring = "retiring" // replaced; signs beside the active key until RetiresAt
	KeyRetired  = "retired"  // signs no more; kept
)

// A KeyInfo describes a signing key without its secrets.
type KeyInfo struct {
	Fingerprint string // upper-case hex, 40 digits
	KeyID       string // the last 16
	Algorithm   string
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: never
	RetiresAt   time.Time // zero: not replaced
	UserIDs     []string
	State       string
}

// A KeyRing lists the signing keys, newest first, and holds the public keys
// of those that sign, armoured and binary.
type KeyRing struct {
	Keys    []KeyInfo
	Armored []byte
	Binary  []byte
}

// A GeneratedKey is the outcome of GenerateKey.
type GeneratedKey struct {
	KeyInfo
	Retiring      []string // fingerprints of the keys that sign beside it for a while
	Distributions []string // signed anew
}

// signingCache holds parsed keys: unsealing and parsing cost more than a
// signature.
type signingCache struct {
	mu     sync.Mutex
	parsed map[string]*index.Key
}

// signer returns what signs now: Repo.Signer, or the active and retiring keys
// in the Store. The first key is generated here.
func (r *Repo) signer(ctx context.Context) (index.Signer, error) {
	if r.Signer != nil {
		return r.Signer, nil
	}
	keys, err := r.signingKeys(ctx)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		if _, _, err := r.addKey(ctx, KeyOptions{}, true); err != nil {
			return nil, err
		}
		if keys, err = r.signingKeys(ctx); err != nil {
			return nil, err
		}
	}
	return &index.OpenPGP{Keys: keys, Now: r.Now}, nil
}

// signingKeys returns the keys that sign now, the active one first.
func (r *Repo) signingKeys(ctx context.Context) ([]*index.Key, error) {
	stored, err := r.Store.SigningKeys(ctx)
	if err != nil {
		return nil, err
	}
	var keys []*index.Key
	for _, k := range stored {
		if r.stateOf(k) == KeyRetired {
			continue
		}
		key, err := r.parseKey(k)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (r *Repo) stateOf(k SigningKey) string {
	switch {
	case k.Active:
		return KeyActive
	case r.now().Before(k.RetiresAt):
		return KeyRetiring
	}
	return KeyRetired
}

func (r *Repo) parseKey(k SigningKey) (*index.Key, error) {
	c := &r.shared().signing
	c.mu.Lock()
	defer c.mu.Unlock()
	if key := c.parsed[k.Fingerprint]; key != nil {
		return key, nil
	}
	private, err := r.unseal(k.Fingerprint, k.Private)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.Fingerprint, err)
	}
	key, err := index.ParseKey(private, nil)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.Fingerprint, err)
	}
	if c.parsed == nil {
		c.parsed = make(map[string]*index.Key)
	}
	c.parsed[k.Fingerprint] = key
	return key, nil
}

// Keys describes the signing keys. With Repo.Signer set, it lists those that
// the signer tells of.
func (r *Repo) Keys(ctx context.Context) (KeyRing, error) {
	if r.Signer != nil {
		return foreignKeys(r.Signer), nil
	}
	stored, err := r.Store.SigningKeys(ctx)
	if err != nil {
		return KeyRing{}, err
	}
	var ring KeyRing
	var signing index.Keyring
	for _, k := range stored {
		key, err := r.parseKey(k)
		if err != nil {
			return KeyRing{}, err
		}
		info := infoOf(key.Public())
		info.State, info.RetiresAt = r.stateOf(k), k.RetiresAt
		ring.Keys = append(ring.Keys, info)
		if info.State != KeyRetired {
			signing = append(signing, key.Public())
		}
	}
	return ring.withPublic(signing), nil
}

// foreignKeys describes the keys of an embedder's signer, as far as it tells.
func foreignKeys(s index.Signer) KeyRing {
	var ring KeyRing
	holder, ok := s.(index.KeyHolder)
	if !ok {
		return ring
	}
	for _, key := range holder.PublicKeys() {
		info := infoOf(key)
		info.State = KeyActive
		ring.Keys = append(ring.Keys, info)
	}
	return ring.withPublic(holder.PublicKeys())
}

func (k KeyRing) withPublic(keys index.Keyring) KeyRing {
	k.Armored, k.Binary = keys.Armored(), keys.Binary()
	return k
}

func infoOf(k *index.PublicKey) KeyInfo {
	return KeyInfo{
		Fingerprint: k.Fingerprint(), KeyID: k.KeyID(), Algorithm: k.Algorithm(),
		CreatedAt: k.CreatedAt(), ExpiresAt: k.ExpiresAt(), UserIDs: k.UserIDs(),
	}
}

// GenerateKey makes a new signing key the active one. Those before it go on
// signing beside it for KeyOverlap, so that clients have time to fetch the
// new one; none is ever lost. All distributions are signed anew, and list the
// package of Keyring with the new key.
//
// Errors: a *FieldError for a bad option; ErrForeignSigner when Repo.Signer
// is set.
func (r *Repo) GenerateKey(ctx context.Context, o KeyOptions) (GeneratedKey, error) {
	if r.Signer != nil {
		return GeneratedKey{}, ErrForeignSigner
	}
	out, told, err := r.addKey(ctx, o, false)
	if err != nil {
		return GeneratedKey{}, err
	}
	distributions, err := r.Store.Distributions(ctx)
	if err != nil {
		return GeneratedKey{}, err
	}
	for _, d := range distributions {
		if err := r.publisher(d.Codename).republish(ctx); err != nil {
			return GeneratedKey{}, err
		}
		out.Distributions = append(out.Distributions, d.Codename)
	}
	if err := r.PublishKeyring(ctx); err != nil { // Run will do it
		r.logger().ErrorContext(ctx, "the package of the repository's keys is not published everywhere", "error", err)
	}
	r.emit(ctx, told)
	return out, nil
}

// addKey generates a key and stores it; with onlyFirst, only when the Store
// has none, and then without an event: the first key is no news.
func (r *Repo) addKey(ctx context.Context, o KeyOptions, onlyFirst bool) (GeneratedKey, Event, error) {
	var out GeneratedKey
	var told Event
	key, err := r.newKey(o)
	if err != nil {
		return out, told, err
	}
	stored, err := r.storedForm(key)
	if err != nil {
		return out, told, err
	}
	out.KeyInfo = infoOf(key.Public())
	out.State = KeyActive
	err = r.Store.Update(ctx, func(tx Tx) error {
		existing, err := tx.SigningKeys()
		if err != nil || onlyFirst && len(existing) > 0 {
			return err
		}
		if out.Retiring, err = r.retire(tx, existing); err != nil {
			return err
		}
		if err := tx.PutSigningKey(stored); err != nil {
			return err
		}
		if !onlyFirst {
			told, err = r.tell(ctx, tx, Event{
				Kind: EventKeyGenerated, Fingerprint: out.Fingerprint, Algorithm: out.Algorithm, ExpiresAt: out.ExpiresAt,
			})
			if err != nil {
				return err
			}
		}
		e := r.audit(ctx, "settings.gpg_generate", ResultSuccess)
		e.Target, e.Detail = out.Fingerprint, out.Algorithm
		return tx.Audit(e)
	})
	return out, told, err
}

// retire lets active keys sign on for the overlap, and returns all that sign.
func (r *Repo) retire(tx Tx, keys []SigningKey) ([]string, error) {
	var retiring []string
	for _, k := range keys {
		if k.Active {
			k.Active = false
			k.RetiresAt = r.now().UTC().Truncate(time.Second).Add(r.keyOverlap())
			if err := tx.PutSigningKey(k); err != nil {
				return nil, err
			}
		}
		if r.stateOf(k) == KeyRetiring {
			retiring = append(retiring, k.Fingerprint)
		}
	}
	return retiring, nil
}

func (r *Repo) newKey(o KeyOptions) (*index.Key, error) {
	if o.Name == "" {
		o.Name = "repod"
	}
	if o.Email == "" {
		o.Email = "repod@localhost"
	}
	if o.ExpireDays < 0 || o.ExpireDays > 3650 {
		return nil, &FieldError{"expire_days", "must be 0 to 3650"}
	}
	options := index.KeyOptions{Name: o.Name, Email: o.Email, Algorithm: o.Algorithm, Now: r.Now}
	if o.ExpireDays > 0 {
		options.Expires = r.now().AddDate(0, 0, o.ExpireDays)
	}
	key, err := index.GenerateKey(options)
	if errors.Is(err, index.ErrKey) {
		return nil, &FieldError{"name", err.Error()}
	}
	return key, err
}

func (r *Repo) storedForm(key *index.Key) (SigningKey, error) {
	private, err := key.ArmoredPrivate(nil)
	if err != nil {
		return SigningKey{}, err
	}
	sealed, err := r.seal(key.Fingerprint(), private)
	return SigningKey{
		Fingerprint: key.Fingerprint(), Private: sealed, Active: true, CreatedAt: key.CreatedAt(),
	}, err
}

// aead is the cipher that seals signing keys, nil without a SecretKey.
func (r *Repo) aead() (cipher.AEAD, error) {
	if r.SecretKey == nil {
		return nil, nil
	}
	if len(r.SecretKey) != 32 {
		return nil, fmt.Errorf("Repo.SecretKey has %d bytes, not 32", len(r.SecretKey))
	}
	key, err := hkdf.Key(sha256.New, r.SecretKey, nil, "repod signing keys", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealedMark begins every sealed key; an armoured one begins with a hyphen.
const sealedMark = "sealed1:"

// seal encrypts data by SecretKey, bound to a name.
func (r *Repo) seal(name string, data []byte) ([]byte, error) {
	c, err := r.aead()
	if c == nil || err != nil {
		return data, err
	}
	return c.Seal([]byte(sealedMark), nil, data, []byte(name)), nil
}

// unseal undoes seal; what was never sealed is returned as it is.
func (r *Repo) unseal(name string, data []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(data, []byte(sealedMark))
	if !ok {
		return data, nil
	}
	c, err := r.aead()
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, errors.New("it is sealed, and no secret key is given")
	}
	plain, err := c.Open(nil, nil, rest, []byte(name))
	if err != nil {
		return nil, errors.New("it was sealed with another secret key")
	}
	return plain, nil
}

// SignDetached returns a detached signature of data by the keys that sign the
// repository: an armoured OpenPGP signature (RFC 9580).
func (r *Repo) SignDetached(ctx context.Context, data []byte) ([]byte, error) {
	signer, err := r.signer(ctx)
	if err != nil {
		return nil, err
	}
	return signer.DetachSign(ctx, data)
}
