package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// describe notes that bills of materials say something else of an artifact when
// the update ends, and when that became known.
func (t *tx) describe(id int64, at time.Time) {
	d := &t.derived
	if d.redescribed == nil {
		d.redescribed = make(map[int64]bool)
	}
	d.redescribed[id] = true
	if at.After(d.describedAt) {
		d.describedAt = at
	}
}

// settleBills counts what is known of published artifacts. That of one which has
// come in the same commit is no news: its publication is.
func (d *derived) settleBills(q querier) error {
	var ids []int64
	for id := range d.redescribed {
		if c := d.changed[id]; c == nil || !c.fresh {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	_, err := q.exec(`UPDATE distributions SET described = described + 1,
			described_at = CASE WHEN described_at < ? THEN ? ELSE described_at END
		WHERE codename IN (SELECT p.distribution FROM publications p WHERE p.artifact_id IN (SELECT value FROM {ids}))`,
		micros(d.describedAt), micros(d.describedAt), list(ids))
	return err
}

// A storedLicence gives the fields of a licence their names in the database.
type storedLicence struct {
	Expression      string      `json:"expression,omitempty"`
	Refs            []storedRef `json:"refs,omitempty"`
	MachineReadable bool        `json:"machine_readable,omitempty"`
	SHA256          string      `json:"sha256,omitempty"`
	In              string      `json:"in,omitempty"`
}

type storedRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// PutLicence implements [aptrepo.BillTx].
func (t *tx) PutLicence(id int64, l aptrepo.Licence) error {
	if err := t.exists(id); err != nil {
		return err
	}
	stored := storedLicence{keepable(l.Expression), nil, l.MachineReadable, keepable(l.SHA256), keepable(l.In)}
	for _, ref := range l.Refs {
		stored.Refs = append(stored.Refs, storedRef{keepable(ref.ID), keepable(ref.Name)})
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("writing a licence: %w", err)
	}
	changed, err := t.exec(`INSERT INTO licences (artifact_id, kept_in, licence) VALUES (?, ?, ?)
		ON CONFLICT (artifact_id) DO UPDATE SET kept_in = excluded.kept_in, licence = excluded.licence
			WHERE licences.licence <> excluded.licence`, id, stored.In, string(text))
	if changed > 0 {
		t.describe(id, time.Time{})
	}
	return err
}

// licencesOf reads the licences of artifacts by ID; of those that have their
// copyright file in another package, that one's.
func licencesOf(q querier, ids []int64) (map[int64]aptrepo.Licence, error) {
	byID := make(map[int64]aptrepo.Licence)
	var elsewhere []int64
	err := each(q, "SELECT artifact_id, kept_in, licence FROM licences WHERE artifact_id IN (SELECT value FROM {ids})",
		[]any{list(ids)}, func(rows *sql.Rows) error {
			var id int64
			var in string
			l, err := scanLicence(rows, &id, &in)
			byID[id] = l
			if in != "" {
				elsewhere = append(elsewhere, id)
			}
			return err
		})
	if err != nil || elsewhere == nil {
		return byID, err
	}
	// Of several architectures the artifact's own is the last one, and counts.
	err = each(q, `SELECT a.id, b.arch, l.licence FROM artifacts a
			JOIN licences k ON k.artifact_id = a.id
			JOIN artifacts b ON b.name = k.kept_in AND b.source = a.source AND b.source_version = a.source_version
			JOIN licences l ON l.artifact_id = b.id AND l.kept_in = ''
		WHERE a.id IN (SELECT value FROM {ids}) ORDER BY a.id, CASE WHEN b.arch = a.arch THEN 1 ELSE 0 END, b.arch DESC`,
		[]any{list(elsewhere)}, func(rows *sql.Rows) error {
			var id int64
			var arch string
			l, err := scanLicence(rows, &id, &arch)
			byID[id] = l
			return err
		})
	return byID, err
}

// scanLicence reads an ID, a text and a licence.
func scanLicence(rows *sql.Rows, id *int64, text *string) (aptrepo.Licence, error) {
	var stored string
	if err := rows.Scan(id, text, &stored); err != nil {
		return aptrepo.Licence{}, err
	}
	var s storedLicence
	if err := json.Unmarshal([]byte(stored), &s); err != nil {
		return aptrepo.Licence{}, fmt.Errorf("reading a licence: %w", err)
	}
	l := aptrepo.Licence{Expression: s.Expression, MachineReadable: s.MachineReadable, SHA256: s.SHA256, In: s.In}
	for _, ref := range s.Refs {
		l.Refs = append(l.Refs, aptrepo.LicenceRef(ref))
	}
	return l, nil
}

func billState(q querier, codename string) (aptrepo.BillState, error) {
	var s aptrepo.BillState
	var at int64
	found, err := get(q, "SELECT last_seq, generation, described, described_at FROM distributions WHERE codename = ?", []any{codename},
		&s.Seq, &s.Generation, &s.Revision, &at)
	if err == nil && !found {
		err = aptrepo.ErrUnknownDistribution
	}
	s.At = timeOf(at)
	return s, err
}

// BillState implements [aptrepo.BillStore].
func (d *DB) BillState(ctx context.Context, codename string) (s aptrepo.BillState, err error) {
	err = d.read(ctx, func(q querier) error {
		s, err = billState(q, codename)
		return err
	})
	return s, err
}

// View implements [aptrepo.BillStore].
func (d *DB) View(ctx context.Context, fn func(v aptrepo.View) error) error {
	return d.readWithin(ctx, ctx, func(q querier) error { return fn(moment{q}) })
}

// A moment is an [aptrepo.View]: one transaction.
type moment struct{ q querier }

// Distributions implements [aptrepo.View].
func (m moment) Distributions() ([]aptrepo.Distribution, error) { return distributions(m.q) }

// BillState implements [aptrepo.View].
func (m moment) BillState(codename string) (aptrepo.BillState, error) {
	return billState(m.q, codename)
}

// Named implements [aptrepo.View].
func (m moment) Named(codename string) iter.Seq2[aptrepo.Named, error] {
	return func(yield func(aptrepo.Named, error) bool) {
		provides := make(map[int64][]aptrepo.Provided)
		err := each(m.q, `SELECT v.artifact_id, v.name, v.version FROM provides v
			JOIN publications p ON p.artifact_id = v.artifact_id AND p.distribution = ? AND p.sole = 1
			ORDER BY v.artifact_id, v.name, v.version`, []any{codename}, func(rows *sql.Rows) error {
			var id int64
			var p aptrepo.Provided
			err := rows.Scan(&id, &p.Name, &p.Version)
			provides[id] = append(provides[id], p)
			return err
		})
		if err == nil {
			err = each(m.q, `SELECT a.id, a.name, a.version, a.arch, a.multi_arch FROM publications p
				JOIN artifacts a ON a.id = p.artifact_id
				WHERE p.distribution = ? AND p.sole = 1 ORDER BY p.name, p.version_key, p.arch`, []any{codename}, func(rows *sql.Rows) error {
				var id int64
				var n aptrepo.Named
				if err := rows.Scan(&id, &n.Name, &n.Version, &n.Arch, &n.MultiArch); err != nil {
					return err
				}
				n.Provides = provides[id]
				if !yield(n, nil) {
					return errEnough
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(aptrepo.Named{}, err)
		}
	}
}

// errEnough says that nobody wants the rest.
var errEnough = errors.New("enough")

// describedPage is how many artifacts are described at a time.
const describedPage = 200

// DescribedIn implements [aptrepo.View].
func (m moment) DescribedIn(codename, arch string, limit int) iter.Seq2[aptrepo.Described, error] {
	return func(yield func(aptrepo.Described, error) bool) {
		where, args := publishedIn(codename, arch)
		query := "SELECT a.id FROM publications p JOIN artifacts a ON a.id = p.artifact_id " + where +
			" ORDER BY a.source, a.source_version, p.name, p.version_key, p.arch"
		if limit > 0 {
			query, args = query+" LIMIT ?", append(args, limit)
		}
		ids, err := integers(m.q, query, args...)
		if err != nil {
			yield(aptrepo.Described{}, err)
			return
		}
		for part := range slices.Chunk(ids, describedPage) {
			page, err := m.Described(part)
			if err != nil {
				yield(aptrepo.Described{}, err)
				return
			}
			for i := range page {
				if !yield(page[i], nil) {
					return
				}
			}
		}
	}
}

// publishedIn is the condition that p is the publication that stands for an
// artifact in a distribution.
func publishedIn(codename, arch string) (where string, args []any) {
	where, args = "WHERE p.distribution = ? AND p.sole = 1", []any{codename}
	if arch != "" {
		where, args = where+" AND p.arch = ?", append(args, arch)
	}
	return where, args
}

// Count implements [aptrepo.View].
func (m moment) Count(codename, arch string) (n int, err error) {
	where, args := publishedIn(codename, arch)
	_, err = get(m.q, "SELECT COUNT(*) FROM publications p "+where, args, &n)
	return n, err
}

// Described implements [aptrepo.View].
func (m moment) Described(ids []int64) ([]aptrepo.Described, error) {
	artifacts, err := artifactsByID(m.q, ids)
	if err != nil {
		return nil, err
	}
	scans, err := scansOf(m.q, ids)
	if err != nil {
		return nil, err
	}
	licences, err := licencesOf(m.q, ids)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(artifacts))
	for _, a := range artifacts {
		names = append(names, a.Name)
	}
	active, err := activeDecisions(m.q, names)
	if err != nil {
		return nil, err
	}
	all := make([]aptrepo.Described, 0, len(ids))
	for _, id := range ids {
		if a, known := artifacts[id]; known {
			all = append(all, aptrepo.Described{Artifact: a, Scan: scans[id], Decisions: active[a.Key()], Licence: licences[id]})
		}
	}
	return all, nil
}
