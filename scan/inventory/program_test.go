package inventory

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/repod-io/repod/scan"
)

// goFiles is a program with a module that is replaced by another, two that are
// replaced by directories, and one that is required and not linked in. It is
// vendored, since tests have no network.
var goFiles = map[string]string{
	"go.mod": `module example.com/Main

go 1.24

require (
	example.com/old v1.0.0
	example.com/copy v0.5.0
	example.com/made v0.0.0-00010101000000-000000000000
	example.com/unused v1.0.0
)

replace example.com/old => example.com/new v1.2.3

replace example.com/copy => ./copy

replace example.com/made => ./made
`,
	"main.go":     "package main\n\nimport (\n_ \"example.com/copy\"\n_ \"example.com/made\"\n_ \"example.com/old\"\n)\n\nfunc main() {}\n",
	"copy/go.mod": "module example.com/copy\n",
	"made/go.mod": "module example.com/made\n",

	"vendor/example.com/old/a.go":  "package old\n",
	"vendor/example.com/copy/a.go": "package copy\n",
	"vendor/example.com/made/a.go": "package made\n",
	"vendor/modules.txt": `# example.com/copy v0.5.0 => ./copy
## explicit
example.com/copy
# example.com/made v0.0.0-00010101000000-000000000000 => ./made
## explicit
example.com/made
# example.com/old v1.0.0 => example.com/new v1.2.3
## explicit
example.com/old
# example.com/unused v1.0.0
## explicit
# example.com/old => example.com/new v1.2.3
# example.com/copy => ./copy
# example.com/made => ./made
`,
}

// buildGo builds a program for Linux.
func buildGo(t *testing.T, arch string, flags ...string) string {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("the go command is missing")
	}
	dir := t.TempDir()
	for name, content := range goFiles {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), tool, append([]string{"build", "-mod=vendor", "-buildvcs=false", "-o", "program"}, flags...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off",
		"GOPROXY=off", "GOTOOLCHAIN=local", "GO111MODULE=on")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
}

func TestGoPrograms(t *testing.T) {
	release, _ := goRelease(runtime.Version())
	want := []string{
		"pkg:golang/example.com/copy@v0.5.0 usr/share/data",
		"pkg:golang/example.com/made usr/share/data",
		"pkg:golang/example.com/main usr/share/data",
		"pkg:golang/example.com/new@v1.2.3 usr/share/data",
		"pkg:golang/stdlib@" + release + " usr/share/data",
	}
	for name, build := range map[string]func(*testing.T) string{
		"plain":      func(t *testing.T) string { return buildGo(t, "amd64") },
		"stripped":   func(t *testing.T) string { return buildGo(t, "amd64", "-ldflags=-s -w") },
		"pie":        func(t *testing.T) string { return buildGo(t, "amd64", "-buildmode=pie") },
		"32 bits":    func(t *testing.T) string { return buildGo(t, "386") },
		"big endian": func(t *testing.T) string { return buildGo(t, "s390x") },
		"no sections": func(t *testing.T) string {
			program := []byte(buildGo(t, "amd64"))
			clear(program[0x28:0x30]) // e_shoff
			clear(program[0x3c:0x40]) // e_shnum, e_shstrndx
			return string(program)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Scanner{SpoolDir: t.TempDir()}
			// Neither the path nor the mode, 0644, says that it is a program.
			found := stockOf(t, s, map[string]string{"usr/share/data": build(t)})
			wantLines(t, found, want...)
			for _, c := range found {
				if c.Name == "example.com/main" {
					t.Error("the name of the main module lost its capital letter")
				}
			}
		})
	}
}

// Whatever is overwritten in a program, looking at it ends well.
func TestDamagedGoProgram(t *testing.T) {
	program := []byte(buildGo(t, "amd64", "-ldflags=-s -w"))
	random := rand.New(rand.NewPCG(1, 2))
	pass := testPass(t)
	readable := 0
	for range 400 {
		damaged := bytes.Clone(program)
		for range 1 + random.IntN(4) {
			damaged[random.IntN(4096)] = byte(random.IntN(256))
		}
		if random.IntN(4) == 0 {
			damaged = damaged[:random.IntN(len(damaged))]
		}
		pass.readProgram("p", bytes.NewReader(damaged), int64(len(damaged)))
		if len(pass.found.byPURL) > 0 {
			readable++
		}
		pass.found = newComponents(100)
	}
	if readable == 0 {
		t.Error("none of the damaged programs could be read: they test nothing")
	}
}

func testPass(t testing.TB) *pass {
	t.Helper()
	s := Scanner{Logger: slog.New(slog.DiscardHandler)}
	begun, err := s.Begin(t.Context(), scan.Subject{})
	if err != nil {
		t.Fatal(err)
	}
	return begun.(*pass)
}

