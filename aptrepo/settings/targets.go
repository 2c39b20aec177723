package settings

import (
	"reflect"
	"slices"
)

// A Target is one more receiver of events. Its attempts and their time are those
// of Webhook.
type Target struct {
	ID      string   `json:"id" rule:"feedid"`
	Enabled bool     `json:"enabled"`
	URL     string   `json:"url" rule:"hookurl"`
	Secret  Secret   `json:"secret" rule:"short"`           // its own key of signatures; "": none
	Events  []string `json:"events" rule:"event" most:"50"` // none: all
	Format  string   `json:"format" rule:"auto|json|slack|mattermost|teams"`
}

// Targets are receivers beside that of Webhook.URL. In the Store their secrets
// are sealed.
type Targets []Target

// Receivers returns the IDs of those that get events while Enabled is true: ""
// stands for URL.
func (w *Webhook) Receivers() []string {
	var ids []string
	if w.URL != "" {
		ids = append(ids, "")
	}
	for _, t := range w.Targets {
		if t.Enabled {
			ids = append(ids, t.ID)
		}
	}
	return ids
}

// Receiver returns the webhook as it is for one receiver, false when it is not
// there or gets nothing.
func (w *Webhook) Receiver(id string) (Webhook, bool) {
	if !slices.Contains(w.Receivers(), id) {
		return Webhook{}, false
	}
	one := *w
	for _, t := range w.Targets {
		if t.ID == id {
			one.URL, one.Secret, one.Events, one.Format = t.URL, t.Secret, t.Events, t.Format
		}
	}
	return one, true
}

// targetsPath is the leaf that holds them.
const targetsPath = "webhook.targets"

const maxTargets = 20

// targets reads a list of targets over the present one. Mask stands for the
// secret that the target of the ID has.
func (p *patcher) targets(dst reflect.Value, present Targets, value any, path string) {
	id := func(t *Target) string { return t.ID }
	list, ok := objects(p, value, path, maxTargets, id, func(object map[string]any, at string) (Target, bool) {
		t := Target{Enabled: true, Events: []string{}, Format: "auto"}
		p.item(reflect.ValueOf(&t).Elem(), object, at)
		if object["secret"] == Mask {
			had := slices.IndexFunc(present, func(o Target) bool { return o.ID == t.ID })
			if had < 0 {
				p.add(at+".secret", "must be entered again: there is none for this ID")
			} else {
				t.Secret = present[had].Secret
			}
		}
		p.required(at, "id", t.ID)
		p.required(at, "url", t.URL)
		return t, true
	}, nil)
	if ok {
		dst.Set(reflect.ValueOf(Targets(list)))
	}
}

// sealTargets returns the list as it is stored.
func (s *Service) sealTargets(list Targets) ([]any, error) {
	return s.sealItems(list, "secret", targetPath, func(i int) (id, secret string) {
		return list[i].ID, string(list[i].Secret)
	})
}

func targetPath(id string) string { return targetsPath + "." + id + ".secret" }
