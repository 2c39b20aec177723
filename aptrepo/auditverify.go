package aptrepo

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// An AuditHead is the end of the audit log: its last entry. It is kept apart
// from the entries, so that cutting some off is found out.
type AuditHead struct {
	ID   int64  `json:"id"` // 0: there is no entry
	Hash string `json:"hash"`
	MAC  string `json:"mac"` // hex; "" without a key
}

// AuditKey derives the key that signs the audit log from a [Repo.SecretKey];
// nil from nil.
func AuditKey(secret []byte) []byte {
	if secret == nil {
		return nil
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "repod audit log", sha256.Size)
	if err != nil {
		panic(err) // only ever for lengths out of bounds
	}
	return key
}

// Sign returns the head with its MAC by a key: HMAC-SHA256 (RFC 2104) of ID and
// Hash. Whoever writes the database but has not the key can make up entries,
// but no head that ends in them. Without a key the MAC is empty.
func (h AuditHead) Sign(key []byte) AuditHead { return h.signAs("", key) }

// SignAnchor is Sign for an entry that the log begins behind, because it and all
// before it were archived. It gives another MAC: no head that was ever signed can
// be passed off as an anchor, to hide what came before.
func (h AuditHead) SignAnchor(key []byte) AuditHead { return h.signAs("anchor ", key) }

func (h AuditHead) signAs(what string, key []byte) AuditHead {
	h.MAC = ""
	if key != nil {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s%d %s", what, h.ID, h.Hash)
		h.MAC = hex.EncodeToString(mac.Sum(nil))
	}
	return h
}

// SignedBy reports whether the head was signed by key; with none, whether it is
// not signed.
func (h AuditHead) SignedBy(key []byte) bool {
	return hmac.Equal([]byte(h.MAC), []byte(h.Sign(key).MAC))
}

// anchoredBy reports whether SignAnchor has signed the anchor with key. That
// nothing was archived needs no signature.
func (h AuditHead) anchoredBy(key []byte) bool {
	return h.ID == 0 && h.Hash == "" || hmac.Equal([]byte(h.MAC), []byte(h.SignAnchor(key).MAC))
}

// An AuditReport is what VerifyAudit found.
type AuditReport struct {
	// Archived counts the entries in the archive that were read: files that
	// somebody has taken elsewhere are not among them.
	Archived int
	Entries  int   // in the log, up to the first that does not fit
	FirstID  int64 // 0: there are none
	LastID   int64
	Anchor   string // hash that the first entry builds on, "" for the very first; see Repo.RunRetention
	Head     string // hash of the last entry
	// BrokenAt is the ID of the first entry that was changed, removed, put in
	// another's place or cut off; 0: all fit.
	BrokenAt int64
	Detail   string // what does not fit, for people
}

// auditMark is the key in storage of an earlier head. It lies outside of the
// public tree, and outside of the database: one that is put back to an earlier
// state, with its own earlier head, does not get by.
const auditMark = "audit/head.json"

// VerifyAudit reads the whole audit log and checks that each entry builds on
// the one before, that the log begins behind its signed anchor and ends where its
// signed head says, and that it still holds the entry that an earlier head in
// storage names. It reads the archive too, of which the oldest files may be
// missing, but no others. Entries written meanwhile are left out. Memory does not
// grow with the log.
//
// After a database was restored from a backup, the log ends before that earlier
// head, and the archive may have younger files: [Repo.Restored] puts both aside.
//
// The verification is itself audited.
func (r *Repo) VerifyAudit(ctx context.Context) (AuditReport, error) {
	report, err := r.verifyAudit(ctx)
	if err != nil {
		return AuditReport{}, err
	}
	e := r.audit(ctx, "audit.verify", ResultSuccess)
	e.Detail = fmt.Sprintf("%d entries", report.Entries)
	if report.BrokenAt != 0 {
		e.Result, e.Detail = ResultFailure, fmt.Sprintf("broken at entry %d: %s", report.BrokenAt, report.Detail)
	}
	return report, r.Store.Update(ctx, func(tx Tx) error { return tx.Audit(e) })
}

func (r *Repo) verifyAudit(ctx context.Context) (AuditReport, error) {
	for {
		anchor, err := r.Store.AuditAnchor(ctx)
		if err != nil {
			return AuditReport{}, err
		}
		report, err := r.verifyAuditBehind(ctx, anchor)
		if err != nil || report.BrokenAt == 0 {
			return report, err
		}
		// Entries that were archived meanwhile seem to be missing.
		now, err := r.Store.AuditAnchor(ctx)
		if err != nil || now == anchor {
			return report, err
		}
	}
}

// verifyAuditBehind verifies the archive up to an anchor, and the log behind it.
func (r *Repo) verifyAuditBehind(ctx context.Context, anchor AuditHead) (AuditReport, error) {
	mark, err := r.readAuditMark(ctx)
	if err != nil {
		return AuditReport{}, err
	}
	head, err := r.Store.AuditHead(ctx)
	if err != nil {
		return AuditReport{}, err
	}
	c := auditCheck{key: AuditKey(r.SecretKey), mark: mark}
	if err := c.archive(ctx, r.Storage, anchor); err != nil {
		return AuditReport{}, err
	}
	c.begins(anchor)
	if err := c.entries(ctx, r.Store, head.ID); err != nil {
		return AuditReport{}, err
	}
	c.ends(head)
	return c.report, nil
}

