package s3

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// abortLimit is how long is spent on taking back what failed.
const abortLimit = 10 * time.Second

// Put implements storage.Backend. It is as durable as the store's own promise.
func (b *Bucket) Put(ctx context.Context, key string, r io.ReadSeeker) error {
	return b.put(ctx, "put", key, r, false)
}

// Create implements storage.Creator, by the condition "If-None-Match: *".
func (b *Bucket) Create(ctx context.Context, key string, r io.ReadSeeker) error {
	return b.put(ctx, "create", key, r, true)
}

func (b *Bucket) put(ctx context.Context, op, key string, r io.ReadSeeker, fresh bool) error {
	object, err := b.admit(ctx, op, key)
	if err != nil {
		return err
	}
	w := &write{bucket: b, object: object, source: source{r: r}, fresh: fresh, name: writeName()}
	switch err := w.run(ctx); {
	case errors.Is(err, fs.ErrExist):
		return pathError(op, key, fs.ErrExist)
	case err != nil:
		return fail(op, key, err)
	}
	return nil
}

// writeName returns a name that no other write has.
func writeName() string { return rand.Text() }

// nameField is where the name of a write is kept among a file's metadata.
const nameField = "Repod-Write"

// A write is one Put or Create.
type write struct {
	bucket *Bucket
	object string
	source source
	fresh  bool // only where there is none
	name   string
}

// worthAsking is how long a file is for which it pays to ask first whether
// there is one already. Some stores refuse a request that they do not want to
// read by closing the connection.
const worthAsking = 64 << 10

func (w *write) run(ctx context.Context) error {
	start, err := w.source.r.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	w.source.start = start
	first, err := w.source.measure(ctx, 0, w.bucket.partSize)
	if err != nil {
		return err
	}
	if w.fresh && first.size >= worthAsking {
		if _, err := w.stat(ctx); err == nil {
			return fs.ErrExist
		}
	}
	if first.last {
		return w.single(ctx, first)
	}
	return w.multipart(ctx, first)
}

func (w *write) options(conditional bool) minio.PutObjectOptions {
	opts := minio.PutObjectOptions{
		UserMetadata:         map[string]string{nameField: w.name},
		DisableContentSha256: true, // no sum of chunks: there is one of the whole
	}
	if conditional && w.fresh {
		opts.SetMatchETagExcept("*")
	}
	return opts
}

// single sends a file in one request.
func (w *write) single(ctx context.Context, s section) error {
	opts := w.options(true)
	opts.UserMetadata["x-amz-checksum-sha256"] = base64.StdEncoding.EncodeToString(s.sum[:])
	return w.bucket.try(ctx, func(attempt int) error {
		err := w.source.send(s, func(body io.Reader) error {
			info, err := w.bucket.api.PutObject(ctx, w.bucket.name, w.object, body, s.size, "", hex.EncodeToString(s.sum[:]), opts)
			if err == nil && info.ChecksumSHA256 != "" && info.ChecksumSHA256 != opts.UserMetadata["x-amz-checksum-sha256"] {
				err = final{errors.New("the store received other bytes than were sent")}
			}
			return err
		})
		return w.settle(ctx, attempt, err)
	})
}

// settle finds out what a refusal means that a repeated request got: an earlier
// one, whose answer was lost, may have done it.
func (w *write) settle(ctx context.Context, attempt int, err error) error {
	exists := w.fresh && unmet(err)
	if !exists && !hasCode(err, "NoSuchUpload") {
		return err
	}
	if attempt > 1 {
		info, statErr := w.stat(ctx)
		switch {
		case statErr == nil && info.UserMetadata[nameField] == w.name:
			return nil
		case statErr != nil && !isMissing(statErr):
			return statErr
		}
	}
	if exists {
		return final{fs.ErrExist}
	}
	return err
}

func (w *write) stat(ctx context.Context) (info minio.ObjectInfo, err error) {
	err = w.bucket.try(ctx, func(int) (err error) {
		info, err = w.bucket.api.StatObject(ctx, w.bucket.name, w.object, minio.StatObjectOptions{})
		return err
	})
	return info, err
}

// multipart sends a file in parts, the first of which is known.
func (w *write) multipart(ctx context.Context, part section) error {
	var id string
	err := w.bucket.try(ctx, func(int) (err error) {
		id, err = w.bucket.api.NewMultipartUpload(ctx, w.bucket.name, w.object, w.options(false))
		return err
	})
	if err != nil {
		return err
	}
	size, parts, err := w.sendParts(ctx, id, part)
	if err == nil {
		err = w.complete(ctx, id, parts)
	}
	if err != nil {
		w.abort(ctx, id)
		return err
	}
	return w.verify(ctx, size)
}

