package openapi

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Types are the JSON types that a value may have. One is written as a string,
// several as a list.
type Types []string

// MarshalJSON implements [json.Marshaler].
func (t Types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// A Kind says which way a value goes: what is required differs.
type Kind int

// The kinds.
const (
	// Answer is what a server sends: members without omitempty are always there.
	Answer Kind = iota
	// Body is what a server takes: members are required by their tag rule.
	Body
	// Patch is a body of which any part may be sent.
	Patch
)

// A Reflector makes schemas of Go types, as encoding/json writes them.
//
// Fields are described by tags. The tag rule holds words separated by commas:
// "required"; "1..64" bounds the length of a string (in code points) or list, or
// a number; "a|b" lists what a text may be. A name of Enums, there or in the tag
// enum, stands for a list of what a text, or each text of a list, may be. Other
// words are for who reads the value.
//
// Named structs become components, which Schemas collects; two types that get
// one name make it panic. A Reflector is not safe for concurrent use.
type Reflector struct {
	Schemas map[string]*Schema
	// Name returns the name of a struct's component; "" puts it where it is used.
	Name func(t reflect.Type, k Kind) string
	// Known returns the schema of types that write themselves, or whose values
	// are few, in a field of that name; nil for all others.
	Known func(t reflect.Type, field string) *Schema
	Enums map[string][]string

	types map[string]reflect.Type
}

// Schema returns the schema of values like v. What v holds beyond zeros is the
// default of bodies.
func (r *Reflector) Schema(v any, k Kind) *Schema {
	value := reflect.ValueOf(v)
	return r.of(value.Type(), k, "", value)
}

// of returns the schema of a type; defaults may be the zero Value.
func (r *Reflector) of(t reflect.Type, k Kind, field string, defaults reflect.Value) *Schema {
	if s := r.Known(t, field); s != nil {
		return s
	}
	switch t.Kind() {
	case reflect.Pointer:
		s := r.of(t.Elem(), k, field, reflect.Value{})
		if k == Answer {
			return Nullable(s)
		}
		return s
	case reflect.Struct:
		return r.component(t, k, defaults)
	case reflect.Slice, reflect.Array:
		return &Schema{Types: Types{"array"}, Items: r.of(t.Elem(), k, field, reflect.Value{})}
	case reflect.Map:
		return &Schema{Types: Types{"object"}, Values: r.of(t.Elem(), k, field, reflect.Value{})}
	case reflect.String:
		return &Schema{Types: Types{"string"}}
	case reflect.Bool:
		return &Schema{Types: Types{"boolean"}}
	case reflect.Float64:
		return &Schema{Types: Types{"number"}}
	case reflect.Int64:
		return &Schema{Types: Types{"integer"}, Format: "int64"}
	case reflect.Int:
		return &Schema{Types: Types{"integer"}}
	case reflect.Interface:
		return &Schema{}
	}
	panic("openapi: no schema for " + t.String())
}

// Nullable returns a schema for what s takes, and null.
func Nullable(s *Schema) *Schema {
	null := *s
	switch {
	case s.Ref != "" || len(s.Enum) > 0:
		return &Schema{AnyOf: []*Schema{s, {Types: Types{"null"}}}}
	case len(s.Types) > 0 && !slices.Contains(s.Types, "null"):
		null.Types = append(slices.Clone(s.Types), "null")
	}
	return &null
}

// component returns a reference to a struct's schema, or that itself.
func (r *Reflector) component(t reflect.Type, k Kind, defaults reflect.Value) *Schema {
	name := r.Name(t, k)
	if name == "" {
		return r.object(t, k, defaults)
	}
	if r.types == nil {
		r.types = map[string]reflect.Type{}
	}
	switch known := r.types[name]; known {
	case nil:
		r.types[name] = t
		r.Schemas[name] = &Schema{} // for a type that holds itself
		*r.Schemas[name] = *r.object(t, k, defaults)
	case t:
	default:
		panic(fmt.Sprintf("openapi: %v and %v are both named %s", known, t, name))
	}
	return &Schema{Ref: "#/components/schemas/" + name}
}

// object describes the fields of a struct, and those of structs that are
// embedded in it.
func (r *Reflector) object(t reflect.Type, k Kind, defaults reflect.Value) *Schema {
	s := &Schema{Types: Types{"object"}, Properties: map[string]*Schema{}}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" || name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		optional := strings.Contains(options, "omitempty")
		ft := f.Type
		if optional && ft.Kind() == reflect.Pointer { // it is left out in place of null
			ft = ft.Elem()
		}
		property := r.of(ft, k, name, reflect.Value{})
		required := r.ruled(property, f.Tag)
		if k == Answer && !optional || k == Body && required {
			s.Required = append(s.Required, name)
		}
		if k == Body && defaults.IsValid() && property.Ref == "" {
			if v := defaults.FieldByIndex(f.Index); !v.IsZero() {
				property.Default = v.Interface()
			}
		}
		s.Properties[name] = property
	}
	slices.Sort(s.Required)
	return s
}

// ruled adds what the tags of a field say, and reports whether it is required.
func (r *Reflector) ruled(s *Schema, tag reflect.StructTag) (required bool) {
	if name := tag.Get("enum"); name != "" {
		if r.Enums[name] == nil {
			panic("openapi: no enum " + name)
		}
		s.oneOf(r.Enums[name])
	}
	for word := range strings.SplitSeq(tag.Get("rule"), ",") {
		low, high, ok := strings.Cut(word, "..")
		switch {
		case word == "required":
			required = true
		case r.Enums[word] != nil:
			s.oneOf(r.Enums[word])
		case strings.Contains(word, "|"):
			s.Enum = strings.Split(word, "|")
		case ok:
			s.Bound(number(low), number(high))
		}
	}
	if most := tag.Get("most"); most != "" {
		s.Bound(0, number(most))
	}
	return required
}

// oneOf lists what a text, or each of a list, may be.
func (s *Schema) oneOf(words []string) {
	if s.Items != nil {
		s = s.Items
	}
	s.Enum = words
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("openapi: bad bound " + s)
	}
	return n
}

// Bound bounds a number, or the length of a string or list.
func (s *Schema) Bound(low, high int64) {
	switch least := &low; {
	case slices.Contains(s.Types, "string"):
		if low == 0 {
			least = nil
		}
		s.MinLength, s.MaxLength = least, &high
	case slices.Contains(s.Types, "array"):
		if low == 0 {
			least = nil
		}
		s.MinItems, s.MaxItems = least, &high
	default:
		s.Minimum, s.Maximum = least, &high
	}
}
