package s3

import (
	"context"
	"time"

	"github.com/minio/minio-go/v7"
)

// The client pauses too, also after its only attempt.
func init() { minio.DefaultRetryUnit = time.Millisecond }

// Hasty makes b wait next to nothing before it tries again.
func (b *Bucket) Hasty() *Bucket {
	b.wait = func(ctx context.Context, _ int) error {
		time.Sleep(time.Millisecond)
		return ctx.Err()
	}
	return b
}

const Attempts = attempts
