package deb_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
	"github.com/repod-io/repod/deb/debtest"
)

func TestDecompress(t *testing.T) {
	text := []byte(strings.Repeat("some text\n", 10_000))
	for c, packing := range map[deb.Compression]debtest.Compression{
		deb.Uncompressed: debtest.None, deb.Gzip: debtest.Gzip, deb.XZ: debtest.XZ, deb.Zstd: debtest.Zstd,
	} {
		packed := debtest.Compress(packing, text)
		open := func(data []byte, l deb.Limits) ([]byte, error) {
			r, err := deb.Decompress(bytes.NewReader(data), c, l)
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return io.ReadAll(r)
		}
		if got, err := open(packed, deb.Limits{}); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%q: %d bytes, %v", c, len(got), err)
		}
		if c == deb.Uncompressed {
			continue
		}
		// Indices of archives may consist of several members, streams or frames.
		if got, err := open(append(bytes.Clone(packed), packed...), deb.Limits{}); err != nil || len(got) != 2*len(text) {
			t.Errorf("%q twice: %d bytes, %v", c, len(got), err)
		}
		var fault *deb.FormatError
		for name, data := range map[string][]byte{
			"empty": nil, "cut": packed[:len(packed)-1], "other": []byte("Package: hello\n"), "more": append(bytes.Clone(packed), 'x'),
		} {
			if _, err := open(data, deb.Limits{}); !errors.As(err, &fault) {
				t.Errorf("%q, %s: error %v", c, name, err)
			}
		}
		if c == deb.Gzip {
			continue // whose window is 32 KiB
		}
		if _, err := open(packed, deb.Limits{Dictionary: 1 << 10, Window: 1 << 10}); !errors.Is(err, deb.ErrTooLarge) {
			t.Errorf("%q, with little memory: error %v", c, err)
		}
	}
}
