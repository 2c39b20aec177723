package openapi_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/httpapi/openapi"
)

func newReflector() *openapi.Reflector {
	return &openapi.Reflector{
		Schemas: map[string]*openapi.Schema{},
		Name: func(t reflect.Type, k openapi.Kind) string {
			return strings.TrimSuffix(t.Name(), "Inline")
		},
		Known: func(t reflect.Type, field string) *openapi.Schema {
			if t == reflect.TypeFor[time.Time]() {
				return &openapi.Schema{Types: openapi.Types{"string"}, Format: "date-time", Description: field}
			}
			return nil
		},
		Enums: map[string][]string{"colours": {"red", "green"}},
	}
}

type inner struct {
	Name string `json:"name" rule:"required,trim,1..64"`
}

type base struct {
	ID int64 `json:"id"`
}

type node struct {
	base
	Next    *node          `json:"next"`
	Maybe   *inner         `json:"maybe,omitempty"`
	Text    *string        `json:"text"`
	List    []inner        `json:"list" rule:"0..3"`
	Map     map[string]int `json:"map"`
	Colour  string         `json:"colour" rule:"colours"`
	Colours []string       `json:"colours" enum:"colours"`
	Word    string         `json:"word,omitempty" rule:"a|b"`
	Age     int            `json:"age" rule:"1..9"`
	Share   float64        `json:"share"`
	At      time.Time      `json:"at"`
	Any     any            `json:"any"`
	Skip    string         `json:"-"`
	On      bool           `json:"on"`
}

func TestAnswer(t *testing.T) {
	r := newReflector()
	ref := r.Schema(node{}, openapi.Answer)
	if ref.Ref != "#/components/schemas/node" || len(r.Schemas) != 2 {
		t.Fatalf("%+v, %d components", ref, len(r.Schemas))
	}
	got, err := json.Marshal(r.Schemas["node"])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"object","properties":{` +
		`"age":{"type":"integer","minimum":1,"maximum":9},` +
		`"any":{},` +
		`"at":{"type":"string","description":"at","format":"date-time"},` +
		`"colour":{"type":"string","enum":["red","green"]},` +
		`"colours":{"type":"array","items":{"type":"string","enum":["red","green"]}},` +
		`"id":{"type":"integer","format":"int64"},` +
		`"list":{"type":"array","maxItems":3,"items":{"$ref":"#/components/schemas/inner"}},` +
		`"map":{"type":"object","additionalProperties":{"type":"integer"}},` +
		`"maybe":{"$ref":"#/components/schemas/inner"},` +
		`"next":{"anyOf":[{"$ref":"#/components/schemas/node"},{"type":"null"}]},` +
		`"on":{"type":"boolean"},` +
		`"share":{"type":"number"},` +
		`"text":{"type":["string","null"]},` +
		`"word":{"type":"string","enum":["a","b"]}},` +
		`"required":["age","any","at","colour","colours","id","list","map","next","on","share","text"]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

type bodyInline struct {
	Name  string  `json:"name" rule:"required,1..64"`
	Count int     `json:"count" rule:"0..9"`
	Note  *string `json:"note" rule:"trim,1..4"`
	On    bool    `json:"on"`
}

func TestBody(t *testing.T) {
	for kind, want := range map[openapi.Kind]string{
		openapi.Body: `{"type":"object","properties":{"count":{"type":"integer","default":3,"minimum":0,"maximum":9},` +
			`"name":{"type":"string","minLength":1,"maxLength":64},"note":{"type":"string","minLength":1,"maxLength":4},` +
			`"on":{"type":"boolean","default":true}},"required":["name"]}`,
		openapi.Patch: `{"type":"object","properties":{"count":{"type":"integer","minimum":0,"maximum":9},` +
			`"name":{"type":"string","minLength":1,"maxLength":64},"note":{"type":"string","minLength":1,"maxLength":4},` +
			`"on":{"type":"boolean"}}}`,
	} {
		r := newReflector()
		r.Name = func(reflect.Type, openapi.Kind) string { return "" }
		got, err := json.Marshal(r.Schema(bodyInline{Count: 3, On: true}, kind))
		if err != nil || string(got) != want {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
		}
	}
}

// What cannot be described is a mistake of the program, and found when it makes
// its document.
func TestPanics(t *testing.T) {
	for name, v := range map[string]any{
		"a channel": struct{ C chan int }{},
		"a bound": struct {
			N int `rule:"1..x"`
		}{},
		"an enum": struct {
			S string `enum:"nosuch"`
		}{},
		"two of the same name": struct {
			A inner
			B innerInline
		}{},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			newReflector().Schema(v, openapi.Answer)
		}()
	}
}

type innerInline struct{}

func ExampleReflector() {
	type User struct {
		Name string `json:"name" rule:"required,1..64"`
	}
	r := &openapi.Reflector{
		Schemas: map[string]*openapi.Schema{},
		Name:    func(t reflect.Type, _ openapi.Kind) string { return t.Name() },
		Known:   func(reflect.Type, string) *openapi.Schema { return nil },
	}
	r.Schema(User{}, openapi.Body)
	text, err := json.Marshal(r.Schemas["User"])
	fmt.Println(string(text), err)
	// Output: {"type":"object","properties":{"name":{"type":"string","minLength":1,"maxLength":64}},"required":["name"]} <nil>
}
