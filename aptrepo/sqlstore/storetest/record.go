package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

var recordRules = []rule{
	{"Tombstones", tombstones},
	{"Removals", removals},
	{"Groups", groups},
	{"Outbox", outbox},
	{"Notes", notes},
	{"NotesSince", notesSince},
	{"NotesForgotten", notesForgotten},
	{"SigningKeys", signingKeys},
	{"AuditChain", auditChain},
	{"AuditText", auditText},
}

func tombstones(p *probe) {
	key := aptrepo.Key{Name: "nginx", Version: "1.0", Arch: "amd64"}
	spelled := aptrepo.Key{Name: "nginx", Version: "0:1.0-0", Arch: "amd64"}
	p.update(func(tx aptrepo.Tx) error {
		_, err := tx.Tombstone(key)
		p.is("Tombstone", err, aptrepo.ErrArtifactNotFound)
		p.ok("PutTombstone", tx.PutTombstone(aptrepo.Tombstone{Key: spelled, SHA256: "aa", DeletedAt: at(1)}))
		return tx.PutTombstone(aptrepo.Tombstone{Key: aptrepo.KeyOf("nginx", "1.0", "arm64"), SHA256: "cc", DeletedAt: at(2)})
	})
	p.update(func(tx aptrepo.Tx) error {
		got, err := tx.Tombstone(spelled)
		p.ok("Tombstone", err)
		p.equal("Tombstone", got, aptrepo.Tombstone{Key: aptrepo.KeyOf("nginx", "1.0", "amd64"), SHA256: "aa", DeletedAt: at(1)})
		p.ok("PutTombstone", tx.PutTombstone(aptrepo.Tombstone{Key: key, SHA256: "bb", DeletedAt: at(3)}))
		got, err = tx.Tombstone(key)
		p.ok("Tombstone", err)
		p.equal("Tombstone, replaced", got.SHA256, "bb")
		p.ok("DeleteTombstone", tx.DeleteTombstone(spelled))
		_, err = tx.Tombstone(key)
		p.is("Tombstone, forgotten", err, aptrepo.ErrArtifactNotFound)
		_, err = tx.Tombstone(aptrepo.KeyOf("nginx", "1.0", "arm64"))
		p.ok("another tombstone", err)
		return tx.DeleteTombstone(key)
	})
}

func removals(p *probe) {
	p.update(func(tx aptrepo.Tx) error {
		for name, second := range map[string]int{"pool/c": 30, "pool/a": 10, "pool/b": 20, "pool/d": 40} {
			if err := tx.ScheduleRemoval(name, at(second)); err != nil {
				return err
			}
		}
		return nil
	})
	due := func(second, limit int) []string {
		names, err := p.s.DueRemovals(p.ctx, at(second), limit)
		p.ok("DueRemovals", err)
		return append([]string{}, sorted(names)...)
	}
	p.equal("due too early", due(9, 10), []string{})
	p.equal("due", due(30, 10), []string{"pool/a", "pool/b", "pool/c"})
	p.equal("how many of the due", len(due(30, 2)), 2)
	p.update(func(tx aptrepo.Tx) error {
		noted, err := tx.CancelRemoval("pool/a")
		p.ok("CancelRemoval", err)
		p.equal("noted", noted, true)
		noted, err = tx.CancelRemoval("pool/a")
		p.equal("noted still", noted, false)
		p.ok("ScheduleRemoval again, later", tx.ScheduleRemoval("pool/b", at(50)))
		return err
	})
	p.equal("due", due(40, 10), []string{"pool/c", "pool/d"})
}

