package sqlstore

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
)

const (
	// blockRows is how many rows one statement inserts.
	blockRows = 32
	// maxIndexed is how many bytes of a name or a synopsis an index may have to
	// take: PostgreSQL's has room for some 2,700 in a row. A longer name is
	// refused, and of a longer synopsis the rest is not searched. Policy 5.6.13
	// wants less than 80.
	maxIndexed = 1000
)

// A digest is the first half of a SHA-256.
type digest [16]byte

// sum is the digest of a list of texts.
func sum(texts ...string) digest {
	var b bytes.Buffer
	for _, text := range texts {
		b.Write(binary.AppendUvarint(nil, uint64(len(text))))
		b.WriteString(text)
	}
	all := sha256.Sum256(b.Bytes())
	return digest(all[:16])
}

// A catalogRow is a package on its way to the tables.
type catalogRow struct {
	upstream.Package
	digest         digest
	versionKey     []byte
	folded         string // name
	foldedSynopsis string
}

// key tells a package from the others of its source.
func (r *catalogRow) key() digest { return sum(r.Name, r.Version, r.Arch, r.Component) }

func makeCatalogRow(p upstream.Package) (catalogRow, error) {
	row := catalogRow{Package: p, folded: fold(p.Name), foldedSynopsis: cut(fold(p.Synopsis), maxIndexed)}
	fields := []string{p.Component, p.Name, p.Version, p.Arch, p.SourceName, p.SourceVersion, p.Section, p.Priority,
		p.MultiArch, p.Synopsis, p.PreDepends, p.Depends, p.Provides, p.Conflicts, p.Breaks, p.Replaces, p.Filename, p.SHA256}
	for _, text := range fields {
		if !validText(text) {
			return row, fmt.Errorf("package %.100q: %w", p.Name, invalidText("stanza"))
		}
	}
	if len(row.folded) > maxIndexed {
		return row, fmt.Errorf("package %.100q: the name is longer than %d bytes", p.Name, maxIndexed)
	}
	key, ok := versionKey(p.Version)
	if !ok {
		return row, fmt.Errorf("package %.100q: %.100q is not a Debian version", p.Name, p.Version)
	}
	row.versionKey = key
	numbers := fmt.Sprintf("%d %d %d", integer(p.Essential), p.InstalledSize, p.Size)
	row.digest = sum(append(fields, numbers)...)
	return row, nil
}

// cut returns no more than n bytes of s, in whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// repeated is n times a text, with commas.
func repeated(text string, n int) string {
	return strings.TrimSuffix(strings.Repeat(text+", ", n), ", ")
}

const (
	insertTexts    = "INSERT INTO catalog_texts (name, synopsis) VALUES "
	insertPackages = `INSERT INTO catalog_packages (source, stage, text_id, digest, name, version_key, arch, component, version,
		source_name, source_version, section, priority, essential, multi_arch, installed_size, size, sha256, filename, synopsis,
		pre_depends, depends, provides, conflicts, breaks, replaces) VALUES `
	packageValues = `(?, ?, (SELECT t.id FROM catalog_texts t WHERE t.name = ? AND t.synopsis = ?), ?, ?, ?, ?, ?, ?,
		?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	insertProvides = "INSERT INTO catalog_provides (name, package_id) VALUES "
)

// insertCatalogRows adds packages to a stage, in few statements, of which there
// are few texts: they stay prepared.
func (t *tx) insertCatalogRows(source, stage int64, rows []catalogRow) error {
	if len(rows) == 0 {
		return nil
	}
	var texts, values []any
	for i := range rows {
		r := &rows[i]
		texts = append(texts, r.folded, r.foldedSynopsis)
		values = append(values, source, stage, r.folded, r.foldedSynopsis, r.digest[:], r.Name, r.versionKey, r.Arch, r.Component, r.Version,
			r.SourceName, r.SourceVersion, r.Section, r.Priority, integer(r.Essential), r.MultiArch, r.InstalledSize, r.Size,
			r.SHA256, r.Filename, r.Synopsis, r.PreDepends, r.Depends, r.Provides, r.Conflicts, r.Breaks, r.Replaces)
	}
	if _, err := t.exec(insertTexts+repeated("(?, ?)", len(rows))+" ON CONFLICT (name, synopsis) DO NOTHING", texts...); err != nil {
		return err
	}
	ids := make(map[digest]int64, len(rows))
	err := each(t, insertPackages+repeated(packageValues, len(rows))+" RETURNING id, digest", values, func(rows *sql.Rows) error {
		var id int64
		var sum []byte
		err := rows.Scan(&id, &sum)
		if err == nil {
			ids[digest(sum)] = id
		}
		return err
	})
	if err != nil {
		return err
	}
	return t.insertCatalogProvides(rows, ids)
}

func (t *tx) insertCatalogProvides(rows []catalogRow, ids map[digest]int64) error {
	var pairs []any
	for i := range rows {
		for _, name := range provided(rows[i].Provides) {
			pairs = append(pairs, name, ids[rows[i].digest])
		}
	}
	for len(pairs) > 0 {
		n := min(2*blockRows, len(pairs))
		_, err := t.exec(insertProvides+repeated("(?, ?)", n/2)+" ON CONFLICT DO NOTHING", pairs[:n]...)
		if err != nil {
			return err
		}
		pairs = pairs[n:]
	}
	return nil
}

// provided returns the names in a field Provides. One that cannot be read
// provides nothing.
func provided(field string) (names []string) {
	if field == "" {
		return nil
	}
	relations, err := deb.ParseRelations(field)
	if err != nil {
		return nil
	}
	for _, alternatives := range relations {
		for _, d := range alternatives {
			names = append(names, d.Name)
		}
	}
	return names
}

const catalogColumns = `s.source_id, s.last_sync, p.id, p.component, p.name, p.version, p.arch, p.source_name, p.source_version,
	p.section, p.priority, p.essential, p.multi_arch, p.installed_size, p.size, p.sha256, p.filename, p.synopsis,
	p.pre_depends, p.depends, p.provides, p.conflicts, p.breaks, p.replaces`

func scanCatalogPackage(rows *sql.Rows) (id int64, f upstream.Found, err error) {
	var synced, essential int64
	p := &f.Package
	err = rows.Scan(&p.SourceID, &synced, &id, &p.Component, &p.Name, &p.Version, &p.Arch, &p.SourceName, &p.SourceVersion,
		&p.Section, &p.Priority, &essential, &p.MultiArch, &p.InstalledSize, &p.Size, &p.SHA256, &p.Filename, &p.Synopsis,
		&p.PreDepends, &p.Depends, &p.Provides, &p.Conflicts, &p.Breaks, &p.Replaces)
	p.Essential, f.SyncedAt = essential != 0, timeOf(synced)
	return id, f, err
}
