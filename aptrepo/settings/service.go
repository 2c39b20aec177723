package settings

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Document is what a Store keeps: the leaves that were set, as a JSON object,
// with secrets sealed.
type Document struct {
	Version int64 // 0: nothing was ever set
	JSON    []byte
}

// A Store keeps the document. Package aptrepo/sqlstore implements it.
type Store interface {
	// LoadSettings returns the document.
	LoadSettings(ctx context.Context) (Document, error)
	// SaveSettings replaces it and records, in the same transaction, that the
	// context's actor has made the change. d.Version must be the present version
	// plus one, else ErrStale and nothing changes.
	SaveSettings(ctx context.Context, d Document, c Change) error
}

// A Change is what the audit log is to say of a change. It has no values, which
// may be secrets.
type Change struct {
	Action string   // "settings.update"
	Target string   // what it is about, "" for the settings as a whole
	Paths  []string // of the leaves that were changed
}

// Errors of services and stores.
var (
	ErrStale = errors.New("settings changed meanwhile")
	// ErrPrecondition: the settings are not those that the caller has seen.
	ErrPrecondition = errors.New("the settings have changed since")
)

// A Service holds the present settings. Fill in Store and Key, call Refresh,
// and use it from any number of goroutines.
type Service struct {
	Store Store
	// Key, 32 bytes, seals the secrets; other keys are derived from it by
	// purpose, so that it may serve elsewhere too. With another key the stored
	// secrets count as not set.
	Key []byte `json:"-"`
	// Defaults is the tree as it is before anything is set. Nil: Default().
	Defaults *Settings
	// OnChange, when set, is called after the settings have changed, here or at
	// another server, one call at a time.
	OnChange func(before, after *Settings)
	// Logger gets what a human should know. Nil: slog.Default().
	Logger *slog.Logger

	current atomic.Pointer[state]
	mu      sync.Mutex // held while current changes
}

// state is the settings of a version.
type state struct {
	version  int64
	settings *Settings
	raw      map[string]any // the document's
}

// Format hides the key, whatever the verb.
func (s *Service) Format(f fmt.State, _ rune) { fmt.Fprint(f, "settings.Service") }

func (s *Service) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}

func (s *Service) defaults() *Settings {
	if s.Defaults != nil {
		return s.Defaults
	}
	return Default()
}

// Current returns the present settings, which the caller must not change:
// before the first Refresh, the defaults.
func (s *Service) Current() *Settings {
	if st := s.current.Load(); st != nil {
		return st.settings
	}
	return s.defaults()
}

// ETag is the entity tag of the present settings (RFC 9110, section 8.8.3).
func (s *Service) ETag() string {
	var version int64
	if st := s.current.Load(); st != nil {
		version = st.version
	}
	return fmt.Sprintf(`"settings-%d"`, version)
}

// View returns the present settings as JSON, with Mask for secrets, and their
// entity tag.
func (s *Service) View() (body []byte, etag string, err error) {
	st := s.current.Load()
	if st == nil {
		st = &state{settings: s.defaults()}
	}
	body, err = json.Marshal(st.settings)
	return body, fmt.Sprintf(`"settings-%d"`, st.version), err
}

// Refresh takes over what the Store has, when that is newer.
func (s *Service) Refresh(ctx context.Context) error {
	d, err := s.Store.LoadSettings(ctx)
	if err != nil {
		return fmt.Errorf("loading settings: %w", err)
	}
	if st := s.current.Load(); st != nil && st.version == d.Version {
		return nil
	}
	st, err := s.read(ctx, d)
	if err != nil {
		return err
	}
	s.swap(st)
	return nil
}

// refreshInterval is how soon a change at another server is seen here.
const refreshInterval = 2 * time.Second

// Run refreshes every two seconds until ctx ends, and returns its error.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(refreshInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		err := s.Refresh(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			s.logger().ErrorContext(ctx, "settings cannot be refreshed; it is tried again", "error", err)
		}
		failing = err != nil
	}
}

// swap makes st the present one unless there is a newer one.
func (s *Service) swap(st *state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current.Load()
	if before != nil && before.version >= st.version {
		return
	}
	old := s.Current()
	s.current.Store(st)
	if s.OnChange != nil {
		s.OnChange(old, st.settings)
	}
}

