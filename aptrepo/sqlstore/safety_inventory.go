package sqlstore

import (
	"context"
	"database/sql"
	"iter"

	"github.com/repod-io/repod/aptrepo"
)

// A packedInventory is an inventory whose components are still packed.
type packedInventory struct {
	aptrepo.StoredInventory
	packed []byte
}

// EachInventory implements [aptrepo.SafetyStore], as EachArtifact does.
func (d *DB) EachInventory(ctx context.Context) iter.Seq2[aptrepo.StoredInventory, error] {
	packed := eachRow(ctx, d, func(one *packedInventory) int64 { return one.Artifact.ID }, inventories)
	return func(yield func(aptrepo.StoredInventory, error) bool) {
		for one, err := range packed {
			if err == nil {
				one.Components, err = unpackComponents(one.packed)
			}
			if !yield(one.StoredInventory, err) || err != nil {
				return
			}
		}
	}
}

// harmless is the condition that an artifact is not malware: neither kept away
// for that reason, nor kept away while a scan says so.
const harmless = `NOT (a.status IN ('rejected', 'quarantined') AND (a.status_reason = 'malware'
	OR COALESCE((SELECT s.malware FROM scans s WHERE s.artifact_id = a.id), '') = 'infected'))`

// inventories reads the next page after an ID.
func inventories(q querier, after int64) ([]packedInventory, error) {
	found, err := ordered(q, "SELECT a.id FROM artifacts a WHERE a.id > ? AND "+harmless+" ORDER BY a.id LIMIT ?",
		[]any{after, eachPage})
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(found))
	place := make(map[int64]int, len(found))
	for i, a := range found {
		ids, place[a.ID] = append(ids, a.ID), i
	}
	targets, err := targetsOf(q, ids)
	if err != nil {
		return nil, err
	}
	packed, err := componentsOf(q, ids)
	if err != nil {
		return nil, err
	}
	page := make([]packedInventory, len(found))
	for i, a := range found {
		page[i].Artifact, page[i].Targets, page[i].packed = a, targets[a.ID], packed[a.ID]
	}
	err = each(q, "SELECT artifact_id, official, data_generation FROM scans WHERE artifact_id IN (SELECT value FROM {ids})",
		[]any{list(ids)}, func(rows *sql.Rows) error {
			var id, official, generation int64
			err := rows.Scan(&id, &official, &generation)
			one := &page[place[id]]
			one.Official, one.DataGeneration = official != 0, generation
			return err
		})
	return page, err
}
