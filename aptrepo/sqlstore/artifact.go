package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/deb"
)

const artifactColumns = `a.id, a.name, a.version, a.arch, a.status, a.section, a.size, a.uploaded_at,
	a.source, a.source_version, a.component, a.priority, a.maintainer, a.homepage, a.multi_arch, a.essential,
	a.installed_size, a.filename, a.sha256, a.sha512, a.md5, a.status_reason, a.status_detail, a.origin,
	a.source_id, a.import_group, a.uploaded_by, x.description, x.control`

const artifactTables = "artifacts a JOIN artifact_texts x ON x.artifact_id = a.id"

// newestFirst orders the artifacts of a name.
const newestFirst = "a.name, a.version_key DESC, a.arch"

func scanArtifact(rows *sql.Rows, a *aptrepo.Artifact, more ...any) error {
	var status string
	var uploaded, essential int64
	err := rows.Scan(append([]any{
		&a.ID, &a.Name, &a.Version, &a.Arch, &status, &a.Section, &a.Size, &uploaded,
		&a.Source, &a.SourceVersion, &a.Component, &a.Priority, &a.Maintainer, &a.Homepage, &a.MultiArch, &essential,
		&a.InstalledSize, &a.Filename, &a.SHA256, &a.SHA512, &a.MD5, &a.StatusReason, &a.StatusDetail, &a.Origin,
		&a.SourceID, &a.Group, &a.UploadedBy, &a.Description, &a.Control}, more...)...)
	a.Status, a.Essential, a.UploadedAt = aptrepo.Status(status), essential != 0, timeOf(uploaded)
	return err
}

