package inventory

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb/debtest"
)

// An entry is a file of an archive.
type entry struct{ name, content string }

func zipFile(t testing.TB, entries ...entry) string {
	return zipBy(t, zip.Deflate, entries...)
}

func zipBy(t testing.TB, method uint16, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func pom(group, artifact, version string) entry {
	return entry{
		"META-INF/maven/" + group + "/" + artifact + "/pom.properties",
		fmt.Sprintf("#Created by a test\ngroupId=%s\nartifactId=%s\nversion=%s\n", group, artifact, version),
	}
}

func manifest(fields ...string) entry {
	return entry{"META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"}
}

func TestArchives(t *testing.T) {
	log4j := zipFile(t, pom("org.apache.logging.log4j", "log4j-core", "2.14.1"))
	const core = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"shaded", map[string]string{"a.jar": zipFile(t, pom("g", "a", "1"), pom("g", "b", "2"),
			manifest("Implementation-Title: c", "Implementation-Version: 3"))},
			[]string{"pkg:maven/g/a@1 a.jar", "pkg:maven/g/b@2 a.jar"}},
		{"the same twice", map[string]string{"a.jar": zipFile(t, pom("g", "a", "1"), pom("g", "a", "1"))}, []string{"pkg:maven/g/a@1 a.jar"}},
		{"nested", map[string]string{"a.war": zipFile(t, entry{"WEB-INF/lib/x.jar", log4j})},
			[]string{core + " a.war!/WEB-INF/lib/x.jar"}},
		{"nested without compression", map[string]string{"a.jar": zipBy(t, zip.Store, entry{"BOOT-INF/lib/x.jar", log4j})},
			[]string{core + " a.jar!/BOOT-INF/lib/x.jar"}},
		{"three levels", map[string]string{"a.ear": zipFile(t, entry{"b.war", zipFile(t, entry{"c.jar", log4j})})},
			[]string{core + " a.ear!/b.war!/c.jar"}},
		{"after a shell script", map[string]string{"a.jar": "#!/bin/sh\nexec java -jar $0\n" + log4j},
			[]string{core + " a.jar"}},
		{"upper case", map[string]string{"A.JAR": log4j}, []string{core + " A.JAR"}},
		{"traversal", map[string]string{"a.jar": zipFile(t, entry{"../../etc/x.jar", log4j}, entry{"/abs\x00\n\xff.jar", log4j})},
			[]string{core + " a.jar!/abs\ufffd\ufffd\ufffd.jar a.jar!/etc/x.jar"}},
		{"IDs in the path alone", map[string]string{"a.jar": zipFile(t, entry{"META-INF/maven/g/a/pom.properties", "version = 1"})},
			[]string{"pkg:maven/g/a@1 a.jar"}},
		{"unpacked", map[string]string{"opt/x/META-INF/maven/g/a/pom.properties": pom("g", "a", "1").content},
			[]string{"pkg:maven/g/a@1 opt/x/META-INF/maven/g/a/pom.properties"}},
		{"version to be filled in", map[string]string{"a.jar": zipFile(t, pom("g", "a", "${v}"))},
			[]string{"pkg:maven/g/a a.jar"}},
		{"wheel", map[string]string{"six.whl": zipFile(t, entry{"six-1.dist-info/METADATA", "Name: six\nVersion: 1\n"})},
			[]string{"pkg:pypi/six@1 six.whl!/six-1.dist-info/METADATA"}},
		{"egg", map[string]string{"six-1.egg": zipFile(t, entry{"EGG-INFO/PKG-INFO", "Name: six\nVersion: 1\n"})},
			[]string{"pkg:pypi/six@1 six-1.egg!/EGG-INFO/PKG-INFO"}},
		{"npm", map[string]string{"a.war": zipFile(t, entry{"s/node_modules/x/package.json", `{"name":"x","version":"1"}`})},
			[]string{"pkg:npm/x@1 a.war!/s/node_modules/x/package.json"}},
		{"no archive", map[string]string{"a-1.0.jar": strings.Repeat("PK\x03\x04 nonsense ", 20)}, nil},
		{"cut short", map[string]string{"a.jar": log4j[:len(log4j)-30]}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantLines(t, stockOf(t, &Scanner{}, tt.files), tt.want...)
		})
	}
}

