package httpapi

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

type sample struct {
	Name  string   `json:"name" rule:"required,trim,1..5"`
	Count *int     `json:"count" rule:"1..9"`
	On    bool     `json:"on"`
	List  []string `json:"list" rule:"1..2"`
	Items []struct {
		Name string `json:"name" rule:"required"`
	} `json:"items"`
}

func TestDecode(t *testing.T) {
	nine := 9
	tests := []struct {
		body string
		want sample
	}{
		{`{"name":" nginx\n"}`, sample{Name: "nginx"}},
		{`{"name":"äöüßé","count":9,"on":true,"list":["a","b"]}`, sample{Name: "äöüßé", Count: &nine, On: true, List: []string{"a", "b"}}},
		{`{"name":"a","count":null,"on":null,"list":null}`, sample{Name: "a"}},
		{" \n{\"name\":\"\\u0061\"}\t", sample{Name: "a"}},
	}
	for _, test := range tests {
		var got sample
		if err := decode([]byte(test.body), &got); err != nil {
			t.Errorf("%s: %v", test.body, err)
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v", test.body, got)
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	for name, body := range map[string]string{
		"empty":             "",
		"cut":               `{"name":`,
		"trailing data":     `{"name":"a"}{}`,
		"trailing comma":    `{"name":"a",}`,
		"byte order mark":   "\ufeff{}",
		"not a number":      `{"count":NaN}`,
		"single quotes":     `{'name':'a'}`,
		"comment":           `{} // x`,
		"repeated key":      `{"name":"a","name":"b"}`,
		"escaped repeat":    `{"name":"a","n\u0061me":"b"}`,
		"repeat below":      `{"name":"a","x":{"k":1,"k":2}}`,
		"not UTF-8":         "{\"name\":\"\xff\"}",
		"nested too deep":   `{"name":` + strings.Repeat("[", 17) + strings.Repeat("]", 17) + `}`,
		"nested far deeper": strings.Repeat("[", 1e6),
		"control character": "{\"name\":\"a\nb\"}",
	} {
		var got sample
		if err := decode([]byte(body), &got); !errors.Is(err, errInvalidJSON) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeFaults(t *testing.T) {
	tests := []struct {
		body string
		want []fault
	}{
		{`{}`, []fault{{"name", "is required"}}},
		{`{"name":null}`, []fault{{"name", "is required"}}},
		{`[]`, []fault{{"body", "must be an object"}}},
		{`null`, []fault{{"body", "must be an object"}}},
		{`"x"`, []fault{{"body", "must be an object"}}},
		{`{"name":"  "}`, []fault{{"name", "must have 1 to 5 characters"}}},
		{`{"name":"123456"}`, []fault{{"name", "must have 1 to 5 characters"}}},
		{`{"name":"a\u0000"}`, []fault{{"name", "must not contain NUL"}}},
		{`{"name":"a","Name":"b"}`, []fault{{"Name", "is not a known field"}}},
		{`{"NAME":"b"}`, []fault{{"name", "is required"}, {"NAME", "is not a known field"}}},
		{`{"name":1,"count":"2","on":"true","list":{}}`, []fault{
			{"name", "must be a string"}, {"count", "must be a whole number"},
			{"on", "must be true or false"}, {"list", "must be a list"},
		}},
		{`{"name":"a","count":0}`, []fault{{"count", "must be 1 to 9"}}},
		{`{"name":"a","count":1.5}`, []fault{{"count", "must be a whole number"}}},
		{`{"name":"a","count":1e400}`, []fault{{"count", "must be a whole number"}}},
		{`{"name":"a","count":9223372036854775808}`, []fault{{"count", "must be a whole number"}}},
		{`{"name":"a","list":[]}`, []fault{{"list", "must have 1 to 2 items"}}},
		{`{"name":"a","list":["x",null]}`, []fault{{"list[1]", "must be a string"}}},
		{`{"name":"a","items":[{"name":"b"},{"z":1}]}`, []fault{
			{"items[1].name", "is required"}, {"items[1].z", "is not a known field"},
		}},
	}
	for _, test := range tests {
		var got sample
		err := decode([]byte(test.body), &got)
		var p *problem
		if !errors.As(err, &p) || p.Code != "validation_failed" || !reflect.DeepEqual(p.Errors, test.want) {
			t.Errorf("%s: %+v", test.body, p)
		}
	}
}

// FuzzDecode holds decode against encoding/json: what decode takes,
// encoding/json takes as well, without unknown fields, and reads the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"name":"nginx","count":3,"on":true,"list":["a"],"items":[{"name":"x"}]}`,
		`{"name":"a","name":"b"}`, `{"Name":"a"}`, `{"name":"\ud800"}`, `[[[]]]`, `{"name":"a"} x`, "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var got sample
		err := decode([]byte(body), &got)
		if err != nil {
			if p, known := problemOf(err); !known || p.Status != 400 && p.Status != 422 {
				t.Fatalf("%v is no answer", err)
			}
			return
		}
		var want sample
		dec := json.NewDecoder(strings.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("encoding/json refuses %q: %v", body, err)
		}
		want.Name = strings.TrimSpace(want.Name)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %+v, encoding/json %+v", body, got, want)
		}
	})
}
