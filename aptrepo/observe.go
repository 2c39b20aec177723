package aptrepo

import (
	"time"

	"github.com/repod-io/repod/scan"
)

// An Observer measures what a Repo does: it is told afterwards, and changes
// nothing. Its methods are called concurrently and must not block.
type Observer interface {
	// PublicationQueued tells how long somebody who had something to publish
	// waited until the distribution was free. Most of those who wait find that
	// another has published for them.
	PublicationQueued(waited time.Duration)
	// PublicationEnded tells of one try to publish a distribution: of one new
	// generation, signed and visible to apt, or of an error. Why it failed is for
	// its callers to say.
	PublicationEnded(took time.Duration, err error)
	// PackageScanned tells of a package that the scanners have read.
	PackageScanned(took time.Duration, malware scan.MalwareStatus)
	// PackageJudged tells what the policy made of a package that was to be
	// published or is looked at again.
	PackageJudged(v Verdict)
}

// silent is an Observer that looks away.
type silent struct{}

func (silent) PublicationQueued(time.Duration)                  {}
func (silent) PublicationEnded(time.Duration, error)            {}
func (silent) PackageScanned(time.Duration, scan.MalwareStatus) {}
func (silent) PackageJudged(Verdict)                            {}

func (r *Repo) observer() Observer {
	if r.Observer == nil {
		return silent{}
	}
	return r.Observer
}
