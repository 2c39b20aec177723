package aptrepo

import (
	"context"
	"sync"
	"time"

	"github.com/repod-io/repod/scan"
)

// outageNote names the note of an outage of the scanner, which all servers on
// a Store share.
const outageNote = "scanner"

// An outage is what this program knows of the scanner for malware.
type outage struct {
	mu     sync.Mutex
	known  bool // whether it works; at first nobody has tried
	down   bool
	worked time.Time // last
}

// noteScanner notes how a scan went. The first that fails in an outage, on any
// server, makes an event; the first that does not fail ends the outage. Whoever
// scans is told of the scan itself: trouble with notes is for the log only.
func (r *Repo) noteScanner(ctx context.Context, m scan.Malware) {
	if m.Status == scan.NotScanned || ctx.Err() != nil {
		return
	}
	o := &r.shared().outage
	o.mu.Lock()
	defer o.mu.Unlock()
	down := m.Status == scan.Failed
	if !down {
		o.worked = r.now()
	}
	if o.known && o.down == down {
		return
	}
	ctx, cancel := context.WithTimeout(WithActor(context.WithoutCancel(ctx), Actor{}), 5*time.Second)
	defer cancel()
	var told []Event
	err := r.Store.Update(ctx, func(tx Tx) error {
		if !down {
			return tx.ForgetNote(outageNote)
		}
		news, err := tx.Note(outageNote, r.now(), o.worked)
		if err == nil && news {
			told, err = r.tellAll(ctx, tx, []Event{{Kind: EventScannerUnavailable, Detail: m.Detail}})
		}
		return err
	})
	if err != nil {
		r.logger().WarnContext(ctx, "the state of the scanner could not be noted", "error", err)
		return
	}
	o.known, o.down = true, down
	r.emit(ctx, told...)
}
