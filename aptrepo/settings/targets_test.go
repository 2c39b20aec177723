package settings_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/settings/settingstest"
)

// The secret of a target is neither shown nor stored as it is, stays when its
// mask comes back for the same ID, and goes with the target.
func TestTargetSecret(t *testing.T) {
	mem := new(settingstest.Mem)
	s := open(t, mem)
	patch := func(targets string) string {
		t.Helper()
		body, _, err := s.Patch(t.Context(), []byte(nest("webhook.targets", targets)), "")
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	secret := func(s *settings.Service, id string) string {
		one, _ := s.Current().Webhook.Receiver(id)
		return string(one.Secret)
	}
	body := patch(`[{"id":"a","url":"https://a.example.com/","secret":"s3cr3t"},{"id":"b","url":"https://b.example.com/"}]`)
	doc, err := mem.LoadSettings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"the view": body, "the document": string(doc.JSON), "a print": fmt.Sprintf("%v %+v %#v", s.Current(), s.Current(), s.Current()),
	} {
		if strings.Contains(text, "s3cr3t") {
			t.Errorf("%s has the secret: %s", what, text)
		}
	}
	if !strings.Contains(body, `"secret":"********"`) || secret(open(t, mem), "a") != "s3cr3t" || secret(open(t, mem), "b") != "" {
		t.Errorf("read back as %q and %q; shown as %s", secret(open(t, mem), "a"), secret(open(t, mem), "b"), body)
	}
	shown, _, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Patch(t.Context(), []byte(strings.Replace(string(shown), `"keep_versions":0`, `"keep_versions":2`, 1)), ""); err != nil {
		t.Fatal(err)
	}
	if got := secret(open(t, mem), "a"); got != "s3cr3t" {
		t.Errorf("after all came back: %q", got)
	}
	patch(`[{"id":"b","url":"https://b.example.com/"},{"id":"a","url":"https://new.example.com/","secret":"********"}]`)
	if one, _ := open(t, mem).Current().Webhook.Receiver("a"); string(one.Secret) != "s3cr3t" || one.URL != "https://new.example.com/" {
		t.Errorf("moved: %q at %s", string(one.Secret), one.URL)
	}
	other := &settings.Service{Store: mem, Key: []byte(strings.Repeat("k", 32))}
	if err := other.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := other.Current().Webhook.Receivers(); len(got) != 2 || secret(other, "a") != "" {
		t.Errorf("with another key: %q, %q", got, secret(other, "a"))
	}
	patch(`[]`)
	if got := open(t, mem).Current().Webhook.Receivers(); len(got) != 0 {
		t.Errorf("emptied: %q", got)
	}
}
