package upstream_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

const packagesXZ = "main/binary-amd64/Packages.xz"

// hostile is what an archive may do, under the numbers of the threat model. set
// has the archive publish what it then serves; a sync must fail with code and
// reason.
var hostile = []struct {
	name   string
	set    func(*world)
	code   upstream.Code
	reason upstream.Reason
}{
	{"I02 expired", func(w *world) { w.Release.ValidUntil = w.now.Add(-time.Second); w.advance() }, upstream.Rejected, upstream.Expired},
	{"I03 older than MaxAge", func(w *world) {
		w.syncer.MaxAge = time.Minute
		w.Release.Date = w.now.Add(-50 * time.Minute)
		w.Publish()
	},
		upstream.Rejected, upstream.Expired},
	{"I04 tomorrow", func(w *world) { w.dated(w.now.Add(24 * time.Hour)) }, upstream.Rejected, upstream.FutureDate},
	{"I04 in eleven minutes", func(w *world) { w.dated(w.now.Add(11 * time.Minute)) }, upstream.Rejected, upstream.FutureDate},
	{"no date", func(w *world) { w.EditRelease = func(r *index.Release) { r.Date = time.Time{} }; w.advance() }, upstream.Rejected, upstream.Malformed},

	{"I05 unknown key", func(w *world) { w.Keys = []*index.Key{mirrortest.NewKey(w.t, w.now.Add(-time.Hour*9))}; w.advance() }, upstream.BadSignature, ""},
	{"I05 key expired", func(w *world) { w.expiredKey() }, upstream.BadSignature, ""},
	{"I07 text before", editHead(func(b []byte) []byte { return append([]byte("Suite: evil\n\n"), b...) }), upstream.BadSignature, ""},
	{"I07 text after", editHead(func(b []byte) []byte { return append(b, "Suite: evil\n"...) }), upstream.BadSignature, ""},
	{"I07 two messages", editHead(func(b []byte) []byte { return append(b, b...) }), upstream.BadSignature, ""},
	{"I07 dash not escaped", editHead(func(b []byte) []byte {
		return bytes.Replace(b, []byte("Codename:"), []byte("-----BEGIN PGP SIGNED MESSAGE-----\nCodename:"), 1)
	}), upstream.BadSignature, ""},
	{"I07 text changed", editHead(func(b []byte) []byte {
		return bytes.Replace(b, []byte("Codename: bookworm"), []byte("Codename: bookwurm"), 1)
	}),
		upstream.BadSignature, ""},
	{"I07 signature gone", editHead(func(b []byte) []byte { return b[:bytes.Index(b, []byte("-----BEGIN PGP SIGNATURE"))] }), upstream.BadSignature, ""},
	{"I08 no signature", func(w *world) { w.detached(); w.Put(w.Dist("Release.gpg"), nil) }, upstream.BadSignature, ""},
	{"I08 empty signature", func(w *world) { w.detached(); w.Put(w.Dist("Release.gpg"), []byte{}) }, upstream.BadSignature, ""},
	{"I08 other signature", func(w *world) {
		w.detached()
		w.Put(w.Dist("Release"), append(w.Get(w.Dist("Release")), '\n'))
	}, upstream.BadSignature, ""},
	{"I09 MD5Sum only", func(w *world) {
		w.EditText = func(b []byte) []byte { return bytes.Replace(b, []byte("\nSHA256:"), []byte("\nSHA1:"), 1) }
		w.advance()
	}, upstream.Rejected, upstream.WeakHashes},

	{"I10 size too small", editEntry(packagesXZ, func(e *index.FileEntry) { e.Size-- }), upstream.HashMismatch, ""},
	{"I10 size too large", editEntry(packagesXZ, func(e *index.FileEntry) { e.Size++ }), upstream.HashMismatch, ""},
	{"I10 hash wrong", editEntry(packagesXZ, func(e *index.FileEntry) { e.SHA256 = strings.Repeat("a", 64) }), upstream.HashMismatch, ""},
	{"I10 plain size too small", editEntry("main/binary-amd64/Packages", func(e *index.FileEntry) { e.Size-- }), upstream.HashMismatch, ""},
	{"I10 plain size too large", editEntry("main/binary-amd64/Packages", func(e *index.FileEntry) { e.Size++ }), upstream.HashMismatch, ""},
	{"I10 plain hash wrong", editEntry("main/binary-amd64/Packages", func(e *index.FileEntry) { e.SHA256 = strings.Repeat("a", 64) }), upstream.HashMismatch, ""},
	{"I11 xz of something else", func(w *world) { w.replaceFile(packagesXZ, debtest.Compress(debtest.XZ, []byte("Package: other\n"))) }, upstream.HashMismatch, ""},
	{"no xz in it", func(w *world) { w.replaceFile(packagesXZ, []byte("Package: other\n")) }, upstream.Rejected, upstream.Malformed},
	{"xz cut off", func(w *world) { x := w.Get(w.Dist(packagesXZ)); w.replaceFile(packagesXZ, x[:len(x)-9]) }, upstream.Rejected, upstream.Malformed},

	{"I12 endless InRelease", handle("InRelease", endless), upstream.Rejected, upstream.TooLarge},
	{"I12 slow InRelease", impatient(handle("InRelease", slow)), upstream.Unreachable, ""},
	{"I12 no answer", impatient(handle("InRelease", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })), upstream.Unreachable, ""},
	{"I12 InRelease shorter than announced", handle("InRelease", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5000")
		w.Write([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n"))
	}), upstream.Unreachable, ""},
	{"I12 endless index", noHash(packagesXZ, endless), upstream.HashMismatch, ""},
	{"I12 slow index", impatient(noHash(packagesXZ, slow)), upstream.Unreachable, ""},
	{"I12 index stalls", impatient(func(w *world) {
		w.Release.AcquireByHash = false
		w.changed()
		body := w.Get(w.Dist(packagesXZ))
		w.Handle(w.Dist(packagesXZ), func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
			rw.Write(body[:len(body)/2])
			http.NewResponseController(rw).Flush()
			<-r.Context().Done()
		})
	}), upstream.Unreachable, ""},
	{"I12 index has another length", noHash(packagesXZ, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		w.Write([]byte("\xfd7zXZ\x00"))
	}), upstream.HashMismatch, ""},
	{"I13 gzip bomb", bomb(debtest.Gzip), upstream.HashMismatch, ""},
	{"I13 xz bomb", bomb(debtest.XZ), upstream.HashMismatch, ""},
	{"I13 zstd bomb", bomb(debtest.Zstd), upstream.HashMismatch, ""},
	{"I13 signed size", func(w *world) { w.syncer.Limits.Index = 100; w.changed() }, upstream.Rejected, upstream.TooLarge},

	{"I14 upwards", filename("../../etc/passwd"), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 hidden upwards", filename("pool/../../etc/passwd"), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 dots at the end", filename("pool/.."), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 URL", filename("http://evil/x"), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 scheme", filename("file:etc/passwd"), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 host", filename("//evil/x"), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 absolute", filename("/etc/passwd"), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 backslash", filename(`pool\..\..\x`), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 doubled slash", filename("pool//x.deb"), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 only a dot", filename("."), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 long", filename(strings.Repeat("a/", 600) + "x"), upstream.Rejected, upstream.UnsafeFilename},
	{"I14 control character", filename("pool/x\x01.deb"), upstream.Rejected, upstream.Malformed},
	{"I14 line break", filename("pool/x\n y.deb"), upstream.Rejected, upstream.UnsafeFilename},

	{"I17 to a file", handle("InRelease", redirect("file:///etc/passwd")), upstream.Unreachable, ""},
	{"I17 to gopher", handle("InRelease", redirect("gopher://127.0.0.1/x")), upstream.Unreachable, ""},
	{"I17 to no URL", handle("InRelease", redirect("http://[::1")), upstream.Unreachable, ""},
	{"I17 to nothing", handle("InRelease", redirect("")), upstream.Unreachable, ""},
	{"I17 with a password", func(w *world) {
		u := strings.Replace(w.URL, "://", "://user:secret@", 1) + w.Dist("Other")
		w.Put(w.Dist("Other"), w.Get(w.Dist("InRelease")))
		handle("InRelease", redirect(u))(w)
	}, upstream.Unreachable, ""},
	{"I17 in circles", handle("InRelease", redirect("InRelease")), upstream.Unreachable, ""},
	{"I18 web page", handle("InRelease", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>Please pay</html>")) }), upstream.BadSignature, ""},
	{"I18 206 to a full request", handle("InRelease", status(http.StatusPartialContent)), upstream.Unreachable, ""},
	{"I18 206 for an index", noHash(packagesXZ, status(http.StatusPartialContent)), upstream.Unreachable, ""},
	{"I18 304 for an index", noHash(packagesXZ, status(http.StatusNotModified)), upstream.Unreachable, ""},
	{"I18 204", handle("InRelease", status(http.StatusNoContent)), upstream.Unreachable, ""},
	{"forbidden", handle("InRelease", status(http.StatusForbidden)), upstream.Unreachable, ""},
	{"all gone", func(w *world) { w.Put(w.Dist("InRelease"), nil) }, upstream.Unreachable, ""},

	{"I19 other suite", func(w *world) { w.Release.Suite, w.Release.Codename = "sid", "sid"; w.advance() }, upstream.Rejected, upstream.WrongSuite},
	{"I20 by-hash is something else", func(w *world) {
		w.changed()
		for _, e := range w.byHash() {
			w.Put(e, []byte("something else"))
		}
		w.Put(w.Dist(packagesXZ), []byte("something else, too"))
	}, upstream.HashMismatch, ""},
	{"index nowhere", func(w *world) { w.EditFiles = dropIndices; w.changed() }, upstream.Unreachable, ""},

	{"I21 too many packages", func(w *world) { w.syncer.Limits.Packages = 1; w.changed() }, upstream.Rejected, upstream.TooLarge},
	{"I21 long stanza", packages(func(b []byte) []byte { return append(b, "X: "+strings.Repeat("x", 1<<20)+"\n"...) }), upstream.Rejected, upstream.TooLarge},
	{"I21 stanza without colon", packages(func(b []byte) []byte { return append(b, "nonsense\n"...) }), upstream.Rejected, upstream.Malformed},
	{"I21 NUL", packages(func(b []byte) []byte { return bytes.Replace(b, []byte("Maintainer: "), []byte("Maintainer: \x00"), 1) }), upstream.Rejected, upstream.Malformed},
	{"I21 no Package", without("Package"), upstream.Rejected, upstream.Malformed},
	{"I21 no Version", without("Version"), upstream.Rejected, upstream.Malformed},
	{"I21 no Architecture", without("Architecture"), upstream.Rejected, upstream.Malformed},
	{"I21 no Filename", without("Filename"), upstream.Rejected, upstream.Malformed},
	{"I21 no Size", without("Size"), upstream.Rejected, upstream.Malformed},
	{"I21 no SHA256", without("SHA256"), upstream.Rejected, upstream.Malformed},
	{"field twice", packages(func(b []byte) []byte {
		return bytes.Replace(b, []byte("Package:"), []byte("pACKAGE: evil\nPackage:"), 1)
	}), upstream.Rejected, upstream.Malformed},
	{"name", replaced("Package: hello", "Package: he/llo"), upstream.Rejected, upstream.Malformed},
	{"version", replaced("Version: 1.0", "Version: 1_0"), upstream.Rejected, upstream.Malformed},
	{"another architecture", replaced("Architecture: amd64", "Architecture: arm64"), upstream.Rejected, upstream.Malformed},
	{"size", replaced("Size: ", "Size: -"), upstream.Rejected, upstream.Malformed},
	{"hash", replaced("SHA256: ", "SHA256: 0"), upstream.Rejected, upstream.Malformed},
	{"source", replaced("Maintainer:", "Source: hello (1.0\nMaintainer:"), upstream.Rejected, upstream.Malformed},
	{"multi-arch", replaced("Maintainer:", "Multi-Arch: maybe\nMaintainer:"), upstream.Rejected, upstream.Malformed},
	{"essential", replaced("Maintainer:", "Essential: maybe\nMaintainer:"), upstream.Rejected, upstream.Malformed},
	{"dependency not UTF-8", replaced("Maintainer:", "Depends: \xff\nMaintainer:"), upstream.Rejected, upstream.Malformed},
	{"same package with other contents", packages(func(b []byte) []byte {
		return append(append(b, '\n'), bytes.Replace(b, []byte("SHA256: "), []byte("SHA256: "+strings.Repeat("a", 64)+"\nX-Old: "), 1)...)
	}), upstream.Rejected, upstream.Malformed},
	{"component not listed", func(w *world) { w.source.Components = []string{"main", "contrib"} }, upstream.Rejected, upstream.Malformed},
	{"architecture not listed", func(w *world) { w.source.Architectures = []string{"amd64", "arm64"} }, upstream.Rejected, upstream.Malformed},
	{"only compressed files listed", func(w *world) {
		w.EditRelease = func(r *index.Release) {
			r.Files = slices.DeleteFunc(r.Files, func(e index.FileEntry) bool { return strings.HasSuffix(e.Path, "/Packages") })
		}
		w.advance()
	}, upstream.Rejected, upstream.Malformed},
	{"Release malformed", func(w *world) { w.EditText = func(b []byte) []byte { return append(b, "x y\n"...) }; w.advance() }, upstream.Rejected, upstream.Malformed},
}

// Whatever an archive does, what was known before stays, and the next sync of
// an archive that behaves is as if nothing had been.
func TestHostile(t *testing.T) {
	for _, tt := range hostile {
		for _, before := range []string{"first", "later"} {
			t.Run(tt.name+"/"+before, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				if before == "later" {
					w.sync()
				}
				limits, source := w.syncer.Limits, w.source
				tt.set(w)
				start := time.Now()
				w.mustFail(tt.code, tt.reason)
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("took %v", took)
				}
				w.recover()
				w.syncer.Limits, w.syncer.MaxAge, w.syncer.Client.Timeout, w.source = limits, 0, stall, source
				w.sync()
				w.wantPackages(helloLine, "later 1.0 amd64")
				if st := w.catalog.state("test"); st.Status != upstream.OK {
					t.Errorf("state %+v", st)
				}
			})
		}
	}
}