func groups(p *probe) {
	ids := p.insert("nginx 1.0 amd64", "nginx 2.0 amd64", "curl 1.0 amd64", "curl 1.0 arm64")
	list := func() (out []string) {
		found, err := p.s.Groups(p.ctx)
		p.ok("Groups", err)
		for _, g := range found {
			out = append(out, fmt.Sprint(g.Name, " ", g.CreatedBy, " ", g.CreatedAt.Equal(at(1)), " ", labels(g.Artifacts)))
		}
		return out
	}
	p.equal("no groups", list(), []string(nil))
	p.update(func(tx aptrepo.Tx) error {
		for _, g := range []aptrepo.Group{
			{Name: "web", CreatedBy: "admin", CreatedAt: at(1)}, {Name: "Net", CreatedBy: "bob", CreatedAt: at(1)},
			{Name: "web", CreatedBy: "eve", CreatedAt: at(9)},
		} {
			p.ok("PutGroup", tx.PutGroup(g))
		}
		for spec, group := range map[string]string{"nginx 1.0 amd64": "web", "nginx 2.0 amd64": "web", "curl 1.0 arm64": "Net"} {
			p.ok("SetGroup", tx.SetGroup(ids[spec], group))
		}
		a, err := tx.Artifact(aptrepo.KeyOf("nginx", "1.0", "amd64"))
		p.equal("Group of an artifact", a.Group, "web")
		return err
	})
	p.equal("Groups", list(), []string{"Net bob true [curl 1.0 arm64]", "web admin true [nginx 2.0 amd64 nginx 1.0 amd64]"})
	p.update(func(tx aptrepo.Tx) error {
		p.ok("SetGroup", tx.SetGroup(ids["nginx 1.0 amd64"], "Net"))
		gone, err := tx.DeleteGroup("web")
		p.equal("DeleteGroup", labels(gone), []string{"nginx 2.0 amd64"})
		return err
	})
	p.is("DeleteGroup again", p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		_, err := tx.DeleteGroup("web")
		return err
	}), aptrepo.ErrGroupNotFound)
	p.equal("Groups", list(), []string{"Net bob true [curl 1.0 arm64 nginx 1.0 amd64]"})
	a, err := p.s.Artifact(p.ctx, aptrepo.KeyOf("nginx", "2.0", "amd64"))
	p.ok("Artifact", err)
	p.equal("Group of an artifact whose group is gone", a.Group, "")
}

func outbox(p *probe) {
	message := func(topic string, second int) aptrepo.Message {
		return aptrepo.Message{Topic: topic, Payload: []byte(`{"n":"\u0000"}`), CreatedAt: at(second)}
	}
	read := func(limit int) (ids []int64, topics []string) {
		list, err := p.s.Outbox(p.ctx, limit)
		p.ok("Outbox", err)
		for i, m := range list {
			p.equal("ascending IDs", i == 0 || m.ID > ids[i-1], true)
			p.equal("message", aptrepo.Message{Topic: m.Topic, Payload: m.Payload, CreatedAt: m.CreatedAt}, message(m.Topic, len(m.Topic)))
			ids, topics = append(ids, m.ID), append(topics, m.Topic)
		}
		return ids, append([]string{}, topics...)
	}
	for _, topic := range []string{"z", "yy", "xxx"} {
		p.update(func(tx aptrepo.Tx) error { return tx.Enqueue(message(topic, len(topic))) })
	}
	err := p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		p.ok("Enqueue", tx.Enqueue(message("refused", 1)))
		return errWanted
	})
	p.equal("error of Update", err, errWanted)
	ids, topics := read(10)
	p.equal("topics", topics, []string{"z", "yy", "xxx"})
	_, topics = read(2)
	p.equal("the oldest two", topics, []string{"z", "yy"})
	p.update(func(tx aptrepo.Tx) error { return tx.DeleteMessages([]int64{ids[1], ids[2] + 1000}) })
	p.update(func(tx aptrepo.Tx) error { return tx.DeleteMessages(nil) })
	_, topics = read(10)
	p.equal("what is left", topics, []string{"z", "xxx"})
	p.update(func(tx aptrepo.Tx) error { return tx.DeleteMessages([]int64{ids[0], ids[2]}) })
	p.update(func(tx aptrepo.Tx) error { return tx.Enqueue(message("w", 1)) })
	later, _ := read(10)
	p.equal("an ID comes once only", later[0] > ids[2], true)
}

// note returns whether Note says that something is news.
func (p *probe) note(name string, second int, since time.Time) (news bool) {
	p.update(func(tx aptrepo.Tx) (err error) {
		news, err = tx.Note(name, at(second), since)
		return err
	})
	return news
}

func notes(p *probe) {
	p.is("a transaction that fails", p.s.Update(p.ctx, func(tx aptrepo.Tx) error {
		_, err := tx.Note("outage", at(0), time.Time{})
		p.ok("Note", err)
		return errWanted
	}), errWanted)
	var told atomic.Int32
	parallel(8, func(i int) {
		if p.note("outage", i, time.Time{}) {
			told.Add(1)
		}
	})
	p.equal("how often the same is news", told.Load(), int32(1))
	p.equal("something else is news", p.note("other", 1, time.Time{}), true)
	p.equal("later", p.note("outage", 100, time.Time{}), false)
}

