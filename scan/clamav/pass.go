package clamav

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/scan"
)

// maxIdle is how long a session may be unused and still be trusted. clamd ends
// those that are silent for its CommandReadTimeout, 30 seconds by default, and
// when it is restarted.
const maxIdle = 10 * time.Second

// A pass is the scan of one package.
type pass struct {
	scanner *Scanner
	ctx     context.Context
	session *session
	results results // of sessions before
	engine  string  // of the last session that has told
	// doubtful is the first file whose OK proves nothing unless clamd alerts.
	doubtful string
}

// Open implements [scan.Pass].
func (p *pass) Open(f deb.File) (io.WriteCloser, error) {
	if f.Size == 0 || p.infected() {
		return nil, nil
	}
	path := f.Path
	if f.Size > p.scanner.maxStream() {
		p.results.incomplete(path, fmt.Sprintf("it has %d bytes, more than the %d that are sent to clamd", f.Size, p.scanner.maxStream()))
		return nil, nil
	}
	if err := p.session.room(f.Size); err != nil {
		return nil, err
	}
	if err := p.renew(); err != nil {
		return nil, err
	}
	if err := p.session.start(path); err != nil {
		return nil, err
	}
	return &stream{session: p.session, pass: p, path: path, look: look{size: f.Size}}, nil
}

// infected reports whether there is nothing worse to find.
func (p *pass) infected() bool {
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	return p.results.infected() || p.session.results.infected()
}

// renew replaces a session that is over, or may be, and owes no answer.
func (p *pass) renew() error {
	ended, owing := p.session.state()
	if ended == nil && time.Since(p.session.used) < maxIdle {
		return nil
	}
	switch {
	case owing && ended != nil:
		return p.session.broken(ended)
	case owing:
		return nil
	case errors.Is(ended, errGarbage): // it would not be better at a second time
		return errGarbage
	}
	p.retire()
	ss, err := p.scanner.open(p.ctx)
	if err != nil {
		return err
	}
	p.session = ss
	return nil
}

// retire ends the session and keeps what it has found.
func (p *pass) retire() {
	p.session.close()
	p.results.merge(p.session.results)
	p.session.results = nil
	if p.session.engine != "" {
		p.engine = p.session.engine
	}
}

// Finish implements [scan.Pass]. It waits for the answers that are missing.
func (p *pass) Finish(err error) scan.Report {
	if err == nil {
		err = p.session.wait(0)
	}
	if err != nil && p.ctx.Err() != nil {
		err = context.Cause(p.ctx) // which has closed the connection
	}
	p.retire()
	if err == nil && p.doubtful != "" && p.results.malware().Status == scan.Clean {
		err = p.settle()
	}
	if err != nil {
		p.results.failed(err.Error())
	}
	m := p.results.malware()
	m.Engine = p.engine
	return scan.Report{Malware: m}
}

// Abort implements [scan.Pass].
func (p *pass) Abort() { p.session.close() }

// A stream is a file on its way to clamd.
type stream struct {
	session *session
	refused bool // clamd does not want the rest, and has said why

	pass *pass
	path string
	look look
}

func (s *stream) Write(p []byte) (int, error) {
	s.look.see(p)
	if err := s.try(s.session.send(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *stream) Close() error {
	s.pass.saw(s.path, &s.look)
	if s.refused {
		return nil
	}
	return s.try(s.session.end())
}

// try looks for the reason of an error in what clamd has said.
func (s *stream) try(err error) error {
	if s.refused || err == nil {
		return nil
	}
	if err := s.session.refused(err); err != nil {
		return err
	}
	s.refused = true
	return nil
}
