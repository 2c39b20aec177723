package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
)

// take fetches one package and adds it to a batch.
func (im *Importer) take(ctx context.Context, b *aptrepo.Batch, t *task, group string) (Status, error) {
	key := aptrepo.KeyOf(t.pkg.Name, t.pkg.Version, t.pkg.Arch)
	known, err := im.Repo.Store.Artifact(ctx, key)
	switch {
	case err == nil && known.SHA256 != t.pkg.SHA256:
		return Failed, &aptrepo.ConflictError{Key: key, Incoming: t.pkg.SHA256, Existing: known.SHA256}
	case err == nil:
		if status, err := im.takeStored(ctx, b, t, group, known); !errors.Is(err, fs.ErrNotExist) {
			return status, err
		}
	case !errors.Is(err, aptrepo.ErrArtifactNotFound):
		return Failed, err
	}
	if im.MaxSize != nil && t.pkg.Size > im.MaxSize() {
		return Failed, fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, t.pkg.Name, t.pkg.Size)
	}
	f, err := im.spool()
	if err != nil {
		return Failed, err
	}
	defer f.Close()
	if err := (&upstream.Downloader{Client: im.client()}).Fetch(ctx, t.source, t.pkg, f); err != nil {
		return Failed, err
	}
	return im.add(ctx, b, t, group, f)
}

// spool returns an empty file that is gone once it is closed, or the program
// ends.
func (im *Importer) spool() (*os.File, error) {
	f, err := os.CreateTemp(im.Spool, "repod-import-*")
	if err != nil {
		return nil, fmt.Errorf("making room for a download: %w", err)
	}
	return f, os.Remove(f.Name())
}

// takeStored publishes a package that the repository has already, elsewhere.
// The error matches fs.ErrNotExist when its file is gone.
func (im *Importer) takeStored(ctx context.Context, b *aptrepo.Batch, t *task, group string, a aptrepo.Artifact) (Status, error) {
	f, err := im.Repo.OpenFile(ctx, a.Filename)
	if err != nil {
		return Failed, err
	}
	defer f.Close()
	return im.add(ctx, b, t, group, f)
}

func (im *Importer) add(ctx context.Context, b *aptrepo.Batch, t *task, group string, f io.ReadSeeker) (Status, error) {
	out, err := b.Add(ctx, f, aptrepo.PublishOptions{
		Distribution: t.request.Distribution, Component: t.request.Component,
		Origin: aptrepo.OriginImport, SourceID: t.source.ID, Group: group, Official: official(t.source),
		Check: func(p *deb.Package) error { return upstream.MatchesControl(t.pkg, p) },
	})
	switch {
	case err != nil:
		return Failed, err
	case !out.New:
		return AlreadyPresent, nil
	}
	return Imported, nil
}

// Official reports whether a vendor's archive, as it was synced last, has exactly
// the package; see aptrepo.Repo.
func (im *Importer) Official(ctx context.Context, a *aptrepo.Artifact) (bool, error) {
	var vendors []upstream.Source
	for _, s := range im.sources() {
		if official(s) {
			vendors = append(vendors, s)
		}
	}
	if vendors == nil {
		return false, nil
	}
	offers, err := im.Catalog.Offers(ctx, ids(vendors), []string{a.Name})
	return slices.ContainsFunc(offers, func(p upstream.Package) bool { return p.SHA256 == a.SHA256 }), err
}

// official reports whether a source is the archive of a vendor whose
// vulnerability data are there.
func official(s upstream.Source) bool {
	return s.Keyring == "debian-archive" || s.Keyring == "ubuntu-archive"
}
