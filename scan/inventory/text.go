package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

// readText looks at a file that is read as a whole.
func (p *pass) readText(k kind, path string, text []byte) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var err error
	switch k {
	case pythonMetadata:
		err = p.readPython(path, text)
	case npmPackage:
		err = p.readNPM(path, text)
	case pomProperties:
		err = p.readPOM(path, text)
	}
	if err != nil {
		p.malformed(path, err)
	}
}

// malformed notes that a file is not what its path says.
func (p *pass) malformed(path string, err error) {
	p.log.Debug("inventory leaves out a malformed file", "file", path, "error", err)
}

// pythonName is what names of Python distributions look like (Core metadata
// specifications, "Name").
var pythonName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

var pythonSeparators = regexp.MustCompile(`[-_.]+`)

// readPython reads the core metadata of a Python distribution: headers as in
// mail, of which the description after the first empty line is none.
func (p *pass) readPython(path string, text []byte) error {
	h := readHeaders(text, " \t")
	name, version := h.first("name"), h.first("version")
	if !pythonName.MatchString(name) || version == "" {
		return errors.New("no core metadata")
	}
	name = strings.ToLower(pythonSeparators.ReplaceAllString(name, "-"))
	p.found.add(path, pyPI, name, version, pythonLicenses(h)...)
	return nil
}

// pythonLicenses returns the best of the three ways to declare a license.
func pythonLicenses(h headers) []string {
	if l := h.first("license-expression"); l != "" {
		return []string{l}
	}
	var classified []string
	for _, c := range h["classifier"] {
		parts := strings.Split(c, " :: ")
		if last := parts[len(parts)-1]; parts[0] == "License" && last != "OSI Approved" {
			classified = append(classified, last)
		}
	}
	// The License field may be the whole text.
	if l := h.first("license"); l != "" && !strings.EqualFold(l, "unknown") && !strings.Contains(l, "\n") {
		return []string{l}
	}
	return classified
}

// Headers are fields by their lower-case names.
type headers map[string][]string

func (h headers) first(name string) string {
	if len(h[name]) == 0 {
		return ""
	}
	return h[name][0]
}

// wanted are the headers that are kept.
var wanted = map[string]bool{
	"name": true, "version": true, "license": true, "license-expression": true, "classifier": true,
	"implementation-title": true, "implementation-version": true, "implementation-vendor-id": true,
	"bundle-symbolicname": true, "bundle-version": true,
}

// maxHeader is how long a header may grow by continuation lines, in bytes; what
// is longer is cut.
const maxHeader = 8192

// readHeaders reads "Name: value" up to the first empty line. Lines that start
// with a byte of fold continue the one before. In manifests they do so without a
// line break, since they are broken anywhere; fold is " " then.
func readHeaders(text []byte, fold string) headers {
	h := make(headers)
	last := ""
	for line := range bytes.Lines(text) {
		s := strings.TrimRight(string(line), "\r\n")
		if s == "" {
			break
		}
		if strings.IndexByte(fold, s[0]) >= 0 {
			if list := h[last]; len(list) > 0 && len(list[len(list)-1]) < maxHeader {
				joint := "\n"
				if fold == " " {
					joint = ""
				}
				list[len(list)-1] += joint + s[1:]
			}
			continue
		}
		name, value, ok := strings.Cut(s, ":")
		last = strings.ToLower(name)
		if !ok || !wanted[last] || len(h[last]) >= 100 {
			last = ""
			continue
		}
		h[last] = append(h[last], strings.TrimSpace(value))
	}
	return h
}

// readNPM reads a package.json. Fields are looked for by their exact names, as
// Node.js does.
func (p *pass) readNPM(path string, text []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	str := func(field string) (s string) {
		if json.Unmarshal(fields[field], &s) != nil {
			return ""
		}
		return s
	}
	name, version := str("name"), strings.TrimLeft(str("version"), " =v")
	if name == "" || version == "" || string(fields["private"]) == "true" {
		return nil
	}
	if !npmName.MatchString(name) {
		return errors.New("no name of npm")
	}
	licenses := npmLicenses(fields["license"])
	if len(licenses) == 0 {
		licenses = npmLicenses(fields["licenses"])
	}
	p.found.add(path, npm, name, version, licenses...)
	return nil
}

// npmName is what names of npm look like, those from before the rules included.
var npmName = regexp.MustCompile(`^(@[A-Za-z0-9~_.-]+/)?[A-Za-z0-9~_.!'()*-]+$`)

// npmLicenses reads "MIT", {"type": "MIT"} and lists of both.
func npmLicenses(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var object struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(raw, &object) == nil {
		return []string{object.Type}
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var all []string
	for _, item := range list[:min(len(list), maxLicenses)] {
		if len(item) > 0 && item[0] != '[' {
			all = append(all, npmLicenses(item)...)
		}
	}
	return all
}
