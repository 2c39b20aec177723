package aptrepo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo/storage"
)

// The archive of the audit log lies in storage, outside of the public tree. Each
// of its files begins with the line of an AuditHead, signed as an anchor: the
// entry that the first one in the file builds on. Entries follow, a line each, in
// the form of AuditLines. All of it is compressed by gzip (RFC 1952).
const (
	auditArchive = "audit/archive/"
	archiveType  = ".jsonl.gz"

	// What a file holds at most, before compression: one is written from memory,
	// and its entries are removed in one transaction.
	archiveEntries = 10_000
	archiveBytes   = 32 << 20
	archiveLine    = 16 << 20
)

// archiveName is the key of the file that begins with an entry. Names sort as
// their entries do.
func archiveName(first int64) string {
	return fmt.Sprintf("%s%012d%s", auditArchive, first, archiveType)
}

// archiveFirst is the reverse of archiveName.
func archiveFirst(key string) (first int64, ok bool) {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(key, auditArchive), archiveType)
	first, err := strconv.ParseInt(digits, 10, 64)
	return first, ok && err == nil && archiveName(first) == key
}

// archiveAudit moves the oldest entries of the audit log, those of before a time,
// into the archive, and returns how many. An entry is removed from the Store once
// a file in storage was read back that has it: a program that is stopped in
// between leaves it in both, and the next run goes on from there.
//
// A log that was tampered with is left as it is.
func (r *Repo) archiveAudit(ctx context.Context, before time.Time) (removed int, err error) {
	anchor, err := r.Store.AuditAnchor(ctx)
	if err != nil {
		return 0, err
	}
	oldest, err := r.Store.AuditEntries(ctx, anchor.ID, 1)
	if err != nil || len(oldest) == 0 || !oldest[0].Time.Before(before) {
		return 0, err
	}
	report, err := r.verifyAudit(ctx)
	if err == nil && report.BrokenAt != 0 {
		err = fmt.Errorf("the audit log was tampered with and is not archived: %s", report.Detail)
	}
	if err != nil {
		return 0, err
	}
	if err := r.markAudit(ctx); err != nil { // a mark in what goes could not be held against the log
		return 0, err
	}
	for {
		n, err := r.archiveNext(ctx, before)
		removed += n
		if err != nil || n == 0 {
			return removed, err
		}
	}
}

// archiveNext moves as many entries as one file holds.
func (r *Repo) archiveNext(ctx context.Context, before time.Time) (int, error) {
	anchor, err := r.Store.AuditAnchor(ctx)
	if err != nil {
		return 0, err
	}
	data, entries, err := r.packAudit(ctx, anchor, before)
	if err != nil || entries == 0 {
		return 0, err
	}
	key := archiveName(anchor.ID + 1)
	end, err := r.createArchive(ctx, key, data, anchor, before)
	if err != nil {
		return 0, err
	}
	var n int
	err = r.Store.Update(ctx, func(tx Tx) error {
		n, err = tx.RemoveAudit(end)
		return err
	})
	return n, err
}

// createArchive puts a file into the archive, or finds one there that an earlier
// run has left, and returns its last entry. What is there and of no use, as after
// the database was restored from a backup, is put aside.
func (r *Repo) createArchive(ctx context.Context, key string, data []byte, anchor AuditHead, before time.Time) (AuditHead, error) {
	for try := 0; ; try++ {
		err := storage.Create(ctx, r.Storage, key, bytes.NewReader(data))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return AuditHead{}, storageError(err)
		}
		end, wrong, err := r.usableArchive(ctx, key, anchor, before)
		if err != nil || wrong == "" {
			return end, err
		}
		if try > 0 {
			return AuditHead{}, fmt.Errorf("%w: %s was written and is not what it should be: %s", ErrUnavailable, key, wrong)
		}
		r.logger().WarnContext(ctx, "a file in the archive of the audit log is put aside", "key", key, "reason", wrong)
		if err := r.moveFile(ctx, key, lostFound+key); err != nil {
			return AuditHead{}, err
		}
	}
}

// usableArchive reads a file back. It is wrong unless it goes on from the anchor
// with entries of before a time, and ends with one that the Store has.
func (r *Repo) usableArchive(ctx context.Context, key string, anchor AuditHead, before time.Time) (end AuditHead, wrong string, err error) {
	c := auditCheck{key: AuditKey(r.SecretKey), report: AuditReport{LastID: anchor.ID, Head: anchor.Hash, Archived: 1}}
	young := false
	err = c.archiveFile(ctx, r.Storage, key, func(e AuditEntry) { young = young || !e.Time.Before(before) })
	end = AuditHead{ID: c.report.LastID, Hash: c.report.Head}
	switch {
	case err != nil:
		return end, "", err
	case c.report.BrokenAt != 0:
		return end, c.report.Detail, nil
	case young:
		return end, "it has entries that are to stay", nil
	}
	last, err := r.Store.AuditEntries(ctx, end.ID-1, 1)
	if err == nil && (len(last) == 0 || last[0].ID != end.ID || last[0].Hash != end.Hash) {
		wrong = "its last entry is not in the log"
	}
	return end, wrong, err
}