// recover makes the archive an ordinary one again, with the package later.
func (w *world) recover() {
	w.t.Helper()
	w.EditPackages, w.EditRelease, w.EditText, w.EditFiles = nil, nil, nil, nil
	w.Detached, w.SignedAt, w.Keys = false, time.Time{}, w.trusted
	w.Compressions = []debtest.Compression{debtest.XZ, debtest.Gzip}
	w.Release.ValidUntil, w.Release.AcquireByHash = time.Time{}, true
	w.Release.Suite, w.Release.Codename = "stable", "bookworm"
	w.Release.Date = w.now.Add(-time.Minute).UTC().Truncate(time.Second)
	for _, name := range []string{"InRelease", packagesXZ} {
		w.Handle(w.Dist(name), nil)
	}
	w.Remove("added", "amd64")
	w.Add("main", debtest.Package{Name: "later"})
	w.Publish()
}

// changed publishes a later state with one package more.
func (w *world) changed() {
	w.t.Helper()
	w.Add("main", debtest.Package{Name: "added"})
	w.advance()
}

func (w *world) dated(at time.Time) {
	w.Release.Date, w.SignedAt = at.UTC().Truncate(time.Second), w.now.Add(-time.Hour)
	w.Publish()
}

func (w *world) detached() {
	w.Detached = true
	w.advance()
}

