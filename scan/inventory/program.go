package inventory

import (
	"bytes"
	"compress/zlib"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// readProgram looks for what Go and Rust programs say of themselves.
func (p *pass) readProgram(path string, r io.ReaderAt, size int64) {
	sections, err := readSections(r, size)
	if err != nil {
		p.malformed(path, err)
		return
	}
	// debug/buildinfo would search the data of programs that are not Go's. A
	// program without any sections has been stripped of them: there it must.
	if _, isGo := sections[".go.buildinfo"]; isGo || len(sections) == 0 {
		p.readGo(path, r)
	}
	if s, ok := sections[".dep-v0"]; ok {
		p.readRust(path, r, size, s)
	}
}

// maxBuildInfo bounds what debug/buildinfo may read of a program, in bytes: the
// tables of its header, up to a MiB that it searches, and the list of modules.
// The longest lists have some 300 KB.
const maxBuildInfo = 4 * mib

func (p *pass) readGo(path string, r io.ReaderAt) {
	meter := &meteredReader{ctx: p.ctx, r: r, left: maxBuildInfo}
	info, err := readBuildInfo(meter)
	switch {
	case meter.spent:
		p.skip("buildinfo")
		return
	case err != nil:
		p.malformed(path, err)
		return
	}
	if v, ok := goRelease(info.GoVersion); ok {
		p.found.add(path, goModules, "stdlib", v)
	}
	p.addModule(path, &info.Main)
	for _, m := range info.Deps {
		p.addModule(path, m)
	}
}

// readBuildInfo is buildinfo.Read for programs from strangers. debug/elf, which
// it stands on, is documented to panic on malformed files.
func readBuildInfo(r io.ReaderAt) (info *debug.BuildInfo, err error) {
	defer func() {
		if v := recover(); v != nil {
			info, err = nil, fmt.Errorf("%w: %v", errELF, v)
		}
	}()
	return buildinfo.Read(r)
}

// addModule adds a Go module. In place of a replaced module, its replacement is
// what is linked in. A replacement by a directory has no name and version of its
// own: it is a copy of the original, most likely of the version asked for.
func (p *pass) addModule(path string, m *debug.Module) {
	if m.Replace != nil && !isDirectory(m.Replace.Path) {
		m = m.Replace
	}
	version := m.Version
	// What go.mod asks for where nothing but a replacement can provide it.
	placeholder := version == "v0.0.0" || strings.HasPrefix(version, "v0.0.0-00010101000000-")
	if version == "(devel)" || placeholder {
		version = ""
	}
	if isModulePath(m.Path) {
		p.found.add(path, goModules, m.Path, version)
	}
}

// isDirectory tells the path of a directory, in a replace directive, from that
// of a module (Go Modules Reference, "replace directive").
func isDirectory(path string) bool {
	return path == "." || path == ".." || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../") ||
		strings.HasPrefix(path, "/")
}

// isModulePath reports whether all parts of path are made of what module paths
// are made of (Go Modules Reference, "Module paths").
func isModulePath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if strings.Trim(part, ".") == "" || strings.Trim(part, letters+digits+"-._~+") != "" {
			return false
		}
	}
	return true
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// goRelease returns the version of the standard library as OSV spells it:
// "1.20.0" for go1.20, "1.22.0-rc.1" for go1.22rc1. It is "" for a toolchain
// between releases. What vendors append is left out.
func goRelease(toolchain string) (version string, ok bool) {
	if strings.HasPrefix(toolchain, "devel") {
		return "", true
	}
	v, ok := strings.CutPrefix(toolchain, "go")
	if !ok {
		return "", false
	}
	if i := strings.IndexAny(v, " -+"); i >= 0 {
		v = v[:i]
	}
	v, suffix := strings.TrimRight(v, digits), v[len(strings.TrimRight(v, digits)):]
	for _, kind := range []string{"rc", "beta"} {
		if base, found := strings.CutSuffix(v, kind); found {
			return threeNumbers(base, "-"+kind+"."+suffix)
		}
	}
	return threeNumbers(v+suffix, "")
}

// threeNumbers completes a version of two or three numbers.
func threeNumbers(v, suffix string) (string, bool) {
	n := strings.Count(v, ".")
	if v == "" || strings.Trim(v, digits+".") != "" || n > 2 {
		return "", false
	}
	return v + strings.Repeat(".0", 2-n) + suffix, true
}

// errMetered is what a meteredReader returns at its bound.
var errMetered = errors.New("limit exceeded")

// A meteredReader bounds what is read in all.
type meteredReader struct {
	ctx  context.Context
	r    io.ReaderAt
	left int64
	// spent remembers that the bound was met, for those that hide the error.
	spent bool
}

func (m *meteredReader) ReadAt(b []byte, off int64) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	if int64(len(b)) > m.left {
		m.spent = true
		return 0, errMetered
	}
	n, err := m.r.ReadAt(b, off)
	m.left -= int64(n)
	return n, err
}

// maxCrates bounds the list of crates, in bytes, compressed and not. It is what
// cargo-auditable's own readers accept.
const maxCrates = 8 * mib

// readRust reads the list that cargo-auditable leaves in a program: JSON,
// compressed with zlib.
func (p *pass) readRust(path string, r io.ReaderAt, size int64, s elfSection) {
	if s.size > maxCrates {
		p.skip("crates")
		return
	}
	if s.typ == noBits {
		p.malformed(path, errELF)
		return
	}
	section, err := readPart(r, size, s.offset, s.size)
	if err != nil {
		p.malformed(path, err)
		return
	}
	list, err := inflate(section)
	if err == nil {
		err = p.addCrates(path, list)
	}
	switch {
	case errors.Is(err, errMetered):
		p.skip("crates")
	case err != nil:
		p.malformed(path, err)
	}
}

func inflate(b []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	list, err := io.ReadAll(io.LimitReader(z, maxCrates+1))
	if err == nil && len(list) > maxCrates {
		err = errMetered
	}
	return list, err
}

func (p *pass) addCrates(path string, list []byte) error {
	var audit struct {
		Packages []struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			Kind    string `json:"kind"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(list, &audit); err != nil {
		return err
	}
	for _, c := range audit.Packages {
		if c.Kind != "build" && strings.Trim(c.Name, letters+digits+"-_") == "" {
			p.found.add(path, cratesIO, c.Name, c.Version)
		}
	}
	return nil
}
