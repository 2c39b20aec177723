package httpapi

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/repod-io/repod/aptrepo"
)

// dependencyOptions reads what both routes below take.
func (c *call) dependencyOptions() (aptrepo.DependencyOptions, error) {
	q := newQuery(c.Request)
	o := aptrepo.DependencyOptions{Selection: c.selection(q), Distribution: q.word("distribution")}
	o.Version = q.word("version")
	return o, q.err()
}

type relationJSON struct {
	Relation          string            `json:"relation"`
	Alternatives      []alternativeJSON `json:"alternatives"`
	Satisfied         bool              `json:"satisfied"`
	AvailableUpstream bool              `json:"available_upstream"` // no sources yet
}

type alternativeJSON struct {
	Name        string        `json:"name"`
	Constraint  string        `json:"constraint"`
	SatisfiedBy *providerJSON `json:"satisfied_by"`
}

type providerJSON struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func newRelation(r aptrepo.DependencyRelation) relationJSON {
	out := relationJSON{Relation: r.Kind, Alternatives: []alternativeJSON{}, Satisfied: r.Satisfied}
	for _, alt := range r.Alternatives {
		out.Alternatives = append(out.Alternatives, alternativeJSON{alt.Name, alt.Constraint, (*providerJSON)(alt.By)})
	}
	return out
}

type dependenciesJSON struct {
	Name         string         `json:"name"`
	Version      string         `json:"version"`
	Arch         string         `json:"arch"`
	Distribution *string        `json:"distribution"`
	Dependencies []relationJSON `json:"dependencies"`
	AllSatisfied bool           `json:"all_satisfied"`
	Missing      []string       `json:"missing"`
}

func (a *api) dependencies(c *call) error {
	o, err := c.dependencyOptions()
	if err != nil {
		return err
	}
	deps, err := a.Repo.Dependencies(c.Context(), o)
	if err != nil {
		return err
	}
	missing := deps.Missing()
	out := dependenciesJSON{deps.Artifact.Name, deps.Artifact.Version, deps.Artifact.Arch, orNull(deps.Distribution),
		[]relationJSON{}, len(missing) == 0, list(missing)}
	for _, r := range deps.Relations {
		out.Dependencies = append(out.Dependencies, newRelation(r))
	}
	return writeJSON(c.w, http.StatusOK, out)
}

type installJSON struct {
	Name         string   `json:"name"`
	Version      string   `json:"version"`
	Arch         string   `json:"arch"`
	Distribution string   `json:"distribution"`
	Component    string   `json:"component"`
	Command      string   `json:"command"`
	Setup        []string `json:"setup"`
	Sources      string   `json:"sources"`
	KeyURL       string   `json:"key_url"`
	Script       string   `json:"script"`
}

func (a *api) install(c *call) error {
	o, err := c.dependencyOptions()
	if err != nil {
		return err
	}
	found, err := a.Repo.Installable(c.Context(), o)
	if err != nil {
		return err
	}
	keys, err := a.Repo.Keys(c.Context())
	if err != nil {
		return err
	}
	base := a.baseURL(c.Request)
	art := found.Artifact
	command := "apt-get install -y " + shellWord(art.Name+"="+art.Version)
	sources := aptrepo.SourcesStanza(base+"/apt/", found.Distribution)
	setup := setupLines(base, found.Distribution.Codename, sources, string(keys.Armored))
	return writeJSON(c.w, http.StatusOK, installJSON{art.Name, art.Version, art.Arch, found.Distribution.Codename, found.Component, command, setup, sources,
		base + "/apt/repod.asc", "#!/bin/sh\nset -e\n" + strings.Join(setup, "\n") + "\n" + command + "\n"})
}

// setupLines teach apt about a distribution when they are pasted as root. A
// bare Debian has neither curl nor gpg, so the key is in the text; apt can
// speak https by itself, but knows no certificates.
func setupLines(base, codename, sources, key string) []string {
	list := "/etc/apt/sources.list.d/repod-" + codename + ".sources"
	var lines []string
	if strings.HasPrefix(base, "https:") {
		lines = append(lines, "[ -e /etc/ssl/certs/ca-certificates.crt ] || { apt-get update && apt-get install -y ca-certificates; }")
	}
	lines = append(lines, "install -d -m 0755 "+aptrepo.KeyringPath[:strings.LastIndexByte(aptrepo.KeyringPath, '/')])
	lines = append(lines, hereDocument(aptrepo.KeyringPath, key)...)
	lines = append(lines, hereDocument(list, sources)...)
	// apt reads them as another user, whatever root's umask is.
	lines = append(lines, fmt.Sprintf("chmod 0644 %s %s", aptrepo.KeyringPath, list))
	return append(lines, "apt-get update")
}

// hereDocument writes text to a file. No line of a key or stanza is EOF.
func hereDocument(file, text string) []string {
	lines := []string{fmt.Sprintf("cat > %s <<'EOF'", file)}
	lines = append(lines, strings.Split(strings.TrimRight(text, "\n"), "\n")...)
	return append(lines, "EOF")
}

// shellWord quotes s for a POSIX shell where it needs that; names and versions
// of packages do not.
func shellWord(s string) string {
	safe := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("+-.:=_~", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !safe(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
