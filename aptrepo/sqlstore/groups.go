package sqlstore

import (
	"context"
	"database/sql"

	"github.com/repod-io/repod/aptrepo"
)

// Groups implements [aptrepo.Store].
func (d *DB) Groups(ctx context.Context) ([]aptrepo.Group, error) {
	groups := []aptrepo.Group{}
	err := d.read(ctx, func(q querier) error {
		err := each(q, "SELECT name, created_by, created_at FROM import_groups ORDER BY name", nil, func(rows *sql.Rows) error {
			var g aptrepo.Group
			var created int64
			err := rows.Scan(&g.Name, &g.CreatedBy, &created)
			g.CreatedAt = timeOf(created)
			groups = append(groups, g)
			return err
		})
		if err != nil {
			return err
		}
		members, err := artifacts(q, "WHERE a.import_group <> '' ORDER BY "+newestFirst)
		if err != nil {
			return err
		}
		byName := make(map[string]*aptrepo.Group, len(groups))
		for i := range groups {
			byName[groups[i].Name] = &groups[i]
		}
		for _, a := range members {
			if g := byName[a.Group]; g != nil {
				g.Artifacts = append(g.Artifacts, a)
			}
		}
		return nil
	})
	return groups, err
}

// PutGroup implements [aptrepo.Tx].
func (t *tx) PutGroup(g aptrepo.Group) error {
	if !validText(g.Name) || !validText(g.CreatedBy) {
		return invalidText("group")
	}
	_, err := t.exec("INSERT INTO import_groups (name, created_by, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
		g.Name, g.CreatedBy, micros(g.CreatedAt))
	return err
}

// SetGroup implements [aptrepo.Tx].
func (t *tx) SetGroup(id int64, name string) error {
	_, err := t.exec("UPDATE artifacts SET import_group = ? WHERE id = ?", name, id)
	return err
}

// DeleteGroup implements [aptrepo.Tx].
func (t *tx) DeleteGroup(name string) ([]aptrepo.Artifact, error) {
	gone, err := t.exec("DELETE FROM import_groups WHERE name = ?", name)
	if err != nil {
		return nil, err
	}
	if gone == 0 {
		return nil, aptrepo.ErrGroupNotFound
	}
	members, err := artifacts(t, "WHERE a.import_group <> '' AND a.import_group = ? ORDER BY "+newestFirst, name)
	if err != nil {
		return nil, err
	}
	_, err = t.exec("UPDATE artifacts SET import_group = '' WHERE import_group <> '' AND import_group = ?", name)
	return members, err
}