// packAudit makes a file of the entries behind an anchor that are older than a
// time, up to the first that is not, and returns how many there are.
func (r *Repo) packAudit(ctx context.Context, anchor AuditHead, before time.Time) (data []byte, entries int, err error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	raw := bufio.NewWriter(z)
	lines := json.NewEncoder(raw)
	if err := lines.Encode(anchor); err != nil {
		return nil, 0, err
	}
	size := 0
	more := func(e AuditEntry) bool {
		return entries < archiveEntries && size < archiveBytes && e.Time.Before(before)
	}
	for after, full := anchor.ID, false; !full; {
		batch, err := r.Store.AuditEntries(ctx, after, exportBatch)
		if err != nil {
			return nil, 0, err
		}
		full = len(batch) == 0
		for _, e := range batch {
			if full = !more(e); full {
				break
			}
			if err := lines.Encode(e); err != nil {
				return nil, 0, err
			}
			size += len(e.Target) + len(e.Package) + len(e.Detail)
			entries, after = entries+1, e.ID
		}
	}
	err = errors.Join(raw.Flush(), z.Close())
	return packed.Bytes(), entries, err
}

// archive verifies what the archive has of the entries up to an anchor: one
// piece, that ends there. Its beginning may have been taken elsewhere.
func (c *auditCheck) archive(ctx context.Context, s storage.Backend, anchor AuditHead) error {
	for info, err := range s.List(ctx, auditArchive) {
		if err != nil {
			return storageError(err)
		}
		first, ok := archiveFirst(info.Key)
		if !ok || first > anchor.ID || c.report.BrokenAt != 0 {
			continue
		}
		if err := c.archiveFile(ctx, s, info.Key, func(AuditEntry) {}); err != nil {
			return err
		}
	}
	if c.report.Archived > 0 && (c.report.LastID != anchor.ID || c.report.Head != anchor.Hash) {
		c.broken(c.report.LastID+1, "the archive ends at entry %d, which is not the one that the log begins behind, %d", c.report.LastID, anchor.ID)
	}
	c.report = AuditReport{Archived: c.report.Archived, BrokenAt: c.report.BrokenAt, Detail: c.report.Detail}
	return nil
}

// archiveFile follows the chain through a file, and shows its entries. Only the
// first file read may begin anywhere. The error is of storage: a file that is
// damaged or does not fit is broken.
func (c *auditCheck) archiveFile(ctx context.Context, s storage.Backend, key string, show func(AuditEntry)) error {
	body, _, err := s.Open(ctx, key)
	if err != nil {
		return storageError(err)
	}
	defer body.Close()
	source := &failure{Reader: contextReader{ctx, body}}
	lines, err := archiveLines(source)
	for first := true; err == nil && c.report.BrokenAt == 0 && lines.Scan(); first = false {
		if first {
			err = c.archiveAnchor(key, lines.Bytes())
			continue
		}
		var e AuditEntry
		if err = json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue
		}
		if err = c.entry(e); err == nil && c.report.BrokenAt == 0 {
			c.report.Archived++
			show(e)
		}
	}
	if lines != nil && err == nil {
		err = lines.Err()
	}
	if source.err != nil {
		return storageError(source.err)
	}
	if err != nil {
		c.broken(c.report.LastID+1, "%s is damaged: %v", key, err)
	}
	return nil
}

// archiveAnchor takes up the first line of a file.
func (c *auditCheck) archiveAnchor(key string, line []byte) error {
	var anchor AuditHead
	if err := json.Unmarshal(line, &anchor); err != nil {
		return err
	}
	first, _ := archiveFirst(key)
	switch {
	case anchor.ID != first-1:
		c.broken(first, "%s begins behind entry %d", key, anchor.ID)
	case c.report.Archived > 0: // what was read before vouches for it
		if anchor.ID != c.report.LastID || anchor.Hash != c.report.Head {
			c.broken(c.report.LastID+1, "%s does not go on where the one before it ends, at entry %d", key, c.report.LastID)
		}
	case c.key != nil && !anchor.anchoredBy(c.key):
		c.broken(first, "what %s begins behind is not signed by this server's key", key)
	}
	c.report.LastID, c.report.Head = anchor.ID, anchor.Hash
	return nil
}

// archiveLines reads the lines of a compressed file. An end that comes too early
// is an error of the Scanner.
func archiveLines(r io.Reader) (*bufio.Scanner, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, archiveLine)
	return lines, nil
}

// failure keeps an error of a reader apart from those of what is made of it.
type failure struct {
	io.Reader
	err error
}

func (f *failure) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