func (w *write) sendParts(ctx context.Context, id string, s section) (size int64, parts []minio.CompletePart, err error) {
	for {
		if len(parts) == maxParts {
			return 0, nil, fmt.Errorf("the file has more than %d parts of %d bytes", maxParts, w.bucket.partSize)
		}
		number := len(parts) + 1
		etag, err := w.sendPart(ctx, id, number, s)
		if err != nil {
			return 0, nil, err
		}
		parts = append(parts, minio.CompletePart{PartNumber: number, ETag: etag})
		size += s.size
		if s.last {
			return size, parts, nil
		}
		if s, err = w.source.measure(ctx, s.offset+s.size, w.bucket.partSize); err != nil {
			return 0, nil, err
		}
	}
}

func (w *write) sendPart(ctx context.Context, id string, number int, s section) (etag string, err error) {
	opts := minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(s.sum[:]), DisableContentSha256: true}
	err = w.bucket.try(ctx, func(int) error {
		return w.source.send(s, func(body io.Reader) error {
			part, err := w.bucket.api.PutObjectPart(ctx, w.bucket.name, w.object, id, number, body, s.size, opts)
			etag = part.ETag
			return err
		})
	})
	return etag, err
}

func (w *write) complete(ctx context.Context, id string, parts []minio.CompletePart) error {
	opts := w.options(true)
	opts.UserMetadata = nil // it was given at the beginning
	return w.bucket.try(ctx, func(attempt int) error {
		_, err := w.bucket.api.CompleteMultipartUpload(ctx, w.bucket.name, w.object, id, parts, opts)
		return w.settle(ctx, attempt, err)
	})
}

// abort gives back the space of the parts. If that fails, CleanTemp does.
func (w *write) abort(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer cancel()
	_ = w.bucket.try(ctx, func(int) error {
		return w.bucket.api.AbortMultipartUpload(ctx, w.bucket.name, w.object, id)
	})
}

// verify sees that the store has put the parts together, as far as it can tell
// without reading them.
func (w *write) verify(ctx context.Context, size int64) error {
	info, err := w.stat(ctx)
	switch {
	case isMissing(err): // deleted by someone meanwhile
		return nil
	case err != nil:
		return err
	case info.UserMetadata[nameField] == w.name && info.Size != size:
		return fmt.Errorf("the store made a file of %d bytes from parts of %d", info.Size, size)
	}
	return nil
}

// A source is what is written, from the offset start of r.
type source struct {
	r     io.ReadSeeker
	start int64
}

// A section is what one request sends.
type section struct {
	offset int64 // from the source's start
	size   int64
	sum    [sha256.Size]byte
	last   bool // nothing comes after it
}

// measure reads the section of at most limit bytes at offset.
func (s *source) measure(ctx context.Context, offset, limit int64) (section, error) {
	if _, err := s.r.Seek(s.start+offset, io.SeekStart); err != nil {
		return section{}, err
	}
	sum := sha256.New()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	found := section{offset: offset}
	for !found.last && found.size < limit {
		if err := ctx.Err(); err != nil {
			return section{}, err
		}
		n, err := readFull(s.r, (*buf)[:min(limit-found.size, int64(len(*buf)))])
		sum.Write((*buf)[:n])
		found.size += int64(n)
		if err != nil && err != io.EOF { // an error that wraps io.EOF is r's own, and no end
			return section{}, err
		}
		found.last = err == io.EOF
	}
	if !found.last {
		_, err := readFull(s.r, (*buf)[:1])
		if err != nil && err != io.EOF {
			return section{}, err
		}
		found.last = err == io.EOF
	}
	sum.Sum(found.sum[:0])
	return found, ctx.Err()
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// readFull fills p, unless r ends or fails before.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var m int
		m, err = r.Read(p[n:])
		n += m
	}
	if n == len(p) {
		err = nil
	}
	return n, err
}

// send lets do send a section. Afterwards, nobody reads from r any more: the
// HTTP client may still be busy with a request that has failed. An error of r
// comes before that of the request, which it is the reason for.
func (s *source) send(part section, do func(io.Reader) error) error {
	body := &body{r: s.r, start: s.start + part.offset, size: part.size}
	err := do(body)
	if readErr := body.stop(); readErr != nil && err != nil {
		return final{readErr}
	}
	return err
}

// A body is a section while it is sent.
type body struct {
	mu    sync.Mutex
	r     io.Reader
	start int64
	size  int64
	at    int64
	err   error // of r
	over  bool
}

var errOver = errors.New("the request is over")

func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over:
		return 0, errOver
	case b.err != nil:
		return 0, b.err
	case b.at == b.size:
		return 0, io.EOF
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.size-b.at)])
	b.at += int64(n)
	if err == io.EOF && b.at == b.size {
		err = nil
	}
	if err == io.EOF {
		err = fmt.Errorf("the file got shorter: %w", io.ErrUnexpectedEOF)
	}
	b.err = err
	return n, err
}

// Seek goes back to the beginning, and nowhere else.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over || offset != 0 || whence != io.SeekStart {
		return 0, errOver
	}
	b.at = 0
	_, err := b.r.(io.Seeker).Seek(b.start, io.SeekStart)
	if err != nil {
		b.err = err
	}
	return 0, err
}

// stop ends all reading and returns what went wrong with r.
func (b *body) stop() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.err
}
