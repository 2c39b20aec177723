package client

import "context"

// A SearchQuery says what is searched for in the upstream archives.
type SearchQuery struct {
	Q        string `url:"q"` // part of a name or description
	SourceID string `url:"source_id"`
	Arch     string `url:"arch"`
	Limit    int    `url:"limit"` // 1 to 100; 0: 20
}

// Search searches the upstream archives. Code: sources_not_synced.
func (c *Client) Search(ctx context.Context, q SearchQuery) ([]Hit, error) {
	out, err := get[struct {
		Results []Hit `json:"results"`
	}](ctx, c, "/import/search", q)
	return out.Results, err
}

// A PlanQuery says how a package would be imported.
type PlanQuery struct {
	Version      string `url:"version"` // "": the newest
	Arch         string `url:"arch"`    // "": amd64
	Distribution string `url:"distribution"`
	SourceID     string `url:"source_id"`
}

// Plan returns what an import would do.
func (c *Client) Plan(ctx context.Context, name string, q PlanQuery) (Plan, error) {
	return get[Plan](ctx, c, at("import", "resolve", name), q)
}

// Import imports a package and what it depends on; show, which may be nil, is told
// how far it is.
func (c *Client) Import(ctx context.Context, f Fetch, show func(Job)) (Fetched, error) {
	return work[Fetched](ctx, c, "/import/fetch", nil, f, show)
}

// ImportBatch imports several packages. What failed stands in its result.
func (c *Client) ImportBatch(ctx context.Context, b Batch, show func(Job)) (Imported, error) {
	return work[Imported](ctx, c, "/import/batch", nil, b, show)
}

// Sync fetches the indices of all sources that are enabled. It fails when all of
// them did.
func (c *Client) Sync(ctx context.Context, show func(Job)) (Synced, error) {
	return work[Synced](ctx, c, "/import/sync", nil, nil, show)
}

// SyncSource fetches the index of a source. Code: source_not_found.
func (c *Client) SyncSource(ctx context.Context, id string, show func(Job)) (Synced, error) {
	return work[Synced](ctx, c, at("import", "sync", id), nil, nil, show)
}

// SyncSecurity fetches the indices of security updates, and vulnerability data.
func (c *Client) SyncSecurity(ctx context.Context, show func(Job)) (Synced, error) {
	return work[Synced](ctx, c, "/import/sync-security", nil, nil, show)
}

// SyncStatus returns how each source is.
func (c *Client) SyncStatus(ctx context.Context) ([]SourceStatus, error) {
	out, err := get[struct {
		Sources []SourceStatus `json:"sources"`
	}](ctx, c, "/import/sync-status", nil)
	return out.Sources, err
}

// Sources returns the sources, passwords masked.
func (c *Client) Sources(ctx context.Context) ([]Source, error) {
	out, err := get[struct {
		Sources []Source `json:"sources"`
	}](ctx, c, "/import/sources", nil)
	return out.Sources, err
}

// CreateSource adds a source. Code: source_exists.
func (c *Client) CreateSource(ctx context.Context, s Source) (Source, error) {
	return post[Source](ctx, c, "/import/sources", nil, s)
}

// DeleteSource removes a source; what was imported stays.
func (c *Client) DeleteSource(ctx context.Context, id string) error {
	return remove(ctx, c, at("import", "sources", id), nil)
}

// Groups returns the groups of imports.
func (c *Client) Groups(ctx context.Context) ([]Group, error) {
	out, err := get[struct {
		Groups []Group `json:"groups"`
	}](ctx, c, "/import/groups", nil)
	return out.Groups, err
}
