package upstream

import (
	"context"
	"fmt"
	"io"
	"os"
)

// A Downloader fetches packages. The zero value works; its fields must not
// change after the first call. It is safe for concurrent use.
type Downloader struct {
	// Client makes the requests. Nil: the zero Client.
	Client *Client
	// Progress, if set, is told how many bytes of a package there are. It is
	// called by as many goroutines as there are downloads.
	Progress func(p Package, done int64)
}

// Fetch makes f hold a package of the source, and sets it to its start. What f
// held is lost. The file has the size and the SHA-256 that the source's signed
// index has; at most one byte more than that size is read from the server. A
// download that breaks off is taken up where it was. On an error f is empty.
//
// An error that is the source's fault is a *Failure: Unreachable, or
// HashMismatch for other bytes than the index describes.
func (d *Downloader) Fetch(ctx context.Context, s Source, p Package, f *os.File) error {
	err := d.fetch(ctx, s, p, f)
	if err != nil {
		return fmt.Errorf("downloading %s %s for %s: %w", p.Name, p.Version, p.Arch, about(p.Filename, err))
	}
	return nil
}

func (d *Downloader) fetch(ctx context.Context, s Source, p Package, f *os.File) error {
	if p.SourceID != s.ID {
		return fmt.Errorf("it is of source %s, not of %s", p.SourceID, s.ID)
	}
	if !safeFilename(p.Filename) {
		return reject(UnsafeFilename, "the file name leads elsewhere")
	}
	t, err := newSite(s)
	if err != nil {
		return err
	}
	var progress func(int64)
	if d.Progress != nil {
		progress = func(n int64) { d.Progress(p, n) }
	}
	w := wanted{t.at(p.Filename), p.Size, p.SHA256}
	if err := d.Client.download(ctx, t, w, f, progress); err != nil {
		if isGone(err) {
			return fail(Unreachable, "the archive does not have it any more, sync the source again: %w", err)
		}
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("reading a download: %w", err)
	}
	return nil
}
