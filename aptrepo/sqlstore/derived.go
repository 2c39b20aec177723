package sqlstore

import (
	"maps"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// A derived is what is still to be done to the tables that follow from others.
// Each update has its own; those of a commit come together in the batch, which
// settles them at its end: many uploads then share most of the work. Until the
// commit these tables tell how things were, and only readers, who see what is
// committed, read them.
type derived struct {
	changed map[int64]*change // artifacts
	gone    map[int64]bool    // artifacts that settle must know nothing of
	emptied bool              // counts may have become 0

	searchable map[int64]string // texts of new artifacts, to be found

	redescribed map[int64]bool // artifacts of which bills of materials say something else now
	describedAt time.Time      // the latest time of what they say

	settled bool // what the commit's earlier updates had left is done

	days        map[aptrepo.Day]*aptrepo.DayCounts
	names, size int64 // by how much the stock grew
}

// A change says what has been done to an artifact, as far as the tables
// postures, posture_sums and vulnerability_counts depend on it.
type change struct {
	fresh     bool // the artifact is new: nothing is counted of it
	uncounted bool // its findings, as they were before, are counted no more
}

// touched notes that the derived tables are to be brought up to date with an
// artifact.
func (t *tx) touched(id int64) *change {
	d := &t.derived
	if d.changed == nil {
		d.changed = make(map[int64]*change)
	}
	c := d.changed[id]
	if c == nil {
		c = &change{}
		if before := t.batch.derived.changed[id]; before != nil && !d.gone[id] && !d.settled {
			*c = *before
		}
		d.changed[id] = c
	}
	return c
}

// came takes in a new artifact.
func (d *derived) came(a *aptrepo.Artifact) {
	if d.changed == nil {
		d.changed = make(map[int64]*change)
	}
	d.changed[a.ID] = &change{fresh: true}
	if d.searchable == nil {
		d.searchable = make(map[int64]string)
	}
	d.searchable[a.ID] = searchText(a)
}

// uncount must come before anything that changes the findings of an artifact.
func (t *tx) uncount(id int64) error {
	c := t.touched(id)
	if c.uncounted {
		return nil
	}
	if !c.fresh {
		if err := countFindings(t, "-", []int64{id}); err != nil {
			return err
		}
	}
	c.uncounted = true
	return nil
}

// forget takes an artifact that is about to go out of the derived tables.
// Another may get its ID.
func (t *tx) forget(id int64) error {
	if err := t.uncount(id); err != nil {
		return err
	}
	d := &t.derived
	if !d.changed[id].fresh {
		if err := sumPostures(t, "-", []int64{id}); err != nil {
			return err
		}
	}
	delete(d.changed, id)
	delete(d.redescribed, id)
	delete(d.searchable, id)
	if d.gone == nil {
		d.gone = make(map[int64]bool)
	}
	d.gone[id] = true
	d.emptied = true
	_, err := t.exec("DELETE FROM postures WHERE artifact_id = ?", id)
	return err
}

// settleNow does what the earlier updates of the commit have left to be done.
func (t *tx) settleNow() error {
	if t.derived.settled {
		return nil
	}
	t.derived.settled = true
	return t.batch.derived.settle(t)
}

// add takes over what an update leaves to be done.
func (d *derived) add(t *tx) {
	t.deeds.date()
	u := &t.derived
	if u.settled {
		*d = derived{}
	}
	for id := range u.gone {
		delete(d.changed, id)
		delete(d.redescribed, id)
		delete(d.searchable, id)
	}
	if d.changed == nil {
		d.changed, d.searchable = make(map[int64]*change), make(map[int64]string)
		d.redescribed, d.days = make(map[int64]bool), make(map[aptrepo.Day]*aptrepo.DayCounts)
	}
	maps.Copy(d.changed, u.changed)
	maps.Copy(d.searchable, u.searchable)
	maps.Copy(d.redescribed, u.redescribed)
	d.emptied = d.emptied || u.emptied
	if u.describedAt.After(d.describedAt) {
		d.describedAt = u.describedAt
	}
	for day, c := range t.deeds.days {
		if d.days[day] == nil {
			d.days[day] = &aptrepo.DayCounts{Day: day}
		}
		addCounts(d.days[day], c)
	}
	d.names += t.deeds.names
	d.size += t.deeds.size
}

// settle brings the derived tables up to date.
func (d *derived) settle(q querier) error {
	ids := slices.Sorted(maps.Keys(d.changed)) // the same work in the same order
	for part := range slices.Chunk(ids, 500) {
		if err := d.settlePart(q, part); err != nil {
			return err
		}
	}
	if err := d.settleSearch(q); err != nil {
		return err
	}
	if err := d.settleDays(q); err != nil {
		return err
	}
	if err := d.settleBills(q); err != nil || !d.emptied {
		return err
	}
	_, err := q.exec("DELETE FROM vulnerability_counts WHERE findings = 0")
	return err
}

func (d *derived) settlePart(q querier, ids []int64) error {
	var known, counted, counting []int64
	for _, id := range ids {
		c := d.changed[id]
		if !c.fresh {
			known = append(known, id)
		}
		if !c.fresh && !c.uncounted {
			counted = append(counted, id)
		}
		if !c.fresh || c.uncounted {
			counting = append(counting, id)
		}
	}
	if err := countFindings(q, "-", counted); err != nil {
		return err
	}
	if len(known) > 0 {
		d.emptied = true
		if err := sumPostures(q, "-", known); err != nil {
			return err
		}
		if _, err := q.exec("DELETE FROM postures WHERE artifact_id IN (SELECT value FROM {ids})", list(known)); err != nil {
			return err
		}
	}
	if err := insertPostures(q, ids); err != nil {
		return err
	}
	if err := sumPostures(q, "", ids); err != nil {
		return err
	}
	return countFindings(q, "", counting)
}

// settleSearch lets new artifacts be found. On SQLite the index of their texts
// is written at each savepoint when there is something new in it.
func (d *derived) settleSearch(q querier) error {
	for _, id := range slices.Sorted(maps.Keys(d.searchable)) {
		_, err := q.exec("INSERT INTO search_texts (artifact_id, folded) VALUES (?, ?)", id, d.searchable[id])
		if err != nil {
			return err
		}
	}
	return nil
}
