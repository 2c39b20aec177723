package vuln

import (
	"fmt"
	"io"
	"strings"

	"github.com/repod-io/repod/deb"
)

// trackerEntry is what Debian's tracker says of a vulnerability in a source
// package.
type trackerEntry struct {
	Description string                    `json:"description"`
	Releases    map[string]trackerRelease `json:"releases"`
}

type trackerRelease struct {
	Status       string  `json:"status"`
	FixedVersion string  `json:"fixed_version"`
	Urgency      string  `json:"urgency"`
	NoDSA        *string `json:"nodsa"`
	NoDSAReason  *string `json:"nodsa_reason"`
}

// readTracker reads the JSON of Debian's security tracker: source package ->
// vulnerability -> entry.
func readTracker(r io.Reader, out *segmentWriter, t *tally) error {
	j := newJSONReader(r, t.limits.value())
	err := j.members(func(source string) error {
		return j.members(func(id string) error {
			var e trackerEntry
			if err := j.decode(&e); err != nil {
				return fmt.Errorf("%s of %s: %w", plain(id, 40), plain(source, 40), err)
			}
			if !validWord(source, maxName) || !validID(id) {
				return t.skip()
			}
			if err := e.write(out, source, id); err != nil {
				return t.skip()
			}
			return t.count(makeVulnID(source + "\x00" + id))
		})
	})
	if err != nil {
		return err
	}
	return j.end()
}

// write writes the rows of an entry, or nothing if one of them makes no sense.
// Releases that are not affected have none.
func (e trackerEntry) write(out *segmentWriter, source, id string) error {
	rows := make(map[string]row, len(e.Releases))
	for codename, release := range e.Releases {
		r, affected, err := release.row()
		if err != nil || !validWord(codename, maxName) {
			return fmt.Errorf("release %s: %w", codename, err)
		}
		if affected {
			rows[codename] = r
		}
	}
	if len(rows) == 0 {
		return out.err
	}
	ref := out.detail(detail{
		id: id, description: plain(e.Description, maxDescription),
		urls: []string{"https://security-tracker.debian.org/tracker/" + id},
	})
	for codename, r := range rows {
		r.vulns, r.ref = []vulnID{makeVulnID(id)}, ref
		out.row(codename, source, r)
	}
	return out.err
}

// row turns the tracker's words into a row. A status that is not known is an
// error: it might mean anything.
func (t trackerRelease) row() (r row, affected bool, err error) {
	r.rating = parseRating(t.Urgency)
	switch t.Status {
	case "resolved":
		if t.FixedVersion == "0" {
			return row{}, false, nil
		}
		if _, err := deb.ParseVersion(t.FixedVersion); err != nil {
			return row{}, false, err
		}
		r.intervals = []interval{{to: t.FixedVersion, end: fixedAt}}
		return r, true, nil
	case "undetermined":
		r.plan = planInvestigate
	case "open":
		r.plan, r.note = t.plan()
	default:
		return row{}, false, fmt.Errorf("status %q is not known", t.Status)
	}
	r.intervals = []interval{{}}
	return r, true, nil
}

// plan tells what becomes of an open vulnerability. The tracker has the text in
// nodsa, and in nodsa_reason why: "" (the flaw is minor), "postponed" or
// "ignored".
func (t trackerRelease) plan() (plan, string) {
	reason, text := "", ""
	if t.NoDSAReason != nil {
		reason = *t.NoDSAReason
	}
	if t.NoDSA != nil {
		text = plain(*t.NoDSA, maxNote)
	}
	switch {
	case strings.HasPrefix(t.Urgency, "end-of-life"):
		return planEnded, text
	case reason == "ignored":
		return planIgnore, text
	case reason == "postponed":
		return planDefer, text
	case t.NoDSA != nil:
		return planDefer, text
	}
	return planFix, ""
}
