package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/deb/debtest"
)

// downloaded reads the totals of downloads at a server.
func downloaded(t *testing.T, s *testServer, token string) (total, clients int) {
	t.Helper()
	var stats struct {
		Summary struct {
			Total   int `json:"total_downloads"`
			Clients int `json:"unique_clients"`
		} `json:"summary"`
	}
	if err := json.Unmarshal([]byte(getWith(t, s.url+"/downloads/stats", token)), &stats); err != nil {
		t.Fatal(err)
	}
	return stats.Summary.Total, stats.Summary.Clients
}

func getWith(t *testing.T, url, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return do(t, req)
}

func do(t *testing.T, req *http.Request) string {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", req.URL, resp.Status, body)
	}
	return string(body)
}

// Two servers of one database count together, and a server that ends has written
// what it counted. Both follow the settings.
func TestDownloadsOfTwoServers(t *testing.T) {
	start := sharing(t)
	first, second := start(), start()
	token, err := makeToken(first.url, "admin", testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if status, text := first.send(t, token, "jammy", debtest.Package{Name: "tool"}); status != 201 {
		t.Fatal(status, text)
	}
	const path = "/apt/pool/main/t/tool/tool_1.0_amd64.deb"
	get(t, first.url+path)
	get(t, second.url+path)
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		total, clients := downloaded(t, first, token)
		if total == 2 && clients == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d downloads of %d clients", total, clients)
		}
	}

	second = start()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, first.url+"/settings/", strings.NewReader(`{"downloads":{"enabled":false}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	do(t, req)
	get(t, first.url+path)
	time.Sleep(3 * time.Second) // within which the other server hears of it
	get(t, second.url+path)
	if err := second.stop(); err != nil {
		t.Fatal(err)
	}
	if total, _ := downloaded(t, first, token); total != 2 {
		t.Errorf("%d downloads although none are to be counted", total)
	}
}
