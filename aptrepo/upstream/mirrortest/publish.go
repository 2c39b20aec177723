package mirrortest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// Publish replaces all files at once by those of the present state. Release.Date
// is left as it is: the tests of an archive that moves on move it.
func (m *Mirror) Publish() {
	m.tb.Helper()
	files := make(map[string][]byte)
	for _, e := range m.pool {
		files[e.file.Filename] = e.bytes
	}
	release := m.Release
	release.Files = nil
	for _, component := range release.Components {
		for _, arch := range release.Architectures {
			release.Files = append(release.Files, m.addPackages(files, component, arch)...)
		}
	}
	if m.EditRelease != nil {
		m.EditRelease(&release)
	}
	text, err := release.AppendTo(nil)
	if err != nil {
		m.tb.Fatal(err)
	}
	if m.EditText != nil {
		text = m.EditText(text)
	}
	m.sign(files, text)
	if m.EditFiles != nil {
		m.EditFiles(files)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.files)
	for name, body := range files {
		m.files[name] = m.newFile(body)
	}
}

// addPackages adds a Packages file in its compressions and its patches, and
// returns what the Release says of them.
func (m *Mirror) addPackages(files map[string][]byte, component, arch string) []index.FileEntry {
	text := m.packages(component, arch)
	if m.EditPackages != nil {
		text = m.EditPackages(component, arch, text)
	}
	name := path.Join(component, "binary-"+arch, "Packages")
	entries := []index.FileEntry{Entry(name, text)} // which is listed even when it is not there
	for _, c := range m.Compressions {
		if e := m.addFile(files, name+c.Extension(), debtest.Compress(c, text)); c != debtest.None {
			entries = append(entries, e)
		}
	}
	if m.Patches != "" {
		former := m.texts[name]
		if len(former) > 0 {
			body := m.addPatches(files, name, former, text)
			entries = append(entries, m.addFile(files, name+".diff/Index", body))
		}
		if len(former) == 0 || !bytes.Equal(former[len(former)-1], text) {
			m.texts[name] = append(former, text)
		}
	}
	return entries
}

// addFile adds a file of the suite, by its hash too if the archive does that.
func (m *Mirror) addFile(files map[string][]byte, name string, body []byte) index.FileEntry {
	e := Entry(name, body)
	files[m.Dist(name)] = body
	if m.Release.AcquireByHash {
		files[m.Dist(e.ByHash())] = body
	}
	return e
}

// Entry returns what a Release says of a file.
func Entry(name string, body []byte) index.FileEntry {
	sum := sha256.Sum256(body)
	return index.FileEntry{Path: name, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}
}

// packages returns the text of a Packages file. Packages for all architectures
// are in each one, unless there is one for them alone.
func (m *Mirror) packages(component, arch string) []byte {
	apart := slices.Contains(m.Release.Architectures, "all") && !m.Release.AllInEach
	var text []byte
	for _, e := range m.pool {
		own := e.pkg.Architecture == arch || e.pkg.Architecture == "all" && !apart
		if e.component != component || !own {
			continue
		}
		var err error
		if text, err = index.AppendStanza(text, e.pkg.Control, e.file); err != nil {
			m.tb.Fatal(err)
		}
		text = append(text, '\n')
	}
	return text
}

func (m *Mirror) sign(files map[string][]byte, text []byte) {
	at := m.SignedAt
	if at.IsZero() {
		at = m.Release.Date
	}
	signer := &index.OpenPGP{Keys: m.Keys, Now: func() time.Time { return at }}
	if m.Detached {
		sig, err := signer.DetachSign(context.Background(), text)
		if err != nil {
			m.tb.Fatal(err)
		}
		files[m.Dist("Release")], files[m.Dist("Release.gpg")] = text, sig
		return
	}
	signed, err := signer.ClearSign(context.Background(), text)
	if err != nil {
		m.tb.Fatal(err)
	}
	files[m.Dist("InRelease")] = signed
}

// addPatches adds the patches that lead from former texts to the present one
// and returns their index.
func (m *Mirror) addPatches(files map[string][]byte, name string, former [][]byte, text []byte) []byte {
	var history, scripts, downloads strings.Builder
	for i, old := range former {
		if bytes.Equal(old, text) {
			continue
		}
		next := text
		if m.Patches == "chained" && i+1 < len(former) {
			next = former[i+1]
		}
		patch := fmt.Sprintf("2026-01-%02d-0000.00", i+1)
		script := Script(old, next)
		packed := debtest.Compress(debtest.Gzip, script)
		files[m.Dist(name+".diff/"+patch+".gz")] = packed
		for _, row := range []struct {
			section *strings.Builder
			name    string
			body    []byte
		}{{&history, patch, old}, {&scripts, patch, script}, {&downloads, patch + ".gz", packed}} {
			e := Entry(row.name, row.body)
			fmt.Fprintf(row.section, " %s %d %s\n", e.SHA256, e.Size, e.Path)
		}
	}
	current := Entry("", text)
	out := fmt.Sprintf("SHA256-Current: %s %d\n", current.SHA256, current.Size)
	if history.Len() > 0 {
		out += "SHA256-History:\n" + history.String() + "SHA256-Patches:\n" + scripts.String() + "SHA256-Download:\n" + downloads.String()
	}
	if m.Patches == "merged" {
		out += "X-Patch-Precedence: merged\n"
	}
	return []byte(out)
}

// Script returns a script for ed(1) that makes the text to of the text from,
// which both consist of whole lines.
func Script(from, to []byte) []byte {
	a, b := slices.Collect(bytes.Lines(from)), slices.Collect(bytes.Lines(to))
	start := 0
	for start < len(a) && start < len(b) && bytes.Equal(a[start], b[start]) {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && bytes.Equal(a[len(a)-1-end], b[len(b)-1-end]) {
		end++
	}
	gone, text := a[start:len(a)-end], bytes.Join(b[start:len(b)-end], nil)
	switch {
	case len(gone) == 0 && len(text) == 0:
		return nil
	case len(gone) == 0:
		return fmt.Appendf(nil, "%da\n%s.\n", start, text)
	case len(text) == 0:
		return fmt.Appendf(nil, "%d,%dd\n", start+1, start+len(gone))
	}
	return fmt.Appendf(nil, "%d,%dc\n%s.\n", start+1, start+len(gone), text)
}
