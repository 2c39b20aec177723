package aptrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/index"
)

// An Offer is a package that the indices of a distribution list although the
// repository has not got it: when somebody asks for its file, it is fetched
// from where it is offered, and published.
type Offer struct {
	Component string
	// Source and the fields of Control are those that an Artifact has.
	Source  string
	Control *deb.Stanza // with Package, Version, Architecture
	Size    int64       // bytes
	SHA256  string      // lower-case hex
}

// Filename is where the file of the offer is once it is published, unless the
// place is taken.
func (o *Offer) Filename() string {
	return poolName(&Artifact{
		Name: o.Control.Get("Package"), Version: o.Control.Get("Version"), Arch: o.Control.Get("Architecture"),
		Source: o.Source, Component: o.Component,
	})
}

func (o *Offer) stanza() ([]byte, error) {
	return index.AppendStanza(nil, o.Control, index.PackageFile{
		Filename: o.Filename(), Size: o.Size, SHA256: o.SHA256, Offered: true,
	})
}

// errNothing says that an editor has nothing to change.
var errNothing = errors.New("nothing to publish")

// Offer makes the indices of a distribution list packages that it has not
// published, in place of those that it listed so before. An offer of a package
// that is published, of a component or an architecture that the distribution
// does not have, is left out. What does not change is not published again. It
// takes memory for the stanzas of all offers.
//
// Fsck leaves offers out of account, and what it rebuilds has none.
// ErrUnknownDistribution.
func (r *Repo) Offer(ctx context.Context, codename string, offers iter.Seq2[Offer, error]) error {
	if _, err := r.distribution(ctx, codename); err != nil {
		return err
	}
	p := r.publisher(codename)
	err := p.exclusive(ctx, func(ctx context.Context) error {
		return p.advance(ctx, func(ctx context.Context, cur *snapshot, d Distribution) (map[string]*index.Log, int64, error) {
			return p.offer(ctx, cur, d, offers)
		})
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// offer is an editor that replaces the offers, after changes that are due.
func (p *publisher) offer(ctx context.Context, cur *snapshot, d Distribution, offers iter.Seq2[Offer, error]) (map[string]*index.Log, int64, error) {
	logs, applied, err := p.edit(ctx, cur, d)
	if err != nil {
		return nil, 0, err
	}
	wanted, err := wantedOffers(d, offers)
	if err != nil {
		return nil, 0, err
	}
	edits := make(map[string]index.Edit)
	for dir, log := range logs {
		e, err := p.offerEdit(ctx, log, wanted[dir])
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", dir, err)
		}
		if len(e.Remove) > 0 || len(e.Add) > 0 {
			edits[dir] = e
		}
	}
	if len(edits) == 0 && applied == cur.gen.AppliedSeq {
		return nil, 0, errNothing
	}
	return logs, applied, p.apply(ctx, logs, edits)
}

// An offerList holds stanzas by ID, in the order in which they came.
type offerList struct {
	byID  map[index.ID][]byte
	order []index.ID
}

// wantedOffers renders offers for each index directory.
func wantedOffers(d Distribution, offers iter.Seq2[Offer, error]) (map[string]*offerList, error) {
	lists := make(map[string]*offerList)
	for dir := range completeLogs(nil, d) {
		lists[dir] = &offerList{byID: make(map[index.ID][]byte)}
	}
	for o, err := range offers {
		if err != nil {
			return nil, err
		}
		stanza, err := o.stanza()
		if err != nil {
			return nil, err
		}
		id := index.StanzaID(stanza)
		for _, dir := range dirsOf(o.Component, id.Architecture, d) {
			list := lists[dir]
			if list == nil || list.byID[id] != nil {
				continue
			}
			list.byID[id] = stanza
			list.order = append(list.order, id)
		}
	}
	return lists, nil
}

// offerEdit returns what makes a log list the offers wanted, and no others.
func (p *publisher) offerEdit(ctx context.Context, log *index.Log, wanted *offerList) (index.Edit, error) {
	e := index.Edit{Remove: make(map[index.ID]bool)}
	for stanza, err := range log.Stanzas(ctx, p.blobs) {
		if err != nil {
			return e, err
		}
		id := index.StanzaID(stanza)
		switch {
		case !index.IsOffered(stanza): // it is here by now
			delete(wanted.byID, id)
		case bytes.Equal(bytes.TrimSpace(stanza), bytes.TrimSpace(wanted.byID[id])):
			delete(wanted.byID, id)
		default:
			e.Remove[id] = true
		}
	}
	for _, id := range wanted.order {
		if stanza := wanted.byID[id]; stanza != nil {
			e.Add = append(e.Add, stanza)
		}
	}
	return e, nil
}
