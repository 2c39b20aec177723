package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
)

// obtain returns the plain text of a Packages file, verified, with the least
// that has to be fetched: nothing, patches, or the whole file.
func (r *run) obtain(ctx context.Context, p packagesFile) (*os.File, error) {
	if f := r.cache.open(ctx, p.plain.SHA256, p.plain.Size); f != nil {
		return f, nil
	}
	if f, err := r.patched(ctx, p); f != nil || ctx.Err() != nil {
		return f, ctx.Err()
	} else if err != nil {
		r.logger().InfoContext(ctx, "fetching the whole file instead of patches", "source", r.source, "file", p.plain.Path, "error", err)
	}
	var last error
	for _, form := range p.forms {
		f, err := r.whole(ctx, p, form)
		if err == nil || !isGone(err) {
			return f, err
		}
		last = err
	}
	return nil, last
}

// whole fetches a Packages file in one of its forms. Nothing is opened whose
// hash is not the signed one.
func (r *run) whole(ctx context.Context, p packagesFile, form form) (*os.File, error) {
	packed, err := r.cache.create()
	if err != nil {
		return nil, err
	}
	if err := r.fetchFile(ctx, form.FileEntry, packed.File); err != nil {
		return nil, errors.Join(err, packed.discard())
	}
	if form.compression == deb.Uncompressed {
		return packed.keep(p.plain.SHA256)
	}
	defer packed.discard()
	plain, err := r.cache.create()
	if err != nil {
		return nil, err
	}
	if err := unpack(ctx, plain, packed, form.compression, p.plain); err != nil {
		plain.discard()
		return nil, about(form.Path, err)
	}
	return plain.keep(p.plain.SHA256)
}

// fetchFile fetches a file that the Release lists: by hash where the archive
// offers that, since that name never means another file, else, or if the
// server does not have it so, by its name.
func (r *run) fetchFile(ctx context.Context, e index.FileEntry, f *os.File) error {
	var err error
	places := []string{e.Path}
	if r.head.AcquireByHash {
		places = []string{e.ByHash(), e.Path}
	}
	for _, place := range places {
		w := wanted{r.dist(place), e.Size, e.SHA256}
		err = r.client.download(ctx, r.site, w, f, func(n int64) { r.progress(e.Path, n, e.Size) })
		if err == nil || !isCode(err, HashMismatch) && !saysNo(err) {
			break
		}
	}
	return about(e.Path, err)
}

// saysNo reports whether the server answered with a status: some stores say
// that a file is forbidden when it is missing.
func saysNo(err error) bool {
	var s *statusError
	return errors.As(err, &s)
}

// unpack writes what is packed to plain and checks that it is the file that
// the Release lists. Its size bounds what is opened.
func unpack(ctx context.Context, plain io.Writer, packed io.ReadSeeker, c deb.Compression, want index.FileEntry) error {
	if _, err := packed.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading a download: %w", err)
	}
	in, err := deb.Decompress(packed, c, deb.Limits{})
	if err != nil {
		return damaged(err)
	}
	defer in.Close()
	sum := &summed{w: plain, hash: sha256.New(), left: want.Size}
	_, err = io.CopyBuffer(sum, struct{ io.Reader }{interrupted{ctx, in}}, make([]byte, 128<<10))
	if err != nil {
		return damaged(err)
	}
	return sum.check(want.SHA256)
}

// damaged gives the errors of decompression their meaning.
func damaged(err error) error {
	var f *deb.FormatError
	switch {
	case errors.Is(err, deb.ErrTooLarge):
		return reject(TooLarge, "%w", err)
	case errors.As(err, &f):
		return reject(Malformed, "%w", err)
	}
	return err
}

// summed passes on bytes, counts and hashes them, and refuses more than it
// expects.
type summed struct {
	w    io.Writer
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	left int64
}

func (s *summed) Write(p []byte) (int, error) {
	if s.left -= int64(len(p)); s.left < 0 {
		return 0, fail(HashMismatch, "what is in it is larger than the Release file says")
	}
	s.hash.Write(p)
	return s.w.Write(p)
}

func (s *summed) check(want string) error {
	if got := hex.EncodeToString(s.hash.Sum(nil)); s.left != 0 || got != want {
		return fail(HashMismatch, "what is in it is not the file that the Release file lists")
	}
	return nil
}

// interrupted ends reading with ctx.
type interrupted struct {
	ctx context.Context
	r   io.Reader
}

func (i interrupted) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// sibling returns the path of a file beside p's Packages file.
func (p packagesFile) sibling(name string) string { return path.Join(path.Dir(p.plain.Path), name) }
