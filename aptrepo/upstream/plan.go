package upstream

import (
	"path"
	"slices"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
)

// A packagesFile is a Packages file that a source needs, as the Release lists
// it.
type packagesFile struct {
	component, arch string
	plain           index.FileEntry
	forms           []form           // in which it may be had, best first
	patches         *index.FileEntry // Packages.diff/Index; nil for none
}

// A form is a file in a compression.
type form struct {
	index.FileEntry
	compression deb.Compression
}

// compressions are those that are looked for, in this order: xz is the
// smallest, and what large archives have.
var compressions = []deb.Compression{deb.XZ, deb.Gzip, deb.Zstd, deb.Uncompressed}

// planFiles returns the Packages files of a source's components and
// architectures, sorted by path.
func planFiles(s Source, h *head, limits Limits) ([]packagesFile, error) {
	entries := make(map[string]index.FileEntry, len(h.Files))
	for _, f := range h.Files {
		entries[f.Path] = f
	}
	var plan []packagesFile
	for _, component := range s.components() {
		for _, arch := range s.architectures() {
			p, ok := findFile(entries, component, arch)
			if !ok {
				return nil, reject(Malformed, "the Release file lists no Packages file for %s of component %s", arch, component)
			}
			plan = append(plan, p)
		}
		// Some archives list files for "all" that they do not mean to be read.
		if slices.Contains(h.Architectures, "all") && !h.AllInEach {
			if p, ok := findFile(entries, component, "all"); ok {
				plan = append(plan, p)
			}
		}
	}
	for _, p := range plan {
		if p.plain.Size > limits.index() {
			return nil, reject(TooLarge, "%s has %d bytes, at most %d are read", p.plain.Path, p.plain.Size, limits.index())
		}
	}
	return plan, nil
}

// findFile looks for a Packages file. Security archives call a component
// "updates/main" whose files lie below "main".
func findFile(entries map[string]index.FileEntry, component, arch string) (packagesFile, bool) {
	for _, dir := range slices.Compact([]string{component, path.Base(component)}) {
		name := path.Join(dir, "binary-"+arch, "Packages")
		plain, ok := entries[name]
		if !ok {
			continue
		}
		p := packagesFile{component: component, arch: arch, plain: plain}
		for _, c := range compressions {
			if e, ok := entries[name+c.Extension()]; ok && e.Size <= max(plain.Size, smallIndex) {
				p.forms = append(p.forms, form{e, c})
			}
		}
		if e, ok := entries[name+".diff/Index"]; ok && e.Size <= maxPatchIndex {
			p.patches = &e
		}
		return p, true
	}
	return packagesFile{}, false
}

// smallIndex is the size below which a compressed file may be larger than the
// plain one.
const smallIndex = 64 << 10

// memoIndices returns what the memo of a sync with that plan says of it.
func memoIndices(plan []packagesFile) []memoIndex {
	list := make([]memoIndex, len(plan))
	for i, p := range plan {
		list[i] = memoIndex{p.plain.Path, p.plain.SHA256, p.plain.Size}
	}
	return list
}
