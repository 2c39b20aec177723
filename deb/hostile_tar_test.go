package deb_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/repod-io/repod/deb/debtest"
)

// inData builds a package whose data.tar consists of the entries after its
// root directory.
func inData(entries ...debtest.Header) func() []byte {
	return withParts(func(p *parts) {
		t := new(debtest.Tar).Dir("./")
		for _, h := range entries {
			t.Add(h)
		}
		p.data = t.Bytes()
	})
}

// inControl builds a package whose control.tar has the entries after control.
func inControl(entries ...debtest.Header) func() []byte {
	return withParts(func(p *parts) {
		t := new(debtest.Tar).Dir("./").File("./control", minimal)
		for _, h := range entries {
			t.Add(h)
		}
		p.control = t.Bytes()
	})
}

// withTar builds a package with that control.tar.
func withTar(control *debtest.Tar) func() []byte {
	return withParts(func(p *parts) { p.control = control.Bytes() })
}

func file(name string) debtest.Header { return debtest.Header{Name: name, Content: "x"} }

// edited is a file whose header block is changed; its checksum is right.
func edited(edit func(block []byte)) debtest.Header {
	return debtest.Header{Name: "./f", Content: "x", Edit: edit}
}

func field(from int, text string) func([]byte) {
	return func(b []byte) { copy(b[from:], text) }
}

func size(n int64) *int64 { return &n }

func paxRecord(key, value string) string {
	body := " " + key + "=" + value + "\n"
	n := len(body) + 2
	if n > 99 {
		n++
	}
	return fmt.Sprint(n) + body
}

func pax(typeflag byte, key, value string) debtest.Header {
	return debtest.Header{Name: "./PaxHeaders/f", Type: typeflag, Format: debtest.POSIX, Content: paxRecord(key, value)}
}

// sparse is an old GNU sparse header: little content, a large real size.
func sparse(name, content string) debtest.Header {
	return debtest.Header{Name: name, Type: 'S', Content: content, Edit: func(b []byte) {
		copy(b[386:], "00000000000\x0000000000004\x00")
		copy(b[483:], "77777777777\x00")
	}}
}

