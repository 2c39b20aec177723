package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// countersKept is for how much longer than single downloads the number of a
// counter's last batch is kept. Nobody tries for so long to add one.
const countersKept = 30 * 24 * time.Hour

// AddDownloads implements [aptrepo.DownloadStore].
func (d *DB) AddDownloads(ctx context.Context, b aptrepo.DownloadBatch) error {
	return d.update(ctx, func(t *tx) error {
		fresh, err := t.numberBatch(b)
		if err != nil || !fresh {
			return err
		}
		ids, err := t.downloadedFiles(b)
		if err != nil {
			return err
		}
		sums := newDownloadSums()
		for _, c := range b.Counts {
			if file, known := ids[c.Filename]; known {
				sums.add(file, c)
			}
		}
		if err := t.addDownloadSums(sums); err != nil {
			return err
		}
		return t.addRecent(b.Recent, ids)
	})
}

// numberBatch notes the number of a batch, and reports whether it is a new one.
func (t *tx) numberBatch(b aptrepo.DownloadBatch) (fresh bool, err error) {
	n, err := t.exec(`INSERT INTO download_counters (id, number, at) VALUES (?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET number = excluded.number, at = excluded.at
			WHERE download_counters.number < excluded.number`, keepable(b.Counter), b.Number, micros(b.At))
	return n > 0, err
}

// A downloadedFile is the row of table downloaded that a file counts for.
type downloadedFile struct {
	id                  int64
	name, version, arch string
	key                 []byte
	filename            string // what the row has
}