func TestArchiveNamedByManifest(t *testing.T) {
	for _, tt := range []struct {
		file   string
		fields []string
		want   string
	}{
		{"guava-31.1-jre.jar", nil, "pkg:maven/guava@31.1-jre"},
		{"log4j-1.2-api-2.17.1.jar", nil, "pkg:maven/log4j-1.2-api@2.17.1"},
		{"foo-1.0-2.jar", nil, "pkg:maven/foo@1.0-2"},
		{"foo-20230227.jar", nil, "pkg:maven/foo@20230227"},
		{"foo-2d.jar", nil, ""},
		{"foo.jar", nil, ""},
		{"-1.0.jar", nil, ""},
		{".jar", nil, ""},
		{"mockito-core-4.0.0.jar", []string{"Bundle-SymbolicName: org.mockito.mockito-core;singleton:=true", "Bundle-Version: 4.0.0.x"},
			"pkg:maven/org.mockito/mockito-core@4.0.0"},
		{"log4j-core-2.14.1.jar", []string{"Bundle-SymbolicName: org.apache.logging.log4j.core"},
			"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"},
		{"core.jar", []string{"Implementation-Title: foo", "Implementation-Version: 1.0", "Implementation-Vendor-Id: com.example"},
			"pkg:maven/com.example/foo@1.0"},
		{"core.jar", []string{"Implementation-Title: My Great Library", "Bundle-SymbolicName: com.example.lib", "Bundle-Version: 2"},
			"pkg:maven/com.example/lib@2"},
		// Lines of manifests are folded at 72 bytes, anywhere.
		{"core.jar", []string{"Implementation-Title: fo", " o", "Implementation-Version: 1.", " 0"}, "pkg:maven/foo@1.0"},
		{"core.jar", []string{"Implementation-Title: foo", "Implementation-Version: ${version}"}, ""},
		// Only the main section counts.
		{"core.jar", []string{"", "Implementation-Title: foo", "Implementation-Version: 1"}, ""},
	} {
		found := stockOf(t, &Scanner{}, map[string]string{"opt/" + tt.file: zipFile(t, manifest(tt.fields...))})
		if tt.want == "" {
			wantLines(t, found)
		} else {
			wantLines(t, found, tt.want+" opt/"+tt.file)
		}
	}
}

// Java does not check the sums of entries, so an attacker need not set them.
func TestWrongChecksum(t *testing.T) {
	e := pom("g", "a", "1")
	file := zipBy(t, zip.Deflate, e)
	sum := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(e.content)))
	file = strings.ReplaceAll(file, string(sum), "\x01\x02\x03\x04")
	wantLines(t, stockOf(t, &Scanner{}, map[string]string{"a.jar": file}), "pkg:maven/g/a@1 a.jar")
}

// One entry, or many together, may expand to no more than the limits.
func TestBombs(t *testing.T) {
	bomb := strings.Repeat("\x00", 2*mib)
	var many []entry
	for i := range 50 {
		many = append(many, entry{fmt.Sprintf("%d.jar", i), bomb})
	}
	for name, tt := range map[string]struct {
		file   string
		limits Limits
		note   string
	}{
		"one archive":   {zipFile(t, entry{"x.jar", bomb}), Limits{File: 1 * mib}, "skipped.expanded=1"},
		"one text":      {zipFile(t, entry{"META-INF/maven/g/a/pom.properties", bomb}), Limits{}, "skipped.text=1"},
		"many archives": {zipFile(t, many...), Limits{Expanded: 20 * mib}, "skipped.expanded=40"},
	} {
		t.Run(name, func(t *testing.T) {
			s, log := logged(tt.limits)
			s.SpoolDir = t.TempDir()
			wantLines(t, stockOf(t, s, map[string]string{"a.jar": tt.file}))
			if !strings.Contains(log.String(), tt.note) {
				t.Errorf("log: %q, want %q", log, tt.note)
			}
		})
	}
}

// Entries may share the bytes of one inner archive, which multiplies what an
// archive of some kilobytes holds at each level. All of it is counted.
func TestSharedEntries(t *testing.T) {
	file := zipBy(t, zip.Store, pom("g", "a", "1"))
	for range 3 {
		file = overlap(t, file, 300)
	}
	s, log := logged(Limits{Entries: 1000})
	found := stockOf(t, s, map[string]string{"a.jar": file})
	if len(found) != 1 || !strings.Contains(log.String(), "skipped.entries=") {
		t.Errorf("found %v, log %q", lines(found), log)
	}
	s, log = logged(Limits{Expanded: int64(len(file))})
	stockOf(t, s, map[string]string{"a.jar": file})
	if !strings.Contains(log.String(), "skipped.expanded=") {
		t.Errorf("log %q", log)
	}
}

// overlap returns an archive with n entries in its directory that all are the
// one that it holds.
func overlap(t *testing.T, inner string, n int) string {
	t.Helper()
	file := []byte(zipBy(t, zip.Store, entry{"0000.jar", inner}))
	end := file[len(file)-22:]
	start := binary.LittleEndian.Uint32(end[16:])
	one := bytes.Clone(file[start : len(file)-22])
	out := bytes.Clone(file[:start])
	for i := range n {
		copy(one[46:], fmt.Sprintf("%04d", i))
		out = append(out, one...)
	}
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(n*len(one)))
	return string(append(out, end...))
}

// The count of entries in an archive is a number of 16 bits that may lie: only
// the bytes of the directory bound them.
func TestDirectoryFlood(t *testing.T) {
	var header [46]byte
	copy(header[:], "PK\x01\x02")
	directory := bytes.Repeat(header[:], 2*maxDirectory/len(header))
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], uint16(len(directory)/46))
	binary.LittleEndian.PutUint16(end[10:], uint16(len(directory)/46))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(directory)))
	s, log := logged(Limits{})
	s.SpoolDir = t.TempDir()
	found, err := takeStock(t.Context(), s, debtest.Package{Files: map[string]string{"a.jar": string(directory) + string(end)}}.Build())
	if err != nil || len(found) > 0 || !strings.Contains(log.String(), "skipped.directory=1") {
		t.Errorf("found %v, error %v, log %q", found, err, log)
	}
}
