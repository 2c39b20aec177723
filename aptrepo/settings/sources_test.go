package settings_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/settings/settingstest"
	"github.com/repod-io/repod/aptrepo/upstream"
)

// url returns the URL of the source of an ID, "" when there is none.
func sourceURL(s *settings.Service, id string) string {
	for _, source := range s.Current().Import.Sources {
		if source.ID == id {
			return source.URL
		}
	}
	return ""
}

const secretURL = "https://user:pass%40word@archive.example.com/debian/"

// A password in the URL of a source is neither shown nor stored as it is, and
// stays when its mask comes back for the same source and server.
func TestSourcePassword(t *testing.T) {
	mem := new(settingstest.Mem)
	s := open(t, mem)
	body, _, err := s.Patch(t.Context(), []byte(nest("import.sources", sourceList("x", secretURL))), "")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := mem.LoadSettings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"the view": string(body), "the document": string(doc.JSON), "a print": fmt.Sprintf("%v %+v %#v", s.Current(), s.Current(), s.Current()),
	} {
		if strings.Contains(text, "pass%40word") || strings.Contains(text, "pass@word") {
			t.Errorf("%s has the password: %s", what, text)
		}
	}
	const masked = "https://user:********@archive.example.com/debian/"
	if !strings.Contains(string(body), masked) {
		t.Errorf("the view is %s", body)
	}
	if got := sourceURL(open(t, mem), "x"); got != secretURL {
		t.Errorf("read back as %q", got)
	}
	for address, field := range map[string]string{
		masked: "",
		"https://user:********@archive.example.com/other/":  "",
		"https://user:********@evil.example.com/debian/":    "import.sources[0].url",
		"http://user:********@archive.example.com/debian/":  "import.sources[0].url",
		"https://other:********@archive.example.com/debian": "import.sources[0].url",
	} {
		_, _, err := s.Patch(t.Context(), []byte(nest("import.sources", sourceList("x", address))), "")
		var v *settings.ValidationError
		if field == "" && err != nil || field != "" && (!errors.As(err, &v) || v.Fields[0].Field != field) {
			t.Errorf("%s: %v", address, err)
		}
		if got := sourceURL(s, "x"); !strings.Contains(got, "pass%40word") {
			t.Errorf("%s: the source is at %s now", address, got)
		}
	}
	// What is shown comes back whole, with a change of another leaf.
	shown, _, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	again := strings.Replace(string(shown), `"retention_days":0`, `"retention_days":5`, 1)
	if _, _, err := s.Patch(t.Context(), []byte(again), ""); err != nil {
		t.Fatal(err)
	}
	if got := sourceURL(open(t, mem), "x"); !strings.Contains(got, "pass%40word") {
		t.Errorf("after all came back: read back as %q", got)
	}
	// Another leaf changes; the source does not.
	if _, _, err := s.Patch(t.Context(), []byte(`{"import":{"concurrency":3}}`), ""); err != nil {
		t.Fatal(err)
	}
	if got := sourceURL(open(t, mem), "x"); !strings.Contains(got, "pass%40word") {
		t.Errorf("read back as %q", got)
	}
}

// A source whose URL was sealed with another key is lost, and no other.
func TestSourceSealedWithAnotherKey(t *testing.T) {
	mem := new(settingstest.Mem)
	list := strings.Replace(sourceList("x", secretURL)+sourceList("y", "https://y.example.com/"), "][", ",", 1)
	if _, _, err := open(t, mem).Patch(t.Context(), []byte(nest("import.sources", list)), ""); err != nil {
		t.Fatal(err)
	}
	other := &settings.Service{Store: mem, Key: []byte(strings.Repeat("k", 32)), Logger: slog.New(slog.DiscardHandler)}
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := other.Current().Import.Sources; len(got) != 1 || got[0].ID != "y" {
		t.Errorf("sources are %v", got)
	}
}

func TestCreateAndDeleteSource(t *testing.T) {
	mem := new(settingstest.Mem)
	s := open(t, mem)
	body := strings.Trim(sourceList("x", secretURL), "[]")
	source, err := s.CreateSource(t.Context(), []byte(body))
	want := upstream.Source{
		ID: "x", URL: secretURL, Suite: "stable", Components: []string{"main"}, Architectures: []string{"amd64"},
		Keyring: "debian-archive", Enabled: true,
	}
	if got, _ := json.Marshal(source); err != nil || string(got) != string(encode(t, want)) {
		t.Fatalf("CreateSource = %s, %v", got, err)
	}
	if sourceURL(s, "debian-bookworm") == "" || sourceURL(open(t, mem), "x") != secretURL {
		t.Error("the source is not beside the others")
	}
	if _, err := s.CreateSource(t.Context(), []byte(body)); !errors.Is(err, settings.ErrSourceExists) {
		t.Errorf("CreateSource again: %v", err)
	}
	var v *settings.ValidationError
	if _, err := s.CreateSource(t.Context(), []byte(`{"id":"z","url":"x","suite":"s","keyring":"k"}`)); !errors.As(err, &v) || v.Fields[0].Field != "url" {
		t.Errorf("CreateSource with a bad URL: %v", err)
	}
	if err := s.DeleteSource(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteSource(t.Context(), "x"); !errors.Is(err, settings.ErrSourceNotFound) {
		t.Errorf("DeleteSource again: %v", err)
	}
	var actions []string
	for _, c := range mem.Changes() {
		actions = append(actions, c.Action+" "+c.Target)
	}
	if !slices.Equal(actions, []string{"import.source_create x", "import.source_delete x"}) {
		t.Errorf("changes are %q", actions)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
