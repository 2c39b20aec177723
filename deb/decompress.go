package deb

import "io"

// Decompress returns a reader of what r holds compressed with c: an index of
// an archive, say. Of l it takes Dictionary and Window, which bound its memory;
// how much is read is for the caller to bound. Reading to io.EOF verifies all
// checksums of the stream and that nothing follows it; streams of several
// members or frames are read to the end of the last. Faults are *FormatError.
// Close frees memory and does not close r. It must not be used by two
// goroutines at once.
func Decompress(r io.Reader, c Compression, l Limits) (io.ReadCloser, error) {
	d, err := decompress(r, c, l.filled())
	if err != nil {
		return nil, err
	}
	return closer{d}, nil
}

type closer struct{ *decompressed }

func (c closer) Close() error {
	c.close()
	return nil
}
