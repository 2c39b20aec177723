package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/scan/vuln"
)

// maxFeed bounds what is fetched of a feed, in bytes.
const maxFeed = 4 << 30

// updateFeeds fetches the feeds of the settings and imports them, for all servers.
// A feed that fails keeps its former data, and is told of in the result.
func (s *scanning) updateFeeds(ctx context.Context) (results []vuln.Result, err error) {
	err = s.db.change(ctx, func(ctx context.Context) (err error) {
		results, err = s.importFeeds(ctx)
		return err
	})
	return results, err
}

func (s *scanning) importFeeds(ctx context.Context) ([]vuln.Result, error) {
	cve := s.set.Current().Scan.CVE
	if !cve.Enabled {
		return nil, nil
	}
	var feeds []vuln.Feed
	wanted := make(map[string]bool)
	for _, f := range cve.Feeds {
		if !f.Enabled {
			continue
		}
		wanted[f.ID] = true
		feed := vuln.Feed{ID: f.ID, Kind: vuln.Kind(f.Kind)}
		file, date, err := s.fetchFeed(ctx, f)
		if err != nil {
			feed.Err = err
		} else {
			defer file.Close()
			feed.Data, feed.Date = file, date
		}
		feeds = append(feeds, feed)
	}
	if err := s.dropFeeds(ctx, wanted); err != nil {
		return nil, err
	}
	return s.db.Import(ctx, feeds...)
}

// dropFeeds forgets feeds that the settings no longer have.
func (s *scanning) dropFeeds(ctx context.Context, wanted map[string]bool) error {
	known, err := s.db.Status(ctx)
	if err != nil {
		return err
	}
	var gone []string
	for _, f := range known {
		if !wanted[f.ID] {
			gone = append(gone, f.ID)
		}
	}
	if gone == nil {
		return nil
	}
	return s.db.Drop(ctx, gone...)
}

// fetchFeed downloads a feed into a file that is gone once it is closed, and
// returns when the server says that it was made.
func (s *scanning) fetchFeed(ctx context.Context, f live.Feed) (file *os.File, made time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return nil, made, err
	}
	req.Header.Set("User-Agent", "repod/"+buildVersion().Version)
	client := &http.Client{Transport: s.transport, Timeout: 30 * time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return nil, made, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, made, fmt.Errorf("the server answered %s", resp.Status)
	}
	if file, err = os.CreateTemp(filepath.Join(s.config.dataDir, "spool"), "feed-*"); err != nil {
		return nil, made, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, made, err
	}
	n, err := io.Copy(file, io.LimitReader(resp.Body, maxFeed+1))
	if err == nil && n > maxFeed {
		err = fmt.Errorf("it has more than %d bytes", int64(maxFeed))
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, made, err
	}
	made, _ = http.ParseTime(resp.Header.Get("Last-Modified")) // zero without one
	return file, made, nil
}
