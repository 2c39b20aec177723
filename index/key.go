package index

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
)

// The algorithms of [KeyOptions]. Ed25519 keys are version 4 keys with the
// public-key algorithm 22 (EdDSA legacy), the only form of Ed25519 that the
// gpgv of released distributions verifies.
const (
	Ed25519 = "ed25519"
	RSA4096 = "rsa4096"
)

// ErrKey marks a key, or a wish for one, that is refused.
var ErrKey = errors.New("unfit key")

// ErrPassphrase is returned when a passphrase is wrong, or missing.
var ErrPassphrase = errors.New("wrong passphrase")

// KeyOptions says what key GenerateKey makes.
type KeyOptions struct {
	// Name and Email make up the user ID, "Name <Email>". One may be empty.
	Name  string
	Email string
	// Algorithm is Ed25519 (the default) or RSA4096.
	Algorithm string
	// Expires is when the key ceases to be good, zero for never. Clients that
	// hold the key must fetch it again before that.
	Expires time.Time
	// Now is the clock that dates the key. Nil: time.Now.
	Now func() time.Time
	// Rand is the source of randomness. Nil: crypto/rand. RSA keys ignore it,
	// since Go 1.26 does.
	Rand io.Reader
}

// A Key is an OpenPGP private key that signs. It never changes, its methods
// are safe for concurrent use, and printing it shows no private part.
type Key struct {
	public *PublicKey
	secret *openpgp.Entity
	packet []byte // transferable secret key, not encrypted
}

// GenerateKey makes a signing key without subkeys. Names that could not be
// told from other parts of a user ID, or that contain control characters, are
// [ErrKey], as is an expiry that is not after the present.
func GenerateKey(opts KeyOptions) (*Key, error) {
	k, err := generateKey(opts)
	if err != nil {
		return nil, fmt.Errorf("generating key: %w", err)
	}
	return k, nil
}

func generateKey(opts KeyOptions) (*Key, error) {
	if err := checkUserID(opts.Name, opts.Email); err != nil {
		return nil, err
	}
	now := time.Now()
	if opts.Now != nil {
		now = opts.Now()
	}
	now = now.Truncate(time.Second)
	config := &packet.Config{
		Rand:      opts.Rand,
		Time:      func() time.Time { return now },
		Algorithm: packet.PubKeyAlgoEdDSA,
	}
	if !opts.Expires.IsZero() {
		life := opts.Expires.Sub(now) / time.Second
		if life < 1 || life > math.MaxUint32 {
			return nil, fmt.Errorf("%w: expiry not between now and 136 years from now", ErrKey)
		}
		config.KeyLifetimeSecs = uint32(life)
	}
	var e *openpgp.Entity
	var err error
	switch cmp.Or(opts.Algorithm, Ed25519) {
	case Ed25519:
		e, err = openpgp.NewEntity(opts.Name, "", opts.Email, config)
	case RSA4096:
		e, err = newRSA(opts, config)
	default:
		return nil, fmt.Errorf("%w: unknown algorithm %q", ErrKey, opts.Algorithm)
	}
	if err != nil {
		return nil, err
	}
	e.Subkeys = nil // go-crypto adds one for encryption
	return newKey(e)
}

// newRSA makes the entity by hand: go-crypto would spend as much time again on
// a subkey for encryption.
func newRSA(opts KeyOptions, config *packet.Config) (*openpgp.Entity, error) {
	private, err := rsa.GenerateKey(cmp.Or(opts.Rand, rand.Reader), 4096)
	if err != nil {
		return nil, err
	}
	primary := packet.NewRSAPrivateKey(config.Now(), private)
	e := &openpgp.Entity{
		PrimaryKey: &primary.PublicKey,
		PrivateKey: primary,
		Identities: make(map[string]*openpgp.Identity),
	}
	return e, e.AddUserId(opts.Name, "", opts.Email, config)
}

func checkUserID(name, email string) error {
	if name == "" && email == "" {
		return fmt.Errorf("%w: neither name nor e-mail address", ErrKey)
	}
	for _, s := range []string{name, email} {
		switch {
		case len(s) > 200:
			return fmt.Errorf("%w: name or e-mail address longer than 200 bytes", ErrKey)
		case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
			return fmt.Errorf("%w: control character in name or e-mail address", ErrKey)
		case strings.ContainsAny(s, "()<>") || strings.TrimSpace(s) != s:
			return fmt.Errorf("%w: bracket or outer space in name or e-mail address", ErrKey)
		}
	}
	if local, domain, ok := strings.Cut(email, "@"); email != "" &&
		(!ok || local == "" || domain == "" || strings.ContainsAny(email, " \t,;:\\\"") || strings.Contains(domain, "@")) {
		return fmt.Errorf("%w: malformed e-mail address", ErrKey)
	}
	return nil
}

