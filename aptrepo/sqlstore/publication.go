package sqlstore

import (
	"database/sql"
	"slices"

	"github.com/repod-io/repod/aptrepo"
)

// A placed artifact is what a publication needs to know of it.
type placed struct {
	id           int64
	name         string
	version      string
	versionKey   []byte
	arch         string
	status       string
	section      string
	size         int64
	uploadedAt   int64
	publications int64
}

func (t *tx) placed(id int64) (p placed, found bool, err error) {
	p.id = id
	found, err = get(t, `SELECT name, version, version_key, arch, status, section, size, uploaded_at, publications
		FROM artifacts WHERE id = ?`, []any{id}, &p.name, &p.version, &p.versionKey, &p.arch, &p.status, &p.section,
		&p.size, &p.uploadedAt, &p.publications)
	return p, found, err
}

func (t *tx) hasDistribution(codename string) error {
	var id int64
	found, err := get(t, "SELECT 1 FROM distributions WHERE codename = ?", []any{codename}, &id)
	if err == nil && !found {
		err = aptrepo.ErrUnknownDistribution
	}
	return err
}

// exists returns ErrArtifactNotFound for an artifact that does not.
func (t *tx) exists(id int64) error {
	if c := t.derived.changed[id]; c != nil && c.fresh { // inserted by this update
		return nil
	}
	_, found, err := t.placed(id)
	if err == nil && !found {
		err = aptrepo.ErrArtifactNotFound
	}
	return err
}

// placing is placed for an artifact that is to go into a distribution, with the
// number of that one's latest change.
func (t *tx) placing(id int64, codename string) (seq int64, p placed, err error) {
	p.id = id
	var found bool
	known, err := get(t, `SELECT d.last_seq, a.id IS NOT NULL, COALESCE(a.name, ''), COALESCE(a.version, ''), a.version_key,
			COALESCE(a.arch, ''), COALESCE(a.status, ''), COALESCE(a.section, ''), COALESCE(a.size, 0),
			COALESCE(a.uploaded_at, 0), COALESCE(a.publications, 0)
		FROM distributions d LEFT JOIN artifacts a ON a.id = ? WHERE d.codename = ?`, []any{id, codename}, &seq, &found,
		&p.name, &p.version, &p.versionKey, &p.arch, &p.status, &p.section, &p.size, &p.uploadedAt, &p.publications)
	switch {
	case err != nil:
	case !known:
		err = aptrepo.ErrUnknownDistribution
	case !found:
		err = aptrepo.ErrArtifactNotFound
	}
	return seq, p, err
}

