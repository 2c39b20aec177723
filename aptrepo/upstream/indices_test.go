package upstream

import (
	"bytes"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// I13: of a file that opens to more than was signed, nothing beyond that is
// written.
func TestUnpackIsBounded(t *testing.T) {
	const size, signed = 32 << 20, 1 << 20
	for c, packed := range map[deb.Compression][]byte{
		deb.Gzip: debtest.Compress(debtest.Gzip, make([]byte, size)),
		deb.Zstd: debtest.Compress(debtest.Zstd, make([]byte, size)),
	} {
		var out counter
		err := unpack(t.Context(), &out, bytes.NewReader(packed), c, index.FileEntry{Size: signed})
		if !isCode(err, HashMismatch) || out > signed {
			t.Errorf("%s: %d bytes written, error %v", c, out, err)
		}
	}
}
