package httpapi

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// contentType refuses bodies of another type, and such as are compressed.
func (c *call) contentType(want string) error {
	mediaType, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || mediaType != want {
		return newProblem(http.StatusUnprocessableEntity, "unsupported_content_type", "The body must be %s.", want)
	}
	switch strings.ToLower(c.Header.Get("Content-Encoding")) {
	case "", "identity":
		return nil
	}
	return newProblem(http.StatusUnprocessableEntity, "unsupported_content_type", "The body must not be compressed.")
}

// bodyStep is what must arrive within Config.BodyTimeout.
const bodyStep = 480 << 10

// A progressReader reads a request body as long as the client keeps sending.
type progressReader struct {
	body      io.Reader
	deadlines *http.ResponseController
	timeout   time.Duration
	step      int // bytes since the deadline was set
}

// errTooSlow ends a body that does not arrive.
var errTooSlow = errors.New("the body arrives too slowly")

// progress bounds the time that a client may take between steps of the body.
func (a *api) progress(c *call, body io.Reader) *progressReader {
	p := &progressReader{body: body, deadlines: c.w.deadlines, timeout: a.BodyTimeout}
	p.extend()
	return p
}

func (p *progressReader) extend() {
	p.step = 0
	_ = p.deadlines.SetReadDeadline(time.Now().Add(p.timeout)) // not all writers have deadlines
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	if p.step += n; p.step >= bodyStep {
		p.extend()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errTooSlow
	case err != nil:
		// net/http watches the connection from here on, and must not take
		// the end of our deadline for the end of the client.
		_ = p.deadlines.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Close exists for http.MaxBytesReader; net/http closes the body.
func (p *progressReader) Close() error { return nil }

// A gate bounds how many do something at a time, in all and for each
// principal. Others wait.
type gate struct {
	most, mostEach int

	mu      sync.Mutex
	inside  int
	each    map[string]int
	changed chan struct{} // closed when someone leaves
}

// enter waits for a place, or for the end of ctx. Call leave once.
func (g *gate) enter(ctx context.Context, who string) (leave func(), err error) {
	for {
		g.mu.Lock()
		if g.each == nil {
			g.each = map[string]int{}
			g.changed = make(chan struct{})
		}
		if g.inside < g.most && g.each[who] < g.mostEach {
			g.inside++
			g.each[who]++
			g.mu.Unlock()
			return func() { g.leave(who) }, nil
		}
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (g *gate) leave(who string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.each[who]--; g.each[who] == 0 {
		delete(g.each, who)
	}
	close(g.changed)
	g.changed = make(chan struct{})
}
