package vuln

import (
	"errors"
	"fmt"
	"time"
)

// A tally counts the records of a feed while it is read.
type tally struct {
	records    int64
	skipped    int64 // records that make no sense
	duplicates int64
	withdrawn  int64
	date       time.Time // the newest that the feed itself has
	limits     Limits

	seen map[vulnID]struct{}
}

var errTooManyRecords = errors.New("too many records")

// count counts a record by its name, and refuses one too many.
func (t *tally) count(id vulnID) error {
	if t.seen == nil {
		t.seen = make(map[vulnID]struct{})
	}
	if _, again := t.seen[id]; again {
		t.duplicates++
		return t.bound()
	}
	t.seen[id] = struct{}{}
	t.records++
	return t.bound()
}

func (t *tally) skip() error {
	t.skipped++
	return t.bound()
}

func (t *tally) bound() error {
	if t.records+t.skipped+t.duplicates+t.withdrawn > t.limits.records() {
		return errTooManyRecords
	}
	return nil
}

// check refuses a feed without records, or with many that make no sense. A few
// do not make the others worthless.
func (t *tally) check() error {
	if t.records == 0 {
		return errors.New("there are no records")
	}
	if t.skipped > 10 && t.skipped > t.records/100 {
		return fmt.Errorf("%d of %d records make no sense", t.skipped, t.records+t.skipped)
	}
	return nil
}

// newest keeps the latest date.
func (t *tally) newest(date time.Time) {
	if date.After(t.date) {
		t.date = date
	}
}

// String tells what the numbers of records hide.
func (t *tally) String() string {
	s := ""
	for _, n := range []struct {
		n    int64
		what string
	}{{t.withdrawn, "withdrawn"}, {t.skipped, "invalid"}, {t.duplicates, "duplicate"}} {
		if n.n == 0 {
			continue
		}
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf("%d %s", n.n, n.what)
	}
	return s
}
