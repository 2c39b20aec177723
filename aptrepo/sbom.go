package aptrepo

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/aptrepo/resolve"
	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/sbom"
)

// A BillQuery says which bill of materials is wanted.
type BillQuery struct {
	Format  sbom.Format // default sbom.CycloneDX
	Version string      // of the format, default the first of sbom.Versions
	// Distribution selects what is published there; "" in all of them.
	Distribution string
	Arch         string // of packages, "" for all
	// Limit, if it is not 0, makes the bill a preview of so many packages: without
	// embedded software, and without packages that are not listed.
	Limit int
	// BaseURL is what clients call the repository, without a slash at its end:
	// addresses of files and of the bill itself begin with it.
	BaseURL string
	// Author is who has the bill made, default repod; BSI TR-03183-2 wants an address
	// of mail.
	Author sbom.Contact
	// ToolVersion is the version of the program that makes the bill.
	ToolVersion string
	// TempDir is for temporary files; "" is that of os.CreateTemp.
	TempDir string
}

// A Bill says what was written.
type Bill struct {
	// Tag differs whenever the bill does. It is fit for an ETag.
	Tag       string
	MediaType string
	Total     int // packages that the query selects, without regard to its limit
	Shown     int // packages in it
}

// BillTag returns the tag that the bill would have, without making it.
// ErrUnknownDistribution.
func (r *Repo) BillTag(ctx context.Context, q BillQuery) (string, error) {
	var all []Distribution
	err := error(nil)
	if q.Distribution == "" {
		all, err = r.Distributions(ctx)
	} else {
		var d Distribution
		d, err = r.distribution(ctx, q.Distribution)
		all = []Distribution{d}
	}
	if err != nil {
		return "", err
	}
	t := q.tag()
	for _, d := range all {
		s, err := r.Store.BillState(ctx, d.Codename)
		if err != nil {
			return "", err
		}
		t.add(d, s)
	}
	return t.String(), nil
}

// A billTag collects what tells bills apart.
type billTag struct{ text strings.Builder }

func (q *BillQuery) tag() *billTag {
	t := new(billTag)
	fmt.Fprintf(&t.text, "%q %q %q %q %d %q %+v %q\n", q.Format, q.Version, q.Distribution, q.Arch, q.Limit, q.BaseURL, q.Author, q.ToolVersion)
	return t
}

func (t *billTag) add(d Distribution, s BillState) {
	fmt.Fprintf(&t.text, "%q %q %d %d %d %d\n", d.Codename, d.Origin, d.CreatedAt.UnixMicro(), s.Seq, s.Generation, s.Revision)
}

func (t *billTag) String() string {
	sum := sha256.Sum256([]byte(t.text.String()))
	return hex.EncodeToString(sum[:16])
}

// SBOM writes a bill of materials of what is published: each artifact of a
// distribution is a package in it, with the software inside, its licence, its
// known vulnerabilities and what was decided about them, and what its dependencies
// are met by in that distribution. The same state gives the same bytes; what a
// distribution has beyond its names and versions is not kept in memory.
//
// The bill is of one moment, for which a transaction of the Store is open: w
// should not be a slow client. After an error what was written is no bill.
// ErrUnknownDistribution.
func (r *Repo) SBOM(ctx context.Context, w io.Writer, q BillQuery) (Bill, error) {
	var out Bill
	err := r.Store.View(ctx, func(v View) error {
		all, err := v.Distributions()
		if err != nil {
			return err
		}
		if q.Distribution != "" {
			all = slices.DeleteFunc(all, func(d Distribution) bool { return d.Codename != q.Distribution })
			if len(all) == 0 {
				return ErrUnknownDistribution
			}
		}
		out, err = writeBill(ctx, w, v, q, all)
		return err
	})
	return out, err
}

func writeBill(ctx context.Context, w io.Writer, v View, q BillQuery, all []Distribution) (Bill, error) {
	var out Bill
	tag, made := q.tag(), time.Unix(0, 0)
	for _, d := range all {
		s, err := v.BillState(d.Codename)
		if err != nil {
			return out, err
		}
		tag.add(d, s)
		made = latest(made, d.CreatedAt, d.LastPublishedAt, s.At)
	}
	doc := q.document(tag.String(), made)
	doc.Root = sbom.Root{Name: cmp.Or(q.Distribution, "repository")}
	if len(all) == 1 {
		doc.Root.Description, doc.Root.Supplier = all[0].Description, sbom.Contact{Name: all[0].Origin}
	}
	doc.Completeness = sbom.Complete
	if q.Limit > 0 {
		doc.Completeness = sbom.Incomplete
	}
	out.Tag, out.MediaType = tag.String(), doc.MediaType()
	for _, d := range all {
		n, err := v.Count(d.Codename, q.Arch)
		if err != nil {
			return out, err
		}
		out.Total += n
	}
	return out, sbom.Write(w, doc, func(yield func(sbom.Package, error) bool) {
		for p, err := range q.packages(ctx, v, all) {
			out.Shown++
			if !yield(p, err) {
				return
			}
		}
	})
}

