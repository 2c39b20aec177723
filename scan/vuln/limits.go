package vuln

import (
	"cmp"
	"errors"
	"io"
)

// Limits bound what a feed may cost. Zero fields mean the defaults.
type Limits struct {
	// FeedBytes bounds a feed, as it comes and unpacked: 8 GiB.
	FeedBytes int64
	// RecordBytes bounds a single value of JSON: a record of OSV, what the
	// tracker says of a CVE in a package. It is held in memory: 16 MiB.
	RecordBytes int64
	// Records bounds how many there are in a feed: 5,000,000. Memory for an
	// import grows with it, by some 40 bytes a record.
	Records int64
	// Ratio bounds how many times larger than packed the contents of a packed
	// feed are, beyond the first MiB: 200. JSON rarely exceeds 30.
	Ratio int64
}

func (l Limits) feed() int64    { return cmp.Or(l.FeedBytes, 8<<30) }
func (l Limits) value() int64   { return cmp.Or(l.RecordBytes, 16<<20) }
func (l Limits) records() int64 { return cmp.Or(l.Records, 5_000_000) }
func (l Limits) ratio() int64   { return cmp.Or(l.Ratio, 200) }

var (
	errFeedTooLarge = errors.New("the feed is too large")
	errBomb         = errors.New("the feed unpacks to far more than its size")
)

// free is how much a packed feed may hold before its ratio is looked at.
const free = 1 << 20

// A budget counts what is read of a feed, packed and unpacked.
type budget struct {
	limits           Limits
	packed, unpacked int64
}

// budgetPacked and budgetUnpacked read for a budget.
type budgetPacked struct {
	r io.Reader
	b *budget
}

type budgetUnpacked struct {
	r io.Reader
	b *budget
}

func (p budgetPacked) Read(buf []byte) (int, error) {
	n, err := p.r.Read(buf)
	if p.b.packed += int64(n); p.b.packed > p.b.limits.feed() {
		return n, errFeedTooLarge
	}
	return n, err
}

func (u budgetUnpacked) Read(buf []byte) (int, error) {
	n, err := u.r.Read(buf)
	u.b.unpacked += int64(n)
	switch {
	case u.b.unpacked > u.b.limits.feed():
		return n, errFeedTooLarge
	case u.b.unpacked > free && u.b.unpacked/u.b.limits.ratio() > u.b.packed:
		return n, errBomb
	}
	return n, err
}
