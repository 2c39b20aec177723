package aptrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/repod-io/repod/sbom"
)

const (
	// billInterval is how old published bills may be.
	billInterval = time.Minute
	// billPrefix begins the keys of published bills.
	billPrefix = "bills/"
)

// billFormats are those of published bills.
var billFormats = []sbom.Format{sbom.CycloneDX, sbom.SPDX}

// PublishBills puts the bill of each distribution into the APT tree, in both
// formats, with signatures by the repository's keys: "CODENAME.cdx.json",
// "CODENAME.spdx.json" and the same with ".asc". What has not changed is not made
// again; that of distributions which are gone is removed. It regards the BaseURL,
// Author, ToolVersion and TempDir of q. A file and its signature are not replaced
// in one step: whoever finds that they do not match fetches them again.
func (r *Repo) PublishBills(ctx context.Context, q BillQuery) error {
	all, err := r.Distributions(ctx)
	if err != nil {
		return err
	}
	keys, err := r.Keys(ctx)
	if err != nil {
		return err
	}
	signers := ""
	for _, k := range keys.Keys {
		signers += "\n" + k.Fingerprint + " " + string(k.State)
	}
	var errs []error
	wanted := make(map[string]bool)
	for _, d := range all {
		for _, format := range billFormats {
			one := BillQuery{Format: format, Distribution: d.Codename, BaseURL: q.BaseURL, Author: q.Author, ToolVersion: q.ToolVersion, TempDir: q.TempDir}
			key := billPrefix + d.Codename + format.Extension()
			wanted[key], wanted[key+".asc"], wanted[key+".tag"] = true, true, true
			if err := r.publishBill(ctx, key, signers, one); err != nil {
				errs = append(errs, fmt.Errorf("bill of %s: %w", d.Codename, err))
			}
		}
	}
	return errors.Join(append(errs, r.removeBills(ctx, wanted))...)
}

// WithdrawBills removes what PublishBills has put there.
func (r *Repo) WithdrawBills(ctx context.Context) error { return r.removeBills(ctx, nil) }

func (r *Repo) removeBills(ctx context.Context, but map[string]bool) error {
	for info, err := range r.Storage.List(ctx, billPrefix) {
		if err != nil {
			return storageError(err)
		}
		if but[info.Key] {
			continue
		}
		if err := r.Storage.Delete(ctx, info.Key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return storageError(err)
		}
	}
	return nil
}

// publishBill makes one bill, unless the one that is there has the same tag and
// signers. The tag is written last: what is interrupted is done again.
func (r *Repo) publishBill(ctx context.Context, key, signers string, q BillQuery) error {
	tag, err := r.BillTag(ctx, q)
	if err != nil {
		return err
	}
	tag += signers
	if there, err := r.readSmall(ctx, key+".tag"); err != nil || there == tag {
		return err
	}
	var doc bytes.Buffer // a signature is made of all of it
	if _, err := r.SBOM(ctx, &doc, q); err != nil {
		return err
	}
	signature, err := r.SignDetached(ctx, doc.Bytes())
	if err != nil {
		return err
	}
	for _, part := range []struct {
		key  string
		body []byte
	}{{key, doc.Bytes()}, {key + ".asc", signature}, {key + ".tag", []byte(tag)}} {
		if err := r.Storage.Put(ctx, part.key, bytes.NewReader(part.body)); err != nil {
			return storageError(err)
		}
	}
	return nil
}

// readSmall returns what a key holds, "" if nothing does.
func (r *Repo) readSmall(ctx context.Context, key string) (string, error) {
	body, _, err := r.Storage.Open(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", storageError(err)
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, 64<<10))
	return string(text), err
}

// billFile reports whether a name in the APT tree is that of a published bill, or
// of its signature.
func billFile(name string) bool {
	name = strings.TrimSuffix(name, ".asc")
	for _, format := range billFormats {
		if codename, ok := strings.CutSuffix(name, format.Extension()); ok {
			return validCodename(codename)
		}
	}
	return false
}

// openBill opens a published bill, or a signature.
func (r *Repo) openBill(ctx context.Context, name string) (*File, error) {
	f, err := r.openPool(ctx, billPrefix+name)
	if err != nil {
		return nil, err
	}
	f.Immutable, f.ETag = false, fmt.Sprintf(`"%x-%x"`, f.ModTime.UnixNano(), f.Size)
	return f, nil
}

// runBills publishes bills, or withdraws them once, as Repo.Bills says, until ctx
// ends.
func (r *Repo) runBills(ctx context.Context) {
	tick := time.NewTicker(billInterval)
	defer tick.Stop()
	withdrawn := false
	for {
		var err error
		if q, publish := r.Bills(); publish {
			withdrawn = false
			err = r.PublishBills(ctx, q)
		} else if !withdrawn {
			err = r.WithdrawBills(ctx)
			withdrawn = err == nil
		}
		if err != nil && ctx.Err() == nil {
			r.logger().ErrorContext(ctx, "the bills of materials could not be published", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