// auditCheck is a verification under way.
type auditCheck struct {
	report AuditReport
	key    []byte
	mark   AuditHead
}

// begins lets the check go on behind an anchor.
func (c *auditCheck) begins(anchor AuditHead) {
	if c.key != nil && !anchor.anchoredBy(c.key) {
		c.broken(anchor.ID+1, "the anchor of the log, entry %d, is not signed by this server's key", anchor.ID)
	}
	if anchor.ID == c.mark.ID && anchor.Hash != c.mark.Hash {
		c.broken(max(anchor.ID, 1), "entry %d, or one before, is not what it was: the chain was made anew", anchor.ID)
	}
	c.report.Anchor = anchor.Hash
	c.report.LastID, c.report.Head = anchor.ID, anchor.Hash
}

// broken notes the first fault.
func (c *auditCheck) broken(id int64, format string, args ...any) {
	if c.report.BrokenAt == 0 {
		c.report.BrokenAt, c.report.Detail = id, fmt.Sprintf(format, args...)
	}
}

// entries follows the chain up to an ID.
func (c *auditCheck) entries(ctx context.Context, s Store, last int64) error {
	for c.report.LastID < last && c.report.BrokenAt == 0 {
		entries, err := s.AuditEntries(ctx, c.report.LastID, 1000)
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			if e.ID > last || c.report.BrokenAt != 0 {
				break
			}
			if err := c.entry(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *auditCheck) entry(e AuditEntry) error {
	if want := c.report.LastID + 1; e.ID != want {
		c.broken(want, "entry %d is missing", want)
		return nil
	}
	hash, err := e.Chain(c.report.Head)
	if err != nil {
		return err
	}
	if hash != e.Hash {
		c.broken(e.ID, "entry %d does not fit the one before", e.ID)
		return nil
	}
	if e.ID == c.mark.ID && e.Hash != c.mark.Hash {
		c.broken(e.ID, "entry %d, or one before, is not what it was: the chain was made anew", e.ID)
		return nil
	}
	if c.report.FirstID == 0 {
		c.report.FirstID = e.ID
	}
	c.report.Entries++
	c.report.LastID, c.report.Head = e.ID, e.Hash
	return nil
}

// ends compares the end of the log with what is known of it elsewhere.
func (c *auditCheck) ends(head AuditHead) {
	last := c.report.LastID
	switch {
	case last < head.ID:
		c.broken(last+1, "the log ends at entry %d, not %d", last, head.ID)
	case c.report.Head != head.Hash:
		c.broken(last, "entry %d is not the one that the head names", last)
	case c.key != nil && !head.SignedBy(c.key):
		c.broken(max(last, 1), "the head is not signed by this server's key")
	case last < c.mark.ID:
		c.broken(last+1, "the log ends at entry %d and has had %d: it was cut off, or the database was restored from a backup (see VerifyAudit)",
			last, c.mark.ID)
	}
}

// readAuditMark returns the earlier head in storage. One that is missing or not
// genuine counts for nothing: whoever can write storage can remove it, too.
func (r *Repo) readAuditMark(ctx context.Context) (AuditHead, error) {
	data, err := readAll(ctx, r.Storage, auditMark)
	if errors.Is(err, fs.ErrNotExist) {
		return AuditHead{}, nil
	}
	if err != nil {
		return AuditHead{}, err
	}
	var mark AuditHead
	if err := json.Unmarshal(data, &mark); err != nil || !mark.SignedBy(AuditKey(r.SecretKey)) {
		r.logger().WarnContext(ctx, "the audit head in storage is not this server's", "key", auditMark)
		return AuditHead{}, nil
	}
	return mark, nil
}

// markInterval is how often the head is put into storage while entries come.
const markInterval = time.Minute

// markAudit puts the present head into storage, if the chain leads there from
// the earlier one. If it does not, that one stays, for VerifyAudit to find: else
// a log that was made anew, or has been cut off and has grown again, would be
// taken for sound from the next mark on. What it reads is what was written since
// the earlier mark, at first the whole log.
func (r *Repo) markAudit(ctx context.Context) error {
	mark, err := r.readAuditMark(ctx) // first: another server may move it on
	if err != nil {
		return err
	}
	head, err := r.Store.AuditHead(ctx)
	if err != nil || head.ID == mark.ID && head.Hash == mark.Hash {
		return err
	}
	anchor, err := r.Store.AuditAnchor(ctx)
	if err != nil {
		return err
	}
	c := auditCheck{key: AuditKey(r.SecretKey), mark: mark, report: AuditReport{LastID: mark.ID, Head: mark.Hash}}
	if anchor.ID > mark.ID { // what the mark names is in the archive
		c.begins(anchor)
	}
	if err := c.entries(ctx, r.Store, head.ID); err != nil {
		return err
	}
	if c.ends(head); c.report.BrokenAt != 0 {
		return fmt.Errorf("the audit log was tampered with (repod fsck tells more): %s", c.report.Detail)
	}
	data, err := json.Marshal(head)
	if err != nil {
		return err
	}
	return storageError(r.Storage.Put(ctx, auditMark, bytes.NewReader(data)))
}
