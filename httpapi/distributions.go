package httpapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/repod-io/repod/aptrepo"
)

type distributionJSON struct {
	Codename        string    `json:"codename"`
	Description     string    `json:"description"`
	Origin          string    `json:"origin"`
	Label           string    `json:"label"`
	Suite           string    `json:"suite"`
	Components      []string  `json:"components"`
	Architectures   []string  `json:"architectures"`
	PackageCount    int       `json:"package_count"`
	ArtifactCount   int       `json:"artifact_count"`
	Size            int64     `json:"size_bytes"`
	Signed          bool      `json:"signed"`
	CreatedAt       timestamp `json:"created_at"`
	LastPublishedAt timestamp `json:"last_published_at"`
	Status          string    `json:"status,omitempty"` // of init
}

func newDistribution(d aptrepo.Distribution) distributionJSON {
	return distributionJSON{
		Codename: d.Codename, Description: d.Description, Origin: d.Origin, Label: d.Label, Suite: d.Suite,
		Components: list(d.Components), Architectures: list(d.Architectures),
		PackageCount: d.PackageCount, ArtifactCount: d.ArtifactCount, Size: d.SizeBytes,
		// There is no publication without a signature.
		Signed:    !d.LastPublishedAt.IsZero(),
		CreatedAt: timestamp(d.CreatedAt), LastPublishedAt: timestamp(d.LastPublishedAt),
	}
}

type distributionsJSON struct {
	Distributions []distributionJSON `json:"distributions"`
	Total         int                `json:"total"`
}