func notesSince(p *probe) {
	p.note("outage", 10, time.Time{})
	p.equal("it was told of after since", p.note("outage", 20, at(9)), false)
	p.equal("since what was told", p.note("outage", 30, at(10)), true)
	p.equal("the note is a new one", p.note("outage", 40, at(29)), false)
	p.equal("what is no news leaves the note", p.note("outage", 50, at(30)), true)
}

func notesForgotten(p *probe) {
	p.note("outage", 10, time.Time{})
	p.note("other", 10, time.Time{})
	p.update(func(tx aptrepo.Tx) error { return errors.Join(tx.ForgetNote("outage"), tx.ForgetNote("none")) })
	p.equal("a forgotten note", p.note("outage", 11, time.Time{}), true)
	p.equal("one beside it", p.note("other", 11, time.Time{}), false)
}

func signingKeys(p *probe) {
	old := aptrepo.SigningKey{Fingerprint: "AAAA", Private: []byte("old\x00key"), Active: true, CreatedAt: at(1)}
	young := aptrepo.SigningKey{Fingerprint: "0000", Private: []byte("new"), Active: true, CreatedAt: at(2)}
	p.update(func(tx aptrepo.Tx) error {
		p.ok("PutSigningKey", tx.PutSigningKey(old))
		old.Active, old.RetiresAt = false, at(100)
		p.ok("PutSigningKey", tx.PutSigningKey(old))
		p.ok("PutSigningKey", tx.PutSigningKey(young))
		got, err := tx.SigningKeys()
		p.equal("Tx.SigningKeys", got, []aptrepo.SigningKey{young, old})
		return err
	})
	got, err := p.s.SigningKeys(p.ctx)
	p.ok("SigningKeys", err)
	p.equal("SigningKeys, newest first", got, []aptrepo.SigningKey{young, old})
}

// chain checks that entries are whole and count from 1 to n.
func (p *probe) chain(entries []aptrepo.AuditEntry, n int) {
	p.equal("audit entries", len(entries), n)
	prev := ""
	for i, e := range entries {
		p.equal("ID", e.ID, int64(i+1))
		hash, err := e.Chain(prev)
		p.ok("Chain", err)
		p.equal("hash of entry "+strconv.FormatInt(e.ID, 10), e.Hash, hash)
		prev = e.Hash
	}
}

func auditChain(p *probe) {
	want := aptrepo.AuditEntry{
		ID: 1, Time: at(3), Action: "package.upload", User: "token:ci", IP: "192.0.2.7", Result: aptrepo.ResultSuccess,
		Target: "jammy", Package: "nginx", Version: "1.24.0", Detail: "Größe <&> \u2028", RequestID: "req-1",
	}
	p.update(func(tx aptrepo.Tx) error {
		e := want
		e.ID, e.Hash = 99, "ignored"
		e.Time = e.Time.Add(999_999_999)
		return tx.Audit(e)
	})
	const n = 30
	parallel(n, func(i int) {
		p.update(func(tx aptrepo.Tx) error {
			p.ok("Audit", tx.Audit(aptrepo.AuditEntry{Time: at(i), Action: strconv.Itoa(i)}))
			return tx.Audit(aptrepo.AuditEntry{Time: at(i), Action: strconv.Itoa(i)})
		})
	})
	entries, err := p.s.AuditEntries(p.ctx, 0, 1000)
	p.ok("AuditEntries", err)
	p.chain(entries, 1+2*n)
	if len(entries) > 0 {
		entries[0].Hash = ""
		p.equal("first entry", entries[0], want)
	}
	some, err := p.s.AuditEntries(p.ctx, 10, 5)
	p.ok("AuditEntries", err)
	var ids []int64
	for _, e := range some {
		ids = append(ids, e.ID)
	}
	p.equal("entries after 10, at most 5", ids, []int64{11, 12, 13, 14, 15})
}

// What is audited may come from an attacker: any text is recorded, in a form
// that the hash is over.
func auditText(p *probe) {
	p.update(func(tx aptrepo.Tx) error {
		return tx.Audit(aptrepo.AuditEntry{Time: epoch, Action: "auth.login", Target: "a\x00b\xff\xfec", Detail: "\x1b[2J\r\n"})
	})
	p.update(func(tx aptrepo.Tx) error { return tx.Audit(aptrepo.AuditEntry{Time: epoch}) })
	entries, err := p.s.AuditEntries(p.ctx, 0, 10)
	p.ok("AuditEntries", err)
	p.chain(entries, 2)
}