// artifacts reads artifacts, chosen and ordered by the rest of the query, and
// where they are published.
func artifacts(q querier, rest string, args ...any) ([]aptrepo.Artifact, error) {
	found := []aptrepo.Artifact{}
	err := each(q, "SELECT "+artifactColumns+" FROM "+artifactTables+" "+rest, args, func(rows *sql.Rows) error {
		found = append(found, aptrepo.Artifact{})
		return scanArtifact(rows, &found[len(found)-1])
	})
	if err != nil || len(found) == 0 {
		return found, err
	}
	byID := make(map[int64]*aptrepo.Artifact, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	return found, publicationsOf(q, byID)
}

// publicationsOf fills in where artifacts are published.
func publicationsOf(q querier, byID map[int64]*aptrepo.Artifact) error {
	ids := make([]int64, 0, len(byID))
	for id := range byID {
		ids = append(ids, id)
	}
	return each(q, `SELECT artifact_id, distribution, component, published_at, promoted FROM publications
		WHERE artifact_id IN (SELECT value FROM {ids}) ORDER BY artifact_id, distribution, component`,
		[]any{list(ids)}, func(rows *sql.Rows) error {
			var id, at, promoted int64
			var p aptrepo.Publication
			if err := rows.Scan(&id, &p.Distribution, &p.Component, &at, &promoted); err != nil {
				return err
			}
			p.PublishedAt, p.Promoted = timeOf(at), promoted != 0
			byID[id].Publications = append(byID[id].Publications, p)
			return nil
		})
}

// artifactsByID reads artifacts in no order.
func artifactsByID(q querier, ids []int64) (map[int64]aptrepo.Artifact, error) {
	byID := make(map[int64]aptrepo.Artifact, len(ids))
	for part := range slices.Chunk(ids, 500) {
		found, err := artifacts(q, "WHERE a.id IN (SELECT value FROM {ids})", list(part))
		if err != nil {
			return nil, err
		}
		for _, a := range found {
			byID[a.ID] = a
		}
	}
	return byID, nil
}

// versionKey returns the form in which versions are compared. A version that
// does not parse is that of no artifact.
func versionKey(version string) (key []byte, ok bool) {
	v, err := deb.ParseVersion(version)
	if err != nil {
		return nil, false
	}
	return v.SortKey(), true
}

func artifact(q querier, key aptrepo.Key) (aptrepo.Artifact, error) {
	version, ok := versionKey(key.Version)
	if !ok {
		return aptrepo.Artifact{}, aptrepo.ErrArtifactNotFound
	}
	found, err := artifacts(q, "WHERE a.name = ? AND a.version_key = ? AND a.arch = ?", key.Name, version, key.Arch)
	if err != nil {
		return aptrepo.Artifact{}, err
	}
	if len(found) == 0 {
		return aptrepo.Artifact{}, aptrepo.ErrArtifactNotFound
	}
	return found[0], nil
}

// Artifact implements [aptrepo.Tx].
func (t *tx) Artifact(key aptrepo.Key) (aptrepo.Artifact, error) { return artifact(t, key) }

// Versions implements [aptrepo.Tx].
func (t *tx) Versions(name, version string) ([]aptrepo.Artifact, error) {
	key, ok := versionKey(version)
	if !ok {
		return nil, nil
	}
	return artifacts(t, "WHERE a.name = ? AND a.version_key = ? ORDER BY a.arch", name, key)
}

// PublishedIn implements [aptrepo.Tx].
func (t *tx) PublishedIn(codename string, names []string) ([]aptrepo.Artifact, error) {
	published := "WHERE a.id IN (SELECT artifact_id FROM publications WHERE distribution = ?) "
	order := "ORDER BY a.name, a.version_key, a.arch"
	if names == nil {
		return artifacts(t, published+order, codename)
	}
	return artifacts(t, published+"AND a.name IN (SELECT value FROM {texts}) "+order, codename, list(names))
}

// InsertArtifact implements [aptrepo.Tx].
func (t *tx) InsertArtifact(a *aptrepo.Artifact) error {
	key, ok := versionKey(a.Version)
	if !ok {
		return &aptrepo.FieldError{Field: "version", Message: "must be a Debian version"}
	}
	if field := unkeepable(a); field != "" {
		return invalidText(field)
	}
	inserted, err := get(t, `INSERT INTO artifacts (name, version_key, arch, version, status, section, size, uploaded_at,
		source, source_version, component, priority, maintainer, homepage, multi_arch, essential, installed_size,
		filename, sha256, sha512, md5, status_reason, status_detail, origin, source_id, import_group, uploaded_by)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name, version_key, arch) DO NOTHING RETURNING id`,
		[]any{a.Name, key, a.Arch, a.Version, string(a.Status), a.Section, a.Size, micros(a.UploadedAt),
			a.Source, a.SourceVersion, a.Component, a.Priority, a.Maintainer, a.Homepage, a.MultiArch,
			integer(a.Essential), a.InstalledSize, a.Filename, a.SHA256, a.SHA512, a.MD5,
			a.StatusReason, a.StatusDetail, a.Origin, a.SourceID, a.Group, a.UploadedBy}, &a.ID)
	if err != nil {
		return err
	}
	if !inserted {
		return t.conflict(a)
	}
	_, err = t.exec("INSERT INTO artifact_texts (artifact_id, description, control) VALUES (?, ?, ?)",
		a.ID, a.Description, a.Control)
	if err != nil {
		return err
	}
	if err := t.insertProvides(a); err != nil {
		return err
	}
	t.derived.came(a)
	t.deeds.came(a, key)
	grown, err := t.relist("", a.Name)
	t.deeds.names += grown
	return err
}

func (t *tx) conflict(a *aptrepo.Artifact) error {
	existing, err := artifact(t, a.Key())
	if err != nil {
		return err
	}
	return &aptrepo.ConflictError{Key: a.Key(), Incoming: a.SHA256, Existing: existing.SHA256}
}

// unkeepable names a field that PostgreSQL could not keep.
func unkeepable(a *aptrepo.Artifact) string {
	for _, f := range []struct{ name, text string }{
		{"name", a.Name}, {"version", a.Version}, {"arch", a.Arch}, {"source", a.Source},
		{"source_version", a.SourceVersion}, {"component", a.Component}, {"section", a.Section},
		{"priority", a.Priority}, {"maintainer", a.Maintainer}, {"description", a.Description},
		{"homepage", a.Homepage}, {"multi_arch", a.MultiArch}, {"control", a.Control}, {"filename", a.Filename},
		{"status_reason", a.StatusReason}, {"status_detail", a.StatusDetail}, {"origin", a.Origin},
		{"source_id", a.SourceID}, {"group", a.Group}, {"uploaded_by", a.UploadedBy},
	} {
		if !validText(f.text) {
			return f.name
		}
	}
	return ""
}

// insertProvides notes what a provides.
func (t *tx) insertProvides(a *aptrepo.Artifact) error {
	for _, p := range providedBy(a.Control) {
		_, err := t.exec("INSERT INTO provides (name, artifact_id, version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			p.name, a.ID, p.version)
		if err != nil {
			return err
		}
	}
	return nil
}

// A namedProvision is a provided name, and "" or its version.
type namedProvision struct{ name, version string }

// providedBy returns what an artifact provides, each once. A control stanza that
// the store cannot read provides nothing: refusing it is up to the gate.
func providedBy(control string) (all []namedProvision) {
	if !strings.Contains(strings.ToLower(control), "provides:") {
		return nil
	}
	stanza, err := deb.ParseStanza([]byte(control))
	if err != nil {
		return nil
	}
	provides, err := deb.ParseRelations(stanza.Get("Provides"))
	if err != nil {
		return nil
	}
	for _, alternatives := range provides {
		for _, p := range alternatives {
			if one := (namedProvision{p.Name, p.Version.String()}); !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	return all
}

// DeleteArtifact implements [aptrepo.Tx]. An unknown ID gives
// ErrArtifactNotFound.
func (t *tx) DeleteArtifact(id int64) error {
	a, found, err := t.placed(id)
	switch {
	case err != nil:
		return err
	case !found:
		return aptrepo.ErrArtifactNotFound
	case a.publications > 0:
		return fmt.Errorf("artifact %d is published and cannot be deleted", id)
	}
	if err := t.deleteSafety(id); err != nil {
		return err
	}
	// Published nowhere, it stands for its name only among all.
	unlisted, err := t.exec("DELETE FROM listings WHERE artifact_id = ?", id)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM provides WHERE artifact_id = ?",
		"DELETE FROM search_texts WHERE artifact_id = ?",
		"DELETE FROM artifact_texts WHERE artifact_id = ?",
		"DELETE FROM artifacts WHERE id = ?",
	} {
		if _, err := t.exec(statement, id); err != nil {
			return err
		}
	}
	t.deeds.went(a)
	grown, err := t.relist("", a.name)
	t.deeds.names += grown - unlisted
	return err
}

// Artifact implements [aptrepo.Store].
func (d *DB) Artifact(ctx context.Context, key aptrepo.Key) (a aptrepo.Artifact, err error) {
	err = d.read(ctx, func(q querier) error {
		a, err = artifact(q, key)
		return err
	})
	return a, err
}

// Artifacts implements [aptrepo.Store].
func (d *DB) Artifacts(ctx context.Context, name string) (all []aptrepo.Artifact, err error) {
	err = d.read(ctx, func(q querier) error {
		all, err = artifacts(q, "WHERE a.name = ? ORDER BY "+newestFirst, name)
		return err
	})
	return all, err
}

// Providers implements [aptrepo.Store].
func (d *DB) Providers(ctx context.Context, codename string, names []string) (all []aptrepo.Artifact, err error) {
	rest := `WHERE a.id IN (
		SELECT b.id FROM artifacts b WHERE b.name IN (SELECT value FROM {texts})
		UNION SELECT v.artifact_id FROM provides v WHERE v.name IN (SELECT value FROM {texts}))`
	args := []any{list(names), list(names)}
	if codename == "" {
		rest += " AND a.publications > 0"
	} else {
		rest += " AND EXISTS (SELECT 1 FROM publications p WHERE p.distribution = ? AND p.artifact_id = a.id)"
		args = append(args, codename)
	}
	err = d.read(ctx, func(q querier) error {
		all, err = artifacts(q, rest+" ORDER BY "+newestFirst, args...)
		return err
	})
	return all, err
}

// eachPage is how many rows an iterator reads in one transaction.
const eachPage = 200

// eachRow yields what read returns, eachPage rows of one transaction at a time:
// those whose ID is above after, by ID. A page that is not full is the last one.
// No transaction is open while it yields; what changes meanwhile may or may not
// be seen.
func eachRow[T any](ctx context.Context, d *DB, id func(*T) int64, read func(q querier, after int64) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		after := int64(0)
		for {
			var page []T
			err := d.read(ctx, func(q querier) (err error) {
				page, err = read(q, after)
				return err
			})
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if len(page) < eachPage {
				return
			}
			after = id(&page[len(page)-1])
		}
	}
}

func artifactID(a *aptrepo.Artifact) int64 { return a.ID }

// EachArtifact implements [aptrepo.Store], as eachRow has it.
func (d *DB) EachArtifact(ctx context.Context) iter.Seq2[aptrepo.Artifact, error] {
	return eachRow(ctx, d, artifactID, func(q querier, after int64) ([]aptrepo.Artifact, error) {
		return artifacts(q, "WHERE a.id > ? ORDER BY a.id LIMIT ?", after, eachPage)
	})
}

// EachPublished implements [aptrepo.Store], as EachArtifact does.
func (d *DB) EachPublished(ctx context.Context, codename string) iter.Seq2[aptrepo.PublishedArtifact, error] {
	all := eachRow(ctx, d, artifactID, func(q querier, after int64) ([]aptrepo.Artifact, error) {
		return artifacts(q, `WHERE a.id IN (SELECT DISTINCT artifact_id FROM publications
			WHERE distribution = ? AND artifact_id > ? ORDER BY artifact_id LIMIT ?) ORDER BY a.id`,
			codename, after, eachPage)
	})
	return func(yield func(aptrepo.PublishedArtifact, error) bool) {
		for a, err := range all {
			if err != nil {
				yield(aptrepo.PublishedArtifact{}, err)
				return
			}
			for _, p := range a.Publications {
				if p.Distribution == codename && !yield(aptrepo.PublishedArtifact{Artifact: a, Publication: p}, nil) {
					return
				}
			}
		}
	}
}
