package sqlstore

import (
	"context"
	"database/sql"
	"iter"

	"github.com/repod-io/repod/aptrepo"
)

// versionsPage is how many publications EachPublishedVersion reads at a time.
// Tests change it.
var versionsPage = 2000

// EachPublishedVersion implements [aptrepo.Store].
func (d *DB) EachPublishedVersion(ctx context.Context, codename string) iter.Seq2[aptrepo.PublishedVersion, error] {
	return func(yield func(aptrepo.PublishedVersion, error) bool) {
		for after, more := "", true; more; {
			var page []aptrepo.PublishedVersion
			err := d.read(ctx, func(q querier) (err error) {
				page, more, err = versionsAfter(q, codename, after)
				return err
			})
			if err != nil {
				yield(aptrepo.PublishedVersion{}, err)
				return
			}
			for _, v := range page {
				if after = v.Name; !yield(v, nil) {
					return
				}
			}
		}
	}
}

// versionsAfter returns the publications of the next names, whole names only,
// and whether there may be more.
func versionsAfter(q querier, codename, name string) (page []aptrepo.PublishedVersion, more bool, err error) {
	page, err = publishedVersions(q, "p.name > ?", " LIMIT ?", codename, name, versionsPage)
	if err != nil || len(page) < versionsPage {
		return page, false, err
	}
	// The last name may go on behind the page: it is left for the next one, or
	// read whole when it fills this one.
	last, n := page[len(page)-1].Name, len(page)
	for n > 0 && page[n-1].Name == last {
		n--
	}
	if n > 0 {
		return page[:n], true, nil
	}
	page, err = publishedVersions(q, "p.name = ?", "", codename, last)
	return page, true, err
}

// PublishedVersions implements [aptrepo.Tx].
func (t *tx) PublishedVersions(codename string, names []string) ([]aptrepo.PublishedVersion, error) {
	return publishedVersions(t, "p.name IN (SELECT value FROM {texts})", "", codename, list(names))
}

func publishedVersions(q querier, which, limit string, args ...any) (found []aptrepo.PublishedVersion, err error) {
	err = each(q, `SELECT p.artifact_id, p.name, a.version, p.arch, p.size, p.distribution, p.component,
			p.published_at, p.promoted, a.publications
		FROM publications p JOIN artifacts a ON a.id = p.artifact_id
		WHERE p.distribution = ? AND `+which+`
		ORDER BY p.name, p.version_key DESC, p.arch, p.component`+limit, args, func(rows *sql.Rows) error {
		var v aptrepo.PublishedVersion
		var at, promoted int64
		err := rows.Scan(&v.ID, &v.Name, &v.Version, &v.Arch, &v.Size, &v.Publication.Distribution, &v.Publication.Component,
			&at, &promoted, &v.Publications)
		v.Publication.PublishedAt, v.Publication.Promoted = timeOf(at), promoted != 0
		found = append(found, v)
		return err
	})
	return found, err
}

// AuditAnchor implements [aptrepo.Store].
func (d *DB) AuditAnchor(ctx context.Context) (anchor aptrepo.AuditHead, err error) {
	err = d.read(ctx, func(q querier) error {
		anchor, err = anchorOf(q)
		return err
	})
	return anchor, err
}

func anchorOf(q querier) (a aptrepo.AuditHead, err error) {
	_, err = get(q, "SELECT anchor_id, anchor_hash, anchor_mac FROM audit_head", nil, &a.ID, &a.Hash, &a.MAC)
	return a, err
}

// RemoveAudit implements [aptrepo.Tx]. Nothing else deletes entries: a trigger
// holds everybody to the anchor.
func (t *tx) RemoveAudit(anchor aptrepo.AuditHead) (int, error) {
	var hash string
	found, err := get(t, "SELECT hash FROM audit WHERE id = ?", []any{anchor.ID}, &hash)
	if err != nil {
		return 0, err
	}
	if !found || hash != anchor.Hash {
		return 0, aptrepo.ErrStale
	}
	if err := t.saveAnchor(anchor); err != nil {
		return 0, err
	}
	n, err := t.exec("DELETE FROM audit WHERE id <= ?", anchor.ID)
	return int(n), err
}

// saveAnchor writes the anchor, signed; none while everything is there.
func (t *tx) saveAnchor(anchor aptrepo.AuditHead) error {
	if anchor.ID == 0 {
		return nil
	}
	anchor = anchor.SignAnchor(t.batch.key)
	_, err := t.exec("UPDATE audit_head SET anchor_id = ?, anchor_hash = ?, anchor_mac = ?", anchor.ID, anchor.Hash, anchor.MAC)
	return err
}