func hostileTars() []hostile {
	return []hostile{
		{"TR empty control.tar", "control-missing", withTar(new(debtest.Tar))},
		{"TR control.tar of zero bytes", "tar-truncated", withParts(func(p *parts) { p.control = nil })},
		{"TR data.tar of zero bytes", "tar-truncated", withParts(func(p *parts) { p.data = nil })},
		{"TR control in a directory", "control-file-name", withTar(new(debtest.Tar).Dir("./").File("./DEBIAN/control", minimal))},
		{"TR control twice", "tar-duplicate", inControl(debtest.Header{Name: "./control", Content: "Package: openssl\n"})},
		{"TR control twice in two spellings", "tar-duplicate", inControl(debtest.Header{Name: "control", Content: "Package: openssl\n"})},
		{"TR control under a third spelling", "tar-absolute-path", inControl(file(".//control"))},
		{"TR control under a fourth spelling", "tar-unclean-path", inControl(file("././control"))},
		{"TR control by an absolute path", "tar-absolute-path", inControl(file("/control"))},
		{"TR script twice", "tar-duplicate", inControl(file("./postinst"), file("postinst"))},
		{"TR control is a symbolic link", "control-not-a-file", withTar(new(debtest.Tar).Dir("./").Symlink("./control", "/etc/passwd"))},
		{"TR control is a hard link", "control-not-a-file", withTar(new(debtest.Tar).File("./x", minimal).Hardlink("./control", "./x"))},
		{"TR control is a directory", "control-not-a-file", withTar(new(debtest.Tar).Dir("./control/"))},
		{"TR control is a FIFO", "tar-device", withTar(new(debtest.Tar).Add(debtest.Header{Name: "./control", Type: '6'}))},
		{"TR control is a device", "tar-device", withTar(new(debtest.Tar).Add(debtest.Header{Name: "./control", Type: '3'}))},
		{"TR control is sparse", "tar-sparse", withTar(new(debtest.Tar).Add(sparse("./control", minimal)))},
		{"TR control is empty", "stanza-empty", withTar(new(debtest.Tar).File("./control", ""))},
		{"TR directory among the control files", "control-not-a-file", inControl(debtest.Header{Name: "./sub/", Type: '5'})},
		{"TR file in a directory of control files", "control-file-name", inControl(file("./sub/f"))},
		{"TR link among the control files", "control-not-a-file", inControl(debtest.Header{Name: "./postinst", Link: "/bin/sh", Type: '2'})},
		{"TR blank in a control file's name", "control-file-name", inControl(file("./post inst"))},
		{"TR inaccessible control directory", "control-directory-mode", withTar(new(debtest.Tar).
			Add(debtest.Header{Name: "./", Type: '5', Edit: field(100, "0000000\x00")}).File("./control", minimal))},
		{"TR too many control files", "tar-too-many-entries", withParts(func(p *parts) {
			t := new(debtest.Tar).File("./control", minimal)
			for i := range 1001 {
				t.File(fmt.Sprintf("./f%d", i), "")
			}
			p.control = t.Bytes()
		})},
		{"TR control file too large", "too-large", withTar(new(debtest.Tar).File("./control", minimal+"X: "+strings.Repeat("x", 1<<20)+"\n"))},
		{"TR control.tar too large", "too-large", inControl(debtest.Header{Name: "./big", Content: strings.Repeat("x", 16<<20)})},
		{"TR control claims gigabytes", "tar-truncated", withTar(new(debtest.Tar).Add(debtest.Header{Name: "./x", Content: minimal, Size: size(5 << 30)}))},

		{"TR parent directory", "tar-parent-path", inData(file("../etc/cron.d/x"))},
		{"TR parent directory after dot", "tar-parent-path", inData(file("./../x"))},
		{"TR parent directory inside", "tar-parent-path", inData(file("./usr/../../x"))},
		{"TR parent directory at the end", "tar-parent-path", inData(debtest.Header{Name: "./usr/..", Type: '5'})},
		{"TR absolute path", "tar-absolute-path", inData(file("/etc/passwd"))},
		{"TR absolute path after dot", "tar-absolute-path", inData(file(".//etc/passwd"))},
		{"TR root as a path", "tar-absolute-path", inData(debtest.Header{Name: "/", Type: '5'})},
		{"TR double slash", "tar-unclean-path", inData(file("./usr//bin/x"))},
		{"TR dot inside", "tar-unclean-path", inData(file("./usr/./bin/x"))},
		{"TR file with a slash at its end", "tar-unclean-path", inData(file("./usr/x/"))},
		{"TR root is a file", "tar-unclean-path", inData(file("."))},
		{"TR empty name", "tar-empty-name", inData(debtest.Header{Content: "x"})},
		{"TR newline in a name", "tar-name-character", inData(file("./a\nb"))},
		{"TR tab in a name", "tar-name-character", inData(file("./a\tb"))},
		{"TR escape sequence in a name", "tar-name-character", inData(file("./\x1b[2J"))},
		{"TR name is Latin-1", "tar-name-encoding", inData(file("./\xe4"))},
		{"TR NUL within a name", "tar-nul", inData(edited(field(0, "./f\x00/../../x")))},
		{"TR NUL within a long name", "tar-long-name", inData(debtest.Header{Name: "./@LongLink", Type: 'L', Content: "./f\x00/../x\x00"}, file("./g"))},
		{"TR name longer than the system takes", "tar-name-too-long", inData(file("./" + strings.Repeat("d/", 2048) + "f"))},
		{"TR link target longer than the system takes", "tar-name-too-long",
			inData(debtest.Header{Name: "./l", Link: strings.Repeat("d/", 2100), Type: '2'})},
		{"TR long name of gigabytes", "tar-name-too-long", inData(debtest.Header{Name: "././@LongLink", Type: 'L', Size: size(1 << 33)})},
		{"TR long name twice", "tar-long-name", withParts(func(p *parts) {
			p.data = new(debtest.Tar).LongName('L', "./a").LongName('L', "./b").File("./c", "").Bytes()
		})},
		{"TR long name without an entry", "tar-long-name", withParts(func(p *parts) { p.data = new(debtest.Tar).LongName('L', "./a").Bytes() })},
		{"TR long name is empty", "tar-long-name", withParts(func(p *parts) { p.data = new(debtest.Tar).LongName('L', "").File("./c", "").Bytes() })},
		{"TR long name leads upwards", "tar-parent-path", inData(file("./" + strings.Repeat("d/", 60) + "../../f"))},
		{"TR prefix of POSIX leads upwards", "tar-parent-path", inData(debtest.Header{Name: "x", Format: debtest.POSIX, Edit: field(345, "../../etc")})},

		{"TR pax header in control.tar", "tar-pax", withTar(new(debtest.Tar).Add(pax('x', "path", "control")).File("./other", minimal))},
		{"TR pax header in data.tar", "tar-pax", inData(pax('x', "mtime", "1.5"), file("./f"))},
		{"TR pax size", "tar-pax", inData(pax('x', "size", "99999999999"), file("./f"))},
		{"TR pax header for all", "tar-pax", inData(pax('g', "path", "./etc/passwd"), file("./f"))},
		{"TR pax sparse 1.0", "tar-pax", inData(pax('x', "GNU.sparse.realsize", "99999999999"), file("./GNUSparseFile.0/f"))},
		{"TR pax header of Solaris", "tar-pax", inData(pax('X', "path", "control"), file("./f"))},
		{"TR sparse file", "tar-sparse", inData(sparse("./f", "abcd"))},
		{"TR character device", "tar-device", inData(debtest.Header{Name: "./dev/mem", Type: '3'})},
		{"TR block device", "tar-device", inData(debtest.Header{Name: "./dev/sda", Type: '4'})},
		{"TR FIFO", "tar-device", inData(debtest.Header{Name: "./f", Type: '6'})},
		{"TR multi-volume", "tar-type", inData(debtest.Header{Name: "./f", Type: 'M'})},
		{"TR volume label", "tar-type", inData(debtest.Header{Name: "label", Type: 'V'})},
		{"TR directory dump", "tar-type", inData(debtest.Header{Name: "./d/", Type: 'D', Content: "Yf\x00\x00"})},
		{"TR contiguous file", "tar-type", inData(debtest.Header{Name: "./f", Type: '7', Content: "x"})},
		{"TR unknown type", "tar-type", inData(debtest.Header{Name: "./f", Type: 'Q'})},

		{"TR checksum wrong", "tar-checksum", withParts(func(p *parts) { p.data[5] ^= 1 })},
		{"TR checksum of signed bytes", "tar-checksum", withParts(func(p *parts) {
			// The sum that old programs computed of bytes over 127.
			b := file("./ü").Block()
			copy(b[148:], fmt.Sprintf("%06o\x00 ", signedSum(b)))
			p.data = new(debtest.Tar).Raw(b).Bytes()
		})},
		{"TR checksum blank", "tar-number", withParts(func(p *parts) { copy(p.data[148:], "        ") })},
		{"TR size negative", "tar-number", inData(debtest.Header{Name: "./f", Size: size(-512)})},
		{"TR size beyond 63 bits", "tar-number", inData(edited(func(b []byte) { copy(b[124:], "\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff") }))},
		{"TR size of exabytes", "tar-truncated", inData(debtest.Header{Name: "./f", Size: size(math.MaxInt64)})},
		{"TR size decimal", "tar-number", inData(edited(field(124, "00000000009\x00")))},
		{"TR size with text", "tar-number", inData(edited(field(124, "1x\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")))},
		{"TR size with sign", "tar-number", inData(edited(field(124, "-0000000001\x00")))},
		{"TR size blank", "tar-number", inData(edited(field(124, "            ")))},
		{"TR owner negative", "tar-number", inData(debtest.Header{Name: "./f", UID: -1})},
		{"TR unknown magic", "tar-format", inData(edited(field(257, "ustar\x0099")))},
		{"TR archive of star", "tar-format", inData(debtest.Header{Name: "f", Format: debtest.POSIX, Edit: field(508, "tar\x00")})},
		{"TR directory with content", "tar-size", inData(debtest.Header{Name: "./d/", Type: '5', Content: strings.Repeat("x", 512)})},
		{"TR symbolic link with content", "tar-size", inData(debtest.Header{Name: "./l", Link: "x", Type: '2', Content: string(file("./hidden").Block())})},
		{"TR hard link with content", "tar-size", inData(file("./f"), debtest.Header{Name: "./l", Link: "./f", Type: '1', Content: "x"})},
		{"TR data after the end", "tar-trailing-data", withParts(func(p *parts) { p.data = append(p.data, file("./hidden").Block()...) })},
		{"TR byte after the end", "tar-trailing-data", withParts(func(p *parts) { p.data = append(p.data, 1) })},
		{"TR control after the end of control.tar", "tar-trailing-data", withParts(func(p *parts) { p.control = append(p.control, openssl()...) })},
		{"TR ends within a header", "tar-truncated", withParts(func(p *parts) { p.data = p.data[:700] })},
		{"TR ends within a file", "tar-truncated", withParts(func(p *parts) {
			p.data = new(debtest.Tar).File("./f", strings.Repeat("x", 600)).Open()[:1000]
		})},
		{"TR ends within padding", "tar-truncated", withParts(func(p *parts) { p.data = new(debtest.Tar).File("./f", "x").Open()[:600] })},
		{"TR text instead of an archive", "tar-number", withParts(func(p *parts) { p.data = bytes.Repeat([]byte("hello "), 200) })},
	}
}

