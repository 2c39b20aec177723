package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/repod-io/repod/aptrepo/storage"
)

// ErrReplaced is matched by the error of a reader that had to ask for more of
// its file and found it replaced or deleted. It never mixes two files.
var ErrReplaced = errors.New("the file was replaced or deleted while it was read")

var errDamaged = errors.New("the file does not have the checksum that the store keeps for it")

// Open implements storage.Backend. The reader is an io.ReadSeeker.
//
// One request fetches the file from its beginning, and goes on while it is read:
// a replacement meanwhile does not show. A reader that has seeked, or whose
// connection broke, asks for the rest of the same version of the file (If-Match);
// its error matches [ErrReplaced] where there is another one by then. If the
// store keeps a checksum of the whole file, reading from beginning to end checks
// it before the last bytes are handed out.
//
// ctx governs the reader until it is closed.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	object, err := b.admit(ctx, "open", key)
	if err != nil {
		return nil, storage.Info{}, err
	}
	r := &reader{ctx: ctx, bucket: b, key: key, object: object}
	var info minio.ObjectInfo
	err = b.try(ctx, func(int) (err error) {
		r.body, info, _, err = b.api.GetObject(ctx, b.name, object, minio.GetObjectOptions{Checksum: true})
		return err
	})
	switch {
	case isMissing(err):
		return nil, storage.Info{}, pathError("open", key, fs.ErrNotExist)
	case err != nil:
		return nil, storage.Info{}, fail("open", key, err)
	case info.Size < 0:
		r.body.Close()
		return nil, storage.Info{}, fmt.Errorf("open %s: the store does not say how long the file is", key)
	}
	r.etag, r.size, r.whole = info.ETag, info.Size, true
	return r, storage.Info{Key: key, Size: info.Size, ModTime: info.LastModified}, nil
}

// Stat implements storage.Stater.
func (b *Bucket) Stat(ctx context.Context, key string) (storage.Info, error) {
	object, err := b.admit(ctx, "stat", key)
	if err != nil {
		return storage.Info{}, err
	}
	var info minio.ObjectInfo
	err = b.try(ctx, func(int) (err error) {
		info, err = b.api.StatObject(ctx, b.name, object, minio.StatObjectOptions{})
		return err
	})
	switch {
	case isMissing(err):
		return storage.Info{}, pathError("stat", key, fs.ErrNotExist)
	case err != nil:
		return storage.Info{}, fail("stat", key, err)
	}
	return storage.Info{Key: key, Size: info.Size, ModTime: info.LastModified}, nil
}

// A reader reads one version of a file.
type reader struct {
	ctx         context.Context
	bucket      *Bucket
	key, object string
	etag        string
	size        int64

	body   io.ReadCloser // nil: ask for it
	whole  bool          // body began at 0
	at     int64         // of body
	wanted int64         // of the next Read
	breaks int           // how often the connection broke
	err    error         // of an earlier Read, for good
}

// maxBreaks ends the reading of a file whose connection breaks again and again
// after a few bytes.
const maxBreaks = 100

// Seek implements io.Seeker. It sends nothing.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += r.wanted
	case io.SeekEnd:
		offset += r.size
	default:
		return 0, pathError("seek", r.key, fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, pathError("seek", r.key, fs.ErrInvalid)
	}
	r.wanted = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.wanted >= r.size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	var n int
	err := r.bucket.try(r.ctx, func(int) (err error) {
		n, err = r.read(p)
		return err
	})
	if err != nil {
		r.err = fail("read", r.key, err)
		return 0, r.err
	}
	return n, nil
}

// read returns some bytes, or an error after which another attempt asks for
// them again.
func (r *reader) read(p []byte) (int, error) {
	if err := r.reach(); err != nil {
		return 0, err
	}
	n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.at)])
	r.at += int64(n)
	if n > 0 && r.at == r.size && r.whole {
		if err := r.finish(); err != nil {
			return 0, final{err}
		}
	}
	if n > 0 {
		r.wanted = r.at
		return n, nil
	}
	r.drop()
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if r.breaks++; r.breaks > maxBreaks {
		err = final{err}
	}
	return 0, err
}

// finish reads past the last byte, where the client compares checksums.
func (r *reader) finish() error {
	n, err := r.body.Read(make([]byte, 1))
	if n == 0 && err == io.EOF {
		return nil
	}
	return errDamaged
}

// reach makes body stand at the wanted offset.
func (r *reader) reach() error {
	if r.body != nil && r.at == r.wanted {
		return nil
	}
	r.drop()
	opts := minio.GetObjectOptions{}
	if r.etag == "" {
		return final{errors.New("the store does not tell versions of a file apart (no ETag)")}
	}
	if err := errors.Join(opts.SetMatchETag(r.etag), opts.SetRange(r.wanted, r.size-1)); err != nil {
		return final{err}
	}
	body, _, header, err := r.bucket.api.GetObject(r.ctx, r.bucket.name, r.object, opts)
	switch {
	case unmet(err), isMissing(err):
		return final{ErrReplaced}
	case err != nil:
		return err
	}
	if err := r.rightPart(header); err != nil {
		body.Close()
		return final{err}
	}
	r.body, r.at, r.whole = body, r.wanted, false
	return nil
}

// rightPart checks that the store has kept the conditions of the request.
func (r *reader) rightPart(header http.Header) error {
	if strings.Trim(header.Get("ETag"), `"`) != r.etag {
		return ErrReplaced
	}
	want := fmt.Sprintf("bytes %d-%d/%d", r.wanted, r.size-1, r.size)
	if got := header.Get("Content-Range"); got != want {
		return fmt.Errorf("the store sent another part than %q of the file", want)
	}
	return nil
}

func (r *reader) drop() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.drop()
	r.err = pathError("read", r.key, fs.ErrClosed)
	return nil
}