// newKey wraps an entity whose private parts are decrypted.
func newKey(e *openpgp.Entity) (*Key, error) {
	var public, secret bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&secret, nil); err != nil {
		return nil, err
	}
	if err := e.Serialize(&public); err != nil {
		return nil, err
	}
	keys, err := readKeys(public.Bytes())
	if err != nil {
		return nil, err
	}
	return &Key{public: keys[0], secret: e, packet: secret.Bytes()}, nil
}

// ParseKey reads an armoured private key, as ArmoredPrivate or
// gpg --export-secret-keys --armor write it. passphrase may be nil if the key
// is not protected; otherwise [ErrPassphrase] tells that it does not fit. Keys
// whose signatures common clients do not verify are [ErrKey]: those that are
// not version 4, RSA of less than 2048 bits, DSA, and Ed25519 under its new
// algorithm number 27.
func ParseKey(armored, passphrase []byte) (*Key, error) {
	k, err := parseKey(armored, passphrase)
	if err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	return k, nil
}

func parseKey(armored, passphrase []byte) (*Key, error) {
	body, err := unarmor(armored, openpgp.PrivateKeyType)
	if err != nil {
		return nil, err
	}
	list, err := openpgp.ReadKeyRing(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("%w: %d keys in place of one", ErrKey, len(list))
	}
	e := list[0]
	if e.PrivateKey == nil {
		return nil, fmt.Errorf("%w: no private part", ErrKey)
	}
	if err := checkEntity(e); err != nil {
		return nil, err
	}
	if err := e.DecryptPrivateKeys(passphrase); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	return newKey(e)
}

// checkEntity refuses a key of which some part that signs is not for clients.
func checkEntity(e *openpgp.Entity) error {
	if err := checkClients(e.PrimaryKey); err != nil {
		return err
	}
	for _, s := range e.Subkeys {
		if s.Sig.FlagSign {
			if err := checkClients(s.PublicKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkClients refuses keys whose signatures apt's gpgv does not verify.
func checkClients(k *packet.PublicKey) error {
	if k.Version != 4 {
		return fmt.Errorf("%w: version %d", ErrKey, k.Version)
	}
	switch k.PubKeyAlgo {
	case packet.PubKeyAlgoEdDSA, packet.PubKeyAlgoECDSA:
		return nil
	case packet.PubKeyAlgoRSA, packet.PubKeyAlgoRSASignOnly:
		if bits, err := k.BitLength(); err != nil || bits < minRSA {
			return fmt.Errorf("%w: RSA with %d bits", ErrKey, bits)
		}
		return nil
	}
	return fmt.Errorf("%w: public-key algorithm %d", ErrKey, k.PubKeyAlgo)
}

const minRSA = 2048

// Public returns the public half.
func (k *Key) Public() *PublicKey { return k.public }

// Fingerprint returns the fingerprint in upper-case hexadecimal.
func (k *Key) Fingerprint() string { return k.public.Fingerprint() }

// KeyID returns the 64-bit key ID in upper-case hexadecimal.
func (k *Key) KeyID() string { return k.public.KeyID() }

// Algorithm returns Ed25519, RSA4096, or the like.
func (k *Key) Algorithm() string { return k.public.Algorithm() }

// CreatedAt returns when the key was made, in whole seconds, UTC.
func (k *Key) CreatedAt() time.Time { return k.public.CreatedAt() }

// ExpiresAt returns when the key ceases to be good, or zero for never.
func (k *Key) ExpiresAt() time.Time { return k.public.ExpiresAt() }

// UserIDs returns the user IDs, the primary one first.
func (k *Key) UserIDs() []string { return k.public.UserIDs() }

// ArmoredPublic returns the public half as a file for apt's Signed-By.
func (k *Key) ArmoredPublic() []byte { return Keyring{k.public}.Armored() }

// ArmoredPrivate returns the private key for ParseKey, protected by a
// passphrase (AES-256, iterated and salted SHA-256) if that is not empty.
func (k *Key) ArmoredPrivate(passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return toArmor(openpgp.PrivateKeyType, k.packet), nil
	}
	// Encrypting changes the entity, so it takes a copy.
	list, err := openpgp.ReadKeyRing(bytes.NewReader(k.packet))
	if err != nil {
		return nil, fmt.Errorf("protecting key: %w", err)
	}
	config := &packet.Config{
		DefaultCipher: packet.CipherAES256,
		S2KConfig:     &s2k.Config{S2KMode: s2k.IteratedSaltedS2K, Hash: crypto.SHA256, S2KCount: 65011712},
	}
	if err := list[0].EncryptPrivateKeys(passphrase, config); err != nil {
		return nil, fmt.Errorf("protecting key: %w", err)
	}
	var out bytes.Buffer
	if err := list[0].SerializePrivateWithoutSigning(&out, nil); err != nil {
		return nil, fmt.Errorf("protecting key: %w", err)
	}
	return toArmor(openpgp.PrivateKeyType, out.Bytes()), nil
}

// String describes the key; it shows no private part.
func (k *Key) String() string { return "private key of " + k.public.String() }

// Format implements fmt.Formatter, so that no verb shows a private part.
func (k *Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue implements slog.LogValuer.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
