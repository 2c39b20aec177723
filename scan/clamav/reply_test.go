package clamav

import (
	"fmt"
	"strings"
	"testing"
)

func FuzzReply(f *testing.F) {
	for _, seed := range []string{
		"1: ClamAV 1.4.6", "1: ClamAV 1.4.3/27969/Tue May 12 06:24:30 2026", "2: stream: OK", "3: stream: Win.Test.EICAR_HDB-1 FOUND",
		"4: INSTREAM size limit exceeded. ERROR", "5: stream: Can't open file ERROR", "6: Command invalid inside IDSESSION. ERROR",
		"stream: OK", "0: stream: OK", "4294967296: stream: OK", "7: stream:  FOUND", "8: stream: x OK FOUND",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parseReply(line)
		if err != nil {
			return
		}
		if r.number == 0 || !strings.HasPrefix(line, fmt.Sprint(r.number, ": ")) {
			t.Errorf("%q: number %d", line, r.number)
		}
		// Nothing else may ever be taken for an OK.
		if (r.kind == ok) != (line == fmt.Sprintf("%d: stream: OK", r.number)) {
			t.Errorf("%q: %+v", line, r)
		}
		if r.kind == found && (r.text == "" || line != fmt.Sprintf("%d: stream: %s FOUND", r.number, r.text)) {
			t.Errorf("%q: %+v", line, r)
		}
		if !printable(r.text) {
			t.Errorf("%q: %+v", line, r)
		}
		if r.kind == version {
			engineName(r.text)
			if st, err := parseVersion(r.text); err == nil && (!st.Available || st.EngineVersion == "") {
				t.Errorf("%q: %+v", line, st)
			}
		}
	})
}