func signedSum(block []byte) int {
	sum := int(8 * ' ')
	for i, c := range block {
		if i < 148 || i >= 156 {
			sum += int(int8(c))
		}
	}
	return sum
}

func hostileLinks() []hostile {
	link := func(name, target string, typeflag byte) debtest.Header {
		return debtest.Header{Name: name, Link: target, Type: typeflag}
	}
	return []hostile{
		{"TR file below a symbolic link", "tar-below-symlink", inData(link("./l", "/etc", '2'), file("./l/passwd"))},
		{"TR file far below a symbolic link", "tar-below-symlink", inData(link("./l", "..", '2'), file("./l/a/b/c"))},
		{"TR directory below a symbolic link", "tar-below-symlink", inData(link("./l", "/", '2'), debtest.Header{Name: "./l/d/", Type: '5'})},
		{"TR symbolic link over a directory", "tar-duplicate", inData(debtest.Header{Name: "./d/", Type: '5'}, link("./d", "/etc", '2'), file("./d/x"))},
		{"TR symbolic link over an implied directory", "tar-duplicate", inData(file("./d/x"), link("./d", "/etc", '2'))},
		{"TR directory over a symbolic link", "tar-duplicate", inData(link("./d", "/etc", '2'), debtest.Header{Name: "./d/", Type: '5'})},
		{"TR file over a symbolic link", "tar-duplicate", inData(link("./f", "/etc/passwd", '2'), file("./f"))},
		{"TR file below a file", "tar-below-file", inData(file("./f"), file("./f/g"))},
		{"TR file twice", "tar-duplicate", inData(file("./f"), file("./f"))},
		{"TR file twice in two spellings", "tar-duplicate", inData(file("./f"), file("f"))},
		{"TR file over a directory", "tar-duplicate", inData(debtest.Header{Name: "./d/", Type: '5'}, file("./d"))},
		{"TR directory over a file", "tar-duplicate", inData(file("./d"), debtest.Header{Name: "./d/", Type: '5'})},
		{"TR hard link outside", "tar-parent-path", inData(link("./l", "../../etc/shadow", '1'))},
		{"TR hard link to an absolute path", "tar-absolute-path", inData(link("./l", "/etc/shadow", '1'))},
		{"TR hard link to nothing", "tar-hardlink", inData(link("./l", "./f", '1'))},
		{"TR hard link forward", "tar-hardlink", inData(link("./l", "./f", '1'), file("./f"))},
		{"TR hard link to itself", "tar-hardlink", inData(link("./l", "./l", '1'))},
		{"TR hard link to a symbolic link", "tar-hardlink", inData(link("./s", "/etc/shadow", '2'), link("./l", "./s", '1'))},
		{"TR hard link to a directory", "tar-hardlink", inData(debtest.Header{Name: "./d/", Type: '5'}, link("./l", "./d", '1'))},
		{"TR hard link through a symbolic link", "tar-hardlink", inData(link("./s", "/etc", '2'), link("./l", "./s/shadow", '1'))},
		{"TR symbolic link without target", "tar-empty-name", inData(link("./l", "", '2'))},
		{"TR newline in a link target", "tar-name-character", inData(link("./l", "a\nb", '2'))},
	}
}