func (a *api) listDistributions(c *call) error {
	found, err := a.Repo.Distributions(c.Context())
	if err != nil {
		return err
	}
	out := distributionsJSON{[]distributionJSON{}, len(found)}
	for _, d := range found {
		out.Distributions = append(out.Distributions, newDistribution(d))
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// inPath says of a distribution that does not exist that it stands in the path.
func inPath(err error) error {
	if errors.Is(err, aptrepo.ErrUnknownDistribution) {
		return errDistributionNotFound
	}
	return err
}

type publishedRowJSON struct {
	Name        string         `json:"name"`
	Version     string         `json:"version"`
	Arch        string         `json:"arch"`
	Component   string         `json:"component"`
	Status      aptrepo.Status `json:"status"`
	Size        int64          `json:"size_bytes"`
	SHA256      string         `json:"sha256"`
	PublishedAt timestamp      `json:"published_at"`
}

type publishedJSON struct {
	Codename string `json:"codename"`
	page[publishedRowJSON]
}

func (a *api) listPublished(c *call) error {
	q := newQuery(c.Request)
	p := q.paging()
	codename := c.vars["codename"]
	o := aptrepo.PublishedQuery{
		Distribution: codename, Q: q.text("q", 128), Arch: q.word("arch"), Component: q.word("component"),
		Page: p.page, PerPage: p.perPage,
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := a.Repo.PublishedRows(c.Context(), o)
	if err != nil {
		return inPath(err)
	}
	return writeJSON(c.w, http.StatusOK, publishedJSON{codename, newPage(found.Items, found.Total, p, func(row aptrepo.PublishedArtifact) publishedRowJSON {
		return publishedRowJSON{
			row.Name, row.Version, row.Arch, row.Publication.Component, row.Status, row.Size, row.SHA256,
			timestamp(row.Publication.PublishedAt),
		}
	})})
}

func (a *api) unpublish(c *call) error {
	q := newQuery(c.Request)
	o := aptrepo.UnpublishOptions{Selection: c.selection(q), Distribution: c.vars["codename"], Component: q.word("component")}
	if err := q.err(); err != nil {
		return err
	}
	if _, err := a.Repo.Unpublish(c.detach(), o); err != nil {
		return inPath(err)
	}
	return noContent(c)
}

type initBody struct {
	Codename      string   `json:"codename" rule:"required,trim,1..40"`
	Description   string   `json:"description"`
	Components    []string `json:"components" rule:"1..20"`
	Architectures []string `json:"architectures" rule:"1..20"`
	OS            string   `json:"os"`
	Origin        string   `json:"origin"`
	Label         string   `json:"label"`
	Suite         string   `json:"suite"`
}

func (a *api) initDistribution(c *call) error {
	var in initBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	d, err := a.Repo.Init(c.detach(), aptrepo.Distribution{
		Codename: in.Codename, Description: in.Description, OS: in.OS,
		Components: in.Components, Architectures: in.Architectures,
		Origin: in.Origin, Label: in.Label, Suite: in.Suite,
	})
	if err != nil {
		return err
	}
	out := newDistribution(d)
	out.Status = "initialized"
	c.w.Header().Set("Location", "/distributions/"+d.Codename+"/packages")
	return writeJSON(c.w, http.StatusCreated, out)
}

type archOutcome struct {
	Arch   string `json:"arch"`
	Status string `json:"status" rule:"promoted|already_present"`
}

type promoteAnswer struct {
	Status    string        `json:"status" rule:"promoted|already_present"`
	Name      string        `json:"name"`
	Version   string        `json:"version"`
	Arch      *string       `json:"arch"` // null when there are several
	From      string        `json:"from_distribution"`
	To        string        `json:"to_distribution"`
	Component string        `json:"component"`
	Results   []archOutcome `json:"results"`
}

type promoteBody struct {
	Name      string `json:"name" rule:"required,trim,1..256"`
	Version   string `json:"version" rule:"required,trim,1..256"`
	Arch      string `json:"arch" rule:"trim,0..64"`
	From      string `json:"from_distribution" rule:"required,trim,1..64"`
	To        string `json:"to_distribution" rule:"required,trim,1..64"`
	Component string `json:"component" rule:"trim,0..64"`
}

func (a *api) promote(c *call) error {
	var in promoteBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	moves, err := a.Repo.Promote(c.detach(), aptrepo.PromoteOptions{
		Selection: aptrepo.Selection{Name: in.Name, Version: in.Version, Arch: in.Arch},
		From:      in.From, To: in.To, Component: in.Component,
	})
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newPromoteAnswer(in.From, in.To, moves))
}

// newPromoteAnswer sums up what Promote did; there is at least one move.
func newPromoteAnswer(from, to string, moves []aptrepo.Move) promoteAnswer {
	first := moves[0]
	out := promoteAnswer{
		Status: string(aptrepo.AlreadyPresent), Name: first.Artifact.Name, Version: first.Artifact.Version,
		Arch: &first.Artifact.Arch, From: from, To: to, Component: first.Component,
	}
	for _, m := range moves {
		if m.Outcome == aptrepo.Copied {
			out.Status = "promoted"
		}
		if m.Artifact.Arch != first.Artifact.Arch {
			out.Arch = nil
		}
		out.Results = append(out.Results, archOutcome{m.Artifact.Arch, moveStatus(m, "promoted")})
	}
	return out
}

// moveStatus names an outcome; copied is the word for what was copied.
func moveStatus(m aptrepo.Move, copied string) string {
	if m.Outcome == aptrepo.Copied {
		return copied
	}
	return string(m.Outcome)
}

type migrateAnswer struct {
	Status   string           `json:"status" rule:"ok|partial"`
	From     string           `json:"from_distribution"`
	To       string           `json:"to_distribution"`
	Migrated int              `json:"migrated"`
	Skipped  int              `json:"skipped"` // lay there already
	Errors   []migrateError   `json:"errors"`
	Packages []migratePackage `json:"packages"`
}

type migrateError struct {
	Name   string `json:"name"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

type migratePackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Status  string `json:"status" rule:"migrated|already_present|blocked_by_policy|unsupported_architecture|unknown_component"`
}

type migrateBody struct {
	From         string   `json:"from_distribution" rule:"required,trim,1..64"`
	To           string   `json:"to_distribution" rule:"required,trim,1..64"`
	Packages     []string `json:"packages" rule:"1..100000"`
	RemoveSource bool     `json:"remove_source"`
}

func (a *api) migrate(c *call) error {
	var in migrateBody
	if err := a.decode(c, &in); err != nil {
		return err
	}
	done, err := a.Repo.Migrate(c.detach(), aptrepo.MigrateOptions{
		From: in.From, To: in.To, Names: in.Packages, RemoveSource: in.RemoveSource,
	})
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, newMigrateAnswer(in.From, in.To, done))
}

func newMigrateAnswer(from, to string, done aptrepo.Migration) migrateAnswer {
	out := migrateAnswer{Status: "ok", From: from, To: to, Errors: []migrateError{}, Packages: []migratePackage{}}
	for _, name := range done.Missing {
		out.Errors = append(out.Errors, migrateError{name, "package_not_found", fmt.Sprintf("%s is not in %s", name, from)})
	}
	for _, m := range done.Moves {
		art := &m.Artifact
		out.Packages = append(out.Packages, migratePackage{art.Name, art.Version, art.Arch, moveStatus(m, "migrated")})
		switch m.Outcome {
		case aptrepo.Copied:
			out.Migrated++
		case aptrepo.AlreadyPresent:
			out.Skipped++
		case aptrepo.OutcomeNoComponent:
			out.Errors = append(out.Errors, migrateError{art.Name, string(m.Outcome), fmt.Sprintf("%s has no component %s", to, m.Component)})
		case aptrepo.OutcomeBlocked:
			out.Errors = append(out.Errors, migrateError{art.Name, string(m.Outcome), fmt.Sprintf("the policy of %s does not let it in", to)})
		default:
			out.Errors = append(out.Errors, migrateError{art.Name, string(m.Outcome), fmt.Sprintf("%s does not take %s", to, art.Arch)})
		}
	}
	if len(out.Errors) > 0 {
		out.Status = "partial"
	}
	return out
}
