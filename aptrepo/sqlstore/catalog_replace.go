package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
)

// slice is how long a replacement keeps other writers waiting at a time, before
// it commits. Tests change it.
var slice = 8 * time.Millisecond

// maxStages is how many unfinished replacements of a source are kept. Those are
// under way on other servers, or were when a server ended; nobody can tell.
const maxStages = 3

// ReplacePackages implements [upstream.Catalog]. It adds what is new and notes
// what goes in many short transactions, under the number of a stage that
// readers do not heed; the last transaction makes it count. Memory is needed
// for some 100 bytes of each package.
//
// Of more than three replacements of a source at once, the oldest is given up
// with ErrSuperseded, too: those that a crash ended are not to pile up.
func (d *DB) ReplacePackages(ctx context.Context, s upstream.State, packages iter.Seq2[upstream.Package, error]) (upstream.Replaced, error) {
	r := &replacement{db: d, state: s}
	if !validText(s.SourceID) {
		return r.done, invalidText("source_id")
	}
	err := r.run(ctx, packages)
	if err != nil && r.stage != 0 {
		r.giveUp(ctx)
	}
	if err != nil {
		return upstream.Replaced{}, fmt.Errorf("replacing the packages of source %.100q: %w", s.SourceID, err)
	}
	// It has succeeded. What is not swept now will be next time.
	_ = d.sweepCatalog(ctx)
	if r.done.Added > r.done.Kept/10 {
		d.takeStock(ctx)
	}
	return r.done, nil
}

// takeStock counts the catalogue's words for PostgreSQL, whose searches are slow
// before it knows that the tables are not empty any more. It would find out by
// itself, within a minute or, after smaller changes, later.
func (d *DB) takeStock(ctx context.Context) {
	if d.dialect != Postgres {
		return
	}
	bounded, cancel := d.dialect.bound(ctx)
	defer cancel()
	_, _ = d.conn.ExecContext(bounded, "ANALYZE catalog_sources, catalog_stages, catalog_texts, catalog_packages, catalog_provides, catalog_removals")
}

// A replacement is one call of ReplacePackages.
type replacement struct {
	db      *DB
	state   upstream.State
	source  int64
	stage   int64 // 0: none yet
	present map[digest]int64
	named   map[digest]struct{} // what packages has had
	pending []catalogRow
	done    upstream.Replaced
}

func (r *replacement) run(ctx context.Context, packages iter.Seq2[upstream.Package, error]) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	if err := r.db.sweepCatalog(ctx); err != nil {
		return err
	}
	if err := r.readPresent(ctx); err != nil {
		return err
	}
	for p, err := range packages {
		if err != nil {
			return err
		}
		if err := r.add(ctx, p); err != nil {
			return err
		}
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	if err := r.remove(ctx); err != nil {
		return err
	}
	return r.commit(ctx)
}

// begin opens the stage.
func (r *replacement) begin(ctx context.Context) error {
	var stage int64
	err := r.db.update(ctx, func(t *tx) error {
		s, err := t.catalogSource(r.state.SourceID)
		if err != nil {
			return err
		}
		if s.generation != r.state.Generation {
			return upstream.ErrSuperseded
		}
		r.source = s.id
		_, err = get(t, "INSERT INTO catalog_stages (source, base) VALUES (?, ?) RETURNING id",
			[]any{s.id, s.generation}, &stage)
		if err != nil {
			return err
		}
		_, err = t.exec(`UPDATE catalog_stages SET base = -1 WHERE source = ? AND id NOT IN
			(SELECT g.id FROM catalog_stages g WHERE g.source = ? ORDER BY g.id DESC LIMIT ?)`, s.id, s.id, maxStages)
		return err
	})
	if err == nil { // else the number may be another's
		r.stage = stage
	}
	return err
}

// giveUp ends the stage, so that nothing of it can take effect.
func (r *replacement) giveUp(ctx context.Context) {
	lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	err := r.db.update(lasting, func(t *tx) error {
		_, err := t.exec("UPDATE catalog_stages SET base = -1 WHERE id = ?", r.stage)
		return err
	})
	if err == nil {
		_ = r.db.sweepCatalog(ctx) // or the next replacement will
	}
}

