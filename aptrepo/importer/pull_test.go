package importer_test

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/index"
)

// listed returns "name version" of what an index lists, offers with a star.
func (w *world) listed(codename string) (list []string) {
	w.t.Helper()
	f, err := w.Repo.OpenFile(w.ctx, "dists/"+codename+"/main/binary-amd64/Packages")
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		w.t.Fatal(err)
	}
	for stanza := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		if stanza == "" {
			continue
		}
		id := index.StanzaID([]byte(stanza))
		line := id.Package + " " + id.Version
		if index.IsOffered([]byte(stanza + "\n")) {
			line += "*"
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}

func (w *world) expect(codename string, want ...string) {
	w.t.Helper()
	if got := w.listed(codename); !slices.Equal(got, want) {
		w.t.Errorf("%s lists %q, want %q", codename, got, want)
	}
}

// pullThrough makes distributions offer what the sources have.
func (w *world) pullThrough(codenames ...string) {
	w.PullThrough = func() []string { return codenames }
	w.Repo.Offers = func(codename string) bool { return slices.Contains(codenames, codename) }
}

const toolPath = "pool/main/t/tool/tool_1.0_amd64.deb"

func TestPullThrough(t *testing.T) {
	w := newWorld(t)
	m := w.archive("debian", pkg("tool", "1:1.0", "Depends: libtool1"), pkg("libtool1", "2.0"),
		debtest.Package{Name: "data", Version: "3", Arch: "all", Fields: []string{"Source: src (2)"}})
	w.pullThrough("jammy")
	w.sync()
	w.expect("jammy", "data 3*", "libtool1 2.0*", "tool 1:1.0*")
	w.expect("focal")
	if got := w.published("jammy"); got != nil {
		t.Errorf("published: %q", got)
	}

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := w.Pull(w.ctx, toolPath); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.expect("jammy", "data 3*", "libtool1 2.0*", "tool 1:1.0")
	if got := w.published("jammy"); !slices.Equal(got, []string{"tool 1:1.0"}) {
		t.Errorf("published: %q", got)
	}
	n := 0
	for _, r := range m.Requests() {
		if strings.Contains(r, "tool_") && !strings.Contains(r, "libtool") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d requests for one file", n)
	}
	if f, err := w.Repo.OpenFile(w.ctx, toolPath); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}

	// A path that nobody offers.
	for _, name := range []string{
		"pool/main/t/tool/tool_2.0_amd64.deb", "pool/main/t/tool/tool_1.0_arm64.deb", "pool/extra/t/tool/tool_1.0_amd64.deb",
		"pool/main/x/tool/tool_1.0_amd64.deb", "pool/main/t/tool/tool_1.0_amd64", "pool/a", "dists/jammy/InRelease",
	} {
		if err := w.Pull(w.ctx, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// The archive goes on: what it does not have any more is not offered.
	m.Remove("data", "all")
	m.Add("main", pkg("libtool1", "2.1"))
	m.Release.Date = m.Release.Date.Add(time.Second)
	m.Publish()
	w.sync()
	w.expect("jammy", "libtool1 2.1*", "tool 1:1.0")
	before := generationOf(w, "jammy")
	w.sync()
	if after := generationOf(w, "jammy"); after != before {
		t.Errorf("a sync without change made generation %d after %d", after, before)
	}

	// Fsck does not mind.
	report, err := w.Repo.Fsck(w.ctx, aptrepo.FsckOptions{ReadFiles: true})
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("fsck: %+v, %v", report.Faults, err)
	}

	// Off again.
	w.pullThrough()
	if err := w.RefreshOffers(w.ctx, "jammy"); err != nil {
		t.Fatal(err)
	}
	w.expect("jammy", "tool 1:1.0")
	if err := w.Pull(w.ctx, "pool/main/l/libtool1/libtool1_2.1_amd64.deb"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Pull when it is off: %v", err)
	}
}

func generationOf(w *world, codename string) int64 {
	w.t.Helper()
	g, err := w.Repo.Store.Generation(w.ctx, codename)
	if err != nil {
		w.t.Fatal(err)
	}
	return g.Number
}

// What must not be published is not served either.
func TestPullRefused(t *testing.T) {
	w := newWorld(t)
	m := w.archive("debian", pkg("tool", "1.0"))
	w.pullThrough("jammy")
	w.sync()
	offers, err := w.Catalog.Offers(w.ctx, []string{"debian"}, []string{"tool"})
	if err != nil || len(offers) != 1 {
		t.Fatal(offers, err)
	}
	m.Handle(offers[0].Filename, func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("something else")) })
	if err := w.Pull(w.ctx, toolPath); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Pull of other bytes: %v", err)
	}
	if _, err := w.Repo.OpenFile(w.ctx, toolPath); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	w.expect("jammy", "tool 1.0*")
}

// An upload takes the place of an offer.
func TestUploadOverOffer(t *testing.T) {
	w := newWorld(t)
	w.archive("debian", pkg("tool", "1.0"))
	w.pullThrough("jammy")
	w.sync()
	other := pkg("tool", "1.0", "Homepage: https://example.com", "Repod-Offered: yes")
	_, err := w.Repo.Publish(w.ctx, strings.NewReader(string(other.Build())), aptrepo.PublishOptions{Distribution: "jammy"})
	if err != nil {
		t.Fatal(err)
	}
	w.expect("jammy", "tool 1.0")
	w.sync()
	w.expect("jammy", "tool 1.0")
}
