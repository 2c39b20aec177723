package inventory

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
)

// mavenID is what group and artifact IDs look like; "${project.groupId}" is
// none.
var mavenID = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// mavenVersion excludes blanks and what was to be filled in by Maven.
var mavenVersion = regexp.MustCompile(`^[A-Za-z0-9_.+~-]+$`)

// readPOM reads a pom.properties. IDs that it lacks are in its path:
// META-INF/maven/GROUP/ARTIFACT/pom.properties.
func (p *pass) readPOM(path string, text []byte) error {
	props := readProperties(text)
	group, artifact, version := props["groupId"], props["artifactId"], props["version"]
	parts := strings.Split(path, "/")
	if n := len(parts); n >= 5 && parts[n-4] == "maven" {
		if !mavenID.MatchString(group) {
			group = parts[n-3]
		}
		if !mavenID.MatchString(artifact) {
			artifact = parts[n-2]
		}
	}
	if !mavenID.MatchString(group) || !mavenID.MatchString(artifact) {
		return errors.New("no group and artifact")
	}
	if !mavenVersion.MatchString(version) {
		version = ""
	}
	p.found.add(archiveOf(path), maven, group+":"+artifact, version)
	return nil
}

// archiveOf returns the path of the archive that an entry is in, and that of a
// file outside archives as it is.
func archiveOf(path string) string {
	if i := strings.LastIndex(path, "!/"); i >= 0 {
		return path[:i]
	}
	return path
}

// readProperties reads the lines "key=value" of a Java properties file, with
// those escapes that java.util.Properties writes into keys and values of ours.
func readProperties(text []byte) map[string]string {
	props := make(map[string]string)
	for line := range bytes.Lines(text) {
		s := strings.TrimSpace(string(line))
		if s == "" || s[0] == '#' || s[0] == '!' {
			continue
		}
		i := strings.IndexAny(s, "=:")
		if i < 0 {
			continue
		}
		key := strings.TrimSpace(s[:i])
		if key == "groupId" || key == "artifactId" || key == "version" {
			props[key] = strings.ReplaceAll(strings.TrimSpace(s[i+1:]), `\`, "")
		}
	}
	return props
}

// addByName names an archive without pom.properties. Its file name tells the
// artifact and version most exactly, when it tells a version at all; the
// manifest is second. The group is a guess from the manifest.
func (p *pass) addByName(path string, manifest []byte) {
	h := readHeaders(manifest, " ")
	symbolic, _, _ := strings.Cut(h.first("bundle-symbolicname"), ";")
	symbolic = strings.TrimSpace(symbolic)

	base := path[strings.LastIndexByte(path, '/')+1:]
	base = base[:strings.LastIndexByte(base, '.')]
	artifact, version := splitVersion(base)
	if version == "" {
		version = firstMatch(mavenVersion, h.first("implementation-version"), h.first("bundle-version"))
		last := symbolic[strings.LastIndexByte(symbolic, '.')+1:]
		artifact = firstMatch(mavenID, h.first("implementation-title"), last, base)
	}
	if version == "" || !mavenID.MatchString(artifact) {
		return
	}
	name := artifact
	if group := groupOf(artifact, symbolic, h.first("implementation-vendor-id")); group != "" {
		name = group + ":" + artifact
	}
	p.found.add(path, maven, name, version)
}

func firstMatch(re *regexp.Regexp, candidates ...string) string {
	for _, c := range candidates {
		if re.MatchString(c) {
			return c
		}
	}
	return ""
}

// groupOf guesses: "org.mockito.mockito-core" and "org.mockito.core" both are
// of the group org.mockito.
func groupOf(artifact, symbolic, vendor string) string {
	group, ok := strings.CutSuffix(symbolic, "."+artifact)
	if !ok {
		group = symbolic[:max(strings.LastIndexByte(symbolic, '.'), 0)]
	}
	return firstMatch(mavenID, group, vendor)
}

// splitVersion splits the name of an archive: "guava", "31.1-jre". The version
// is the last part that starts with a number and a dot, since names hold
// numbers, too ("log4j-1.2-api-2.17.1"); failing that, the last number.
func splitVersion(base string) (artifact, version string) {
	fallback := -1
	for i := len(base) - 2; i > 0; i-- {
		if base[i] != '-' {
			continue
		}
		rest := base[i+1:]
		switch after := strings.TrimLeft(rest, digits); {
		case len(after) == len(rest):
		case strings.HasPrefix(after, "."):
			return base[:i], rest
		case fallback < 0 && (after == "" || after[0] == '-'):
			fallback = i
		}
	}
	if fallback < 0 {
		return base, ""
	}
	return base[:fallback], base[fallback+1:]
}
