package sbom

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Format is a kind of document.
type Format string

// The formats.
const (
	CycloneDX Format = "cyclonedx" // CycloneDX (ECMA-424), JSON
	SPDX      Format = "spdx"      // SPDX 2 (ISO/IEC 5962), JSON
)

// Versions returns the versions of a format's specification that can be written,
// the default first; nil for an unknown format.
func Versions(f Format) []string {
	switch f {
	case CycloneDX:
		return []string{"1.6", "1.5"}
	case SPDX:
		return []string{"2.3"}
	}
	return nil
}

// A Completeness tells whether a list has everything that belongs into it.
type Completeness string

// The degrees of completeness.
const (
	Complete   Completeness = "complete"
	Incomplete Completeness = "incomplete"
	Unknown    Completeness = "unknown"
)

// A Document is what a document says once.
type Document struct {
	Format      Format
	SpecVersion string // one of Versions; "" is the default
	Name        string // of the document, required: "sbom of jammy"

	// State identifies what the document describes, in any form that differs when
	// the packages do: a generation, a hash. The serial number and the namespace
	// are derived from it, the name, the format and Flat.
	State string
	// Namespace is an absolute URI that the namespaces of SPDX documents begin
	// with, without a fragment. They are a urn:uuid without one.
	Namespace string
	Timestamp time.Time // when the state came to be, to the second; required

	Tool        string // that made the document; "" is repod
	ToolVersion string
	Author      Contact // who has it made; without a name it is the tool

	Root Root
	// Completeness is that of the root's list of packages; "" is Unknown.
	Completeness Completeness
	// Flat leaves out embedded software, and in SPDX the root and the source
	// packages too: the document has no more packages than it was given. What is
	// known of embedded software that is vulnerable is said of its package.
	Flat bool

	// TempDir is the directory of temporary files; "" is that of [os.CreateTemp].
	TempDir string
}

// A Contact is a person or an organisation.
type Contact struct {
	Name   string
	Email  string // left out unless it is a plain address
	URL    string // left out unless it is http, https or ftp
	Person bool   // an organisation otherwise
}

// Root is what a document is about.
type Root struct {
	// File tells that it is one file, such as a package; otherwise it is an
	// application, such as a distribution.
	File        bool
	Name        string // "" is the document's
	Version     string
	PURL        string
	Description string
	Supplier    Contact
	Hashes      Hashes
	// Contains names the packages that it is made of, by PURL; nil: all. Others are
	// in the document because those need them.
	Contains []string
}

// Hashes are digests of a file, in lower-case hexadecimal. Malformed ones are left
// out.
type Hashes struct{ MD5, SHA1, SHA256, SHA512 string }

// Extension returns how names of files in the format end: ".cdx.json",
// ".spdx.json"; "" for an unknown format.
func (f Format) Extension() string {
	switch f {
	case CycloneDX:
		return ".cdx.json"
	case SPDX:
		return ".spdx.json"
	}
	return ""
}

// MediaType returns the media type of the document.
func (d *Document) MediaType() string {
	if d.Format == SPDX {
		return "application/spdx+json"
	}
	return "application/vnd.cyclonedx+json; version=" + d.version()
}

func (d *Document) version() string {
	if known := Versions(d.Format); d.SpecVersion == "" && known != nil {
		return known[0]
	}
	return d.SpecVersion
}

func (d *Document) check() error {
	if !slices.Contains(Versions(d.Format), d.version()) {
		return fmt.Errorf("no documents of format %q, version %q", d.Format, d.SpecVersion)
	}
	if oneLine(d.Name) == "" {
		return errors.New("the document has no name")
	}
	if year := d.Timestamp.UTC().Year(); d.Timestamp.IsZero() || year < 0 || year > 9999 {
		return errors.New("the document has no timestamp")
	}
	switch d.Completeness {
	case "", Complete, Incomplete, Unknown:
	default:
		return fmt.Errorf("unknown completeness %q", d.Completeness)
	}
	if d.Namespace != "" {
		u, err := url.Parse(d.Namespace)
		if err != nil || u.Scheme == "" || strings.Contains(d.Namespace, "#") || !uriBytes(d.Namespace) {
			return fmt.Errorf("the namespace %q is no absolute URI", d.Namespace)
		}
	}
	return nil
}

func (d *Document) tool() string {
	if name := oneLine(d.Tool); name != "" {
		return name
	}
	return "repod"
}

// author returns the author, cleaned.
func (d *Document) author() Contact {
	if c := d.Author.clean(); c.Name != "" {
		return c
	}
	return Contact{Name: d.tool()}
}

// root returns the root with all that its packages do not need, cleaned.
func (d *Document) root() Root {
	r := d.Root
	if r.Name = oneLine(r.Name); r.Name == "" {
		r.Name = oneLine(d.Name)
	}
	r.Version, r.Description, r.Supplier = oneLine(r.Version), paragraph(r.Description), r.Supplier.clean()
	if !validPURL(r.PURL) {
		r.PURL = ""
	}
	return r
}

func (d *Document) timestamp() string { return stamp(d.Timestamp) }

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// clean leaves out what is malformed, and everything without a name.
func (c Contact) clean() Contact {
	if c.Name = oneLine(c.Name); c.Name == "" {
		c.Name = c.Email
	}
	if !validEmail(c.Email) {
		c.Email = ""
	}
	if !validURL(c.URL) {
		c.URL = ""
	}
	c.Name = oneLine(c.Name)
	return c
}
