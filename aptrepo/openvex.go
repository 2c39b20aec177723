package aptrepo

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/scan"
)

// The documents of OpenVEX 0.2.0, https://github.com/openvex/spec.
type (
	vexDocument struct {
		Context    string         `json:"@context"`
		ID         string         `json:"@id"`
		Author     string         `json:"author"`
		Timestamp  time.Time      `json:"timestamp"`
		Version    int            `json:"version"`
		Tooling    string         `json:"tooling"`
		Statements []vexStatement `json:"statements"`
	}
	vexStatement struct {
		ID              string           `json:"@id"`
		Vulnerability   vexVulnerability `json:"vulnerability"`
		Timestamp       time.Time        `json:"timestamp"`
		Products        []vexProduct     `json:"products"`
		Status          string           `json:"status"`
		ImpactStatement string           `json:"impact_statement,omitempty"`
		ActionStatement string           `json:"action_statement,omitempty"`
	}
	vexVulnerability struct {
		Name string `json:"name"`
	}
	vexProduct struct {
		ID          string         `json:"@id"`
		Identifiers vexIdentifiers `json:"identifiers"`
	}
	vexIdentifiers struct {
		PURL string `json:"purl"`
	}
)

// OpenVEX writes all active decisions as one OpenVEX document (version 0.2.0,
// JSON): a statement for each finding that a decision is about, the oldest
// first. id is the document's own address. The same decisions give the same
// bytes, and a later state a higher version; the time is that of the last
// decision.
func (r *Repo) OpenVEX(ctx context.Context, id string) ([]byte, error) {
	doc := vexDocument{
		Context: "https://openvex.dev/ns/v0.2.0", ID: id, Author: "repod", Timestamp: time.Unix(0, 0).UTC(), Version: 1,
		Tooling: "repod", Statements: []vexStatement{},
	}
	for d, err := range r.Store.EachDecision(ctx) {
		if err != nil {
			return nil, err
		}
		doc.Version++ // it was made
		if d.DecidedAt.After(doc.Timestamp) {
			doc.Timestamp = d.DecidedAt
		}
		if !d.Active {
			doc.Version++ // and has ended
			continue
		}
		products, err := r.vexProducts(ctx, d)
		if err != nil {
			return nil, err
		}
		for _, finding := range d.Findings {
			s := vexStatement{
				ID: id + "#" + d.ID + "-" + finding, Vulnerability: vexVulnerability{finding}, Timestamp: d.DecidedAt, Products: products,
			}
			s.rule(d)
			doc.Statements = append(doc.Statements, s)
		}
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	return append(out, '\n'), err
}

// rule says what a decision says.
func (s *vexStatement) rule(d Decision) {
	if s.Status = "affected"; d.Ruling == RulingNotAffected {
		s.Status, s.ImpactStatement = "not_affected", d.Comment
		return
	}
	s.ActionStatement = map[Ruling]string{
		RulingAccepted: "The risk is accepted: ", RulingRejected: "Do not use it: ", RulingUpgradeRequired: "Upgrade: ",
	}[d.Ruling] + d.Comment
}

// vexProducts names what a decision is about, for each release where it is, or
// is to be, published: as scanners call it, and as bills of materials do.
func (r *Repo) vexProducts(ctx context.Context, d Decision) ([]vexProduct, error) {
	var places []Publication
	c, err := r.load(ctx, KeyOf(d.Name, d.Version, d.Arch))
	switch {
	case err == nil:
		places = c.places()
	case !errors.Is(err, ErrArtifactNotFound):
		return nil, err
	}
	var products []vexProduct
	for _, p := range places {
		distribution, err := r.distribution(ctx, p.Distribution)
		if errors.Is(err, ErrUnknownDistribution) {
			continue
		}
		if err != nil {
			return nil, err
		}
		bill := biller{distribution: distribution}
		products = append(products, vexProductOf(d, distribution.OS), newVEXProduct(bill.purl(d.Name, d.Version, d.Arch)))
	}
	if products == nil {
		return []vexProduct{vexProductOf(d, "")}, nil
	}
	slices.SortFunc(products, func(a, b vexProduct) int { return strings.Compare(a.ID, b.ID) })
	return slices.Compact(products), nil
}

func vexProductOf(d Decision, os string) vexProduct {
	return newVEXProduct(scan.Subject{Name: d.Name, Version: d.Version, Arch: d.Arch, OS: os}.PURL())
}

func newVEXProduct(purl string) vexProduct { return vexProduct{purl, vexIdentifiers{purl}} }
