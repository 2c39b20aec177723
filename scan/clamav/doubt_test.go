package clamav

import "testing"

// An entry that is encrypted is seen however the bytes come.
func TestLookAcrossWrites(t *testing.T) {
	content := []byte("PK\x03\x04\x14\x00\x00\x00....plain....PK\x03\x04\x14\x00\x09\x00....")
	for size := 1; size <= len(content); size++ {
		var l look
		for at := 0; at < len(content); at += size {
			l.see(content[at:min(at+size, len(content))])
		}
		if !l.encrypted {
			t.Errorf("not seen in steps of %d bytes", size)
		}
	}
	var l look
	l.see([]byte("no zip file PK\x03\x04\x14\x00\x09\x00"))
	if l.encrypted {
		t.Error("seen in what is no zip file")
	}
}
