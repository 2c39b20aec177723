package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep a JSON body may nest; ours need 3.
const maxDepth = 16

var errInvalidJSON = newProblem(http.StatusBadRequest, "invalid_json",
	"The body is not one well-formed JSON value in UTF-8 without repeated keys.")

// decode reads a JSON object into the struct that dst points to. It refuses
// what encoding/json forgives: repeated keys, unknown keys, keys in another
// case, text that is not UTF-8. Of these and of values that are not as their
// field wants, it tells all at once.
//
// Fields are named by the tag json and ruled by the tag rule: "required";
// "trim" takes white space off both ends; "1..64" bounds the length of a
// string (in code points) or list, or a number; "a|b" lists what a string may
// be. The tag enum is for the description of the API only. Pointers are nil, and other
// fields keep what they hold, when the key is missing or its value null.
func decode(data []byte, dst any) error {
	if !utf8.Valid(data) || !json.Valid(data) {
		return errInvalidJSON
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := readValue(dec, maxDepth)
	if err != nil {
		return errInvalidJSON
	}
	var b binder
	b.bind(reflect.ValueOf(dst).Elem(), value, "", rules{})
	if len(b.faults) > 0 {
		return invalid(b.faults...)
	}
	return nil
}

// readValue reads the next value: a map, a slice, string, json.Number, bool or
// nil.
func readValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	opening, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == 0 {
		return nil, fmt.Errorf("nested too deep")
	}
	if opening == '{' {
		return readObject(dec, depth)
	}
	items := []any{}
	for dec.More() {
		item, err := readValue(dec, depth-1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	_, err = dec.Token()
	return items, err
}

func readObject(dec *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string)
		if _, repeated := object[name]; repeated {
			return nil, fmt.Errorf("key %q is repeated", name)
		}
		if object[name], err = readValue(dec, depth-1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}

// rules are what the tag rule asks of a field.
type rules struct {
	required, trim, bounded bool
	low, high               int64
	words                   []string // any when empty
}

func parseRules(tag string) rules {
	var r rules
	for _, word := range strings.FieldsFunc(tag, func(c rune) bool { return c == ',' }) {
		low, high, ok := strings.Cut(word, "..")
		switch {
		case word == "required":
			r.required = true
		case word == "trim":
			r.trim = true
		case strings.Contains(word, "|"):
			r.words = strings.Split(word, "|")
		case ok:
			var err1, err2 error
			r.bounded = true
			r.low, err1 = strconv.ParseInt(low, 10, 64)
			r.high, err2 = strconv.ParseInt(high, 10, 64)
			if err1 == nil && err2 == nil {
				continue
			}
			fallthrough
		default:
			panic("httpapi: bad rule " + word)
		}
	}
	return r
}

func (r rules) hold(n int64) bool { return !r.bounded || r.low <= n && n <= r.high }

// A binder puts values into typed fields and collects what does not fit.
type binder struct{ faults []fault }

func (b *binder) fault(field, format string, args ...any) {
	if field == "" {
		field = "body"
	}
	b.faults = append(b.faults, fault{field, fmt.Sprintf(format, args...)})
}

func (b *binder) bind(dst reflect.Value, value any, field string, r rules) {
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		b.bind(dst.Elem(), value, field, r)
	case reflect.Struct:
		b.bindStruct(dst, value, field)
	case reflect.Slice:
		b.bindSlice(dst, value, field, r)
	case reflect.String:
		b.bindString(dst, value, field, r)
	case reflect.Bool:
		v, ok := value.(bool)
		if !ok {
			b.fault(field, "must be true or false")
		}
		dst.SetBool(v)
	case reflect.Int, reflect.Int64:
		number, _ := value.(json.Number)
		n, err := number.Int64()
		switch {
		case err != nil:
			b.fault(field, "must be a whole number")
		case !r.hold(n):
			b.fault(field, "must be %d to %d", r.low, r.high)
		}
		dst.SetInt(n)
	default:
		panic("httpapi: cannot decode into " + dst.Type().String())
	}
}

func (b *binder) bindStruct(dst reflect.Value, value any, field string) {
	object, ok := value.(map[string]any)
	if !ok {
		b.fault(field, "must be an object")
		return
	}
	prefix := field
	if prefix != "" {
		prefix += "."
	}
	for _, f := range reflect.VisibleFields(dst.Type()) {
		if f.Anonymous { // its fields follow
			continue
		}
		name := f.Tag.Get("json")
		r := parseRules(f.Tag.Get("rule"))
		v := object[name]
		delete(object, name)
		if v != nil {
			b.bind(dst.FieldByIndex(f.Index), v, prefix+name, r)
		} else if r.required {
			b.fault(prefix+name, "is required")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		b.fault(prefix+clip(name), "is not a known field")
	}
}

func (b *binder) bindSlice(dst reflect.Value, value any, field string, r rules) {
	items, ok := value.([]any)
	if !ok {
		b.fault(field, "must be a list")
		return
	}
	if !r.hold(int64(len(items))) {
		b.fault(field, "must have %d to %d items", r.low, r.high)
		return
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(items), len(items)))
	for i, item := range items {
		b.bind(dst.Index(i), item, fmt.Sprintf("%s[%d]", field, i), rules{})
	}
}

func (b *binder) bindString(dst reflect.Value, value any, field string, r rules) {
	s, ok := value.(string)
	if !ok {
		b.fault(field, "must be a string")
		return
	}
	if r.trim {
		s = strings.TrimSpace(s)
	}
	switch n := utf8.RuneCountInString(s); {
	case strings.Contains(s, "\x00"): // which PostgreSQL cannot store
		b.fault(field, "must not contain NUL")
	case !r.hold(int64(n)):
		b.fault(field, "must have %d to %d characters", r.low, r.high)
	case len(r.words) > 0 && !slices.Contains(r.words, s):
		b.fault(field, "must be one of %s", strings.Join(r.words, ", "))
	}
	dst.SetString(s)
}

// clip shortens text of a client for an error message.
func clip(s string) string {
	const most = 100
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
