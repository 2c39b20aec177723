package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"slices"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/resolve"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
)

type hitJSON struct {
	Name        string    `json:"name"`
	Version     string    `json:"version"`
	Arch        string    `json:"arch"`
	Section     string    `json:"section"`
	Description string    `json:"description"`
	Depends     string    `json:"depends"`
	Size        int64     `json:"size_bytes"`
	SHA256      string    `json:"sha256"`
	SourceID    string    `json:"source_id"`
	Suite       string    `json:"suite"`
	Component   string    `json:"component"`
	Security    bool      `json:"security"`
	SyncedAt    timestamp `json:"synced_at"`
}

type searchJSON struct {
	Query   string    `json:"query"`
	Count   int       `json:"count"`
	Results []hitJSON `json:"results"`
}

func (a *api) importSearch(c *call) error {
	q := newQuery(c.Request)
	o := importer.SearchOptions{
		Q: q.text("q", 128), SourceID: q.word("source_id"), Arch: q.word("arch"), Limit: q.number("limit", 20, 1, 100),
	}
	if o.Q == "" {
		q.fault("q", "is required")
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Import.Search(c.Context(), o)
	if err != nil {
		return err
	}
	out := searchJSON{o.Q, len(found), []hitJSON{}}
	for _, h := range found {
		out.Results = append(out.Results, hitJSON{
			h.Name, h.Version, h.Arch, h.Section, h.Synopsis, h.Depends, h.Size, h.SHA256,
			h.SourceID, h.Suite, h.Component, h.Security, timestamp(h.SyncedAt),
		})
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type resolvedJSON struct {
	Name       string  `json:"name"`
	Version    string  `json:"version"`
	Arch       string  `json:"arch"`
	Status     string  `json:"status" rule:"to_import|already_present|unresolved"`
	SourceID   *string `json:"source_id"`
	Size       int64   `json:"size_bytes"`
	Relation   string  `json:"relation"`
	Constraint string  `json:"constraint"`
	RequiredBy string  `json:"required_by"`
	Provides   *string `json:"provides"`
	Reason     string  `json:"reason"`
}

// planStatus is what the API calls what is to be done.
var planStatus = map[resolve.Status]string{
	resolve.Present: "already_present", resolve.Import: "to_import", resolve.Unresolved: "unresolved",
}

func newResolved(item resolve.Item) resolvedJSON {
	out := resolvedJSON{
		Name: item.Name, Status: planStatus[item.Status], Relation: string(item.Relation), Constraint: item.Constraint,
		RequiredBy: item.RequiredBy, Reason: item.Reason,
	}
	if item.Provides != "" {
		out.Provides = &item.Provides
	}
	if item.Package == nil {
		return out
	}
	out.Version, out.Arch = item.Package.Version.String(), item.Package.Arch
	if offer, ok := item.Package.Ref.(upstream.Package); ok && item.Status == resolve.Import {
		out.SourceID, out.Size = &offer.SourceID, offer.Size
	}
	return out
}

type planJSON struct {
	Name         string         `json:"name"`
	Version      string         `json:"version"`
	Arch         string         `json:"arch"`
	Distribution *string        `json:"distribution"`
	Total        int            `json:"total"`
	Present      int            `json:"already_present"`
	Import       int            `json:"to_import"`
	Unresolved   int            `json:"unresolved"`
	Bytes        int64          `json:"download_bytes"`
	Packages     []resolvedJSON `json:"packages"`
	Conflicts    []string       `json:"conflicts"`
}

func (a *api) importResolve(c *call) error {
	q := newQuery(c.Request)
	request := importer.Request{
		Name: c.vars["package_name"], Version: q.word("version"), Arch: q.word("arch"),
		Distribution: q.word("distribution"), SourceID: q.word("source_id"),
	}
	if err := q.err(); err != nil {
		return err
	}
	plan, err := a.Import.Resolve(c.Context(), request)
	if err != nil {
		return err
	}
	out := planJSON{
		Total: len(plan.Items), Present: plan.Present, Import: plan.Import, Unresolved: plan.Unresolved,
		Bytes: plan.DownloadBytes, Conflicts: []string{},
	}
	if request.Distribution != "" {
		out.Distribution = &request.Distribution
	}
	for _, item := range plan.Items {
		out.Packages = append(out.Packages, newResolved(item))
	}
	for _, conflict := range plan.Conflicts {
		out.Conflicts = append(out.Conflicts, conflict.String())
	}
	asked := out.Packages[0]
	out.Name, out.Version, out.Arch = asked.Name, asked.Version, asked.Arch
	return writeJSON(c.w, http.StatusOK, out)
}

// wantedJSON is a package that somebody wants imported.
type wantedJSON struct {
	Name         string  `json:"name" rule:"required,trim,2..128"`
	Version      *string `json:"version" rule:"trim,0..256"`
	Arch         string  `json:"arch" rule:"trim,1..64"`
	Distribution string  `json:"distribution" rule:"required,trim,1..40"`
	Component    string  `json:"component" rule:"trim,1..64"`
	SourceID     *string `json:"source_id" rule:"trim,0..64"`
}

var groupRE = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (w wantedJSON) request() importer.Request {
	value := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	return importer.Request{
		Name: w.Name, Version: value(w.Version), Arch: w.Arch, Distribution: w.Distribution,
		Component: w.Component, SourceID: value(w.SourceID),
	}.WithDefaults()
}

// order turns what was asked for into an order, or tells what is wrong with it.
func (a *api) order(c *call, wanted []wantedJSON, path string, dependencies *bool, group *string) (importer.Order, error) {
	o := importer.Order{Dependencies: dependencies == nil || *dependencies}
	var faults []fault
	for i, w := range wanted {
		q := w.request()
		field := "name"
		if path != "" {
			field = fmt.Sprintf("%s[%d].name", path, i)
		}
		if !deb.ValidPackageName(q.Name) {
			faults = append(faults, fault{field, "must be a package name"})
		}
		if slices.Contains(o.Packages, q) {
			faults = append(faults, fault{field, "must not be there twice"})
		}
		o.Packages = append(o.Packages, q)
	}
	if group != nil {
		if o.Group = *group; !groupRE.MatchString(o.Group) {
			faults = append(faults, fault{"group", "must be letters, digits, dots, underscores and hyphens, at most 64"})
		}
	}
	if len(faults) > 0 {
		return o, invalid(faults...)
	}
	for _, q := range o.Packages {
		if err := a.Import.Check(c.Context(), q); err != nil {
			return o, err
		}
	}
	return o, nil
}

type fetchBody struct {
	wantedJSON
	Dependencies *bool   `json:"dependencies"`
	Group        *string `json:"group" rule:"trim,1..64"`
}

func (a *api) importFetch(c *call) error {
	var in fetchBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	o, err := a.order(c, []wantedJSON{in.wantedJSON}, "", in.Dependencies, in.Group)
	if err != nil {
		return err
	}
	return a.do(c, workload{
		kind: jobFetch, args: orderArgs{actorOf(c), o}, wait: true,
		status: func(result json.RawMessage) int {
			var r fetchJSON
			if json.Unmarshal(result, &r) == nil && r.Imported > 0 {
				return http.StatusCreated
			}
			return http.StatusOK
		},
	})
}

type batchBody struct {
	Packages     []wantedJSON `json:"packages" rule:"required,1..500"`
	Dependencies *bool        `json:"dependencies"`
	Group        *string      `json:"group" rule:"trim,1..64"`
}

func (a *api) importBatch(c *call) error {
	var in batchBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	o, err := a.order(c, in.Packages, "packages", in.Dependencies, in.Group)
	if err != nil {
		return err
	}
	return a.do(c, workload{kind: jobBatch, args: orderArgs{actorOf(c), o}})
}

type groupMemberJSON struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Arch    string         `json:"arch"`
	Status  aptrepo.Status `json:"status"`
	Size    int64          `json:"size_bytes"`
}

type groupJSON struct {
	Name      string            `json:"name"`
	Count     int               `json:"package_count"`
	Size      int64             `json:"total_size_bytes"`
	CreatedAt timestamp         `json:"created_at"`
	CreatedBy string            `json:"created_by"`
	Packages  []groupMemberJSON `json:"packages"`
}

type groupsJSON struct {
	Groups []groupJSON `json:"groups"`
	Total  int         `json:"total"`
}

func (a *api) importGroups(c *call) error {
	found, err := a.Repo.Groups(c.Context())
	if err != nil {
		return err
	}
	out := groupsJSON{[]groupJSON{}, len(found)}
	for _, g := range found {
		group := groupJSON{Name: g.Name, Count: len(g.Artifacts), CreatedAt: timestamp(g.CreatedAt), CreatedBy: g.CreatedBy,
			Packages: []groupMemberJSON{}}
		for _, m := range g.Artifacts {
			group.Size += m.Size
			group.Packages = append(group.Packages, groupMemberJSON{m.Name, m.Version, m.Arch, m.Status, m.Size})
		}
		out.Groups = append(out.Groups, group)
	}
	return writeJSON(c.w, http.StatusOK, out)
}

func (a *api) deleteGroup(c *call) error {
	q := newQuery(c.Request)
	unpublish := q.truth("packages")
	if err := q.err(); err != nil {
		return err
	}
	if err := a.Repo.DeleteGroup(c.detach(), c.vars["group_name"], unpublish); err != nil {
		return err
	}
	return noContent(c)
}

// pull imports a package because a client of the APT tree asks for its file.
func (a *api) pull(r *http.Request, name string) error {
	actor := aptrepo.Actor{Name: "anonymous"}
	if ip := a.clientIP(r); ip.IsValid() {
		actor.IP = ip.String()
	}
	err := a.Import.Pull(aptrepo.WithActor(r.Context(), actor), name)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, aptrepo.ErrUnavailable), errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("%w: %s: %w", errPull, name, err)
}
