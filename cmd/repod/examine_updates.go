package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/scan/vuln"
)

// examineUpdates tells of sources and feeds whose last update failed. It asks
// nobody: a server knows.
func (c *serveConfig) examineUpdates(ctx context.Context, o *opened, set *live.Service, found *checkups) {
	sources, err := c.importer(o, set).Status(ctx)
	var failed []string
	for _, s := range sources {
		if s.Enabled && s.State.Code != "" {
			failed = append(failed, fmt.Sprintf("%s (%s: %s)", s.ID, s.State.Code, s.State.Detail))
		}
	}
	found.add("sources", fmt.Sprintf("%d, none failed when it was last synced", len(sources)),
		errors.Join(err, lastFailed("syncs", failed, "POST /import/sync/{source_id} tries again")))
	if !set.Current().Scan.CVE.Enabled {
		return
	}
	data := openVulnData(o, c.log)
	defer data.Close()
	feeds, err := data.Status(ctx)
	failed = nil
	for _, f := range feeds {
		if f.State == vuln.Failed || f.State == vuln.Never && !f.Tried.IsZero() {
			failed = append(failed, fmt.Sprintf("%s (%s)", f.ID, f.Detail))
		}
	}
	found.add("feeds", fmt.Sprintf("%d, none failed when it was last updated", len(feeds)),
		errors.Join(err, lastFailed("updates", failed, "POST /security/rescan tries again; without network, repod vulndb import")))
}

// lastFailed is an error that lists what failed, nil for nothing.
func lastFailed(what string, failed []string, next string) error {
	if len(failed) == 0 {
		return nil
	}
	slices.Sort(failed)
	return fmt.Errorf("the last %s of these failed: %s: %s", what, strings.Join(failed, ", "), next)
}
