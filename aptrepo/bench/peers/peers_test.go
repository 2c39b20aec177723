// Package peers compares the readers of package deb with those of other Go
// projects. It is a module of its own, so that theirs are no dependencies of
// repod.
package peers

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	aptly "github.com/aptly-dev/aptly/deb"
	"github.com/repod-io/repod/deb"
	"pault.ag/go/debian/control"
	"pault.ag/go/debian/version"
)

// packages returns the stanzas of all packages that this machine's apt knows.
func packages(b *testing.B) []byte {
	b.Helper()
	text, err := packagesOnce()
	if err != nil {
		b.Skip(err)
	}
	return text
}

var packagesOnce = sync.OnceValues(func() ([]byte, error) {
	text, err := exec.Command("apt-cache", "dumpavail").Output()
	if err != nil || len(text) < 1<<20 {
		return nil, fmt.Errorf("apt knows no packages: run apt-get update (%v)", err)
	}
	return text, nil
})

// A reader reads all stanzas and returns how many there are, and how many
// bytes the names of the packages have, so that nothing is left out.
type reader func(text []byte) (stanzas, names int, err error)

func repodReader(text []byte) (stanzas, names int, err error) {
	for r := deb.NewStanzaReader(bytes.NewReader(text), 0); ; stanzas++ {
		s, err := r.Next()
		if err != nil {
			return stanzas, names, end(err)
		}
		names += len(s.Get("Package"))
	}
}

func aptlyReader(text []byte) (stanzas, names int, err error) {
	for r := aptly.NewControlFileReader(bytes.NewReader(text), false, false); ; stanzas++ {
		s, err := r.ReadStanza()
		if err != nil || s == nil {
			return stanzas, names, end(err)
		}
		names += len(s["Package"])
	}
}

func paultagReader(text []byte) (stanzas, names int, err error) {
	r, err := control.NewParagraphReader(bufio.NewReader(bytes.NewReader(text)), nil)
	if err != nil {
		return 0, 0, err
	}
	for ; ; stanzas++ {
		s, err := r.Next()
		if err != nil {
			return stanzas, names, end(err)
		}
		names += len(s.Values["Package"])
	}
}

func end(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// BenchmarkStanzas reads a large Packages file (T9).
func BenchmarkStanzas(b *testing.B) {
	text := packages(b)
	wanted := bytes.Count(text, []byte("\nPackage: ")) + 1
	speed := make(map[string]float64) // MB/s
	var allocs float64
	for _, r := range []struct {
		name string
		read reader
	}{{"repod", repodReader}, {"aptly", aptlyReader}, {"pault.ag", paultagReader}} {
		b.Run(r.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var stanzas, names int
			for b.Loop() {
				var err error
				if stanzas, names, err = r.read(text); err != nil {
					b.Fatal(err)
				}
			}
			if stanzas != wanted || names < wanted {
				b.Errorf("%d stanzas of %d, %d bytes of names", stanzas, wanted, names)
			}
		})
		best := time.Duration(1 << 62)
		for range 5 {
			began := time.Now()
			if _, _, err := r.read(text); err != nil {
				b.Fatal(err)
			}
			best = min(best, time.Since(began))
		}
		speed[r.name] = float64(len(text)) / 1e6 / best.Seconds()
		if r.name == "repod" {
			allocs = testing.AllocsPerRun(1, func() { r.read(text) }) / float64(wanted)
		}
	}
	times := speed["repod"] / max(speed["aptly"], speed["pault.ag"])
	report(b, "T9", "reading control stanzas, MB/s of repod, aptly, pault.ag",
		fmt.Sprintf("%.1fx (%.0f, %.0f, %.0f; %.4f allocations a stanza)", times, speed["repod"], speed["aptly"], speed["pault.ag"], allocs),
		"≥ 10x", times >= 10)
}

// BenchmarkVersions compares pairs of versions (T10).
func BenchmarkVersions(b *testing.B) {
	var all []string
	for line := range strings.Lines(string(packages(b))) {
		if v, ok := strings.CutPrefix(line, "Version: "); ok {
			all = append(all, strings.TrimSpace(v))
		}
	}
	shuffled := slices.Clone(all)
	for i := range shuffled { // the same in each run
		j := i * 7919 % len(shuffled)
		shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
	}
	compare := map[string]func(x, y string) int{
		"repod": deb.CompareVersions,
		"aptly": aptly.CompareVersions,
		"pault.ag": func(x, y string) int {
			v, errV := version.Parse(x)
			w, errW := version.Parse(y)
			if errV != nil || errW != nil {
				return 0
			}
			return version.Compare(v, w)
		},
	}
	each := make(map[string]float64) // ns
	var allocs float64
	for _, name := range []string{"repod", "aptly", "pault.ag"} {
		f := compare[name]
		pass := func() {
			for i, v := range all {
				f(v, shuffled[i])
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pass()
			}
		})
		best := time.Duration(1 << 62)
		for range 5 {
			began := time.Now()
			pass()
			best = min(best, time.Since(began))
		}
		each[name] = float64(best) / float64(len(all))
		if name == "repod" {
			allocs = testing.AllocsPerRun(1, pass) / float64(len(all))
		}
	}
	times := min(each["aptly"], each["pault.ag"]) / each["repod"]
	report(b, "T10", "comparing two versions, ns of repod, aptly, pault.ag",
		fmt.Sprintf("%.1fx (%.0f, %.0f, %.0f; %.4f allocations)", times, each["repod"], each["aptly"], each["pault.ag"], allocs),
		"≥ 2.5x", times >= 2.5)
}

// report hands a row of the table to run.sh.
func report(b *testing.B, id, what, measured, target string, holds bool) {
	b.Helper()
	verdict := map[bool]string{true: "yes", false: "**no**"}[holds]
	row := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", id, what, measured, target, verdict)
	b.Log(row)
	path := os.Getenv("REPOD_FIGURES")
	if path == "" {
		return
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if _, err := out.WriteString(row); err != nil {
		b.Fatal(err)
	}
}
