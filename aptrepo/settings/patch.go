package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"
)

// ErrSyntax marks a patch that is not one well-formed JSON value in UTF-8
// without repeated keys.
var ErrSyntax = errors.New("not well-formed JSON")

// maxDepth is how deep a patch may nest; ours need 3.
const maxDepth = 8

// parse reads an object. Numbers stay as they are written.
func parse(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, ErrSyntax
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	value, err := readValue(dec, maxDepth)
	if err != nil {
		return nil, ErrSyntax
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, &ValidationError{[]FieldError{{"body", "must be an object"}}}
	}
	return object, nil
}

func readValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	opening, ok := token.(json.Delim)
	switch {
	case !ok:
		return token, nil
	case depth == 0:
		return nil, ErrSyntax
	case opening == '[':
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
	object := map[string]any{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string)
		if _, repeated := object[name]; repeated {
			return nil, ErrSyntax
		}
		if object[name], err = readValue(dec, depth-1); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return object, err
}

// A patcher puts the leaves of an object into a tree.
type patcher struct {
	faults
	// changed holds the paths of leaves that have another value now; given, of
	// secrets that came with a value of their own.
	changed []string
	given   map[string]bool
	// unknown is told of keys that the tree has not.
	unknown func(path string)
}

func (p *patcher) object(dst reflect.Value, object map[string]any, prefix string) {
	fields := map[string]int{}
	for i := range dst.NumField() {
		fields[dst.Type().Field(i).Tag.Get("json")] = i
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		i, ok := fields[name]
		if !ok {
			p.unknown(prefix + name)
			continue
		}
		field, path := dst.Type().Field(i), prefix+name
		if field.Type.Kind() != reflect.Struct {
			p.leaf(dst.Field(i), object[name], path, field.Tag)
			continue
		}
		inner, ok := object[name].(map[string]any)
		if !ok {
			p.add(path, "must be an object")
			continue
		}
		p.object(dst.Field(i), inner, path+".")
	}
}

// leaf takes over a value that is as the leaf wants it.
func (p *patcher) leaf(dst reflect.Value, value any, path string, tag reflect.StructTag) {
	if secret, ok := value.(string); ok && dst.Type() == reflect.TypeFor[Secret]() {
		if secret == Mask {
			return
		}
		p.given[path] = true
	}
	before := len(p.list)
	fresh := reflect.New(dst.Type()).Elem()
	switch present := dst.Interface().(type) {
	case Sources:
		p.sources(fresh, present, value, path)
	case Targets:
		p.targets(fresh, present, value, path)
	case Feeds:
		p.feeds(fresh, value, path)
	default:
		p.convert(fresh, value, path, tag)
	}
	if len(p.list) > before || reflect.DeepEqual(fresh.Interface(), dst.Interface()) {
		return
	}
	dst.Set(fresh)
	p.changed = append(p.changed, path)
}

func (p *patcher) convert(dst reflect.Value, value any, path string, tag reflect.StructTag) {
	rule := tag.Get("rule")
	switch dst.Kind() {
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			p.add(path, "must be true or false")
		}
		dst.SetBool(b)
	case reflect.Int64:
		number, _ := value.(json.Number)
		n, err := number.Int64()
		if err != nil {
			p.add(path, "must be a whole number")
			return
		}
		checkNumber(&p.faults, path, rule, n)
		dst.SetInt(n)
	case reflect.Float64:
		number, _ := value.(json.Number)
		n, err := number.Float64()
		if err != nil {
			p.add(path, "must be a number")
			return
		}
		checkFraction(&p.faults, path, rule, n)
		dst.SetFloat(n)
	case reflect.String:
		s, ok := value.(string)
		if !ok {
			p.add(path, "must be a string")
			return
		}
		checkText(&p.faults, path, rule, s)
		dst.SetString(s)
	case reflect.Slice:
		p.slice(dst, value, path, tag)
	case reflect.Map:
		p.dictionary(dst, value, path, tag)
	default:
		panic("settings: no leaf can be a " + dst.Type().String())
	}
}

const defaultMost = 100

// items reads a list of at most so many items.
func (p *patcher) items(value any, path string, most int) ([]any, bool) {
	items, ok := value.([]any)
	switch {
	case !ok:
		p.add(path, "must be a list")
	case len(items) > most:
		p.add(path, "must have at most %d items", most)
		ok = false
	}
	return items, ok
}

// objects reads a list of objects of which each has an ID of its own. read reads
// one of them, and reports whether there is anything of it; check, which may be
// nil, finds its faults.
func objects[T any](p *patcher, value any, path string, most int, id func(*T) string,
	read func(object map[string]any, at string) (T, bool), check func(one *T, at string),
) ([]T, bool) {
	items, ok := p.items(value, path, most)
	if !ok {
		return nil, false
	}
	list := []T{}
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		object, ok := item.(map[string]any)
		if !ok {
			p.add(at, "must be an object")
			continue
		}
		one, ok := read(object, at)
		if !ok {
			continue
		}
		if slices.ContainsFunc(list, func(o T) bool { return id(&o) == id(&one) }) {
			p.add(at+".id", "must not be there twice")
		}
		if check != nil {
			check(&one, at)
		}
		list = append(list, one)
	}
	return list, true
}

// required finds fault with an empty text.
func (p *patcher) required(at, name, value string) {
	if value == "" {
		p.add(at+"."+name, "must not be empty")
	}
}

// item reads an object among the items of a list into dst, and reports whether
// it has no faults.
func (p *patcher) item(dst reflect.Value, object map[string]any, at string) bool {
	inner := patcher{given: map[string]bool{}, unknown: p.unknown}
	inner.object(dst, object, at+".")
	p.list = append(p.list, inner.list...)
	return len(inner.list) == 0
}

// slice reads a list of texts without repetitions. None of them is empty.
func (p *patcher) slice(dst reflect.Value, value any, path string, tag reflect.StructTag) {
	most, err := strconv.Atoi(tag.Get("most"))
	if err != nil {
		most = defaultMost
	}
	items, ok := p.items(value, path, most)
	if !ok {
		return
	}
	list := []string{}
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		s, ok := item.(string)
		switch {
		case !ok || s == "":
			p.add(at, "must be a string that is not empty")
		case slices.Contains(list, s):
			p.add(at, "must not be there twice")
		default:
			checkText(&p.faults, at, tag.Get("rule"), s)
		}
		list = append(list, s)
	}
	dst.Set(reflect.ValueOf(list))
}

// dictionary reads an object whose values are lists.
func (p *patcher) dictionary(dst reflect.Value, value any, path string, tag reflect.StructTag) {
	object, ok := value.(map[string]any)
	if !ok {
		p.add(path, "must be an object")
		return
	}
	m := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := path + "." + key
		checkText(&p.faults, at, tag.Get("keys"), key)
		list := reflect.New(reflect.TypeFor[[]string]()).Elem()
		p.slice(list, object[key], at, tag)
		m[key], _ = list.Interface().([]string)
	}
	dst.Set(reflect.ValueOf(m))
}