func TestGoRelease(t *testing.T) {
	for toolchain, want := range map[string]string{
		"go1.26.8": "1.26.8", "go1.20": "1.20.0", "go1.21.0": "1.21.0", "go1.22rc1": "1.22.0-rc.1",
		"go1.18beta2": "1.18.0-beta.2", "go1.22.1 X:boringcrypto": "1.22.1", "go1.21.3-vendor4": "1.21.3", "go1.9+x": "1.9.0",
		"devel go1.24-abcdef Tue": "", "devel +abc": "",
	} {
		if got, ok := goRelease(toolchain); got != want || !ok {
			t.Errorf("%s: %q %v, want %q", toolchain, got, ok, want)
		}
	}
	for _, toolchain := range []string{"", "go", "gox", "go1.2.3.4", "1.20", "go1.x"} {
		if got, ok := goRelease(toolchain); ok {
			t.Errorf("%q: %q", toolchain, got)
		}
	}
}

// A section of an ELF file that a test makes.
type section struct {
	name    string
	content string
}

// elfFile makes an ELF file of 64 bits, or 32, in which all of it is loaded at
// address 0.
func elfFile(wide bool, sections ...section) string {
	var names, body bytes.Buffer
	header, tableEntry := 64+56, 64
	if !wide {
		header, tableEntry = 52+32, 40
	}
	names.WriteByte(0)
	type placed struct{ name, typ, offset, size int }
	table := []placed{{}}
	add := func(name, content string, typ int) {
		for body.Len()%16 != 0 {
			body.WriteByte(0)
		}
		table = append(table, placed{names.Len(), typ, 128 + body.Len(), len(content)})
		names.WriteString(name + "\x00")
		body.WriteString(content)
	}
	for _, s := range sections {
		add(s.name, s.content, 1)
	}
	// The table of names holds its own name.
	add(".shstrtab", names.String()+".shstrtab\x00", 3)

	var b bytes.Buffer
	le := func(values ...any) {
		for _, v := range values {
			binary.Write(&b, binary.LittleEndian, v)
		}
	}
	word := func(values ...int) {
		for _, v := range values {
			if wide {
				le(uint64(v))
			} else {
				le(uint32(v))
			}
		}
	}
	class := byte(1)
	if wide {
		class = 2
	}
	end := 128 + body.Len()
	b.Write([]byte{0x7f, 'E', 'L', 'F', class, 1, 1, 15: 0})
	le(uint16(3), uint16(62), uint32(1))
	word(0, header-map[bool]int{true: 56, false: 32}[wide], end)
	le(uint32(0), uint16(64), uint16(map[bool]int{true: 56, false: 32}[wide]), uint16(1),
		uint16(tableEntry), uint16(len(table)), uint16(len(table)-1))
	if wide {
		le(uint32(1), uint32(2)) // PT_LOAD, writable
		word(0, 0, 0, end, end, 1)
	} else {
		le(uint32(1))
		word(0, 0, 0, end, end)
		le(uint32(2), uint32(1))
	}
	b.Write(make([]byte, 128-b.Len()))
	b.Write(body.Bytes())
	for _, s := range table {
		le(uint32(s.name), uint32(s.typ))
		word(2, s.offset, s.offset, s.size)
		le(uint32(0), uint32(0))
		word(1, 0)
	}
	return b.String()
}

// crates is a list of cargo-auditable's, compressed.
func crates(t testing.TB, list string) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write([]byte(list)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func rustProgram(t testing.TB) string {
	return elfFile(true, section{".text", "code"}, section{".dep-v0", crates(t, `{"packages":[
		{"name":"cc","version":"1.0.1","source":"crates.io","kind":"build"},
		{"name":"grep","version":"0.2.12","source":"crates.io","dependencies":[0]},
		{"name":"ripgrep","version":"13.0.0","source":"local","root":true},
		{"name":"../x","version":"1","source":"crates.io"}]}`)})
}

func TestRustPrograms(t *testing.T) {
	list := `{"packages":[{"name":"a_b","version":"1.0.0+x"}]}`
	const want = "pkg:cargo/a_b@1.0.0%2Bx bin/x"
	for _, tt := range []struct {
		name, file string
		want       []string
	}{
		{"64 bits", elfFile(true, section{".dep-v0", crates(t, list)}), []string{want}},
		{"32 bits", elfFile(false, section{".dep-v0", crates(t, list)}), []string{want}},
		{"no zlib", elfFile(true, section{".dep-v0", list}), nil},
		{"cut short", elfFile(true, section{".dep-v0", crates(t, list)[:20]}), nil},
		{"no JSON", elfFile(true, section{".dep-v0", crates(t, "{")}), nil},
		{"other JSON", elfFile(true, section{".dep-v0", crates(t, `{"packages":7}`)}), nil},
		{"other name", elfFile(true, section{".dep-v1", crates(t, list)}), nil},
		{"other sections", elfFile(true), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantLines(t, stockOf(t, &Scanner{}, map[string]string{"bin/x": tt.file}), tt.want...)
		})
	}
}

func TestRustBomb(t *testing.T) {
	s, log := logged(Limits{})
	list := `{"packages":[{"name":"a","version":"1"}]` + strings.Repeat(" ", maxCrates) + "}"
	wantLines(t, stockOf(t, s, map[string]string{"bin/x": elfFile(true, section{".dep-v0", crates(t, list)})}))
	if !strings.Contains(log.String(), "skipped.crates=1") {
		t.Errorf("log: %q", log)
	}
}

