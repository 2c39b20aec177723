package scan

import (
	"context"
	"fmt"
	"io"

	"github.com/repod-io/repod/deb"
)

// A Run shows one package to several scanners while it is read once. Its Visit
// is for [deb.Options]:
//
//	run := scan.Begin(ctx, scanners, subject)
//	defer run.Abort()
//	pkg, err := deb.Read(file, &deb.Options{Visit: run.Visit, Interrupt: ctx.Err})
//	if err != nil {
//		return err
//	}
//	report := run.Finish()
//
// Every block of a file is given to one scanner after the other: the slowest
// one sets the pace, and a Run keeps no more of a package than one block. A
// scanner that fails drops out, and neither the others nor the reading of the
// package take notice. Finish tells.
//
// A Run is used by one goroutine. It starts none.
type Run struct {
	ctx     context.Context
	passes  []*pass
	reports []Report // of scanners that did not begin
	block   []byte
	ended   bool
}

// A pass is a Pass and what became of it.
type pass struct {
	Pass
	name string
	err  error          // the first failure
	file io.WriteCloser // nil: not interested in the present file
}

// blockSize is how much of a file is shown at once, in bytes.
const blockSize = 64 << 10

// Begin starts to scan a package with all scanners. The end of ctx, by a
// deadline for example, is a failure of those that have not finished: it must
// not be the context that the package is read under if the package is to be
// read to its end all the same.
func Begin(ctx context.Context, scanners []Scanner, s Subject) *Run {
	r := &Run{ctx: ctx}
	for _, scanner := range scanners {
		p, err := scanner.Begin(ctx, s)
		if err != nil {
			r.reports = append(r.reports, failure(scanner.Name(), err))
			continue
		}
		r.passes = append(r.passes, &pass{Pass: p, name: scanner.Name()})
	}
	return r
}

// failure is the report on a scanner that cannot make one itself.
func failure(name string, err error) Report {
	return Report{Malware: Malware{Status: Failed, Detail: fmt.Sprintf("%s: %v", name, err)}}
}

// Visit shows a file to the scanners. Its error is that of content: those of
// scanners are kept for Finish.
func (r *Run) Visit(f deb.File, content io.Reader) error {
	for _, p := range r.passes {
		p.open(r.ctx, f)
	}
	err := r.copy(content)
	for _, p := range r.passes {
		p.close()
	}
	return err
}

// copy reads content as long as anybody wants it.
func (r *Run) copy(content io.Reader) error {
	if r.block == nil && r.wanted() {
		r.block = make([]byte, blockSize)
	}
	for r.wanted() {
		n, err := io.ReadFull(content, r.block)
		for _, p := range r.passes {
			p.write(r.ctx, r.block[:n])
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF: // ReadFull's own: a block that is not full
			return nil
		default:
			return err
		}
	}
	return nil
}

func (r *Run) wanted() bool {
	for _, p := range r.passes {
		if p.file != nil {
			return true
		}
	}
	return false
}

func (p *pass) open(ctx context.Context, f deb.File) {
	if p.err == nil {
		p.err = context.Cause(ctx)
	}
	if p.err != nil {
		return
	}
	p.file, p.err = p.Open(f)
	if p.err != nil {
		p.file = nil
	}
}

func (p *pass) write(ctx context.Context, block []byte) {
	if p.file == nil || len(block) == 0 {
		return
	}
	n, err := p.file.Write(block)
	switch {
	case err != nil:
	case n < len(block):
		err = io.ErrShortWrite
	default:
		err = context.Cause(ctx)
	}
	if err != nil {
		p.err = err
		p.close()
	}
}

func (p *pass) close() {
	if p.file == nil {
		return
	}
	err := p.file.Close()
	p.file = nil
	if p.err == nil {
		p.err = err
	}
}

// Finish ends the scan of a package that turned out to be sound, and returns
// what all scanners found: of several statuses the strictest (Infected, then
// Incomplete, Failed, Clean and NotScanned) with all that its scanner says of
// it, and the components of all, sorted, each once.
//
// It is called once, and Abort does nothing afterwards.
func (r *Run) Finish() Report {
	if r.ended {
		return failure("scan", fmt.Errorf("the scan had ended"))
	}
	r.ended = true
	reports := r.reports
	for _, p := range r.passes {
		if p.err == nil {
			p.err = context.Cause(r.ctx)
		}
		report := p.Finish(p.err)
		if p.err != nil && strictness(report.Malware.Status) < strictness(Failed) {
			// Whatever a scanner makes of its failure, it proves nothing.
			report.Malware = failure(p.name, p.err).Malware
		}
		reports = append(reports, report)
	}
	return merge(reports)
}

// Abort ends the scan of a package that was refused. It does nothing after
// Finish, nor a second time.
func (r *Run) Abort() {
	if r.ended {
		return
	}
	r.ended = true
	for _, p := range r.passes {
		p.close()
		p.Abort()
	}
}