// readPresent notes what is there. That it still is when the replacement ends,
// its last transaction makes sure of.
func (r *replacement) readPresent(ctx context.Context) error {
	r.present, r.named = make(map[digest]int64), make(map[digest]struct{})
	return r.db.read(ctx, func(q querier) error {
		return each(q, "SELECT p.id, p.digest FROM catalog_packages p WHERE p.source = ? AND "+visible,
			[]any{r.source}, func(rows *sql.Rows) error {
				var id int64
				var sum []byte
				if err := rows.Scan(&id, &sum); err != nil {
					return err
				}
				r.present[digest(sum)] = id
				return nil
			})
	})
}

// pendingRows is how many rows are gathered before they are written. They are
// not gathered within a transaction, since their source may be slow.
const pendingRows = 10 * blockRows

func (r *replacement) add(ctx context.Context, p upstream.Package) error {
	p.SourceID = r.state.SourceID
	row, err := makeCatalogRow(p)
	if err != nil {
		return err
	}
	key := row.key()
	if _, twice := r.named[key]; twice {
		return fmt.Errorf("package %s %s for %s is in %s twice", p.Name, p.Version, p.Arch, p.Component)
	}
	r.named[key] = struct{}{}
	if _, ok := r.present[row.digest]; ok {
		delete(r.present, row.digest)
		r.done.Kept++
		return nil
	}
	r.done.Added++
	r.pending = append(r.pending, row)
	if len(r.pending) < pendingRows {
		return nil
	}
	return r.flush(ctx)
}

func (r *replacement) flush(ctx context.Context) error {
	rows := r.pending
	err := r.slices(ctx, func(t *tx) (more bool, err error) {
		n := min(blockRows, len(rows))
		if err := t.insertCatalogRows(r.source, r.stage, rows[:n]); err != nil {
			return false, err
		}
		rows = rows[n:]
		return len(rows) > 0, nil
	})
	clear(r.pending)
	r.pending = r.pending[:0]
	return err
}

// remove notes that what is present, and was not among the packages, goes.
func (r *replacement) remove(ctx context.Context) error {
	ids := make([]int64, 0, len(r.present))
	for _, id := range r.present {
		ids = append(ids, id)
	}
	r.done.Removed = len(ids)
	r.present, r.named = nil, nil
	return r.slices(ctx, func(t *tx) (more bool, err error) {
		n := min(10*blockRows, len(ids))
		_, err = t.exec("INSERT INTO catalog_removals (package_id, stage) SELECT value, CAST(? AS BIGINT) FROM {ids}", r.stage, list(ids[:n]))
		ids = ids[n:]
		return len(ids) > 0, err
	})
}

// slices runs work again and again while there is more of it, in transactions
// that each end after a slice of time and in which the stage still counts.
func (r *replacement) slices(ctx context.Context, work func(t *tx) (more bool, err error)) error {
	return r.db.slices(ctx, func(t *tx) (bool, error) {
		if err := r.check(t); err != nil {
			return false, err
		}
		return true, nil
	}, work)
}

// check reports a stage that cannot win any more.
func (r *replacement) check(t *tx) error {
	var id int64
	found, err := get(t, `SELECT g.id FROM catalog_stages g JOIN catalog_sources s ON s.id = g.source
		WHERE g.id = ? AND g.base = s.generation`, []any{r.stage}, &id)
	if err == nil && !found {
		err = upstream.ErrSuperseded
	}
	return err
}

// slices runs work as often as it says that there is more, in transactions that
// each end after a slice of time. Each begins with first, which may stop it.
func (d *DB) slices(ctx context.Context, first, work func(t *tx) (more bool, err error)) error {
	for more := true; more; {
		err := d.update(ctx, func(t *tx) (err error) {
			start := time.Now()
			if more, err = first(t); err != nil {
				return err
			}
			for more {
				if more, err = work(t); err != nil || time.Since(start) > slice {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// commit makes the stage count.
func (r *replacement) commit(ctx context.Context) error {
	count := r.done.Added + r.done.Kept
	return r.db.update(ctx, func(t *tx) error {
		if err := r.check(t); err != nil {
			return err
		}
		if _, err := t.saveState(r.state, "id = ?", r.source); err != nil {
			return err
		}
		_, err := t.exec("UPDATE catalog_sources SET generation = generation + 1, package_count = ? WHERE id = ?", count, r.source)
		if err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM catalog_stages WHERE id = ?", r.stage)
		return err
	})
}
