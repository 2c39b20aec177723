package deb

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// archiveFields are set by archives and package databases, never by packages.
// A package that has one of them could speak for the archive.
var archiveFields = []string{
	"Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5",
	"Status", "Conffiles", "Config-Version", "Triggers-Pending", "Triggers-Awaited", "Want", "MSDOS-Filename",
}

// obsoleteFields are old spellings that dpkg still takes for other fields,
// and no other program does.
var obsoleteFields = []string{"Package-Revision", "Package_Revision", "Revision", "Recommended", "Optional", "Class"}

// singleLineFields are simple fields in the sense of Policy 5.1.
var singleLineFields = []string{
	"Package", "Version", "Architecture", "Maintainer", "Source", "Section", "Priority",
	"Homepage", "Multi-Arch", "Essential", "Protected", "Important", "Build-Essential", "Installed-Size", "Origin", "Bugs",
}

// setControl checks a control stanza and fills the fields that come from it.
func (p *Package) setControl(s *Stanza) error {
	last := ""
	for name, value := range s.All() {
		last = value
		if len(name) == 1 {
			return malformed("control-field-name", "field name %s is too short for dpkg", quote(name))
		}
		if containsFold(archiveFields, name) {
			return malformed("control-archive-field", "field %s belongs to the archive, not to a package", name)
		}
		if containsFold(obsoleteFields, name) {
			return malformed("control-obsolete-field", "field %s is obsolete and ambiguous", name)
		}
	}
	if last == "" {
		return malformed("control-empty-field", "the last field is empty, which dpkg takes for a truncated file")
	}
	for _, name := range singleLineFields {
		if strings.IndexByte(s.Get(name), '\n') >= 0 {
			return malformed("control-folded-field", "field %s has several lines", name)
		}
	}
	for _, set := range []func(*Stanza) error{p.setIdentity, p.setSource, p.setFlags, p.setDescriptive, checkRelations} {
		if err := set(s); err != nil {
			return err
		}
	}
	p.Control = s
	return nil
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// setIdentity reads Package, Version and Architecture, which name the package
// and its file.
func (p *Package) setIdentity(s *Stanza) error {
	for _, name := range []string{"Package", "Version", "Architecture"} {
		if s.Get(name) == "" {
			return malformed("control-missing-field", "field %s is missing or empty", name)
		}
	}
	p.Name, p.Architecture = s.Get("Package"), s.Get("Architecture")
	if !ValidPackageName(p.Name) {
		return malformed("control-package", "%s is no package name (Policy 5.6.7)", quote(p.Name))
	}
	if p.Architecture != "all" && !KnownArchitecture(p.Architecture) {
		return malformed("control-architecture", "%s is no architecture", quote(p.Architecture))
	}
	var err error
	if p.Version, err = ParseVersion(s.Get("Version")); err != nil {
		return malformed("control-version", "%v", err)
	}
	if n := len(p.Name) + len(p.Version.WithoutEpoch()) + len(p.Architecture) + len("__.deb"); n > 255 {
		return malformed("control-name-too-long", "name, version and architecture make a file name of %d bytes, at most 255 are possible", n)
	}
	return nil
}

// ValidPackageName reports whether s names a binary or source package: two to
// 128 lower-case letters, digits and "+-.", of which the first is a letter or
// digit (Policy 5.6.1, 5.6.7).
func ValidPackageName(s string) bool {
	if len(s) < 2 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if isLower(c) || isDigit(c) {
			continue
		}
		if i == 0 || c != '+' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// setSource reads "name" or "name (version)" (Policy 5.6.1).
func (p *Package) setSource(s *Stanza) error {
	p.Source, p.SourceVersion = p.Name, p.Version.String()
	field := s.Get("Source")
	if field == "" {
		return nil
	}
	name, version, hasVersion := strings.Cut(field, " ")
	if !ValidPackageName(name) {
		return malformed("control-source", "%s is no source package (Policy 5.6.1)", quote(field))
	}
	p.Source = name
	if !hasVersion {
		return nil
	}
	version = strings.TrimLeft(version, " ")
	inner, ok := strings.CutPrefix(version, "(")
	inner, ok2 := strings.CutSuffix(inner, ")")
	v, err := ParseVersion(strings.Trim(inner, " "))
	if !ok || !ok2 || err != nil {
		return malformed("control-source", "%s is no source package with a version (Policy 5.6.1)", quote(field))
	}
	p.SourceVersion = v.String()
	return nil
}

func (p *Package) setFlags(s *Stanza) error {
	for _, name := range []string{"Essential", "Protected", "Important", "Build-Essential"} {
		if v := s.Get(name); v != "" && v != "yes" && v != "no" {
			return malformed("control-flag", "field %s is %s instead of yes or no", name, quote(v))
		}
	}
	p.Essential = s.Get("Essential") == "yes"
	p.MultiArch = s.Get("Multi-Arch")
	if !slices.Contains([]string{"", "no", "same", "foreign", "allowed"}, p.MultiArch) {
		return malformed("control-multi-arch", "Multi-Arch is %s", quote(p.MultiArch))
	}
	if p.MultiArch == "same" && p.Architecture == "all" {
		return malformed("control-multi-arch", "a package for all architectures cannot be Multi-Arch: same")
	}
	return nil
}

func (p *Package) setDescriptive(s *Stanza) error {
	p.Maintainer, p.Homepage, p.Description = s.Get("Maintainer"), s.Get("Homepage"), s.Get("Description")
	p.Section, p.Priority = s.Get("Section"), s.Get("Priority")
	if p.Section != "" && !validSection(p.Section) {
		return malformed("control-section", "%s is no section (Policy 2.4)", quote(p.Section))
	}
	if p.Priority != "" && !validWord(p.Priority) {
		return malformed("control-priority", "%s is no priority (Policy 2.5)", quote(p.Priority))
	}
	if size := s.Get("Installed-Size"); size != "" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || !allDigits(size) {
			return malformed("control-installed-size", "Installed-Size is %s instead of a number of KiB", quote(size))
		}
		p.InstalledSize = n
	}
	return nil
}

// validSection accepts a section or "area/section". Those that are not
// Debian's own often start with a capital.
func validSection(s string) bool {
	area, section, ok := strings.Cut(s, "/")
	return validWord(area) && (!ok || validWord(section))
}

func validWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		if isLetter(c) || isDigit(c) {
			continue
		}
		if i == 0 || strings.IndexByte("+-._", c) < 0 {
			return false
		}
	}
	return s != ""
}

// checkRelations parses every relationship field.
func checkRelations(s *Stanza) error {
	for _, f := range relationFields {
		value, ok := s.Lookup(f.name)
		if !ok {
			continue
		}
		if _, err := ParseBinaryRelations(f.name, value); err != nil {
			if errors.Is(err, ErrTooLarge) {
				return tooLarge("control-relations", "%v", err)
			}
			return malformed("control-relations", "%v", err)
		}
	}
	return nil
}
