package storetest_test

import (
	"context"
	"iter"

	"github.com/repod-io/repod/aptrepo"
)

// A biller breaks what a store says in views.
type biller struct {
	aptrepo.Store
	state     func(*aptrepo.BillState)
	named     func(n int) (skip bool)
	described func(*aptrepo.Described)
	fresh     bool // each method of a view sees the newest state
}

func (b *biller) BillState(ctx context.Context, codename string) (aptrepo.BillState, error) {
	s, err := b.Store.BillState(ctx, codename)
	if b.state != nil {
		b.state(&s)
	}
	return s, err
}

func (b *biller) View(ctx context.Context, fn func(v aptrepo.View) error) error {
	return b.Store.View(ctx, func(v aptrepo.View) error { return fn(brokenView{v, b, ctx}) })
}

type brokenView struct {
	aptrepo.View
	biller *biller
	ctx    context.Context
}

func (v brokenView) Named(codename string) iter.Seq2[aptrepo.Named, error] {
	return func(yield func(aptrepo.Named, error) bool) {
		n := 0
		for one, err := range v.View.Named(codename) {
			if n++; v.biller.named != nil && v.biller.named(n) {
				continue
			}
			if !yield(one, err) {
				return
			}
		}
	}
}

func (v brokenView) DescribedIn(codename, arch string, limit int) iter.Seq2[aptrepo.Described, error] {
	return func(yield func(aptrepo.Described, error) bool) {
		for one, err := range v.View.DescribedIn(codename, arch, limit) {
			if v.biller.described != nil {
				v.biller.described(&one)
			}
			if !yield(one, err) {
				return
			}
		}
	}
}

func (v brokenView) BillState(codename string) (aptrepo.BillState, error) {
	if v.biller.fresh {
		return v.biller.Store.BillState(v.ctx, codename)
	}
	return v.View.BillState(codename)
}

// bill makes a fault of a biller.
func bill(b biller) func(aptrepo.Store) aptrepo.Store {
	return func(s aptrepo.Store) aptrepo.Store { b.Store = s; return &b }
}

// unlicensedTx keeps the first licence.
type unlicensedTx struct{ aptrepo.Tx }

func (tx unlicensedTx) PutLicence(id int64, l aptrepo.Licence) error {
	if l.Expression == "" && l.In == "" {
		return nil
	}
	return tx.Tx.PutLicence(id, l)
}

var brokenBills = []breach{
	{"Licence", inTx(func(tx aptrepo.Tx) aptrepo.Tx { return unlicensedTx{tx} })},
	{"LicenceElsewhere", bill(biller{described: func(d *aptrepo.Described) {
		if d.Artifact.Arch == "arm64" {
			d.Licence.Expression = "MIT"
		}
	}})},
	{"BillState", bill(biller{state: func(s *aptrepo.BillState) { s.Revision = min(s.Revision, 3) }})},
	{"View", bill(biller{fresh: true})},
	{"ViewNamed", bill(biller{named: func(n int) bool { return n == 3 }})},
	{"ViewDescribed", bill(biller{described: func(d *aptrepo.Described) {
		if len(d.Decisions) > 1 {
			d.Decisions = d.Decisions[:1]
		}
	}})},
}
