package index

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrRelease marks a Release that cannot be written, or text that is not a
// Release file.
var ErrRelease = errors.New("malformed Release")

// A FileEntry describes one index file, as a Release file lists it.
type FileEntry struct {
	// Path is relative to the directory of the Release file,
	// "main/binary-amd64/Packages.gz".
	Path   string
	Size   int64  // bytes
	SHA256 string // lower-case hexadecimal
	MD5    string // lower-case hexadecimal; may be empty
}

// ByHash returns the path under which clients ask for the file when the
// Release says Acquire-By-Hash, "main/binary-amd64/by-hash/SHA256/e3b0...".
func (f FileEntry) ByHash() string {
	return path.Join(path.Dir(f.Path), "by-hash", "SHA256", f.SHA256)
}

// A Release is the head of a distribution: its names, and the index files that
// belong to one state of it. The fields are those of Debian's repository
// format; empty ones are left out.
type Release struct {
	Origin      string
	Label       string
	Suite       string
	Codename    string
	Description string

	// Date is when the state was made, in whole seconds. Clients keep what
	// they have when it goes back, without telling their users.
	Date time.Time
	// ValidUntil, when not zero, is when clients begin to refuse the state.
	ValidUntil time.Time

	// SignedBy are the fingerprints of the keys of which one must have signed the
	// next state, in upper-case hexadecimal; none: any that the client trusts. apt
	// heeds it where its own configuration names no keys for the repository, and
	// while ValidUntil has not passed; without ValidUntil, not at all.
	SignedBy []string

	Architectures []string
	Components    []string
	// AcquireByHash says that files can also be had by FileEntry.ByHash.
	AcquireByHash bool
	// AllInEach says that the Packages file of each architecture has the
	// packages for all architectures, so that clients need no binary-all
	// ("No-Support-for-Architecture-all: Packages").
	AllInEach bool

	// Files lists index files. apt looks only for files of which the plain
	// form is listed too, even where only a compressed one exists.
	Files []FileEntry
}

// dateFormat is that of Debian Policy 5.6.17 as apt wants it in Release files.
const dateFormat = "Mon, 02 Jan 2006 15:04:05 UTC"

// AppendTo appends the Release file to dst. The same Release gives the same
// bytes, whatever the order of Files. A value that would not read back as it
// is, for instance because it contains a line end, is [ErrRelease].
//
// SHA256 is given for all files, MD5Sum for those that have one.
func (r *Release) AppendTo(dst []byte) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	dst = appendField(dst, "Origin", r.Origin)
	dst = appendField(dst, "Label", r.Label)
	dst = appendField(dst, "Suite", r.Suite)
	dst = appendField(dst, "Codename", r.Codename)
	dst = appendField(dst, "Date", formatDate(r.Date))
	dst = appendField(dst, "Valid-Until", formatDate(r.ValidUntil))
	dst = appendField(dst, "Signed-By", strings.Join(r.SignedBy, ","))
	if r.AcquireByHash {
		dst = appendField(dst, "Acquire-By-Hash", "yes")
	}
	if r.AllInEach {
		dst = appendField(dst, "No-Support-for-Architecture-all", "Packages")
	}
	dst = appendField(dst, "Architectures", strings.Join(r.Architectures, " "))
	dst = appendField(dst, "Components", strings.Join(r.Components, " "))
	dst = appendField(dst, "Description", r.Description)

	files := slices.SortedFunc(slices.Values(r.Files), func(a, b FileEntry) int {
		return cmp.Compare(a.Path, b.Path)
	})
	dst = appendSums(dst, "MD5Sum", files, func(f *FileEntry) string { return f.MD5 })
	dst = appendSums(dst, "SHA256", files, func(f *FileEntry) string { return f.SHA256 })
	return dst, nil
}

