package aptrepo

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/deb"
)

// keyringMark is the control field by which the package of the keys is known: the
// SHA-256 of the keyring in it.
const keyringMark = "Repod-Keyring"

// keyringVersion is the form of its versions: when the keys changed last, in UTC.
const keyringVersion = "2006.01.02.150405"

var (
	keyringName    = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,62}-archive-keyring$`)
	maintainerForm = regexp.MustCompile(`^[^<>\s,][^<>,]{0,100} <[^<>\s,@]+@[^<>\s,@]+>$`)
)

// vendorKeyrings have the keys of vendors: a machine that took the repository's own
// for one of those would lose its updates.
var vendorKeyrings = []string{"debian-archive-keyring", "debian-ports-archive-keyring", "ubuntu-archive-keyring"}

// keyring returns the name of the package of the keys, "" for none.
func (r *Repo) keyring() string {
	if r.Keyring == nil {
		return ""
	}
	return r.Keyring()
}

// PublishKeyring publishes the package that Keyring names in all distributions, in
// the component main if they have it, else in their first: a package for all
// architectures with the public keys of those that sign, retiring ones included,
// as /usr/share/keyrings/NAME.gpg, for Signed-By in a client's sources. Clients
// that have it get new keys with their upgrades, as long as they upgrade while a
// replaced key still signs.
//
// It is built when the keys have changed, with a version of that time, and is
// above all earlier ones; what has not changed is published where it is missing.
// It passes the gate as other packages do, but the Scanners do not see it, so that
// a new key reaches clients while they are out of order: it holds nothing but what
// was made here. Run does all this within a minute, and GenerateKey at once. Older
// versions stay until retention takes them.
//
// Errors: a *FieldError for a bad name; ErrReservedName when packages of that name
// are published that were made by others; ErrQuarantined, ErrSigning,
// ErrUnavailable, ErrFull.
func (r *Repo) PublishKeyring(ctx context.Context) error {
	name := r.keyring()
	if name == "" {
		return nil
	}
	if !keyringName.MatchString(name) || slices.Contains(vendorKeyrings, name) {
		return &FieldError{"keyring_package", "must end in -archive-keyring, and be no vendor's"}
	}
	ctx = WithActor(ctx, Actor{})
	ring, err := r.Keys(ctx)
	if err != nil || len(ring.Binary) == 0 {
		return err
	}
	known, err := r.Store.Artifacts(ctx, name)
	if err != nil {
		return err
	}
	distributions, err := r.Store.Distributions(ctx)
	if err != nil {
		return err
	}
	data, latest, err := r.keyringFile(ctx, name, ring, known)
	if err != nil {
		return err
	}
	b := r.NewBatch()
	var errs []error
	for _, d := range distributions {
		if latest != nil && latest.PublishedIn(d.Codename) {
			continue
		}
		o := PublishOptions{Distribution: d.Codename}
		if !slices.Contains(d.Components, "main") {
			o.Component = d.Components[0]
		}
		in := r.incoming(bytes.NewReader(data), o)
		in.own = true
		if _, err := b.add(ctx, in); err != nil {
			errs = append(errs, fmt.Errorf("%s in %s: %w", name, d.Codename, err))
		}
	}
	return errors.Join(append(errs, b.Publish(ctx))...)
}

// keyringFile returns the package for the keys: the newest one that is known, if it
// has these very keys, with its artifact, else a new one.
func (r *Repo) keyringFile(ctx context.Context, name string, ring KeyRing, known []Artifact) ([]byte, *Artifact, error) {
	var newest *Artifact
	for i, a := range known {
		mark := markOf(&a)
		if mark == "" || a.UploadedBy != (Actor{}).name() {
			if len(a.Publications) > 0 {
				return nil, nil, fmt.Errorf("%w: delete %s %s, which is not, or choose another name", ErrReservedName, name, a.Version)
			}
			continue
		}
		if newest == nil {
			newest = &known[i]
		}
	}
	if newest == nil {
		data, err := buildKeyring(name, ring, r.keysChanged(ring))
		return data, nil, err
	}
	if markOf(newest) == sumOfKeyring(ring) {
		data, err := readAll(ctx, r.Storage, newest.Filename)
		return data, newest, err
	}
	changed := r.keysChanged(ring)
	if before, err := time.Parse(keyringVersion, newest.Version); err == nil && !changed.After(before) {
		changed = before.Add(time.Second)
	}
	data, err := buildKeyring(name, ring, changed)
	return data, nil, err
}

// markOf returns the mark of an artifact, "" if it has none.
func markOf(a *Artifact) string {
	control, err := deb.ParseStanza([]byte(a.Control))
	if err != nil {
		return ""
	}
	return control.Get(keyringMark)
}

func sumOfKeyring(ring KeyRing) string {
	sum := sha256.Sum256(ring.Binary)
	return hex.EncodeToString(sum[:])
}

// keysChanged returns when a key came or retired last. All servers of a Store agree
// about it, and so about the package's bytes. Of the keys of Repo.Signer nothing
// is known but that they are others now.
func (r *Repo) keysChanged(ring KeyRing) time.Time {
	if r.Signer != nil {
		return r.now().UTC().Truncate(time.Second)
	}
	var last time.Time
	for _, k := range ring.Keys {
		for _, at := range []time.Time{k.CreatedAt, k.RetiresAt} {
			if at.After(last) && (at == k.CreatedAt || k.State == KeyRetired) {
				last = at
			}
		}
	}
	return last.UTC().Truncate(time.Second)
}

// buildKeyring builds the package.
func buildKeyring(name string, ring KeyRing, changed time.Time) ([]byte, error) {
	var keys strings.Builder
	maintainer := ""
	for _, k := range ring.Keys {
		if k.State == KeyRetired {
			continue
		}
		fmt.Fprintf(&keys, "    - %s (%s)\n", k.Fingerprint, k.Algorithm)
		if uid := k.UserIDs[0]; maintainer == "" && maintainerForm.MatchString(uid) {
			maintainer = uid
		}
	}
	if maintainer == "" {
		maintainer = "repod <repod@localhost>"
	}
	control := new(deb.Stanza)
	for _, f := range []deb.Field{
		{Name: "Package", Value: name}, {Name: "Version", Value: changed.Format(keyringVersion)},
		{Name: "Architecture", Value: "all"}, {Name: "Maintainer", Value: maintainer},
		{Name: "Section", Value: "misc"}, {Name: "Priority", Value: "optional"}, {Name: "Multi-Arch", Value: "foreign"},
		{Name: "Description", Value: "OpenPGP keys of this package repository\n" +
			" The Release files of the repository that this package comes from are signed\n" +
			" by the keys in /usr/share/keyrings/" + name + ".gpg.\n" +
			" Name that file as Signed-By in the sources of apt."},
		{Name: keyringMark, Value: sumOfKeyring(ring)},
	} {
		if err := control.Set(f.Name, f.Value); err != nil {
			return nil, fmt.Errorf("package of the keys: %w", err)
		}
	}
	changelog, err := packed(fmt.Sprintf("%s (%s) unstable; urgency=medium\n\n  * The keys of the repository are now:\n%s\n -- %s  %s\n",
		name, changed.Format(keyringVersion), keys.String(), maintainer, changed.Format(time.RFC1123Z)))
	if err != nil {
		return nil, err
	}
	docs := "usr/share/doc/" + name + "/"
	data, err := deb.New{Control: control, Time: changed, Files: []deb.NewFile{
		{Path: "usr/share/keyrings/" + name + ".gpg", Data: ring.Binary},
		{Path: docs + "copyright", Data: []byte(keyringCopyright)},
		{Path: docs + "changelog.gz", Data: changelog},
	}}.Build()
	if err != nil {
		return nil, fmt.Errorf("package of the keys: %w", err)
	}
	return data, nil
}

// keyringCopyright is machine-readable: Debian's copyright format 1.0.
const keyringCopyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Comment: This package was made by repod, the server of the repository.

Files: *
Copyright: none
License: public-domain
 The package holds public keys, which are facts that nobody has a copyright of,
 and a few lines about them.
`

func packed(text string) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = io.WriteString(z, text)
	}
	if err == nil {
		err = z.Close()
	}
	return out.Bytes(), err
}

// keptKeyring is what Run remembers of the package of the keys.
type keptKeyring struct {
	seen   string // name, keys, and how many distributions
	failed string // what was logged last
}

// keepKeyring publishes the package of the keys where something has changed, and
// now and then in any case: somebody may have deleted it.
func (r *Repo) keepKeyring(ctx context.Context, inAnyCase bool) {
	name := r.keyring()
	if name == "" {
		return
	}
	kept := &r.shared().keyring
	state, err := r.signedState(ctx)
	if err == nil {
		seen := fmt.Sprint(name, state.name(), len(r.knownPublishers()))
		if !inAnyCase && seen == kept.seen {
			return
		}
		kept.seen = seen
		err = r.PublishKeyring(ctx)
	}
	text := ""
	if err != nil && ctx.Err() == nil {
		if text = err.Error(); text != kept.failed {
			r.logger().ErrorContext(ctx, "the package of the repository's keys is not published everywhere; it is tried again every minute", "error", err)
		}
	}
	kept.failed = text
}
