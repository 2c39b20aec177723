package aptrepo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/repod-io/repod/index"
)

// Restored makes a repository go on whose Store was restored from a copy, and its
// files too or not. It records that, publishes every distribution anew and lets
// the audit log begin a new comparison with storage, where the former one may be
// of entries that the Store does not have: it is put aside. Call it before
// anything else is done with the repository; it may be called again.
//
// What is published then has higher numbers and later Dates than all that the
// former Store can have published: apt ignores a Release older than the one that
// it has. [Repo.Recover] sees to that at each start.
func (r *Repo) Restored(ctx context.Context, detail string) error {
	mark, err := r.readAuditMark(ctx)
	if err != nil {
		return err
	}
	head, err := r.Store.AuditHead(ctx)
	if err != nil {
		return err
	}
	if mark.ID > head.ID {
		detail += fmt.Sprintf("; the log had had %d entries more", mark.ID-head.ID)
	}
	if err := r.asideAudit(ctx); err != nil {
		return err
	}
	e := r.audit(ctx, "repository.restore", ResultSuccess)
	e.Detail = detail
	if err := r.Store.Update(ctx, func(tx Tx) error { return tx.Audit(e) }); err != nil {
		return err
	}
	r.logMark(ctx, r.markAudit(ctx)) // a log that was tampered with before is restored as it is
	return r.Recover(ctx)
}

// asideAudit moves what may be of lost audit entries to lost+found/.
func (r *Repo) asideAudit(ctx context.Context) error {
	anchor, err := r.Store.AuditAnchor(ctx)
	if err != nil {
		return err
	}
	aside := []string{auditMark}
	for info, err := range r.Storage.List(ctx, auditArchive) {
		if err != nil {
			return storageError(err)
		}
		if first, ok := archiveFirst(info.Key); ok && first > anchor.ID {
			aside = append(aside, info.Key)
		}
	}
	for _, key := range aside {
		if err := r.moveFile(ctx, key, lostFound+key); err != nil {
			return err
		}
	}
	return nil
}

// GenerationFiles returns the keys in storage of all that a generation needs: its
// manifest first, then the chunks of its indexes, whose names end in the SHA-256
// of their bytes.
func (r *Repo) GenerationFiles(ctx context.Context, g Generation) ([]string, error) {
	b := blobs{r.Storage, g.Distribution}
	s, err := loadSnapshot(ctx, b, g)
	if err != nil {
		return nil, err
	}
	keys := []string{g.Manifest}
	for _, log := range s.logs {
		for id := range log.BlobIDs() {
			keys = append(keys, b.key(id))
		}
	}
	return keys, nil
}

// AuditFiles returns the keys in storage of the archive of the audit log up to an
// anchor.
func (r *Repo) AuditFiles(ctx context.Context, anchor AuditHead) (keys []string, err error) {
	for info, err := range r.Storage.List(ctx, auditArchive) {
		if err != nil {
			return nil, storageError(err)
		}
		if first, ok := archiveFirst(info.Key); ok && first <= anchor.ID {
			keys = append(keys, info.Key)
		}
	}
	return keys, nil
}

func (r *Repo) overtakeAll(ctx context.Context) error {
	all, err := r.Store.Distributions(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		p := r.publisher(d.Codename)
		if err := p.exclusive(ctx, p.overtake); err != nil {
			return fmt.Errorf("distribution %s: %w", d.Codename, err)
		}
	}
	return nil
}

// overtake compares the Store with the manifests in storage, whose names begin
// with the numbers of their generations. Where storage has a higher one, the Store
// is that of a time before: the next generation then follows the one in storage.
// A manifest that nobody made current, because its server stopped, counts too: it
// only costs a number.
func (p *publisher) overtake(ctx context.Context) error {
	g, err := p.repo.Store.Generation(ctx, p.codename)
	if err != nil || g.Number == 0 {
		return err
	}
	number, date, err := p.storedHead(ctx, g.Number)
	if err != nil {
		return err
	}
	if number > g.Number {
		p.repo.logger().WarnContext(ctx, "storage has later generations than the database; the next one follows those",
			"distribution", p.codename, "database", g.Number, "storage", number)
		err := p.repo.Store.Update(ctx, func(tx Tx) error { return tx.RaiseGeneration(p.codename, number, date) })
		if err != nil {
			return err
		}
		g.Number = number
	}
	if named, _ := manifestNumber(p.codename, g.Manifest); named == g.Number {
		return nil
	}
	// Its number was raised, and nothing published since.
	err = p.advanceFrom(ctx, p.refresh, p.edit)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, index.ErrCorrupt) {
		err = p.advanceFrom(ctx, p.bare, p.rebuild)
	}
	return err
}

// storedHead returns the highest number of a manifest in storage and its Date, if
// it is beyond a number.
func (p *publisher) storedHead(ctx context.Context, beyond int64) (number int64, date time.Time, err error) {
	var key string
	for info, err := range p.repo.Storage.List(ctx, generationsOf(p.codename)) {
		if err != nil {
			return 0, date, storageError(err)
		}
		if n, ok := manifestNumber(p.codename, info.Key); ok && n > max(beyond, number) {
			number, key, date = n, info.Key, info.ModTime
		}
	}
	if key == "" {
		return 0, date, nil
	}
	data, err := readAll(ctx, p.repo.Storage, key)
	if err != nil {
		return 0, date, err
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err == nil { // else the time at which it was put must do
		date = m.Date
	}
	return number, date.UTC().Truncate(time.Second), nil
}

func generationsOf(codename string) string { return "index/" + codename + "/generations/" }

// manifestNumber returns the number that a manifest's key begins with.
func manifestNumber(codename, key string) (int64, bool) {
	name, ok := strings.CutPrefix(key, generationsOf(codename))
	digits, _, cut := strings.Cut(name, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, ok && cut && err == nil && n > 0
}