// expiredKey signs with a trusted key, within its time, which is over.
func (w *world) expiredKey() {
	made := w.now.Add(-48 * time.Hour)
	key, err := index.GenerateKey(index.KeyOptions{Name: "Old", Expires: w.now.Add(-24 * time.Hour), Now: func() time.Time { return made }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Keys = []*index.Key{key}
	w.source.SignedBy = w.PublicKey()
	w.SignedAt = w.now.Add(-30 * time.Hour)
	w.advance()
}

func editHead(edit func([]byte) []byte) func(*world) {
	return func(w *world) {
		w.EditFiles = func(files map[string][]byte) { files[w.Dist("InRelease")] = edit(files[w.Dist("InRelease")]) }
		w.changed()
	}
}

func editEntry(name string, edit func(*index.FileEntry)) func(*world) {
	return func(w *world) {
		w.EditRelease = func(r *index.Release) {
			for i := range r.Files {
				if r.Files[i].Path == name {
					edit(&r.Files[i])
				}
			}
		}
		w.changed()
	}
}

// replaceFile publishes other contents for a file, under their right hash.
func (w *world) replaceFile(name string, body []byte) {
	editEntry(name, func(e *index.FileEntry) { *e = mirrortest.Entry(name, body) })(w)
	w.Put(w.Dist(name), body)
	w.Put(w.Dist(mirrortest.Entry(name, body).ByHash()), body)
}

func handle(name string, f http.HandlerFunc) func(*world) {
	return func(w *world) { w.Handle(w.Dist(name), f) }
}

// noHash is handle for an index that changed and has no name by hash.
func noHash(name string, f http.HandlerFunc) func(*world) {
	return func(w *world) {
		w.Release.AcquireByHash = false
		w.changed()
		w.Handle(w.Dist(name), f)
	}
}

// impatient makes the client wait for a shorter time.
func impatient(set func(*world)) func(*world) {
	return func(w *world) {
		set(w)
		w.syncer.Client.Timeout = stall / 5
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	block := bytes.Repeat([]byte("x"), 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// slow sends single bytes.
func slow(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		w.Write([]byte("-"))
		http.NewResponseController(w).Flush()
		time.Sleep(stall / 20)
	}
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// bomb compresses what is far larger than the Release says.
func bomb(c debtest.Compression) func(*world) {
	return func(w *world) {
		w.Compressions = []debtest.Compression{c}
		w.changed()
		w.replaceFile("main/binary-amd64/Packages"+c.Extension(), debtest.Compress(c, make([]byte, 32<<20)))
	}
}

func packages(edit func([]byte) []byte) func(*world) {
	return func(w *world) {
		w.EditPackages = func(_, _ string, text []byte) []byte { return edit(text) }
		w.advance()
	}
}

func replaced(old, text string) func(*world) {
	return packages(func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(text), 1) })
}

func filename(name string) func(*world) {
	return packages(func(b []byte) []byte {
		return bytes.Replace(b, []byte("Filename: pool/main/h/hello/hello_1.0_amd64.deb"), []byte("Filename: "+name), 1)
	})
}

func without(field string) func(*world) {
	return packages(func(b []byte) []byte {
		b = bytes.Replace(append([]byte("\n"), b...), []byte("\n"+field+":"), []byte("\nX-Other:"), 1)
		return b[1:]
	})
}

func (w *world) byHash() []string {
	return []string{w.Dist(mirrortest.Entry(packagesXZ, w.Get(w.Dist(packagesXZ))).ByHash())}
}

func dropIndices(files map[string][]byte) {
	for name := range files {
		if strings.Contains(name, "/binary-") {
			delete(files, name)
		}
	}
}