// read turns a document into settings. What this program does not know, or
// does not take, has no effect and stays in the document.
func (s *Service) read(ctx context.Context, d Document) (*state, error) {
	st := &state{version: d.Version, settings: s.copy(s.defaults()), raw: map[string]any{}}
	if len(d.JSON) == 0 {
		return st, nil
	}
	raw, err := parse(d.JSON)
	if err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	st.raw = raw
	note := func(path, why string) {
		s.logger().WarnContext(ctx, "a stored setting has no effect", "setting", path, "reason", why)
	}
	raw = s.openItems(raw, "import", "sources", "url", sourcePath, func(id string) bool {
		note(sourcePath(id), "it was sealed with another key: make the source again")
		return false
	})
	raw = s.openItems(raw, "webhook", "targets", "secret", targetPath, func(id string) bool {
		note(targetPath(id), "it was sealed with another key: set it again")
		return true
	})
	opened, err := s.secrets(raw, "", func(path, sealed string) (string, error) {
		text, err := s.unseal(path, sealed)
		if err != nil {
			note(path, "the secret was sealed with another key: set it again")
			return "", nil
		}
		return text, nil
	})
	if err != nil {
		return nil, err
	}
	p := patcher{given: map[string]bool{}, unknown: func(path string) { note(path, "it is not known") }}
	p.object(reflect.ValueOf(st.settings).Elem(), opened, "")
	for _, f := range p.list {
		note(f.Field, "it "+f.Message)
	}
	return st, nil
}

// copy returns a tree of its own, of which leaves can be replaced.
func (s *Service) copy(from *Settings) *Settings {
	to := *from
	return &to
}

// Patch changes what body, a JSON object, names. With ifMatch, the settings
// must be those of that entity tag (or "*"). It returns the new ones as View
// does. Errors: ErrSyntax, a [*ValidationError], ErrPrecondition; nothing has
// changed then. The change is in force at this server when Patch returns.
func (s *Service) Patch(ctx context.Context, body []byte, ifMatch string) ([]byte, string, error) {
	patch, err := parse(body)
	if err != nil {
		return nil, "", err
	}
	for {
		if err := s.Refresh(ctx); err != nil {
			return nil, "", err
		}
		if ifMatch != "" && ifMatch != "*" && ifMatch != s.ETag() {
			return nil, "", ErrPrecondition
		}
		err := s.change(ctx, patch)
		if errors.Is(err, ErrStale) {
			continue // somebody was faster: both changes shall be kept
		}
		if err != nil {
			return nil, "", err
		}
		return s.View()
	}
}

// change makes and saves the settings after the present ones.
func (s *Service) change(ctx context.Context, patch map[string]any) error {
	before := s.current.Load()
	next := &state{version: before.version + 1, settings: s.copy(before.settings)}
	p := patcher{given: map[string]bool{}}
	p.unknown = func(path string) { p.add(path, "is not a known field") }
	p.object(reflect.ValueOf(next.settings).Elem(), patch, "")
	next.settings.cross(&p.faults)
	next.settings.moved(before.settings, p.given, &p.faults)
	if err := p.err(); err != nil {
		return err
	}
	if len(p.changed) == 0 {
		return nil
	}
	sealed, err := s.secrets(only(patch, "", p.changed), "", s.seal)
	if err != nil {
		return err
	}
	next.raw = merge(before.raw, sealed, "")
	return s.save(ctx, next, Change{Action: "settings.update", Paths: p.changed})
}

// save stores the settings after the present ones, and makes them these.
func (s *Service) save(ctx context.Context, next *state, c Change) error {
	if slices.Contains(c.Paths, sourcesPath) {
		sealed, err := s.sealSources(next.settings.Import.Sources)
		if err != nil {
			return err
		}
		next.raw = merge(next.raw, map[string]any{"import": map[string]any{"sources": sealed}}, "")
	}
	if slices.Contains(c.Paths, targetsPath) {
		sealed, err := s.sealTargets(next.settings.Webhook.Targets)
		if err != nil {
			return err
		}
		next.raw = merge(next.raw, map[string]any{"webhook": map[string]any{"targets": sealed}}, "")
	}
	s.forget(next, c.Paths)
	data, err := json.Marshal(next.raw)
	if err != nil {
		return err
	}
	if err := s.Store.SaveSettings(ctx, Document{next.version, data}, c); err != nil {
		return err
	}
	s.swap(next)
	return nil
}

