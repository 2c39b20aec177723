package inventory

import "strings"

// A kind is what a file may be, judging by its path.
type kind uint8

const (
	nothing     kind = iota // of no interest, whatever it holds
	unknown                 // a program, or of no interest: its first bytes tell
	program                 // ELF
	javaArchive             // named after its file if nothing inside names it
	archive                 // .whl, .egg
	pythonMetadata
	npmPackage
	pomProperties
)

func (k kind) isArchive() bool { return k == javaArchive || k == archive }

func (k kind) isText() bool {
	return k == pythonMetadata || k == npmPackage || k == pomProperties
}

// headSuffices tells the formats of which the beginning can be read alone.
func (k kind) headSuffices() bool { return k == pythonMetadata }

// classify judges a file of a package or an entry of an archive.
func classify(path string) kind {
	dir, base := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, base = path[:i], path[i+1:]
	}
	switch base {
	case "package.json":
		if isNPMRoot(dir) {
			return npmPackage
		}
		return nothing
	case "METADATA":
		if strings.HasSuffix(dir, ".dist-info") {
			return pythonMetadata
		}
	case "PKG-INFO":
		if strings.HasSuffix(dir, ".egg-info") || dir == "EGG-INFO" || strings.HasSuffix(dir, "/EGG-INFO") {
			return pythonMetadata
		}
	case "pom.properties":
		if strings.HasPrefix(dir, "META-INF/maven/") || strings.Contains(dir, "/META-INF/maven/") {
			return pomProperties
		}
	}
	return byExtension(base)
}

func byExtension(base string) kind {
	dot := strings.LastIndexByte(base, '.')
	if dot < 0 || len(base)-dot > len(".egg-info") {
		return unknown
	}
	switch strings.ToLower(base[dot+1:]) {
	case "jar", "war", "ear", "par", "sar", "kar", "lpkg", "hpi", "jpi":
		return javaArchive
	case "whl", "egg":
		return archive
	case "egg-info":
		return pythonMetadata
	}
	return unknown
}

// nodeDirs are where Debian keeps packages of npm that all programs share.
var nodeDirs = []string{"usr/share/nodejs/", "usr/lib/nodejs/"}

// isNPMRoot reports whether dir is that of a package of npm, rather than one of
// the directories in it.
func isNPMRoot(dir string) bool {
	name := ""
	if i := strings.LastIndex("/"+dir, "/node_modules/"); i >= 0 {
		name = dir[i+len("node_modules/"):]
	} else {
		for _, shared := range nodeDirs {
			if rest, ok := strings.CutPrefix(dir, shared); ok {
				name = rest
			}
		}
	}
	if scoped, ok := strings.CutPrefix(name, "@"); ok {
		_, name, ok = strings.Cut(scoped, "/")
		if !ok {
			return false
		}
	}
	return name != "" && !strings.Contains(name, "/")
}
