package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// diffIndex reads an index of patches: rows of fields, by field name.
func diffIndex(t fatalf, data []byte) map[string][][]string {
	t.Helper()
	fields := make(map[string][][]string)
	var name string
	for line := range strings.Lines(string(data)) {
		if line[0] != ' ' {
			var ok bool
			if name, line, ok = strings.Cut(line, ":"); !ok || fields[name] != nil {
				t.Fatalf("line %q in\n%s", line, data)
			}
			fields[name] = [][]string{}
		}
		if words := strings.Fields(line); len(words) > 0 {
			fields[name] = append(fields[name], words)
		}
	}
	return fields
}

// checkFile compares data with a row of a field.
func checkFile(t fatalf, row []string, name string, data []byte) {
	t.Helper()
	want := []string{fmt.Sprintf("%x", sha256.Sum256(data)), strconv.Itoa(len(data)), name}
	if got := strings.Join(row, " "); got != strings.Join(want, " ") {
		t.Fatalf("listed as %s, but is %s", got, strings.Join(want, " "))
	}
}

// A PatchFile is a file that clients patch from.
type PatchFile struct {
	Name string
	Data []byte
}

// patchFiles returns the index and all patches.
func patchFiles(h History, l *Log) ([]PatchFile, error) {
	data, err := h.PatchIndex(l)
	if err != nil || data == nil {
		return nil, err
	}
	files := []PatchFile{{PatchIndexName, data}}
	for _, name := range h.PatchNames(l) {
		data, ok, err := h.Patch(l, name)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s: %v, %w", name, ok, err)
		}
		files = append(files, PatchFile{name, data})
	}
	return files, nil
}

func mustAdvance(t fatalf, b Blobs, h History, prev, next *Log, at time.Time) History {
	t.Helper()
	h, err := h.Advance(context.Background(), b, prev, next, at)
	if err != nil {
		t.Fatalf("advance: %v", err)
	}
	return h
}

// patch is a script with the state that it is for.
type patch struct{ from, script []byte }

// readPatches checks the files of one set of patches against each other and
// against the texts that once were, by SHA-256.
func readPatches(t fatalf, files []PatchFile, past map[string][]byte, current []byte) []patch {
	t.Helper()
	if len(files) == 0 {
		return nil
	}
	if files[0].Name != "Packages.diff/Index" {
		t.Fatalf("first file is %s", files[0].Name)
	}
	fields := diffIndex(t, files[0].Data)
	if len(fields) != 5 || len(fields["SHA256-Current"]) != 1 || fields["X-Patch-Precedence"][0][0] != "merged" {
		t.Fatalf("fields of\n%s", files[0].Data)
	}
	checkFile(t, append(fields["SHA256-Current"][0], "current"), "current", current)
	history, patches, download := fields["SHA256-History"], fields["SHA256-Patches"], fields["SHA256-Download"]
	if n := len(files) - 1; len(history) != n || len(patches) != n || len(download) != n || n > 12 {
		t.Fatalf("%d patches, index\n%s", n, files[0].Data)
	}
	seen := make(map[string]bool)
	var list []patch
	for i, f := range files[1:] {
		if seen[f.Name] {
			t.Fatalf("%s twice", f.Name)
		}
		seen[f.Name] = true
		name := history[i][2]
		if f.Name != "Packages.diff/"+name+".gz" {
			t.Fatalf("patch %d is %s in the index, %s beside it", i, name, f.Name)
		}
		p := patch{from: past[history[i][0]], script: decompress(t, ".gz", f.Data)}
		checkFile(t, history[i], name, p.from)
		checkFile(t, patches[i], name, p.script)
		checkFile(t, download[i], name+".gz", f.Data)
		list = append(list, p)
	}
	return list
}

// apply is ed(1) as far as apt has it, for appending only.
func (p patch) apply(t fatalf) []byte {
	t.Helper()
	lines := bytes.SplitAfter(p.from, []byte("\n"))
	lines = lines[:len(lines)-1] // what follows the last line end is empty
	command, script, _ := bytes.Cut(p.script, []byte("\n"))
	after, err := strconv.Atoi(strings.TrimSuffix(string(command), "a"))
	if err != nil || after > len(lines) || !bytes.HasSuffix(command, []byte("a")) {
		t.Fatalf("command %q for %d lines", command, len(lines))
	}
	out := bytes.Join(lines[:after], nil)
	for line := range bytes.Lines(script) {
		if string(line) == ".\n" {
			script = script[len(line):]
			break
		}
		out, script = append(out, line...), script[len(line):]
	}
	if len(script) > 0 {
		t.Fatalf("%q after the text", script)
	}
	return append(out, bytes.Join(lines[after:], nil)...)
}