// AppendPart appends the small Release file that lies beside the Packages
// files of one component and architecture ("main/binary-amd64/Release"). apt
// does not read it, but installers and mirroring tools do.
func (r *Release) AppendPart(dst []byte, component, architecture string) ([]byte, error) {
	part := Release{Components: []string{component}, Architectures: []string{architecture}}
	if err := cmp.Or(r.check(), part.checkWords()); err != nil {
		return nil, err
	}
	dst = appendField(dst, "Archive", r.Suite)
	dst = appendField(dst, "Origin", r.Origin)
	dst = appendField(dst, "Label", r.Label)
	if r.AcquireByHash {
		dst = appendField(dst, "Acquire-By-Hash", "yes")
	}
	dst = appendField(dst, "Component", component)
	return appendField(dst, "Architecture", architecture), nil
}

func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return fmt.Appendf(dst, "%s: %s\n", name, value)
}

func appendSums(dst []byte, name string, files []FileEntry, sum func(*FileEntry) string) []byte {
	if !slices.ContainsFunc(files, func(f FileEntry) bool { return sum(&f) != "" }) {
		return dst
	}
	dst = append(append(dst, name...), ":\n"...)
	for i := range files {
		if s := sum(&files[i]); s != "" {
			dst = fmt.Appendf(dst, " %s %16d %s\n", s, files[i].Size, files[i].Path)
		}
	}
	return dst
}

func formatDate(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(dateFormat)
}

// check makes sure that the Release reads back as it is.
func (r *Release) check() error {
	for _, f := range []struct{ name, value string }{
		{"Origin", r.Origin}, {"Label", r.Label}, {"Suite", r.Suite},
		{"Codename", r.Codename}, {"Description", r.Description},
	} {
		if err := checkLine(f.value); err != nil {
			return fmt.Errorf("%w: %s %w", ErrRelease, f.name, err)
		}
	}
	for _, t := range []time.Time{r.Date, r.ValidUntil} {
		if y := t.UTC().Year(); !t.IsZero() && (y < 1970 || y > 9999) {
			return fmt.Errorf("%w: date in the year %d", ErrRelease, y)
		}
	}
	if err := r.checkWords(); err != nil {
		return err
	}
	for _, f := range r.SignedBy {
		if !isFingerprint(f) {
			return fmt.Errorf("%w: %q is not the fingerprint of a key", ErrRelease, f)
		}
	}
	seen := make(map[string]bool, len(r.Files))
	for i := range r.Files {
		f := &r.Files[i]
		if err := f.check(); err != nil {
			return fmt.Errorf("%w: file %q: %w", ErrRelease, f.Path, err)
		}
		if seen[f.Path] {
			return fmt.Errorf("%w: file %q: listed twice", ErrRelease, f.Path)
		}
		seen[f.Path] = true
	}
	return nil
}

func (r *Release) checkWords() error {
	for _, list := range [][]string{r.Architectures, r.Components} {
		for _, w := range list {
			if err := checkWord(w); err != nil {
				return fmt.Errorf("%w: architecture or component %q %w", ErrRelease, w, err)
			}
		}
	}
	return nil
}

func (f *FileEntry) check() error {
	switch {
	case f.Size < 0:
		return errors.New("negative size")
	case !isHex(f.SHA256, 64):
		return errors.New("no SHA-256 in lower-case hexadecimal")
	case f.MD5 != "" && !isHex(f.MD5, 32):
		return errors.New("MD5 not in lower-case hexadecimal")
	}
	return checkPath(f.Path)
}

// checkPath takes relative paths of which every client makes the same file.
func checkPath(p string) error {
	if err := checkWord(p); err != nil {
		return fmt.Errorf("path %w", err)
	}
	if p[0] == '/' || p != path.Clean(p) || p == "." || p == ".." || strings.HasPrefix(p, "../") ||
		strings.Contains(p, `\`) {
		return errors.New("path leads out of its directory or is not in its simplest form")
	}
	return nil
}

func checkWord(s string) error {
	if s == "" {
		return errors.New("is empty")
	}
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return errors.New("contains a space")
	}
	return checkLine(s)
}

func checkLine(s string) error {
	switch {
	case !utf8.ValidString(s):
		return errors.New("is not UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }):
		return errors.New("contains a line end or another control character")
	case strings.TrimSpace(s) != s:
		return errors.New("begins or ends with a space")
	}
	return nil
}

// isFingerprint takes those of keys of version 4, which are all that clients
// verify.
func isFingerprint(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789ABCDEF") == ""
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