// forget drops leaves that are as they are without being set, so that they
// follow when a later version has other defaults.
func (s *Service) forget(st *state, changed []string) {
	for _, path := range changed {
		names := strings.Split(path, ".")
		object := st.raw
		now, unset := reflect.ValueOf(*st.settings), reflect.ValueOf(*s.defaults())
		for i, name := range names {
			now, unset = fieldOf(now, name), fieldOf(unset, name)
			if i < len(names)-1 {
				object, _ = object[name].(map[string]any)
			}
		}
		if reflect.DeepEqual(now.Interface(), unset.Interface()) {
			delete(object, names[len(names)-1])
		}
	}
}

// fieldOf returns the field of a struct that has a name in JSON.
func fieldOf(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("json") == name {
			return v.Field(i)
		}
	}
	panic("settings: no field " + name)
}

// only returns the leaves of a patch that are among paths. What is shown may come
// back whole: what it does not change must stay in the document as it is there,
// sealed or unset.
func only(patch map[string]any, prefix string, paths []string) map[string]any {
	left := map[string]any{}
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		switch {
		case slices.Contains(paths, prefix+name):
			left[name] = value
		case isObject && isBranch(prefix+name):
			if below := only(inner, prefix+name+".", paths); len(below) > 0 {
				left[name] = below
			}
		}
	}
	return left
}

// merge returns an object with patch over base; neither changes. Objects that
// are leaves are replaced whole.
func merge(base, patch map[string]any, prefix string) map[string]any {
	merged := maps.Clone(base)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		if isObject && isBranch(prefix+name) {
			below, _ := base[name].(map[string]any)
			value = merge(below, inner, prefix+name+".")
		}
		merged[name] = value
	}
	return merged
}

// leafType returns the type at a path, nil when there is none.
func leafType(path string) reflect.Type {
	t := reflect.TypeFor[Settings]()
	for name := range strings.SplitSeq(path, ".") {
		if t.Kind() != reflect.Struct {
			return nil
		}
		var inner reflect.Type
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("json") == name {
				inner = f.Type
			}
		}
		if inner == nil {
			return nil
		}
		t = inner
	}
	return t
}

func isBranch(path string) bool {
	t := leafType(path)
	return t == nil || t.Kind() == reflect.Struct // what a later version adds may be either
}

func isSecret(path string) bool { return leafType(path) == reflect.TypeFor[Secret]() }

// secrets returns an object with its secrets turned by f; the object itself
// does not change. Empty ones and masks stay.
func (s *Service) secrets(object map[string]any, prefix string, f func(path, text string) (string, error)) (map[string]any, error) {
	out := maps.Clone(object)
	for name, value := range object {
		path := prefix + name
		var err error
		switch value := value.(type) {
		case map[string]any:
			out[name], err = s.secrets(value, path+".", f)
		case string:
			if isSecret(path) && value != "" && value != Mask {
				out[name], err = f(path, value)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sealedMark begins every sealed secret.
const sealedMark = "sealed1:"

func (s *Service) aead() (cipher.AEAD, error) {
	if len(s.Key) != 32 {
		return nil, fmt.Errorf("settings: Service.Key has %d bytes, not 32", len(s.Key))
	}
	key, err := hkdf.Key(sha256.New, s.Key, nil, "repod settings", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal encrypts a secret with AES-256-GCM, bound to its path.
func (s *Service) seal(path, text string) (string, error) {
	c, err := s.aead()
	if err != nil {
		return "", err
	}
	return sealedMark + base64.StdEncoding.EncodeToString(c.Seal(nil, nil, []byte(text), []byte(path))), nil
}

func (s *Service) unseal(path, sealed string) (string, error) {
	c, err := s.aead()
	if err != nil {
		return "", err
	}
	text, ok := strings.CutPrefix(sealed, sealedMark)
	data, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return "", errors.New("not a sealed secret")
	}
	plain, err := c.Open(nil, nil, data, []byte(path))
	return string(plain), err
}