// goInfo is the section .go.buildinfo with its strings in place, as of Go 1.18.
func goInfo(release, modules string) section {
	b := []byte("\xff Go buildinf:\x08\x02")
	b = append(b, make([]byte, 32-len(b))...)
	frame := strings.Repeat("f", 16)
	for _, s := range []string{release, frame + modules + "\n" + frame} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return section{".go.buildinfo", string(b)}
}

func TestGoModules(t *testing.T) {
	for _, tt := range []struct {
		name, modules string
		want          []string
	}{
		{"main", "mod\texample.com/m\tv1.0.0\n", []string{"pkg:golang/example.com/m@v1.0.0 x", "pkg:golang/stdlib@1.20.0 x"}},
		{"no main", "dep\tgolang.org/x/net\tv0.17.0\th1:x=\n", []string{"pkg:golang/golang.org/x/net@v0.17.0 x", "pkg:golang/stdlib@1.20.0 x"}},
		{"absolute replacement", "dep\ta.b/c\tv1.0.0\n=>\t/src/c\t(devel)\t\n", []string{"pkg:golang/a.b/c@v1.0.0 x", "pkg:golang/stdlib@1.20.0 x"}},
		{"incompatible", "dep\ta.b/c\tv2.0.0+incompatible\n", []string{"pkg:golang/a.b/c@v2.0.0%2Bincompatible x", "pkg:golang/stdlib@1.20.0 x"}},
		{"strange names", "dep\t\tv1\ndep\ta//b\tv1\ndep\ta/../b\tv1\ndep\ta b\tv1\ndep\t\xff\tv1\n", []string{"pkg:golang/stdlib@1.20.0 x"}},
		{"strange version", "dep\ta.b/c\tv 1\x00\n", []string{"pkg:golang/a.b/c x", "pkg:golang/stdlib@1.20.0 x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := elfFile(true, goInfo("go1.20", tt.modules))
			wantLines(t, stockOf(t, &Scanner{}, map[string]string{"x": file}), tt.want...)
		})
	}
}

// A list of modules that fills the program is not read into memory.
func TestGoModulesAreBounded(t *testing.T) {
	s, log := logged(Limits{})
	s.SpoolDir = t.TempDir()
	file := elfFile(true, goInfo("go1.20", strings.Repeat("dep\ta\tb\n", maxBuildInfo/8)))
	wantLines(t, stockOf(t, s, map[string]string{"x": file}))
	if !strings.Contains(log.String(), "skipped.buildinfo=1") {
		t.Errorf("log: %q", log)
	}
}

// Names of sections may share their bytes: 4,000 of 200 KB each in a file of
// 500 KB. debug/elf would copy 800 MB.
func TestSectionNamesAreBounded(t *testing.T) {
	var sections []section
	for range 4000 {
		sections = append(sections, section{})
	}
	sections = append(sections, section{strings.Repeat("n", 200_000), ""}, goInfo("go1.20", ""))
	file := []byte(elfFile(true, sections...))
	table := int(binary.LittleEndian.Uint64(file[0x28:]))
	for i := range 4000 {
		binary.LittleEndian.PutUint32(file[table+64*(i+1):], 4001) // where the long name begins
	}
	_, err := readSections(bytes.NewReader(file), int64(len(file)))
	if !errors.Is(err, errELF) {
		t.Errorf("error: %v", err)
	}
	wantLines(t, stockOf(t, &Scanner{}, map[string]string{"x": string(file)}))
}

func TestELFKinds(t *testing.T) {
	file := []byte(rustProgram(t))
	for typ, want := range map[uint16]bool{0: false, 1: false, 2: true, 3: true, 4: false} {
		binary.LittleEndian.PutUint16(file[16:], typ)
		if isProgram(file[:headSize]) != want {
			t.Errorf("e_type %d: %v", typ, !want)
		}
	}
}

// The first bytes of a file may come in any portions.
func TestProgramInPortions(t *testing.T) {
	file := []byte(rustProgram(t))
	for _, portion := range []int{1, 7, headSize, headSize + 1} {
		t.Run(fmt.Sprint(portion), func(t *testing.T) {
			pass := testPass(t)
			pass.open = content{pass: pass, path: "x", kind: unknown, size: int64(len(file))}
			for rest := file; len(rest) > 0; rest = rest[min(portion, len(rest)):] {
				n, err := pass.open.Write(rest[:min(portion, len(rest))])
				if err != nil || n != min(portion, len(rest)) {
					t.Fatal(n, err)
				}
			}
			if err := pass.open.Close(); err != nil || len(pass.found.byPURL) != 2 {
				t.Errorf("found %v, error %v", pass.found.sorted(), err)
			}
		})
	}
}

// A panicReader stands for debug/elf on a file that it does not expect.
type panicReader struct{}

func (panicReader) ReadAt([]byte, int64) (int, error) { panic("index out of range") }

func TestPanicIsMalformed(t *testing.T) {
	if info, err := readBuildInfo(panicReader{}); info != nil || !errors.Is(err, errELF) {
		t.Errorf("%v, %v", info, err)
	}
}