// downloadedFiles finds the artifacts of the files of a batch, and makes rows for
// those that have none. A file that no artifact has now is that of the artifact
// which it was of.
func (t *tx) downloadedFiles(b aptrepo.DownloadBatch) (map[string]*downloadedFile, error) {
	var names []string
	for _, c := range b.Counts {
		names = append(names, c.Filename)
	}
	for _, one := range b.Recent {
		names = append(names, one.Filename)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	files := make(map[string]*downloadedFile, len(names))
	read := func(query string) error {
		return each(t, query, []any{list(names)}, func(rows *sql.Rows) error {
			var f downloadedFile
			var filename string
			err := rows.Scan(&f.id, &f.name, &f.version, &f.arch, &f.key, &f.filename, &filename)
			files[filename] = &f
			return err
		})
	}
	err := read(`SELECT id, name, version, arch, version_key, filename, filename FROM downloaded
		WHERE filename IN (SELECT value FROM {texts}) ORDER BY id`)
	if err == nil {
		err = read(`SELECT COALESCE(d.id, 0), a.name, a.version, a.arch, a.version_key, COALESCE(d.filename, ''), a.filename
			FROM artifacts a LEFT JOIN downloaded d ON d.name = a.name AND d.version = a.version AND d.arch = a.arch
			WHERE a.filename IN (SELECT value FROM {texts})`)
	}
	if err != nil {
		return nil, err
	}
	for _, filename := range names {
		f := files[filename]
		if f == nil || f.filename == filename {
			continue
		}
		_, err := get(t, `INSERT INTO downloaded (name, version, arch, version_key, filename, last_day, sent_day)
			VALUES (?, ?, ?, ?, ?, 0, 0)
			ON CONFLICT (name, version, arch) DO UPDATE SET filename = excluded.filename RETURNING id`,
			[]any{f.name, f.version, f.arch, f.key, filename}, &f.id)
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// downloadSums are the rows that a batch adds to, each once.
type downloadSums struct {
	counts map[[2]int64]*downloadCounts // by day and artifact
	days   map[int64]*downloadCounts
	// The last days on which an artifact was downloaded, and anything of it sent.
	seen, sent map[int64]int64
	clients    map[downloadClient]int64
}

type downloadCounts struct {
	kinds aptrepo.KindCounts
	bytes int64
}

type downloadClient struct {
	name   string
	client int64
}

func newDownloadSums() *downloadSums {
	return &downloadSums{
		counts: make(map[[2]int64]*downloadCounts), days: make(map[int64]*downloadCounts),
		seen: make(map[int64]int64), sent: make(map[int64]int64), clients: make(map[downloadClient]int64),
	}
}

func (s *downloadSums) add(f *downloadedFile, c aptrepo.DownloadCount) {
	day := int64(c.Day)
	addTo(s.counts, [2]int64{day, f.id}, c)
	addTo(s.days, day, c)
	s.sent[f.id] = max(s.sent[f.id], day)
	if c.Downloads.Total() == 0 {
		return
	}
	s.seen[f.id] = max(s.seen[f.id], day)
	for _, client := range c.Clients {
		for _, name := range []string{"", f.name} {
			key := downloadClient{name, client}
			s.clients[key] = max(s.clients[key], day)
		}
	}
}

func addTo[K comparable](sums map[K]*downloadCounts, key K, c aptrepo.DownloadCount) {
	sum := sums[key]
	if sum == nil {
		sum = &downloadCounts{}
		sums[key] = sum
	}
	sum.bytes += c.Bytes
	for kind, n := range c.Downloads {
		sum.kinds[kind] += n
	}
}

// countColumns are the columns of downloads by kind and of their bytes.
const countColumns = "apt, curl, wget, other, bytes"

func (c *downloadCounts) values() []any {
	return []any{
		c.kinds[aptrepo.ClientAPT], c.kinds[aptrepo.ClientCurl], c.kinds[aptrepo.ClientWget], c.kinds[aptrepo.ClientOther], c.bytes,
	}
}

// adding is the clause by which rows of a table grow.
func adding(table string) string {
	var parts []string
	for column := range strings.SplitSeq(countColumns, ", ") {
		parts = append(parts, column+" = "+table+"."+column+" + excluded."+column)
	}
	return " DO UPDATE SET " + strings.Join(parts, ", ")
}

func (t *tx) addDownloadSums(s *downloadSums) error {
	var counts, days, clients [][]any
	for key, c := range s.counts {
		counts = append(counts, append([]any{key[0], key[1]}, c.values()...))
	}
	for day, c := range s.days {
		days = append(days, append([]any{day}, c.values()...))
	}
	for key, day := range s.clients {
		clients = append(clients, []any{key.name, key.client, day})
	}
	for _, rows := range [][][]any{counts, days, clients} {
		slices.SortFunc(rows, compareRows) // in the order of the tables' keys
	}
	err := t.putRows("INSERT INTO download_counts (day, artifact_id, "+countColumns+") VALUES ",
		" ON CONFLICT (day, artifact_id)"+adding("download_counts"), counts)
	if err == nil {
		err = t.putRows("INSERT INTO download_days (day, "+countColumns+") VALUES ", " ON CONFLICT (day)"+adding("download_days"), days)
	}
	if err == nil {
		err = t.putRows("INSERT INTO download_clients (name, client, last_day) VALUES ",
			` ON CONFLICT (name, client) DO UPDATE SET last_day = excluded.last_day
				WHERE download_clients.last_day < excluded.last_day`, clients)
	}
	if err == nil {
		err = t.raiseDays("last_day", s.seen)
	}
	if err == nil {
		err = t.raiseDays("sent_day", s.sent)
	}
	return err
}

// raiseDays moves a column of table downloaded on to the days given by ID.
func (t *tx) raiseDays(column string, last map[int64]int64) error {
	byDay := make(map[int64][]int64)
	for id, day := range last {
		byDay[day] = append(byDay[day], id)
	}
	for day, ids := range byDay {
		_, err := t.exec("UPDATE downloaded SET "+column+" = ? WHERE "+column+" < ? AND id IN (SELECT value FROM {ids})", day, day, list(ids))
		if err != nil {
			return err
		}
	}
	return nil
}

// compareRows orders rows by their first columns.
func compareRows(a, b []any) int {
	for i := range min(2, len(a)) {
		var c int
		switch x := a[i].(type) {
		case int64:
			c = cmp.Compare(x, b[i].(int64))
		case string:
			c = cmp.Compare(x, b[i].(string))
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// putRows inserts rows, many in a statement; of statements there are two texts,
// so that they stay prepared.
func (t *tx) putRows(insert, otherwise string, rows [][]any) error {
	const many = 50
	for len(rows) > 0 {
		n := 1
		if len(rows) >= many {
			n = many
		}
		one := "(" + repeated("?", len(rows[0])) + ")"
		if _, err := t.exec(insert+repeated(one, n)+otherwise, slices.Concat(rows[:n]...)...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// addRecent adds single downloads and drops all but the latest.
func (t *tx) addRecent(recent []aptrepo.Download, ids map[string]*downloadedFile) error {
	var rows [][]any
	for _, one := range recent {
		if file, known := ids[one.Filename]; known {
			rows = append(rows, []any{micros(one.Time), file.id, one.Kind.String(), one.Bytes, keepable(one.IP)})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := t.putRows("INSERT INTO download_recent (at, artifact_id, kind, bytes, ip) VALUES ", "", rows); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM download_recent WHERE id NOT IN
		(SELECT id FROM download_recent ORDER BY at DESC, id DESC LIMIT ?)`, aptrepo.RecentDownloads)
	return err
}

// pruneStep is how many rows a transaction deletes that belong to no one day.
const pruneStep = 500

// PruneDownloads implements [aptrepo.DownloadStore].
func (d *DB) PruneDownloads(ctx context.Context, before aptrepo.Day, single time.Time) error {
	first := int64(before)
	err := d.repeat(ctx, func(t *tx) (more bool, err error) {
		var day int64
		more, err = get(t, "SELECT day FROM download_days WHERE day < ? ORDER BY day LIMIT 1", []any{first}, &day)
		if err != nil || !more {
			return false, err
		}
		if _, err := t.exec("DELETE FROM download_counts WHERE day = ?", day); err != nil {
			return false, err
		}
		_, err = t.exec("DELETE FROM download_days WHERE day = ?", day)
		return true, err
	})
	if err != nil {
		return err
	}
	err = d.repeat(ctx, func(t *tx) (bool, error) {
		n, err := t.exec(`DELETE FROM download_clients WHERE (name, client) IN
			(SELECT name, client FROM download_clients WHERE last_day < ? LIMIT ?)`, first, pruneStep)
		return n == pruneStep, err
	})
	if err != nil {
		return err
	}
	return d.update(ctx, func(t *tx) error {
		if _, err := t.exec("DELETE FROM download_recent WHERE at < ?", micros(single)); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM downloaded WHERE sent_day < ?
			AND NOT EXISTS (SELECT 1 FROM download_recent r WHERE r.artifact_id = downloaded.id)`, first)
		if err != nil {
			return err
		}
		_, err = t.exec("DELETE FROM download_counters WHERE at < ?", micros(single.Add(-countersKept)))
		return err
	})
}

// repeat runs f in transactions of its own until it says that there is no more.
func (d *DB) repeat(ctx context.Context, f func(t *tx) (more bool, err error)) error {
	for {
		more := false
		err := d.update(ctx, func(t *tx) (err error) {
			more, err = f(t)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
}
