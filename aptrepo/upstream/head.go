package upstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/index"
)

const (
	maxHead      = 17 << 20 // what index.Verify takes
	maxSignature = 1 << 20

	// futureTolerance is how far a clock of the archive may be ahead. apt takes
	// ten seconds, which is little for a refusal that needs a human.
	futureTolerance = 10 * time.Minute
)

// A head is a verified Release file.
type head struct {
	*index.Release
	memo memo // without Indices
}

// fetchHead fetches and verifies the Release file of the source. With ask set
// it first asks whether there is a newer one than the memo's; nil stands for
// none.
func (r *run) fetchHead(ctx context.Context, ask bool) (*head, error) {
	r.progress("InRelease", 0, 0)
	var known page
	if ask && !r.memo.Detached && r.memo.holds(r.source, r.keys, r.now) {
		known = page{etag: r.memo.ETag, lastModified: r.memo.LastModified}
	}
	p, err := r.client.get(ctx, r.site, r.dist("InRelease"), known, maxHead)
	if isGone(err) {
		return r.fetchDetached(ctx)
	}
	if err != nil {
		return nil, about("InRelease", err)
	}
	if p.notModified {
		return nil, nil
	}
	text, signers, err := index.Verify(p.body, r.keys, r.now)
	if err != nil {
		return nil, badSignature("InRelease", p.body, err)
	}
	return r.newHead(p, text, signers, false)
}

// fetchDetached fetches Release and Release.gpg.
func (r *run) fetchDetached(ctx context.Context) (*head, error) {
	p, err := r.client.get(ctx, r.site, r.dist("Release"), page{}, maxHead)
	if err != nil {
		return nil, about("InRelease and Release", err)
	}
	sig, err := r.client.get(ctx, r.site, r.dist("Release.gpg"), page{}, maxSignature)
	if isGone(err) {
		return nil, fail(BadSignature, "Release is not signed: there is neither InRelease nor Release.gpg")
	}
	if err != nil {
		return nil, about("Release.gpg", err)
	}
	signers, err := index.VerifyDetached(p.body, sig.body, r.keys, r.now)
	if err != nil {
		return nil, badSignature("Release", p.body, err)
	}
	return r.newHead(p, p.body, signers, true)
}

func badSignature(file string, body []byte, err error) error {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return fail(BadSignature, "%s: the server sent a web page instead", file)
	}
	return fail(BadSignature, "%s: %w", file, err)
}

// newHead reads the text that was signed and checks that it is what the source
// should be now.
func (r *run) newHead(p *page, text []byte, signers []*index.PublicKey, detached bool) (*head, error) {
	release, err := index.ParseRelease(text)
	if err != nil {
		return nil, reject(Malformed, "%w", err)
	}
	sum := sha256.Sum256(p.body)
	h := &head{Release: release, memo: memo{
		Place: r.source.place(), Contents: r.source.contents(), Keys: keysDigest(r.keys),
		Head: hex.EncodeToString(sum[:]), ETag: p.etag, LastModified: p.lastModified, Detached: detached,
		Date: release.Date, ValidUntil: release.ValidUntil,
		Origin: release.Origin, Suite: release.Suite, Codename: release.Codename,
	}}
	for _, k := range signers {
		h.memo.Signers = append(h.memo.Signers, k.Fingerprint())
	}
	for _, err := range []error{r.checkIdentity(release), r.checkDates(release)} {
		if err != nil {
			return nil, err
		}
	}
	if len(release.Files) == 0 {
		return nil, reject(WeakHashes, "the Release file lists no file with its SHA-256")
	}
	return h, nil
}

// checkIdentity makes sure that the Release is of the wanted suite, and of the
// archive that was there before. Suite and Label change in the life of a
// release; Origin and Codename do not.
func (r *run) checkIdentity(rel *index.Release) error {
	names := suiteNames(r.source.Suite)
	if !slices.Contains(names, rel.Suite) && !slices.Contains(names, rel.Codename) {
		return reject(WrongSuite, "the Release file is of suite %q, codename %q, not of %s", rel.Suite, rel.Codename, r.source.Suite)
	}
	if r.memo.Head == "" {
		return nil
	}
	if rel.Origin != r.memo.Origin || rel.Codename != r.memo.Codename {
		return reject(WrongSuite, "the archive has changed its origin or codename from %q, %q to %q, %q: "+
			"to accept that, remove the source and add it again", r.memo.Origin, r.memo.Codename, rel.Origin, rel.Codename)
	}
	return nil
}

// suiteNames returns what a Release file below dists/suite may call itself. The
// file below "bookworm/updates" is that of "bookworm", or "bookworm-security".
func suiteNames(suite string) []string {
	suite = strings.Trim(suite, "/")
	names := []string{suite}
	if i := strings.LastIndexByte(suite, '/'); i > 0 {
		names = append(names, suite[:i])
		if suite[i:] == "/updates" {
			names = append(names, suite[:i]+"-security")
		}
	}
	return names
}

func (r *run) checkDates(rel *index.Release) error {
	switch {
	case rel.Date.IsZero():
		return reject(Malformed, "the Release file has no Date")
	case rel.Date.After(r.now.Add(futureTolerance)):
		return reject(FutureDate, "the Release file is dated %s, which is yet to come", date(rel.Date))
	case rel.Date.Before(r.memo.Date):
		return reject(Rollback, "the Release file is dated %s, an earlier one was dated %s", date(rel.Date), date(r.memo.Date))
	}
	return r.checkAge(rel.Date, rel.ValidUntil)
}

// checkAge refuses an archive that may have been held back from us.
func (r *run) checkAge(made, validUntil time.Time) error {
	if !validUntil.IsZero() && !r.now.Before(validUntil) {
		return reject(Expired, "the Release file was valid until %s", date(validUntil))
	}
	if age := r.syncer.MaxAge; age > 0 && r.now.Sub(made) > age {
		return reject(Expired, "the Release file is dated %s, more than %s ago", date(made), age)
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.RFC3339) }
