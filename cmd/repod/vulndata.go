package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/jobs"
	"github.com/repod-io/repod/aptrepo/vulnsync"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/vuln"
)

// followAtStart bounds how long a server that starts waits for vulnerability data.
const followAtStart = time.Minute

// vulnData are the vulnerability data of this machine, and where they are the same
// as those of other servers.
type vulnData struct {
	*vuln.DB
	share *vulnsync.Share // nil: no other server has this database
	once  atomic.Bool     // they were followed
}

// openVulnData opens the vulnerability data. Servers that share a database share
// them, too; an SQLite database is that of one machine, whose data directory has
// them already.
func openVulnData(o *opened, log *slog.Logger) *vulnData {
	d := &vulnData{DB: &vuln.DB{Dir: filepath.Join(o.dataDir, "vulndb")}}
	if o.shared {
		d.share = &vulnsync.Share{DB: d.DB, Storage: o.files, Store: o.db, Logger: log}
	}
	return d
}

// change has bring change the data, for all servers.
func (d *vulnData) change(ctx context.Context, bring func(context.Context) error) error {
	if d.share == nil {
		return bring(ctx)
	}
	return d.share.Change(ctx, bring)
}

// follow brings the data to those that all servers should have.
func (d *vulnData) follow(ctx context.Context) error {
	if d.share == nil {
		return nil
	}
	_, err := d.share.Follow(ctx)
	if err == nil {
		d.once.Store(true)
	}
	return err
}

// Data is that of the DB. A server that has none, and has not been able to find out
// whether others have, must not take that for "there are no data": packages would
// be published unmatched.
func (d *vulnData) Data(ctx context.Context) (scan.Data, error) {
	var missed error
	if !d.once.Load() {
		missed = d.follow(ctx)
	}
	data, err := d.DB.Data(ctx)
	if err == nil && missed != nil && data.Generation == 0 {
		err = fmt.Errorf("%w: %w", aptrepo.ErrUnavailable, missed)
	}
	return data, err
}

// start is follow for a server that starts. Without the data it serves all the
// same, but publishes nothing: see Data.
func (d *vulnData) start(ctx context.Context, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, followAtStart)
	defer cancel()
	if err := d.follow(ctx); err != nil {
		log.ErrorContext(ctx, "vulnerability data of other servers cannot be had yet", "error", err)
	}
}

// run keeps the data the same as those of other servers until ctx ends.
func (d *vulnData) run(ctx context.Context) error {
	if d.share == nil {
		return nil
	}
	return d.share.Run(ctx)
}

// current has jobs follow before they work: one that holds packages against data
// must not use older ones than the server that has enqueued it.
func (d *vulnData) current(kinds []jobs.Kind) []jobs.Kind {
	for i := range kinds {
		work := kinds[i].Work
		kinds[i].Work = func(ctx context.Context, t *jobs.Task) (any, error) {
			// What is lost a job may bring in again, or it fails for want of it.
			if err := d.follow(ctx); err != nil && !errors.Is(err, vulnsync.ErrLost) {
				return nil, err
			}
			return work(ctx, t)
		}
	}
	return kinds
}
