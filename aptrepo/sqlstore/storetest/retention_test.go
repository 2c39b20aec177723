package storetest_test

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/repod-io/repod/aptrepo"
)

// A versionsReader leaves out what a page ends with.
type versionsReader struct{ aptrepo.Store }

func (s versionsReader) EachPublishedVersion(ctx context.Context, codename string) iter.Seq2[aptrepo.PublishedVersion, error] {
	return func(yield func(aptrepo.PublishedVersion, error) bool) {
		name := ""
		for v, err := range s.Store.EachPublishedVersion(ctx, codename) {
			if v.Name == name { // its first publication only
				continue
			}
			if name = v.Name; !yield(v, err) {
				return
			}
		}
	}
}

// A forgetfulAnchor is that of a log from which nothing was removed.
type forgetfulAnchor struct{ aptrepo.Store }

func (forgetfulAnchor) AuditAnchor(context.Context) (aptrepo.AuditHead, error) {
	return aptrepo.AuditHead{}, nil
}

// Broken transactions, each by one method.
type (
	oldestFirstTx struct{ aptrepo.Tx }
	impersonalTx  struct{ aptrepo.Tx }
	unchosenTx    struct{ aptrepo.Tx }
	credulousTx   struct{ aptrepo.Tx }
)

func (tx oldestFirstTx) PublishedVersions(codename string, names []string) ([]aptrepo.PublishedVersion, error) {
	list, err := tx.Tx.PublishedVersions(codename, names)
	slices.Reverse(list)
	return list, err
}

// AddPublication forgets that what is there already was promoted.
func (tx impersonalTx) AddPublication(id int64, p aptrepo.Publication) (int64, bool, error) {
	found, err := tx.Tx.PublishedVersions(p.Distribution, []string{"a", "b", "c"})
	if err != nil {
		return 0, false, err
	}
	if slices.ContainsFunc(found, func(v aptrepo.PublishedVersion) bool { return v.ID == id }) {
		p.Promoted = false
	}
	return tx.Tx.AddPublication(id, p)
}

func (tx unchosenTx) SetTargets(id int64, targets []aptrepo.Publication) error {
	for i := range targets {
		targets[i].Promoted = false
	}
	return tx.Tx.SetTargets(id, targets)
}

// RemoveAudit takes an anchor that is none for nothing to do.
func (tx credulousTx) RemoveAudit(anchor aptrepo.AuditHead) (int, error) {
	n, err := tx.Tx.RemoveAudit(anchor)
	if errors.Is(err, aptrepo.ErrStale) {
		return 0, nil
	}
	return n, err
}

var brokenRetention = []breach{
	{"EachPublishedVersion", func(s aptrepo.Store) aptrepo.Store { return versionsReader{s} }},
	{"PublishedVersions", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return oldestFirstTx{tx} })},
	{"Promoted", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return impersonalTx{tx} })},
	{"PromotedTargets", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return unchosenTx{tx} })},
	{"RemoveAudit", func(s aptrepo.Store) aptrepo.Store { return forgetfulAnchor{s} }},
	{"RemoveAuditStale", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return credulousTx{tx} })},
	{"RemoveAuditRollsBack", inUpdate(func(ctx context.Context, s aptrepo.Store, fn func(aptrepo.Tx) error) error {
		var failed error
		err := s.Update(ctx, func(tx aptrepo.Tx) error { failed = fn(tx); return nil })
		return errors.Join(failed, err)
	})},
}
