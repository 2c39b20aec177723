package aptrepo_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/scan"
)

// moves are the changes of status that each operation may make; staying is
// always allowed. "none" is a package that is not there.
var moves = map[string][]string{
	"upload": {
		"none indexed", "none pending_review", "none rejected",
		"rejected indexed", "rejected pending_review",
	},
	"accepted":         {"pending_review accepted", "rejected accepted", "indexed accepted"},
	"not_affected":     {"pending_review accepted", "rejected accepted", "indexed accepted"},
	"rejected":         {"pending_review quarantined", "rejected quarantined", "indexed quarantined", "accepted quarantined"},
	"upgrade_required": {"pending_review rejected", "indexed rejected", "accepted rejected"},
	"rescan": {
		"pending_review indexed", "rejected indexed", "rejected pending_review", "indexed pending_review", "accepted pending_review",
		"pending_review quarantined", "indexed quarantined", "accepted quarantined",
	},
	"rematch": {
		"pending_review indexed", "rejected indexed", "rejected pending_review", "indexed pending_review", "accepted pending_review",
	},
	"expire":     {"accepted pending_review"},
	"quarantine": {"indexed quarantined", "accepted quarantined", "pending_review quarantined", "rejected quarantined"},
	"release":    {"quarantined indexed", "quarantined pending_review"},
	"delete":     {"indexed none", "accepted none", "pending_review none", "rejected none", "quarantined none"},
	"promote":    {},
}

// TestSafetyModel runs random operations on a package whose vulnerabilities and
// whose scanner change, and holds every state against what the API's contract
// promises.
func TestSafetyModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := newGuarded(t)
		this := aptrepo.Selection{Name: "tool", Version: "1.0"}
		status := func() (aptrepo.Artifact, string) {
			a, err := g.Artifact(g.ctx, this)
			if errors.Is(err, aptrepo.ErrPackageNotFound) {
				return a, "none"
			}
			if err != nil {
				rt.Fatal(err)
			}
			return a, string(a.Status)
		}
		ops := map[string]func(*rapid.T) error{
			"upload":  func(*rapid.T) error { _, err := g.try(t, toolDeb, "jammy"); return err },
			"rescan":  func(*rapid.T) error { _, err := g.Rescan(g.ctx, this); return err },
			"rematch": func(*rapid.T) error { _, err := g.Rematch(g.ctx, nil); return err },
			"quarantine": func(*rapid.T) error {
				_, err := g.Quarantine(g.ctx, aptrepo.QuarantineOptions{Selection: this})
				return err
			},
			"release": func(*rapid.T) error { _, err := g.Release(g.ctx, this, ""); return err },
			"delete":  func(*rapid.T) error { _, err := g.Delete(g.ctx, aptrepo.DeleteOptions{Selection: this}); return err },
			"promote": func(*rapid.T) error {
				_, err := g.Promote(g.ctx, aptrepo.PromoteOptions{Selection: this, From: "jammy", To: "focal"})
				return err
			},
			"expire": func(rt *rapid.T) error {
				g.clock.move(time.Duration(rapid.IntRange(1, 50).Draw(rt, "hours")) * time.Hour)
				return g.ExpireDecisions(g.ctx)
			},
		}
		for _, r := range []aptrepo.Ruling{aptrepo.RulingAccepted, aptrepo.RulingNotAffected, aptrepo.RulingRejected, aptrepo.RulingUpgradeRequired} {
			ops[string(r)] = func(rt *rapid.T) error {
				o := aptrepo.DecideOptions{Selection: this, Ruling: r, Comment: "because"}
				o.Findings = rapid.SampledFrom([][]string{nil, {"CVE-1"}, {"CVE-2"}}).Draw(rt, "findings")
				if r == aptrepo.RulingAccepted {
					o.ExpiresIn = time.Duration(rapid.IntRange(0, 2).Draw(rt, "days")) * 24 * time.Hour
				}
				_, err := g.Decide(g.ctx, o)
				return err
			}
		}
		actions := map[string]func(*rapid.T){
			"data": func(rt *rapid.T) { // the world learns
				var known []scan.Finding
				for _, id := range []string{"CVE-1", "CVE-2"} {
					severity := rapid.SampledFrom([]scan.Severity{"", scan.Low, scan.High, scan.Critical}).Draw(rt, id)
					f := cve(id, severity)
					if rapid.Bool().Draw(rt, "fixed") {
						f.FixState, f.FixedVersion = scan.Fixed, "1.1"
					}
					if severity != "" {
						known = append(known, f)
					}
				}
				g.known.set("tool", known...)
			},
			"scanner": func(rt *rapid.T) {
				g.dog.ends = rapid.SampledFrom([]scan.MalwareStatus{"", "", "", scan.Failed, scan.Infected}).Draw(rt, "ends")
			},
			"": func(rt *rapid.T) {
				a, now := status()
				if now == "none" {
					g.nothingLeft(rt)
					return
				}
				g.consistent(t, rt, a)
			},
		}
		for name, op := range ops {
			actions[name] = func(rt *rapid.T) {
				_, before := status()
				err := op(rt)
				if errors.Is(err, aptrepo.ErrUnavailable) {
					rt.Fatal(err)
				}
				_, after := status()
				if move := before + " " + after; before != after && !slices.Contains(moves[name], move) {
					rt.Fatalf("%s: %s (%v)", name, move, err)
				}
			}
		}
		rt.Repeat(actions)
	})
}

