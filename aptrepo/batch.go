package aptrepo

import (
	"context"
	"errors"
	"io"
	"sync"
)

// A Batch publishes packages together: each is stored and recorded as it comes,
// and Publish then makes one publication of them for each distribution. What is
// recorded is published at the latest with the next change of its distribution,
// or by Repo.Recover when the program stopped in between. A Batch is for one
// use; Add may be called by several goroutines.
type Batch struct {
	repo *Repo

	mu     sync.Mutex
	last   map[string]int64 // change to publish, by distribution
	events []Event
}

// NewBatch begins a batch.
func (r *Repo) NewBatch() *Batch { return &Batch{repo: r, last: make(map[string]int64)} }

// Add checks, stores and records a package as Publish does, with the same
// errors, but apt sees it after b.Publish only. It gives no warnings, and a
// package that is refused is not audited: the caller knows what for.
func (b *Batch) Add(ctx context.Context, f io.ReadSeeker, o PublishOptions) (Published, error) {
	return b.add(ctx, b.repo.incoming(f, o))
}

func (b *Batch) add(ctx context.Context, in *incoming) (Published, error) {
	out, seq, err := in.accept(ctx)
	if err != nil {
		if in.recorded {
			b.repo.emit(ctx, in.told...)
		}
		return Published{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq > 0 {
		b.last[out.Distribution] = max(b.last[out.Distribution], seq)
	}
	b.events = append(b.events, in.told...)
	return out, nil
}

// Publish publishes what was added. On an error some distributions may be
// published; calling it again finishes the work.
func (b *Batch) Publish(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for codename, seq := range b.last {
		errs = append(errs, b.repo.publisher(codename).publish(ctx, seq))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	b.repo.emit(ctx, b.events...)
	b.last, b.events = make(map[string]int64), nil
	return nil
}
