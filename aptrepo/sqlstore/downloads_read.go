package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/repod-io/repod/aptrepo"
)

// downloadKinds are the kinds of clients by their names.
var downloadKinds = map[string]aptrepo.ClientKind{
	aptrepo.ClientAPT.String(): aptrepo.ClientAPT, aptrepo.ClientCurl.String(): aptrepo.ClientCurl,
	aptrepo.ClientWget.String(): aptrepo.ClientWget, aptrepo.ClientOther.String(): aptrepo.ClientOther,
}

// Downloads implements [aptrepo.DownloadStore].
func (d *DB) Downloads(ctx context.Context, query aptrepo.DownloadQuery) (s aptrepo.DownloadStats, err error) {
	err = d.read(ctx, func(q querier) error {
		since := int64(query.Since)
		if err := downloadDays(q, since, &s); err != nil {
			return err
		}
		_, err := get(q, "SELECT COUNT(*) FROM download_clients WHERE name = '' AND last_day >= ?", []any{since}, &s.Clients)
		if err != nil {
			return err
		}
		if err := downloadedPackages(q, since, query.Top, &s); err != nil {
			return err
		}
		s.Recent, err = recentDownloads(q, micros(query.RecentSince))
		return err
	})
	return s, err
}

func downloadDays(q querier, since int64, s *aptrepo.DownloadStats) error {
	return each(q, "SELECT day, "+countColumns+" FROM download_days WHERE day >= ? ORDER BY day", []any{since}, func(rows *sql.Rows) error {
		var day aptrepo.DownloadDay
		var c aptrepo.KindCounts
		err := rows.Scan(&day.Day, &c[aptrepo.ClientAPT], &c[aptrepo.ClientCurl], &c[aptrepo.ClientWget], &c[aptrepo.ClientOther], &day.Bytes)
		day.Downloads = c.Total()
		for kind, n := range c {
			s.ByKind[kind] += n
		}
		s.PerDay = append(s.PerDay, day)
		return err
	})
}

// downloadedPackages sums up by name.
func downloadedPackages(q querier, since int64, top int, s *aptrepo.DownloadStats) error {
	_, err := get(q, "SELECT COUNT(DISTINCT name) FROM downloaded WHERE last_day >= ?", []any{since}, &s.Packages)
	if err != nil {
		return err
	}
	places := make(map[string]int)
	var names []string
	err = each(q, `SELECT d.name, CAST(SUM(c.n) AS BIGINT), CAST(SUM(c.bytes) AS BIGINT) FROM (
			SELECT artifact_id, SUM(apt + curl + wget + other) AS n, SUM(bytes) AS bytes
			FROM download_counts WHERE day >= ? GROUP BY artifact_id) AS c
		JOIN downloaded d ON d.id = c.artifact_id
		GROUP BY d.name HAVING SUM(c.n) > 0 ORDER BY SUM(c.n) DESC, d.name LIMIT ?`, []any{since, top}, func(rows *sql.Rows) error {
		var p aptrepo.PackageDownloads
		err := rows.Scan(&p.Name, &p.Downloads, &p.Bytes)
		places[p.Name] = len(s.PerPackage)
		names = append(names, p.Name)
		s.PerPackage = append(s.PerPackage, p)
		return err
	})
	if err != nil || len(names) == 0 {
		return err
	}
	err = each(q, `SELECT name, COUNT(*) FROM download_clients
		WHERE name IN (SELECT value FROM {texts}) AND last_day >= ? GROUP BY name`, []any{list(names), since}, func(rows *sql.Rows) error {
		var name string
		var clients int
		err := rows.Scan(&name, &clients)
		s.PerPackage[places[name]].Clients = clients
		return err
	})
	if err != nil {
		return err
	}
	return each(q, `SELECT name, version FROM downloaded WHERE name IN (SELECT value FROM {texts}) AND last_day >= ?
		ORDER BY name, version_key DESC, version`, []any{list(names), since}, func(rows *sql.Rows) error {
		var name, version string
		err := rows.Scan(&name, &version)
		p := &s.PerPackage[places[name]]
		if !slices.Contains(p.Versions, version) { // one of another architecture
			p.Versions = append(p.Versions, version)
		}
		return err
	})
}

func recentDownloads(q querier, since int64) (all []aptrepo.Download, err error) {
	err = each(q, `SELECT r.at, d.name, d.version, d.arch, d.filename, r.kind, r.bytes, r.ip
		FROM download_recent r JOIN downloaded d ON d.id = r.artifact_id
		WHERE r.at >= ? ORDER BY r.at DESC, r.id DESC LIMIT ?`, []any{since, aptrepo.RecentDownloads}, func(rows *sql.Rows) error {
		var one aptrepo.Download
		var at int64
		var kind string
		err := rows.Scan(&at, &one.Name, &one.Version, &one.Arch, &one.Filename, &kind, &one.Bytes, &one.IP)
		one.Time, one.Kind = timeOf(at), downloadKinds[kind]
		all = append(all, one)
		return err
	})
	return all, err
}
