package vuln_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/vuln"
)

// now is the time in tests.
var now = time.Date(2026, 5, 13, 8, 0, 0, 0, time.UTC)

func newDB(t testing.TB) *vuln.DB {
	t.Helper()
	db := &vuln.DB{Dir: filepath.Join(t.TempDir(), "vuln"), Now: func() time.Time { return now }}
	t.Cleanup(func() { db.Close() })
	return db
}

// feed makes a feed of a file in testdata.
func feed(t testing.TB, kind vuln.Kind, file string) vuln.Feed {
	t.Helper()
	b, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return vuln.Feed{ID: strings.TrimSuffix(file, filepath.Ext(file)), Kind: kind, Data: bytes.NewReader(b)}
}

func text(id string, kind vuln.Kind, s string) vuln.Feed {
	return vuln.Feed{ID: id, Kind: kind, Data: strings.NewReader(s)}
}

func importFeeds(t testing.TB, db *vuln.DB, feeds ...vuln.Feed) []vuln.Result {
	t.Helper()
	results, err := db.Import(t.Context(), feeds...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// mustImport imports feeds that are all to be accepted.
func mustImport(t testing.TB, db *vuln.DB, feeds ...vuln.Feed) {
	t.Helper()
	for _, r := range importFeeds(t, db, feeds...) {
		if r.State != vuln.OK {
			t.Fatalf("feed %s: %s %s", r.ID, r.State, r.Detail)
		}
	}
}

func subject(osName, source, version string) scan.Inventory {
	return scan.Inventory{Subject: scan.Subject{
		Name: source + "-bin", Version: "999:1-1", Arch: "amd64",
		Source: source, SourceVersion: version, OS: osName, Official: true,
	}}
}

func match(t testing.TB, db *vuln.DB, inv scan.Inventory) []scan.Finding {
	t.Helper()
	findings, covered, err := db.Match(context.Background(), inv)
	if err != nil {
		t.Fatal(err)
	}
	if !covered && inv.OS != "" {
		t.Fatalf("%s is not covered", inv.OS)
	}
	return findings
}

func byID(findings []scan.Finding, id string) *scan.Finding {
	for i := range findings {
		if findings[i].ID == id {
			return &findings[i]
		}
	}
	return nil
}

func ids(findings []scan.Finding) string {
	var list []string
	for _, f := range findings {
		list = append(list, f.ID)
	}
	return strings.Join(list, " ")
}
