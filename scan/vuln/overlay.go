package vuln

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// readKEV reads CISA's catalogue of known exploited vulnerabilities.
func readKEV(r io.Reader, out *segmentWriter, t *tally) error {
	j := newJSONReader(r, t.limits.value())
	found := false
	err := j.members(func(name string) error {
		switch name {
		case "dateReleased":
			var date word
			err := j.decode(&date)
			t.newest(parseDate(string(date)))
			return err
		case "vulnerabilities":
			found = true
			return j.exploited(out, t)
		}
		var ignored any
		return j.decode(&ignored)
	})
	switch {
	case err != nil:
		return err
	case !found:
		return errors.New("there is no list of vulnerabilities")
	}
	return j.end()
}

func (j *jsonReader) exploited(out *segmentWriter, t *tally) error {
	if err := j.open('['); err != nil {
		return err
	}
	for j.more() {
		var entry struct {
			ID string `json:"cveID"`
		}
		if err := j.decode(&entry); err != nil {
			return err
		}
		id, ok := parseCVE(entry.ID)
		if !ok {
			if err := t.skip(); err != nil {
				return err
			}
			continue
		}
		if err := t.count(id); err != nil {
			return err
		}
		out.mark(id, 1)
	}
	_, err := j.token()
	return err
}

// parseDate reads the spellings of dates that feeds have; the zero time is none.
func parseDate(s string) time.Time {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05-0700", "2006-01-02"} {
		if date, err := time.Parse(layout, s); err == nil {
			return date
		}
	}
	return time.Time{}
}

// maxLine bounds a line of the table, which has some forty bytes.
const maxLine = 4096

// readEPSS reads the table of exploit probabilities: a comment with the date, a
// head, and lines of CVE, probability and percentile.
func readEPSS(r io.Reader, out *segmentWriter, t *tally) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	head := false
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		switch comment, ok := strings.CutPrefix(line, "#"); {
		case ok && !head:
			t.newest(epssDate(comment))
			continue
		case line == "" && head:
			continue
		}
		fields, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil || len(fields) < 2 {
			return fmt.Errorf("line %d is not what it should be", n)
		}
		if !head {
			if fields[0] != "cve" || fields[1] != "epss" {
				return fmt.Errorf("line %d names other columns than cve and epss", n)
			}
			head = true
			continue
		}
		if err := takeEPSS(fields, out, t); err != nil {
			return err
		}
	}
	if !head && lines.Err() == nil {
		return io.ErrUnexpectedEOF
	}
	return lines.Err()
}

func takeEPSS(fields []string, out *segmentWriter, t *tally) error {
	id, ok := parseCVE(fields[0])
	p, err := strconv.ParseFloat(fields[1], 32)
	if !ok || err != nil || !(p >= 0 && p <= 1) {
		return t.skip()
	}
	out.mark(id, math.Float32bits(float32(p)))
	return t.count(id)
}

// epssDate finds score_date in "model_version:v2025.03.14,score_date:2026-05-12T12:55:00Z".
func epssDate(comment string) time.Time {
	for field := range strings.SplitSeq(comment, ",") {
		if date, ok := strings.CutPrefix(strings.TrimSpace(field), "score_date:"); ok {
			return parseDate(date)
		}
	}
	return time.Time{}
}
