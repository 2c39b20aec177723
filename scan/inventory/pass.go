package inventory

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/scan"
)

// A pass takes stock of one package.
type pass struct {
	ctx    context.Context
	log    *slog.Logger
	limits Limits
	left   Limits // what is left of Spool, Entries and Expanded
	dir    string

	found *components
	// directory counts the bytes of the directories of the archives that are
	// open, one inside another.
	directory int64
	skipped   map[string]int // by the limit that was exceeded

	open content // the file that is being written
	text []byte  // reused for files that are read into memory
	mem  []byte  // reused for those that are spooled
}

// Open returns where the content of a file goes, nil for one that cannot be of
// interest. All but a few files are judged by their path and first bytes.
func (p *pass) Open(f deb.File) (io.WriteCloser, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, fmt.Errorf("take stock: %w", err)
	}
	if f.Control || f.Type != deb.Regular || f.Size == 0 {
		return nil, nil
	}
	k := classify(f.Path)
	switch {
	case k == unknown:
		if f.Size < headSize {
			return nil, nil
		}
	case k.isArchive():
		if !p.affordable(f.Size) {
			return nil, nil
		}
	case k.isText():
		if f.Size > p.limits.Text && !k.headSuffices() {
			p.skip("text")
			return nil, nil
		}
	default:
		return nil, nil
	}
	p.open = content{pass: p, path: f.Path, kind: k, size: f.Size}
	return &p.open, nil
}

// affordable reports whether a program or archive is within the limits, and
// counts it if so.
func (p *pass) affordable(size int64) bool {
	switch {
	case size > p.limits.File:
		p.skip("file")
		return false
	case size > p.left.Spool:
		p.skip("spool")
		return false
	}
	p.left.Spool -= size
	return true
}

// skip notes that something was left out.
func (p *pass) skip(limit string) { p.skipped[limit]++ }

// Finish returns what was found, also when the pass went wrong on the way.
func (p *pass) Finish(err error) scan.Report {
	p.Abort()
	if err != nil {
		p.log.Error("inventory is incomplete", "error", err)
	}
	for limit, n := range p.found.skipped {
		p.skipped[limit] += n
	}
	if len(p.skipped) > 0 {
		attrs := []any{}
		for _, limit := range slices.Sorted(maps.Keys(p.skipped)) {
			attrs = append(attrs, slog.Int(limit, p.skipped[limit]))
		}
		p.log.Warn("inventory leaves out what exceeds the limits", slog.Group("skipped", attrs...))
	}
	return scan.Report{Components: p.found.sorted()}
}

// Abort frees what the pass holds. It can be called in the middle of a file.
func (p *pass) Abort() {
	p.open.discard()
	p.mem, p.text = nil, nil
}
