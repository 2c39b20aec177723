package s3

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/repod-io/repod/aptrepo/storage"
)

var errOrder = errors.New("the store lists keys out of their order")

// List implements storage.Backend. Objects whose keys storage does not know,
// such as the markers "dir/" of other programs, are passed over. A page that
// fails is asked for again.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		var last string // the object seen last
		var stopped bool
		err := b.try(ctx, func(int) error {
			var err error
			stopped, err = b.list(ctx, prefix, &last, yield)
			return err
		})
		if err == nil {
			err = ctx.Err() // for which the client ends its list as if it were whole
		}
		if err != nil && !stopped {
			yield(storage.Info{}, fail("list", prefix, err))
		}
	}
}

// list yields the files after the object *last, and moves it on.
func (b *Bucket) list(ctx context.Context, prefix string, last *string, yield func(storage.Info, error) bool) (stopped bool, err error) {
	noOwner := false
	opts := minio.ListObjectsOptions{
		Prefix: b.prefix + prefix, Recursive: true, StartAfter: *last, MaxKeys: b.pageSize, FetchOwner: &noOwner,
	}
	for o := range b.api.ListObjectsIter(ctx, b.name, opts) {
		if o.Err != nil {
			return false, o.Err
		}
		if o.Key <= *last {
			return false, final{errOrder}
		}
		*last = o.Key
		key, ok := strings.CutPrefix(o.Key, b.prefix)
		if !ok || !strings.HasPrefix(key, prefix) || !storage.ValidKey(key) {
			continue
		}
		// Open has the time from a header, in whole seconds.
		info := storage.Info{Key: key, Size: o.Size, ModTime: o.LastModified.UTC().Truncate(time.Second)}
		if !yield(info, nil) {
			return true, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// CleanTemp implements storage.TempCleaner: it aborts the multipart uploads of
// which no part has been sent since before. To call it rarely, such as at the
// start, is enough. A store that cannot list uploads keeps what it has.
func (b *Bucket) CleanTemp(ctx context.Context, before time.Time) (int, error) {
	n := 0
	for u, err := range b.uploads(ctx) {
		if err == nil && u.Initiated.Before(before) {
			var removed bool
			if removed, err = b.abandon(ctx, u, before); removed {
				n++
			}
		}
		switch {
		case hasCode(err, "NotImplemented"), hasCode(err, "MethodNotAllowed"):
			return n, nil
		case err != nil:
			return n, fail("clean", b.prefix, err)
		}
	}
	return n, nil
}

// abandon aborts an upload that nobody works at.
func (b *Bucket) abandon(ctx context.Context, u minio.ObjectMultipartInfo, before time.Time) (bool, error) {
	busy, err := b.busy(ctx, u, before)
	if busy || err != nil && !hasCode(err, "NoSuchUpload") {
		return false, err
	}
	err = b.try(ctx, func(int) error { return b.api.AbortMultipartUpload(ctx, b.name, u.Key, u.UploadID) })
	if hasCode(err, "NoSuchUpload") { // it came to its end meanwhile
		return false, nil
	}
	return err == nil, err
}

// busy reports whether a part has arrived after before.
func (b *Bucket) busy(ctx context.Context, u minio.ObjectMultipartInfo, before time.Time) (bool, error) {
	for marker := 0; ; {
		var page minio.ListObjectPartsResult
		err := b.try(ctx, func(int) (err error) {
			page, err = b.api.ListObjectParts(ctx, b.name, u.Key, u.UploadID, marker, 0)
			return err
		})
		if err != nil {
			return false, err
		}
		for _, p := range page.ObjectParts {
			if !p.LastModified.Before(before) {
				return true, nil
			}
		}
		if !page.IsTruncated || page.NextPartNumberMarker <= marker {
			return false, nil
		}
		marker = page.NextPartNumberMarker
	}
}

// uploads yields the multipart uploads under way.
func (b *Bucket) uploads(ctx context.Context) iter.Seq2[minio.ObjectMultipartInfo, error] {
	return func(yield func(minio.ObjectMultipartInfo, error) bool) {
		var key, id string
		for {
			var page minio.ListMultipartUploadsResult
			err := b.try(ctx, func(int) (err error) {
				page, err = b.api.ListMultipartUploads(ctx, b.name, b.prefix, key, id, "", 0)
				return err
			})
			if err != nil {
				yield(minio.ObjectMultipartInfo{}, err)
				return
			}
			for _, u := range page.Uploads {
				if strings.HasPrefix(u.Key, b.prefix) && !yield(u, nil) {
					return
				}
			}
			if !page.IsTruncated || page.NextKeyMarker == key && page.NextUploadIDMarker == id {
				return
			}
			key, id = page.NextKeyMarker, page.NextUploadIDMarker
		}
	}
}
