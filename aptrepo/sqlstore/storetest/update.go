package storetest

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/repod-io/repod/aptrepo"
)

var updateRules = []rule{
	{"UpdateSeesItself", updateSeesItself},
	{"UpdateRollsBack", updateRollsBack},
	{"UpdateIndependent", updateIndependent},
	{"UpdateSerializable", updateSerializable},
	{"UpdateHides", updateHides},
	{"UpdateCanceled", updateCanceled},
	{"Ping", ping},
}

// "Its reads see its own changes."
func updateSeesItself(p *probe) {
	p.distributions("jammy")
	p.update(func(tx aptrepo.Tx) error {
		a := made("nginx 1.0 amd64")
		p.ok("InsertArtifact", tx.InsertArtifact(a))
		_, _, err := tx.AddPublication(a.ID, publication("jammy/main", 0))
		p.ok("AddPublication", err)
		found, err := tx.Artifact(a.Key())
		p.ok("Artifact", err)
		p.equal("publications", places(found.Publications), []string{"jammy/main"})
		d, err := tx.Distribution("jammy")
		p.ok("Distribution", err)
		p.equal("count", d.ArtifactCount, 1)
		list, err := tx.PublishedIn("jammy", nil)
		p.ok("PublishedIn", err)
		p.equal("PublishedIn", labels(list), []string{"nginx 1.0 amd64"})
		return nil
	})
}

// everything makes one change of each kind.
func everything(tx aptrepo.Tx) error {
	if _, err := tx.InsertDistribution(aptrepo.Distribution{Codename: "noble"}); err != nil {
		return err
	}
	a := made("nginx 1.0 amd64")
	if err := tx.InsertArtifact(a); err != nil {
		return err
	}
	if _, _, err := tx.AddPublication(a.ID, publication("jammy/main", 0)); err != nil {
		return err
	}
	if err := tx.PutTombstone(aptrepo.Tombstone{Key: aptrepo.KeyOf("old", "1", "all")}); err != nil {
		return err
	}
	if err := tx.ScheduleRemoval("pool/old", epoch); err != nil {
		return err
	}
	if err := tx.PutSigningKey(aptrepo.SigningKey{Fingerprint: "F"}); err != nil {
		return err
	}
	return tx.Audit(aptrepo.AuditEntry{Time: epoch, Action: "test"})
}

// state sums up what everything changes.
func (p *probe) state() string {
	all, err := p.s.Distributions(p.ctx)
	p.ok("Distributions", err)
	artifacts, err := p.s.ArtifactRows(p.ctx, aptrepo.PackageQuery{})
	p.ok("ArtifactRows", err)
	changes, err := p.s.Changes(p.ctx, "jammy", 0, 10)
	p.ok("Changes", err)
	removals, err := p.s.DueRemovals(p.ctx, epoch, 10)
	p.ok("DueRemovals", err)
	heads, err := p.s.Heads(p.ctx)
	p.ok("Heads", err)
	keys, err := p.s.SigningKeys(p.ctx)
	p.ok("SigningKeys", err)
	entries, err := p.s.AuditEntries(p.ctx, 0, 10)
	p.ok("AuditEntries", err)
	stone := p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		_, err := tx.Tombstone(aptrepo.KeyOf("old", "1", "all"))
		return err
	})
	return fmt.Sprint(len(all), artifacts.Total, len(changes), len(removals), heads["jammy"], len(keys), len(entries), stone == nil)
}

// "An error of fn is returned as it is" and nothing stays of its changes.
func updateRollsBack(p *probe) {
	p.distributions("jammy")
	before := p.state()
	err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		p.ok("changing everything", everything(tx))
		return errWanted
	})
	p.equal("error of Update", err, errWanted)
	p.equal("after a failed Update", p.state(), before)
	p.update(everything)
	if p.state() == before {
		p.errorf("a second Update changed nothing")
	}
	entries, err := p.s.AuditEntries(p.ctx, 0, 10)
	p.ok("AuditEntries", err)
	p.chain(entries, 1)
}

// An update that fails "takes nothing with it but fn's own changes", though
// others may share its commit; each function runs once.
func updateIndependent(p *probe) {
	const n = 60
	p.distributions("jammy")
	var runs atomic.Int32
	parallel(n, func(i int) {
		err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
			runs.Add(1)
			a := made(fmt.Sprintf("p%d 1.0 amd64", i))
			if err := tx.InsertArtifact(a); err != nil {
				return err
			}
			if _, _, err := tx.AddPublication(a.ID, publication("jammy/main", i)); err != nil {
				return err
			}
			if err := tx.Audit(aptrepo.AuditEntry{Time: epoch, Action: strconv.Itoa(i)}); err != nil {
				return err
			}
			if i%3 == 0 {
				return errWanted
			}
			return nil
		})
		if i%3 == 0 {
			p.equal("error", err, errWanted)
		} else {
			p.ok("Update", err)
		}
	})
	p.equal("runs", runs.Load(), int32(n))
	d, err := p.s.Distribution(p.ctx, "jammy")
	p.ok("Distribution", err)
	p.equal("artifacts kept", d.ArtifactCount, n*2/3)
	changes, err := p.s.Changes(p.ctx, "jammy", 0, 1000)
	p.ok("Changes", err)
	for i, c := range changes {
		p.equal("Seq without gaps", c.Seq, int64(i+1))
	}
	p.equal("changes", len(changes), n*2/3)
	entries, err := p.s.AuditEntries(p.ctx, 0, 1000)
	p.ok("AuditEntries", err)
	p.chain(entries, n*2/3)
}

// Transactions are serializable: what one reads does not change before it
// writes.
func updateSerializable(p *probe) {
	const n = 40
	key := aptrepo.KeyOf("counter", "1", "all")
	parallel(n, func(int) {
		p.update(func(tx aptrepo.Tx) error {
			count := 0
			if stone, err := tx.Tombstone(key); err == nil {
				count, _ = strconv.Atoi(stone.SHA256)
			}
			return tx.PutTombstone(aptrepo.Tombstone{Key: key, SHA256: strconv.Itoa(count + 1)})
		})
	})
	p.update(func(tx aptrepo.Tx) error {
		stone, err := tx.Tombstone(key)
		p.equal("increments", stone.SHA256, strconv.Itoa(n))
		return err
	})
}

// Others see all changes of a transaction or none.
func updateHides(p *probe) {
	const n = 30
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
				for _, arch := range []string{"amd64", "arm64"} {
					if err := tx.InsertArtifact(made(fmt.Sprintf("pair %d %s", i, arch))); err != nil {
						return err
					}
				}
				if i%2 == 0 {
					return errWanted
				}
				return nil
			})
			if i%2 == 0 {
				p.equal("error", err, errWanted)
			} else {
				p.ok("Update", err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		list, err := p.s.Artifacts(p.ctx, "pair")
		p.ok("Artifacts", err)
		p.equal("half a transaction seen", len(list)%2, 0)
	}
	list, err := p.s.Artifacts(p.ctx, "pair")
	p.ok("Artifacts", err)
	p.equal("artifacts in the end", len(list), n)
}

func updateCanceled(p *probe) {
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	ran := false
	err := p.s.Update(ctx, func(tx aptrepo.Tx) error {
		ran = true
		return nil
	})
	p.is("Update", err, context.Canceled)
	p.equal("fn ran", ran, false)
	_, err = p.s.Distributions(ctx)
	p.is("Distributions", err, context.Canceled)
}

func ping(p *probe) { p.ok("Ping", p.s.Ping(p.ctx)) }
