package deb

import (
	"crypto/sha256"
	"strings"
	"unicode/utf8"
)

// maxPaths bounds the paths and link targets of a data.tar together. 500,000
// entries of ordinary length have a tenth of that.
const maxPaths = 256 * mib

// entryPath turns the name of an entry into a path below the root, without "./"
// in front and slash at the end; the root itself is ".". It refuses names that
// are absolute or have other spellings of the same path.
func entryPath(name string, dir bool, maxName int) (string, error) {
	if err := checkPathText(name, maxName); err != nil {
		return "", err
	}
	path := strings.TrimPrefix(name, "./")
	if dir {
		path = strings.TrimSuffix(path, "/")
	}
	if (path == "" || path == ".") && dir && name != "/" {
		return ".", nil
	}
	if strings.HasPrefix(path, "/") || name == "/" {
		return "", malformed("tar-absolute-path", "the path %s is absolute", quote(name))
	}
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "..":
			return "", malformed("tar-parent-path", "the path %s leads upwards", quote(name))
		case "", ".":
			return "", malformed("tar-unclean-path", "the path %s is not in simplest form", quote(name))
		}
	}
	return path, nil
}

// checkPathText refuses names that dpkg's own lists of files cannot hold, and
// encodings that Policy 10.10 rules out.
func checkPathText(name string, maxName int) error {
	switch {
	case name == "":
		return malformed("tar-empty-name", "an entry or link has no name")
	case len(name) > maxName:
		return tooLarge("tar-name-too-long", "a path of %d bytes, at most %d are allowed", len(name), maxName)
	case !utf8.ValidString(name):
		return malformed("tar-name-encoding", "the path %s is not valid UTF-8 (Policy 10.10)", quote(name))
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return malformed("tar-name-character", "the path %s has a control character", quote(name))
		}
	}
	return nil
}

// A tree remembers which paths an archive has used, for what. Paths are kept
// as hashes: a hostile archive has many, and they may be long.
type tree struct {
	nodes map[[16]byte]node
	bytes int64 // of paths and targets so far
}

type node uint8

const (
	impliedDirectory node = iota + 1 // something lies below it
	directoryNode
	fileNode
	symlinkNode
)

func newTree() *tree { return &tree{nodes: make(map[[16]byte]node)} }

func pathKey(path string) [16]byte {
	sum := sha256.Sum256([]byte(path))
	return [16]byte(sum[:])
}

// add enters a file. It refuses a path that is used already, unless both are
// directories, and one below a path that is no directory: unpacking it would
// write through a symbolic link.
func (t *tree) add(f *File) error {
	t.bytes += int64(len(f.Path) + len(f.Target))
	if t.bytes > maxPaths {
		return tooLarge("tar-paths-too-long", "the paths have more than %d bytes together", maxPaths)
	}
	if f.Type == Hardlink && t.nodes[pathKey(f.Target)] != fileNode {
		return malformed("tar-hardlink", "the hard link %s points to %s, which is no file before it", quote(f.Path), quote(f.Target))
	}
	key := pathKey(f.Path)
	old, used := t.nodes[key]
	switch {
	case f.Type == Directory && (!used || old <= directoryNode):
		t.nodes[key] = directoryNode
	case used:
		return malformed("tar-duplicate", "the path %s occurs twice", quote(f.Path))
	case f.Type == Symlink:
		t.nodes[key] = symlinkNode
	default:
		t.nodes[key] = fileNode
	}
	return t.addParents(f.Path)
}

func (t *tree) addParents(path string) error {
	for {
		slash := strings.LastIndexByte(path, '/')
		if slash < 0 {
			return nil
		}
		path = path[:slash]
		key := pathKey(path)
		switch t.nodes[key] {
		case impliedDirectory, directoryNode:
			return nil
		case symlinkNode:
			return malformed("tar-below-symlink", "an entry lies below the symbolic link %s", quote(path))
		case fileNode:
			return malformed("tar-below-file", "an entry lies below the file %s", quote(path))
		}
		t.nodes[key] = impliedDirectory
	}
}
