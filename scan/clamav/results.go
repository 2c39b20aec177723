package clamav

import (
	"math"

	"github.com/repod-io/repod/scan"
)

// results are the first answer of each kind other than OK. A nil map is an
// empty one to read.
type results map[scan.MalwareStatus]result

type result struct {
	number uint32 // of the file in its session
	scan.Malware
}

// add takes note of an answer about the file at path.
func (rs *results) add(path string, r reply) {
	m := scan.Malware{Path: path}
	switch r.kind {
	case ok, version:
		return
	case found:
		m.Status, m.Signature = scan.Infected, r.text
		if why, is := notMalware(r.text); is {
			m = scan.Malware{Status: scan.Incomplete, Path: path, Detail: why}
		}
	case limited:
		m.Status, m.Detail = scan.Incomplete, "it is longer than clamd takes (StreamMaxLength)"
	default:
		m.Status, m.Detail = scan.Failed, "clamd could not scan it: "+r.text
	}
	rs.put(result{r.number, m})
}

// put keeps the file that comes first in the package, whichever answer came
// first: a second scan then reports the same.
func (rs *results) put(r result) {
	if *rs == nil {
		*rs = results{}
	}
	if old, is := (*rs)[r.Status]; !is || r.number < old.number {
		(*rs)[r.Status] = r
	}
}

func (rs *results) incomplete(path, why string) {
	rs.put(result{1, scan.Malware{Status: scan.Incomplete, Path: path, Detail: why}})
}

// failed takes note of a failure after all files.
func (rs *results) failed(why string) {
	rs.put(result{math.MaxUint32, scan.Malware{Status: scan.Failed, Detail: why}})
}

// merge adds the results of a later session.
func (rs *results) merge(later results) {
	for status, r := range later {
		if _, is := (*rs)[status]; !is {
			rs.put(r)
		}
	}
}

func (rs results) infected() bool {
	_, is := rs[scan.Infected]
	return is
}

// malware returns the strictest result.
func (rs results) malware() scan.Malware {
	for _, status := range []scan.MalwareStatus{scan.Infected, scan.Incomplete, scan.Failed} {
		if r, is := rs[status]; is {
			return r.Malware
		}
	}
	return scan.Malware{Status: scan.Clean}
}