// consistent holds a package against what must be true at all times.
func (g *guarded) consistent(t *testing.T, rt *rapid.T, a aptrepo.Artifact) {
	published := a.Status == aptrepo.Indexed || a.Status == aptrepo.Accepted
	if published != (len(a.Publications) > 0) {
		rt.Fatalf("%s, and in %d distributions", a.Status, len(a.Publications))
	}
	for _, codename := range []string{"focal", "jammy"} {
		seen := slices.Contains(packages(t, g.Repo, codename, "amd64"), "tool 1.0 amd64")
		if seen != a.PublishedIn(codename) {
			rt.Fatalf("%s: apt sees it: %v, it is there: %v", codename, seen, a.PublishedIn(codename))
		}
	}
	f, err := g.OpenFile(g.ctx, "pool/main/t/tool/tool_1.0_amd64.deb")
	if err == nil {
		f.Close()
	}
	if published != (err == nil) {
		rt.Fatalf("%s, and its file in the public tree: %v", a.Status, err)
	}
	s, err := g.Store.Scan(g.ctx, a.ID)
	if err != nil {
		rt.Fatal(err)
	}
	decisions, err := g.Store.Decisions(g.ctx, a.Key())
	if err != nil {
		rt.Fatal(err)
	}
	open := 0
	for _, f := range s.Findings {
		settled := slices.ContainsFunc(decisions, func(d aptrepo.Decision) bool {
			lets := d.Ruling == aptrepo.RulingAccepted || d.Ruling == aptrepo.RulingNotAffected
			return d.Active && lets && slices.Contains(d.Findings, f.ID)
		})
		if settled {
			continue
		}
		open++
		if published && (f.Severity == scan.High || f.Severity == scan.Critical) {
			rt.Fatalf("%s with %s %s that nobody has settled", a.Status, f.Severity, f.ID)
		}
	}
	if published && s.Malware != scan.Clean {
		rt.Fatalf("%s with the scan %s", a.Status, s.Malware)
	}
	if got := s.Counts.Total(); got != open {
		rt.Fatalf("%d findings count as open, %d are", got, open)
	}
	if report, err := g.Fsck(g.ctx, aptrepo.FsckOptions{OrphanAge: time.Nanosecond, ReadFiles: true}); err != nil || len(report.Faults) > 0 {
		rt.Fatal(fmt.Sprint(a.Status, " ", report.Faults), err)
	}
}

// nothingLeft holds that nothing stays of a deleted package once no client can be
// in the middle of an update.
func (g *guarded) nothingLeft(rt *rapid.T) {
	g.clock.move(25 * time.Hour)
	if err := g.Sweep(g.ctx); err != nil {
		rt.Fatal(err)
	}
	for info, err := range g.files.List(g.ctx, "") {
		if err != nil {
			rt.Fatal(err)
		}
		if strings.HasPrefix(info.Key, "held/") || strings.HasPrefix(info.Key, "pool/") {
			rt.Fatalf("%s is left", info.Key)
		}
	}
}
