package settings

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/repod-io/repod/aptrepo/upstream"
)

// Errors of CreateSource and DeleteSource.
var (
	ErrSourceExists   = errors.New("a source of this ID exists")
	ErrSourceNotFound = errors.New("source does not exist")
)

// Sources are the archives to import from. A URL may hold a password: the JSON
// form has Mask in its place, and in the Store the URL is sealed.
type Sources []upstream.Source

// MarshalJSON masks passwords.
func (s Sources) MarshalJSON() ([]byte, error) {
	shown := make([]upstream.Source, len(s))
	for i, source := range s {
		shown[i] = MaskSource(source)
	}
	return json.Marshal(shown)
}

// MaskSource returns a source with Mask in the place of its password.
func MaskSource(s upstream.Source) upstream.Source {
	s.URL = maskURL(s.URL)
	return s
}

// maskURL puts Mask in the place of a URL's password.
func maskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	if password, _ := u.User.Password(); password == "" {
		return s
	}
	u.User = url.UserPassword(u.User.Username(), Mask)
	return strings.Replace(u.String(), strings.ReplaceAll(Mask, "*", "%2A"), Mask, 1)
}

// sourcesPath is the leaf that holds the sources.
const sourcesPath = "import.sources"

const maxSources = 200

// sources reads a list of sources over the present one.
func (p *patcher) sources(dst reflect.Value, present Sources, value any, path string) {
	id := func(s *upstream.Source) string { return s.ID }
	list, ok := objects(p, value, path, maxSources, id, func(object map[string]any, at string) (upstream.Source, bool) {
		s, ok := p.source(object, at)
		if !ok {
			return s, false
		}
		p.keepPassword(&s, present, at)
		return s, true
	}, func(s *upstream.Source, at string) {
		for _, f := range s.Validate() {
			p.add(at+"."+f.Field, "%s", f.Message)
		}
	})
	if ok {
		dst.Set(reflect.ValueOf(Sources(list)))
	}
}

// source reads one source, with its defaults.
func (p *patcher) source(object map[string]any, at string) (upstream.Source, bool) {
	object = maps.Clone(object)
	if target, given := object["target_distribution"]; given && target == nil {
		delete(object, "target_distribution") // it serves all of them
	}
	s := upstream.Source{Components: []string{"main"}, Architectures: []string{"amd64"}, Enabled: true}
	return s, p.item(reflect.ValueOf(&s).Elem(), object, at)
}

// keepPassword puts the stored password of the source where Mask stands for it,
// if it is sent to the same server.
func (p *patcher) keepPassword(s *upstream.Source, present Sources, at string) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return
	}
	if password, _ := u.User.Password(); password != Mask {
		return
	}
	i := slices.IndexFunc(present, func(o upstream.Source) bool { return o.ID == s.ID })
	if i < 0 || authority(present[i].URL) != authority(s.URL) {
		p.add(at+".url", "must hold the password again: there is none for this ID and server")
		return
	}
	before, err := url.Parse(present[i].URL)
	if err != nil || before.User.Username() != u.User.Username() {
		p.add(at+".url", "must hold the password again: there is none for this user")
		return
	}
	u.User = before.User
	s.URL = u.String()
}

// sealSources returns the list as it is stored.
func (s *Service) sealSources(list Sources) ([]any, error) {
	return s.sealItems([]upstream.Source(list), "url", sourcePath, func(i int) (id, secret string) {
		if maskURL(list[i].URL) == list[i].URL {
			return "", ""
		}
		return list[i].ID, list[i].URL
	})
}

// sealItems returns the items of a list as they are stored: one field of each is
// sealed, if that has a secret.
func (s *Service) sealItems(list any, field string, path func(id string) string, secretOf func(i int) (id, secret string)) ([]any, error) {
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	var items []any
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, err
	}
	for i, item := range items {
		id, secret := secretOf(i)
		if secret == "" {
			continue
		}
		sealed, err := s.seal(path(id), secret)
		if err != nil {
			return nil, err
		}
		item.(map[string]any)[field] = sealed
	}
	return items, nil
}

func sourcePath(id string) string { return "import.sources." + id + ".url" }

// openItems returns a stored document with one field of the items of a list
// unsealed. Where it cannot be, lost says whether the item stays, without it.
func (s *Service) openItems(raw map[string]any, section, list, field string, path func(id string) string, lost func(id string) bool) map[string]any {
	within, _ := raw[section].(map[string]any)
	stored, ok := within[list].([]any)
	if !ok {
		return raw
	}
	items := []any{}
	for _, item := range stored {
		object, _ := item.(map[string]any)
		id, _ := object["id"].(string)
		if text, _ := object[field].(string); strings.HasPrefix(text, sealedMark) {
			plain, err := s.unseal(path(id), text)
			if err != nil && !lost(id) {
				continue
			}
			object = maps.Clone(object)
			object[field] = plain
			item = object
		}
		items = append(items, item)
	}
	within = maps.Clone(within)
	within[list] = items
	opened := maps.Clone(raw)
	opened[section] = within
	return opened
}

// CreateSource adds the source that body, a JSON object, describes, and returns
// it. The audit entry is import.source_create. Errors: ErrSyntax, a
// [*ValidationError], ErrSourceExists.
func (s *Service) CreateSource(ctx context.Context, body []byte) (upstream.Source, error) {
	object, err := parse(body)
	if err != nil {
		return upstream.Source{}, err
	}
	var added upstream.Source
	err = s.editSources(ctx, "import.source_create", func(list Sources) (Sources, string, error) {
		p := patcher{given: map[string]bool{}}
		p.unknown = func(path string) { p.add(path, "is not a known field") }
		out := reflect.New(reflect.TypeFor[Sources]()).Elem()
		p.sources(out, nil, []any{object}, "source")
		for i := range p.list {
			p.list[i].Field = strings.TrimPrefix(p.list[i].Field, "source[0].")
		}
		if err := p.err(); err != nil {
			return nil, "", err
		}
		added = out.Interface().(Sources)[0]
		if slices.ContainsFunc(list, func(o upstream.Source) bool { return o.ID == added.ID }) {
			return nil, "", ErrSourceExists
		}
		return append(slices.Clone(list), added), added.ID, nil
	})
	return added, err
}

// DeleteSource takes a source out. The audit entry is import.source_delete.
// Error: ErrSourceNotFound.
func (s *Service) DeleteSource(ctx context.Context, id string) error {
	return s.editSources(ctx, "import.source_delete", func(list Sources) (Sources, string, error) {
		left := slices.DeleteFunc(slices.Clone(list), func(o upstream.Source) bool { return o.ID == id })
		if len(left) == len(list) {
			return nil, "", ErrSourceNotFound
		}
		return left, id, nil
	})
}

// editSources changes the list; edit returns the new one and the ID that it is
// about.
func (s *Service) editSources(ctx context.Context, action string, edit func(Sources) (Sources, string, error)) error {
	for {
		if err := s.Refresh(ctx); err != nil {
			return err
		}
		before := s.current.Load()
		list, id, err := edit(before.settings.Import.Sources)
		if err != nil {
			return err
		}
		next := &state{version: before.version + 1, settings: s.copy(before.settings)}
		next.settings.Import.Sources = list
		next.raw = merge(before.raw, nil, "")
		err = s.save(ctx, next, Change{Action: action, Target: id, Paths: []string{sourcesPath}})
		if !errors.Is(err, ErrStale) { // else somebody was faster
			return err
		}
	}
}