// document returns what is said once.
func (q *BillQuery) document(state string, made time.Time) sbom.Document {
	name := "SBOM of the repository"
	if q.Distribution != "" {
		name = "SBOM of " + q.Distribution
	}
	doc := sbom.Document{
		Format: cmp.Or(q.Format, sbom.CycloneDX), SpecVersion: q.Version, Name: name, State: state,
		Timestamp: made.UTC().Truncate(time.Second), Tool: "repod", ToolVersion: q.ToolVersion,
		Author: q.Author, Flat: q.Limit > 0, TempDir: q.TempDir,
	}
	doc.Author.Name, doc.Author.URL = cmp.Or(doc.Author.Name, "repod"), cmp.Or(doc.Author.URL, q.BaseURL)
	if q.BaseURL != "" {
		doc.Namespace = q.BaseURL + "/sbom"
	}
	return doc
}

// packages yields what distributions have, one after the other.
func (q *BillQuery) packages(ctx context.Context, v View, all []Distribution) iter.Seq2[sbom.Package, error] {
	return func(yield func(sbom.Package, error) bool) {
		left := q.Limit
		for _, d := range all {
			index, err := namesOf(v, d.Codename)
			if err != nil {
				yield(sbom.Package{}, err)
				return
			}
			b := &biller{distribution: d, base: q.BaseURL, index: index}
			for one, err := range v.DescribedIn(d.Codename, q.Arch, left) {
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					yield(sbom.Package{}, err)
					return
				}
				if !yield(b.packageOf(&one), nil) {
					return
				}
				left--
			}
			if q.Limit > 0 && left <= 0 {
				return
			}
		}
	}
}

// namesOf returns an index of what is published in a distribution.
func namesOf(v View, codename string) (*resolve.Index, error) {
	var all []*resolve.Package
	for n, err := range v.Named(codename) {
		if err != nil {
			return nil, err
		}
		version, err := deb.ParseVersion(n.Version)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", n.Name, n.Version, err)
		}
		p := &resolve.Package{Name: n.Name, Version: version, Arch: n.Arch, MultiArch: n.MultiArch, Ref: n.Version}
		for _, provided := range n.Provides {
			d := deb.Dependency{Name: provided.Name}
			if version, err := deb.ParseVersion(provided.Version); err == nil {
				d.Operator, d.Version = deb.Exactly, version
			}
			p.Provides = append(p.Provides, deb.Alternatives{d})
		}
		all = append(all, p)
	}
	return resolve.NewIndex(all), nil
}

// PackageSBOM writes the bill of materials of one artifact, whatever its status:
// the file, and beside its own software those packages of the distribution that
// meet its dependencies. It regards the Format, Version, Distribution, BaseURL,
// ToolVersion and TempDir of q; without a Distribution it takes the first where the
// artifact is, or is to be, published.
// ErrPackageNotFound, ErrVersionNotFound, ErrUnknownDistribution.
func (r *Repo) PackageSBOM(ctx context.Context, w io.Writer, s Selection, q BillQuery) (Bill, error) {
	a, err := r.Artifact(ctx, s)
	if err != nil {
		return Bill{}, err
	}
	c, err := r.load(ctx, a.Key())
	if err != nil {
		return Bill{}, err
	}
	if places := c.places(); q.Distribution == "" && len(places) > 0 {
		q.Distribution = places[0].Distribution
	}
	b := &biller{base: q.BaseURL}
	if q.Distribution != "" {
		if b.distribution, err = r.distribution(ctx, q.Distribution); err != nil {
			return Bill{}, err
		}
	}
	ids, err := b.needs(ctx, r.Store, &a)
	if err != nil {
		return Bill{}, err
	}
	var out Bill
	err = r.Store.View(ctx, func(v View) error {
		all, err := v.Described(append([]int64{a.ID}, ids...))
		if err != nil {
			return err
		}
		if len(all) == 0 || all[0].Artifact.ID != a.ID {
			return ErrVersionNotFound
		}
		out, err = b.writePackage(w, q, all)
		return err
	})
	return out, err
}