// historyModel keeps a History of a logModel, which publishes after each step.
type historyModel struct {
	*logModel
	history History
	last    *Log
	past    map[string][]byte
	at      time.Time
	broken  bool  // stanzas were taken out or moved in this step
	sizes   []int // of the states since that happened last
	sent    int   // patches
}

// breaks marks a step that does not only append.
func (m *historyModel) breaks(step func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		m.broken = true
		step(t)
	}
}

// Reload reads the history back as well.
func (m *historyModel) Reload(t *rapid.T) {
	m.logModel.Reload(t)
	data, err := json.Marshal(m.history)
	if err != nil {
		t.Fatalf("%v", err)
	}
	m.history = nil
	if err := json.Unmarshal(data, &m.history); err != nil {
		t.Fatalf("%v", err)
	}
}

func (m *historyModel) publish(t *rapid.T) {
	want := text(m.stanzas)
	changed := m.log.files[0].SHA256 != m.last.files[0].SHA256
	m.at = m.at.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "minutes")) * time.Minute)
	m.history = mustAdvance(t, m.blobs.only(m.log), m.history, m.last, m.log, m.at)
	m.last = m.log
	m.past[m.log.files[0].SHA256] = want
	if m.broken {
		m.sizes, m.broken = nil, false
	}
	if changed || len(m.sizes) == 0 {
		m.sizes = append(m.sizes, len(want))
	}
	files, err := patchFiles(m.history, m.log)
	if err != nil {
		t.Fatalf("patches: %v", err)
	}
	patches := readPatches(t, files, m.past, want)
	for _, p := range patches {
		if got := p.apply(t); !bytes.Equal(got, want) {
			t.Fatalf("patched text differs at %d", firstDifference(got, want))
		}
	}
	m.sent += len(patches)
	m.checkComplete(t, patches)
}

// checkComplete makes sure that the latest states are among the patches.
func (m *historyModel) checkComplete(t *rapid.T, patches []patch) {
	n := len(m.sizes) - 1
	if m.sizes[n] < small.patched {
		return
	}
	for _, size := range m.sizes[max(0, n-4):n] {
		found := m.sizes[n]-size > small.patch
		for _, p := range patches {
			found = found || len(p.from) == size
		}
		if !found {
			t.Fatalf("no patch for the state of %d bytes among the latest, %v", size, m.sizes)
		}
	}
}

func TestPatchProperties(t *testing.T) {
	sent := 0
	rapid.Check(t, func(t *rapid.T) {
		l := newLog(small)
		m := &historyModel{
			logModel: &logModel{blobs: newMemBlobs(), log: l},
			last:     l, past: make(map[string][]byte), at: historyStart,
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": m.Add, "add again": m.Add, "add once more": m.Add, "add still more": m.Add,
			"addMany": m.AddMany, "addTwins": m.AddTwins, "reload": m.Reload,
			"beginCompaction": m.BeginCompaction,
			"remove":          m.breaks(m.Remove), "removeAll": m.breaks(m.RemoveAll),
			"compact": m.breaks(m.Compact), "adopt": m.breaks(m.Adopt),
			"": m.publish,
		})
		sent += m.sent
	})
	if sent == 0 {
		t.Error("there never was a patch")
	}
}

// TestForeignEditors applies patches with the programs whose language they are
// in.
func TestForeignEditors(t *testing.T) {
	blobs, past := newMemBlobs(), make(map[string][]byte)
	var h History
	l := newLog(small)
	stanzas := makeStanzas(0, 12)
	for i, s := range stanzas {
		next := mustApply(t, blobs, l, Edit{Add: [][]byte{s}})
		h, l = mustAdvance(t, blobs, h, l, next, historyStart), next
		past[l.files[0].SHA256] = text(stanzas[:i+1])
	}
	files, err := patchFiles(h, l)
	if err != nil {
		t.Fatal(err)
	}
	patches := readPatches(t, files, past, text(stanzas))
	if len(patches) < 5 {
		t.Fatalf("only %d patches", len(patches))
	}
	for program, args := range map[string][]string{
		"ed":    {"-s", "Packages"},
		"patch": {"--ed", "--quiet", "Packages"},
	} {
		t.Run(program, func(t *testing.T) {
			path := needProgram(t, program)
			for _, p := range patches {
				dir := t.TempDir()
				name := filepath.Join(dir, "Packages")
				if err := os.WriteFile(name, p.from, 0o600); err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(path, args...)
				script := p.script
				if program == "ed" {
					script = append(bytes.Clone(script), "w\nq\n"...)
				}
				cmd.Dir, cmd.Stdin = dir, bytes.NewReader(script)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, text(stanzas)) {
					t.Errorf("%d bytes, want %d (%v)", len(got), len(text(stanzas)), err)
				}
			}
		})
	}
}
