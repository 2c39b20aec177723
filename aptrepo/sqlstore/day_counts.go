package sqlstore

import (
	"maps"
	"slices"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// deeds are what an update has done, as far as the tables day_counts and stock
// depend on it.
type deeds struct {
	days        map[aptrepo.Day]*aptrepo.DayCounts
	gone        map[artifactKey]bool // deleted, and not put there again
	names, size int64                // by how much the stock grew
	rejected    int64                // artifacts that became so
	at          time.Time            // of the last entry in the audit log
}

type artifactKey struct{ name, versionKey, arch string }

// on returns the counts of the day of a time.
func (d *deeds) on(at time.Time) *aptrepo.DayCounts {
	day := aptrepo.DayOf(at)
	c := d.days[day]
	if c == nil {
		if d.days == nil {
			d.days = make(map[aptrepo.Day]*aptrepo.DayCounts)
		}
		c = &aptrepo.DayCounts{Day: day}
		d.days[day] = c
	}
	return c
}

// came counts a new artifact.
func (d *deeds) came(a *aptrepo.Artifact, versionKey []byte) {
	d.size += a.Size
	delete(d.gone, artifactKey{a.Name, string(versionKey), a.Arch})
	switch c := d.on(a.UploadedAt); {
	case a.Status == aptrepo.Rejected:
		c.Rejections++
	case a.Origin == aptrepo.OriginImport:
		c.Imports++
	default:
		c.Uploads++
	}
}

// went counts an artifact that was deleted.
func (d *deeds) went(p placed) {
	d.size -= p.size
	if d.gone == nil {
		d.gone = make(map[artifactKey]bool)
	}
	d.gone[artifactKey{p.name, string(p.versionKey), p.arch}] = true
}

// date puts what has no time of its own on the day of the audit entry.
func (d *deeds) date() {
	if undated := d.rejected + int64(len(d.gone)); undated > 0 {
		at := d.at
		if at.IsZero() {
			at = time.Now()
		}
		c := d.on(at)
		c.Rejections += d.rejected
		c.Deletions += int64(len(d.gone))
	}
}

func addCounts(to, more *aptrepo.DayCounts) {
	to.Uploads += more.Uploads
	to.Imports += more.Imports
	to.Rejections += more.Rejections
	to.Decisions += more.Decisions
	to.Scans += more.Scans
	to.Deletions += more.Deletions
}

// settleDays adds to the tables day_counts and stock.
func (d *derived) settleDays(q querier) error {
	for _, day := range slices.Sorted(maps.Keys(d.days)) {
		c := d.days[day]
		_, err := q.exec(`INSERT INTO day_counts (day, uploads, imports, rejections, decisions, scans, deletions)
			VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (day) DO UPDATE SET uploads = day_counts.uploads + excluded.uploads,
				imports = day_counts.imports + excluded.imports, rejections = day_counts.rejections + excluded.rejections,
				decisions = day_counts.decisions + excluded.decisions, scans = day_counts.scans + excluded.scans,
				deletions = day_counts.deletions + excluded.deletions`,
			int64(day), c.Uploads, c.Imports, c.Rejections, c.Decisions, c.Scans, c.Deletions)
		if err != nil {
			return err
		}
	}
	if d.names == 0 && d.size == 0 {
		return nil
	}
	_, err := q.exec("UPDATE stock SET names = names + ?, size_bytes = size_bytes + ?", d.names, d.size)
	return err
}
