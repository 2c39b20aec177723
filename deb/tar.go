package deb

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"time"
)

const tarBlock = 512

// Entry types of a tar header.
const (
	tarRegular    = '0'
	tarRegularOld = 0
	tarHardlink   = '1'
	tarSymlink    = '2'
	tarCharDevice = '3'
	tarBlkDevice  = '4'
	tarDirectory  = '5'
	tarFIFO       = '6'
	tarLongLink   = 'K' // GNU: the next entry's link target
	tarLongName   = 'L' // GNU: the next entry's name
	tarSparse     = 'S'
	tarPax        = 'x'
	tarPaxGlobal  = 'g'
	tarPaxSolaris = 'X'
)

// tarHeader is what a header block says, with names as in the archive.
type tarHeader struct {
	name, link   string
	typeflag     byte
	mode         int64
	uid, gid     int64
	size         int64
	mtime        int64
	owner, group string
}

// tarReader reads the entries of control.tar or data.tar. It knows the formats
// that dpkg unpacks (V7, POSIX ustar and GNU with long names) and refuses the
// others, because programs differ in what they make of them.
type tarReader struct {
	r       io.Reader
	later   func() bool // see decompressed
	begun   bool
	maxName int
	left    int64 // unread content of the current entry
	pad     int64 // zeros after it
	err     error // sticky
}

// next returns the next entry's header, and io.EOF at the end of a sound
// archive, when the whole input was read.
func (t *tarReader) next() (tarHeader, error) {
	if t.err != nil {
		return tarHeader{}, t.err
	}
	h, err := t.readEntry()
	t.err = err
	return h, err
}

// readEntry reads a header and the GNU long names in front of it.
func (t *tarReader) readEntry() (tarHeader, error) {
	var longName, longLink *string
	for {
		h, err := t.readHeader()
		if errors.Is(err, io.EOF) && (longName != nil || longLink != nil) {
			err = malformed("tar-long-name", "a long name without an entry")
		}
		if err != nil {
			return tarHeader{}, err
		}
		switch h.typeflag {
		case tarLongName:
			longName, err = t.readLongName(h, longName)
		case tarLongLink:
			longLink, err = t.readLongName(h, longLink)
		default:
			if longName != nil {
				h.name = *longName
			}
			if longLink != nil {
				h.link = *longLink
			}
			return h, checkType(h)
		}
		if err != nil {
			return tarHeader{}, err
		}
	}
}

// readLongName reads the content of an L or K entry: a path and one NUL.
func (t *tarReader) readLongName(h tarHeader, before *string) (*string, error) {
	if before != nil {
		return nil, malformed("tar-long-name", "two long names for one entry")
	}
	if h.size > int64(t.maxName)+1 {
		return nil, tooLarge("tar-name-too-long", "a path of %d bytes, at most %d are allowed", h.size-1, t.maxName)
	}
	b, err := io.ReadAll(t)
	if err != nil {
		return nil, err
	}
	name := strings.TrimRight(string(b), "\x00")
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return nil, malformed("tar-long-name", "a long name is empty or holds a NUL")
	}
	return &name, nil
}

// readHeader reads the next header block.
func (t *tarReader) readHeader() (tarHeader, error) {
	if err := t.skip(); err != nil {
		return tarHeader{}, err
	}
	var block [tarBlock]byte
	n, err := io.ReadFull(t.r, block[:])
	atEnd := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	switch {
	case err != nil && !atEnd:
		return tarHeader{}, err
	case t.later():
		return tarHeader{}, malformed("several-streams", "the archive goes on behind the first stream or frame, where dpkg does not read")
	case n > 0 && atEnd:
		return tarHeader{}, malformed("tar-truncated", "the archive ends within a header")
	case atEnd && !t.begun:
		return tarHeader{}, malformed("tar-truncated", "there is no archive")
	case atEnd:
		return tarHeader{}, io.EOF // dpkg and tar take an archive without end marker
	}
	t.begun = true
	if block == [tarBlock]byte{} {
		return tarHeader{}, t.readEnd()
	}
	h, err := parseTarHeader(block[:])
	if err != nil {
		return tarHeader{}, err
	}
	t.left = h.size
	t.pad = -h.size & (tarBlock - 1)
	return h, nil
}

// readEnd reads what follows the first empty block and returns io.EOF when it
// is nothing but zeros.
func (t *tarReader) readEnd() error {
	var zeros, buf [8192]byte
	for {
		n, err := t.r.Read(buf[:])
		if !bytes.Equal(buf[:n], zeros[:n]) {
			return malformed("tar-trailing-data", "data follows the end of the archive")
		}
		if err != nil {
			return err
		}
	}
}

// skip moves to the end of the current entry.
func (t *tarReader) skip() error {
	if _, err := io.Copy(io.Discard, t); err != nil {
		return err
	}
	n, err := io.CopyN(io.Discard, t.r, t.pad)
	t.pad -= n
	if errors.Is(err, io.EOF) {
		return malformed("tar-truncated", "the archive ends within an entry")
	}
	return err
}

// Read reads the content of the current entry.
func (t *tarReader) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > t.left {
		p = p[:t.left]
	}
	n, err := t.r.Read(p)
	t.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if t.left > 0 {
			err = malformed("tar-truncated", "the archive ends %d bytes before an entry does", t.left)
		}
	}
	t.err = err
	return n, err
}

// checkType refuses what dpkg does not unpack, and what readers of tar archives
// treat differently.
func checkType(h tarHeader) error {
	switch h.typeflag {
	case tarRegular, tarRegularOld, tarHardlink, tarSymlink, tarDirectory:
	case tarSparse:
		return malformed("tar-sparse", "sparse files are not allowed: %s", quote(h.name))
	case tarPax, tarPaxGlobal, tarPaxSolaris:
		return malformed("tar-pax", "pax headers are not allowed, dpkg does not unpack them: build with tar --format=gnu")
	case tarCharDevice, tarBlkDevice, tarFIFO:
		return malformed("tar-device", "devices and pipes are not allowed in packages (Policy 10.6): %s", quote(h.name))
	default:
		return malformed("tar-type", "unknown entry type %q: %s", h.typeflag, quote(h.name))
	}
	if h.size != 0 && h.typeflag != tarRegular && h.typeflag != tarRegularOld {
		return malformed("tar-size", "a directory or link has a size: %s", quote(h.name))
	}
	return nil
}

// entryType returns the type of file that an accepted header stands for.
func (h tarHeader) entryType() FileType {
	switch h.typeflag {
	case tarHardlink:
		return Hardlink
	case tarSymlink:
		return Symlink
	case tarDirectory:
		return Directory
	case tarRegularOld:
		if strings.HasSuffix(h.name, "/") {
			return Directory // as V7 tar wrote them
		}
	}
	return Regular
}

func (h tarHeader) modTime() time.Time { return time.Unix(h.mtime, 0).UTC() }