// AddPublication implements [aptrepo.Tx]. When nothing changes, seq is that
// of the distribution's latest change: once it is published, so is the
// artifact. An unknown ID gives ErrArtifactNotFound.
func (t *tx) AddPublication(id int64, p aptrepo.Publication) (seq int64, added bool, err error) {
	seq, a, err := t.placing(id, p.Distribution)
	if err != nil {
		return 0, false, err
	}
	if !validText(p.Component) {
		return 0, false, invalidText("component")
	}
	components, err := t.components(id, p.Distribution)
	if err != nil {
		return 0, false, err
	}
	if slices.Contains(components, p.Component) {
		return seq, false, t.promoted(id, p)
	}
	sole := len(components) == 0
	_, err = t.exec(`INSERT INTO publications (distribution, artifact_id, component, published_at, sole,
			name, version_key, arch, status, section, size, uploaded_at, promoted)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		p.Distribution, id, p.Component, micros(p.PublishedAt), integer(sole),
		a.name, a.versionKey, a.arch, a.status, a.section, a.size, a.uploadedAt, integer(p.Promoted))
	if err != nil {
		return 0, false, err
	}
	seq, err = t.change(a, p.Distribution, p.Component, aptrepo.ChangeAdd, sole)
	return seq, err == nil, err
}

// promoted notes that what lies there already was promoted.
func (t *tx) promoted(id int64, p aptrepo.Publication) error {
	if !p.Promoted {
		return nil
	}
	_, err := t.exec("UPDATE publications SET promoted = 1 WHERE distribution = ? AND artifact_id = ? AND component = ?",
		p.Distribution, id, p.Component)
	return err
}

// RemovePublication implements [aptrepo.Tx].
func (t *tx) RemovePublication(id int64, codename, component string) (seq int64, removed bool, err error) {
	n, err := t.exec("DELETE FROM publications WHERE distribution = ? AND artifact_id = ? AND component = ?",
		codename, id, component)
	if err != nil || n == 0 {
		return 0, false, err
	}
	a, _, err := t.placed(id)
	if err != nil {
		return 0, false, err
	}
	left, err := t.components(id, codename)
	if err != nil {
		return 0, false, err
	}
	if len(left) > 0 {
		// Of those that are left, one must be the sole one, and only one.
		_, err = t.exec(`UPDATE publications SET sole = CASE WHEN component = ? THEN 1 ELSE 0 END
			WHERE distribution = ? AND artifact_id = ?`, left[0], codename, id)
		if err != nil {
			return 0, false, err
		}
	}
	seq, err = t.change(a, codename, component, aptrepo.ChangeRemove, len(left) == 0)
	return seq, err == nil, err
}

// components returns those of a distribution in which an artifact is published,
// in order.
func (t *tx) components(id int64, codename string) (components []string, err error) {
	err = each(t, "SELECT component FROM publications WHERE distribution = ? AND artifact_id = ? ORDER BY component",
		[]any{codename, id}, func(rows *sql.Rows) error {
			var c string
			err := rows.Scan(&c)
			components = append(components, c)
			return err
		})
	return components, err
}

// change keeps everything in step with a row of publications that came or
// went, and logs it. sole says that the artifact is in no other component.
func (t *tx) change(a placed, codename, component string, kind aptrepo.ChangeKind, sole bool) (seq int64, err error) {
	count := int64(1)
	if kind == aptrepo.ChangeRemove {
		count = -1
	}
	_, err = t.exec("UPDATE artifacts SET publications = publications + ? WHERE id = ?", count, a.id)
	if err != nil {
		return 0, err
	}
	if a.publications == 0 || a.publications+count == 0 {
		if _, err := t.relist("", a.name); err != nil {
			return 0, err
		}
	}
	var names, size int64
	if sole {
		t.touched(a.id)
		size = count * a.size
		if names, err = t.relist(codename, a.name); err != nil {
			return 0, err
		}
	}
	known, err := get(t, `UPDATE distributions SET last_seq = last_seq + 1, package_count = package_count + ?,
		artifact_count = artifact_count + ?, size_bytes = size_bytes + ? WHERE codename = ? RETURNING last_seq`,
		[]any{names, count, size, codename}, &seq)
	if err == nil && !known {
		err = aptrepo.ErrUnknownDistribution
	}
	if err != nil {
		return 0, err
	}
	_, err = t.exec(`INSERT INTO changes (distribution, seq, kind, component, name, version, arch, artifact_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, codename, seq, string(kind), component, a.name, a.version, a.arch, a.id)
	return seq, err
}

// bestOf order the artifacts of a name by how well they stand for it.
const bestOf = "version_key DESC, CASE WHEN arch = 'amd64' THEN 0 ELSE 1 END, arch"

// relist chooses anew which artifact stands for a name in a distribution, or
// among all where codename is "". It returns by how much the number of names
// there grew: 1, 0 or -1.
func (t *tx) relist(codename, name string) (grown int64, err error) {
	best := `SELECT artifact_id FROM publications WHERE distribution = ? AND name = ? ORDER BY ` + bestOf + ` LIMIT 1`
	args := []any{codename, name}
	if codename == "" {
		best = `SELECT id FROM artifacts WHERE name = ?
			ORDER BY CASE WHEN publications > 0 THEN 0 ELSE 1 END, ` + bestOf + ` LIMIT 1`
		args = args[1:]
	}
	var former, chosen, uploaded, size int64 // former 0: none
	found, err := get(t, `SELECT COALESCE((SELECT artifact_id FROM listings WHERE distribution = ? AND name = ?), 0),
		id, uploaded_at, size FROM artifacts WHERE id = (`+best+")", append([]any{codename, name}, args...),
		&former, &chosen, &uploaded, &size)
	switch {
	case err != nil || found && chosen == former:
		return 0, err
	case !found:
		n, err := t.exec("DELETE FROM listings WHERE distribution = ? AND name = ?", codename, name)
		return -n, err
	case former != 0:
		_, err = t.exec("UPDATE listings SET artifact_id = ?, uploaded_at = ?, size = ? WHERE distribution = ? AND name = ?",
			chosen, uploaded, size, codename, name)
		return 0, err
	}
	_, err = t.exec("INSERT INTO listings (distribution, name, artifact_id, uploaded_at, size) VALUES (?, ?, ?, ?, ?)",
		codename, name, chosen, uploaded, size)
	return 1, err
}
