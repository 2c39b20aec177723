package deb

import (
	"slices"
	"strings"
)

// scripts are the control files that dpkg or debconf run (Policy 6.1,
// debconf-devel(7)).
var scripts = []string{"preinst", "postinst", "prerm", "postrm", "config"}

// controlFiles collects the entries of control.tar.
type controlFiles struct {
	rd        *packageReader
	seen      map[string]bool
	control   []byte
	conffiles []byte
}

// add takes one entry. Control files lie flat in one directory: dpkg refuses
// directories among them, and has no use for links.
func (c *controlFiles) add(f File, t *tarReader) error {
	if f.Type == Directory && f.Path == "." {
		if f.Mode&0o700 != 0o700 {
			// Some versions of dpkg-deb leave their temporary files behind then
			// (CVE-2025-6297).
			return malformed("control-directory-mode", "the directory of the control files is not accessible to its owner")
		}
		return nil
	}
	if f.Type != Regular {
		return malformed("control-not-a-file", "%s is a %s: control files are regular files", quote(f.Path), f.Type)
	}
	if strings.IndexByte(f.Path, '/') >= 0 || !validControlFileName(f.Path) {
		return malformed("control-file-name", "%s is no name for a control file", quote(f.Path))
	}
	if c.seen[f.Path] {
		return malformed("tar-duplicate", "the control file %s occurs twice", quote(f.Path))
	}
	c.seen[f.Path] = true
	pkg := c.rd.pkg
	pkg.ControlFiles = append(pkg.ControlFiles, f.Path)
	if slices.Contains(scripts, f.Path) {
		pkg.Scripts = append(pkg.Scripts, f.Path)
	}
	return c.read(f, t)
}

func (c *controlFiles) read(f File, t *tarReader) (err error) {
	switch {
	case f.Path == "control":
		c.control, err = c.rd.readFile(f, t, c.rd.limits.ControlFile)
	case f.Path == "conffiles":
		c.conffiles, err = c.rd.readFile(f, t, c.rd.limits.ControlFile)
	case f.Path == "md5sums" && c.rd.opts.MD5Sums:
		c.rd.md5sums, err = c.rd.readFile(f, t, c.rd.limits.Control)
	default:
		err = c.rd.visit(f, t, t)
	}
	return err
}

func validControlFileName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !isLetter(c) && !isDigit(c) && strings.IndexByte("._+-", c) < 0 {
			return false
		}
	}
	return len(name) <= 100 // as dpkg
}

// finish interprets the files once all were read.
func (c *controlFiles) finish() error {
	if !c.seen["control"] {
		return malformed("control-missing", "there is no control file")
	}
	pkg := c.rd.pkg
	stanza, err := ParseStanza(c.control)
	if err == nil {
		err = pkg.setControl(stanza)
	}
	if err != nil {
		return prefixed(err, "control")
	}
	if pkg.Conffiles, err = parseConffiles(string(c.conffiles)); err != nil {
		return prefixed(err, "conffiles")
	}
	if c.rd.opts.MD5Sums {
		pkg.MD5Sums = parseMD5Sums(string(c.rd.md5sums))
		c.rd.md5sums = nil
	}
	return nil
}

// prefixed says which control file an error is about.
func prefixed(err error, file string) error {
	if f, ok := err.(*FormatError); ok {
		f.Detail = file + ": " + f.Detail
	}
	return err
}

// parseConffiles reads the list of configuration files as dpkg does: an
// absolute path per line, with a flag before it in some.
func parseConffiles(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	if !strings.HasSuffix(text, "\n") {
		return nil, malformed("conffiles", "the last line does not end in a newline")
	}
	var paths []string
	seen := map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		path := strings.TrimPrefix(strings.TrimRight(line, " \t"), "remove-on-upgrade ")
		rel, ok := strings.CutPrefix(path, "/")
		if !ok {
			return nil, malformed("conffiles", "%s is no absolute path", quote(line))
		}
		if _, err := entryPath(rel, false, 4096); err != nil {
			return nil, malformed("conffiles", "%s is no path in simplest form", quote(line))
		}
		if !seen[path] {
			seen[path] = true
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// parseMD5Sums reads the output of md5sum: digest, two characters, path.
func parseMD5Sums(text string) map[string]string {
	sums := make(map[string]string)
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) < 35 || line[32] != ' ' || line[33] != ' ' && line[33] != '*' {
			continue
		}
		digest := strings.ToLower(line[:32])
		if strings.Trim(digest, "0123456789abcdef") != "" {
			continue
		}
		if path, err := entryPath(strings.TrimPrefix(line[34:], "/"), false, 4096); err == nil {
			sums[path] = digest
		}
	}
	return sums
}
