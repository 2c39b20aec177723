package clamav

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

const (
	// usualMaxFile is MaxFileSize of clamd 1.4 unless it is set.
	usualMaxFile = 100 << 20
	// maxRatio is how much longer deflate's output can be than its input.
	maxRatio = 1032
	// headSize is how much of a file is enough to know an archive by.
	headSize = 512
	// probedFor is how long the outcome of a probe is relied on.
	probedFor = 10 * time.Minute
)

// archives are what archives begin with. Compressed files that may hold more
// than can be told from their beginning count as such.
var archives = []string{
	zipEntry, "PK\x05\x06", "7z\xbc\xaf\x27\x1c", "Rar!", "MSCF", "\xfd7zXZ\x00", "BZh", "\x28\xb5\x2f\xfd", "\x60\xea",
}

const (
	zipEntry  = "PK\x03\x04"
	gzipMagic = "\x1f\x8b"
)

// A look is what we see ourselves of a file on its way to clamd.
type look struct {
	size      int64
	head      []byte // up to headSize bytes
	tail      []byte // of what came last: the beginning of a zip entry, maybe
	encrypted bool   // it is a zip file, and an entry says so
}

// see takes the next bytes of the file.
func (l *look) see(p []byte) {
	if missing := headSize - len(l.head); missing > 0 {
		l.head = append(l.head, p[:min(missing, len(p))]...)
	}
	if l.encrypted || !bytes.HasPrefix(l.head, []byte(zipEntry)) {
		return
	}
	const enough = len(zipEntry) + 4 // magic, version, flags (APPNOTE 4.3.7)
	seam := append(l.tail, p[:min(enough-1, len(p))]...)
	l.encrypted = encryptedEntry(seam) || encryptedEntry(p)
	if len(p) < enough {
		p = seam
	}
	l.tail = append([]byte(nil), p[max(0, len(p)-enough+1):]...)
}

// encryptedEntry reports whether an entry of a zip file begins in p that is
// encrypted.
func encryptedEntry(p []byte) bool {
	for {
		at := bytes.Index(p, []byte(zipEntry))
		if at < 0 || len(p) < at+8 {
			return false
		}
		if p[at+6]&1 != 0 {
			return true
		}
		p = p[at+len(zipEntry):]
	}
}

// unlimited reports whether clamd looks at the file as a whole within the limits
// that it has by default: one that is no archive, nor too long. Archives are known
// by how they begin. Small files in gzip form, which every package has, are
// looked into.
func (l *look) unlimited() bool {
	switch {
	case l.size > usualMaxFile || isArchive(l.head):
		return false
	case !bytes.HasPrefix(l.head, []byte(gzipMagic)):
		return true
	case l.size > usualMaxFile/maxRatio:
		return false
	}
	inner := unzipped(l.head)
	return !isArchive(inner) && !bytes.HasPrefix(inner, []byte(gzipMagic))
}

func isArchive(head []byte) bool {
	for _, magic := range archives {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	const ustar = 257 // where tar says what it is
	return len(head) > ustar && bytes.HasPrefix(head[ustar:], []byte("ustar"))
}

// unzipped returns what the beginning of a gzip file begins with.
func unzipped(head []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(head))
	if err != nil {
		return nil
	}
	inner := make([]byte, headSize)
	n, _ := io.ReadFull(r, inner) // the rest is missing
	return inner[:n]
}

// probes remembers what the last probe found.
type probes struct {
	mu     sync.Mutex
	at     time.Time // zero: none
	alerts bool
}

// alerts reports whether clamd says so when it stops at a limit, as found out by
// a probe that is not old.
func (s *Scanner) alerts(ctx context.Context) (bool, error) {
	s.probed.mu.Lock()
	defer s.probed.mu.Unlock()
	if !s.probed.at.IsZero() && time.Since(s.probed.at) < probedFor {
		return s.probed.alerts, nil
	}
	alerts, err := s.Probe(ctx)
	if err == nil {
		s.probed.at, s.probed.alerts = time.Now(), alerts
	}
	return alerts, err
}

// silent says what is wrong with a clamd that does not alert.
const silent = "clamd says OK to files over its limits: set AlertExceedsMax yes in its configuration"

// saw takes note of what we saw of a file.
func (p *pass) saw(path string, l *look) {
	if l.encrypted {
		p.results.incomplete(path, "it is encrypted")
	}
	if p.doubtful == "" && !l.unlimited() {
		p.doubtful = path
	}
}

// settle finds out whether clamd would have said so.
func (p *pass) settle() error {
	alerts, err := p.scanner.alerts(p.ctx)
	if err == nil && !alerts {
		p.results.incomplete(p.doubtful, fmt.Sprintf("it may exceed a limit of clamd; %s", silent))
	}
	return err
}
