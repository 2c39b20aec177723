package deb_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
)

func wantReason(t testing.TB, err error, reason string) {
	t.Helper()
	var f *deb.FormatError
	if !errors.As(err, &f) {
		t.Fatalf("got error %v, want a FormatError %s", err, reason)
	}
	if f.Reason != reason {
		t.Errorf("got reason %s (%v), want %s", f.Reason, err, reason)
	}
}

func TestParseStanza(t *testing.T) {
	s, err := deb.ParseStanza([]byte("Package: hello\nDepends:  a,\n b \n\tc\t\nEmpty:\nX-Y_z!: :\nFiles:\n one\n two\nDescription: Grüße\n .\n  more\n\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []deb.Field{
		{Name: "Package", Value: "hello"}, {Name: "Depends", Value: "a,\n b\n\tc"}, {Name: "Empty"}, {Name: "X-Y_z!", Value: ":"},
		{Name: "Files", Value: "\n one\n two"}, {Name: "Description", Value: "Grüße\n .\n  more"},
	}
	var got []deb.Field
	for name, value := range s.All() {
		got = append(got, deb.Field{Name: name, Value: value})
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if s.Get("PACKAGE") != "hello" || s.Get("none") != "" || s.Has("none") || !s.Has("empty") || s.Len() != len(want) {
		t.Error("fields are not found by name")
	}
	const text = "Package: hello\nDepends: a,\n b\n\tc\nEmpty:\nX-Y_z!: :\nFiles:\n one\n two\nDescription: Grüße\n .\n  more\n"
	if s.String() != text {
		t.Errorf("got %q\nwant %q", s, text)
	}
}

func TestParseStanzaRefuses(t *testing.T) {
	many := new(strings.Builder)
	for i := range deb.MaxStanzaFields + 1 {
		fmt.Fprintf(many, "F%d: x\n", i)
	}
	for _, c := range []struct{ name, text, reason string }{
		{"nothing", "", "stanza-empty"},
		{"empty lines only", "\n\n", "stanza-empty"},
		{"no final newline", "A: b", "stanza-no-newline"},
		{"second stanza", "A: b\n\nC: d\n", "stanza-several"},
		{"empty line first", "\nA: b\n", "stanza-several"},
		{"second stanza after a blank line", "A: b\n \nPackage: openssl\n", "stanza-blank-line"},
		{"blank line at the end", "A: b\n \n", "stanza-blank-line"},
		{"tab alone", "A: b\n\t\n c\n", "stanza-blank-line"},
		{"same field twice", "A: b\nA: c\n", "stanza-duplicate-field"},
		{"same field in other case", "Package: b\npaCKage: c\n", "stanza-duplicate-field"},
		{"line without colon", "A: b\nfoo\n", "stanza-field-name"},
		{"continuation first", " A: b\n", "stanza-field-name"},
		{"empty name", ": b\n", "stanza-field-name"},
		{"blank before the colon", "A : b\n", "stanza-field-name"},
		{"comment", "# A: b\nC: d\n", "stanza-field-name"},
		{"dash first", "-A: b\n", "stanza-field-name"},
		{"name that is not ASCII", "Ä: b\n", "stanza-field-name"},
		{"PGP armour", "-----BEGIN PGP SIGNED MESSAGE-----\n\nA: b\n", "stanza-field-name"},
		{"CRLF", "A: b\r\nC: d\r\n", "stanza-control-character"},
		{"CR in a value", "A: b\rPackage: c\n", "stanza-control-character"},
		{"NUL", "A: b\x00\n", "stanza-control-character"},
		{"VT", "A: b\vB: c\n", "stanza-control-character"},
		{"FF", "A: b\fB: c\n", "stanza-control-character"},
		{"escape", "A: \x1b[2J\n", "stanza-control-character"},
		{"DEL", "A: b\x7f\n", "stanza-control-character"},
		{"Latin-1", "A: \xe4\n", "stanza-encoding"},
		{"overlong UTF-8", "A: \xc0\x8a\n", "stanza-encoding"},
		{"surrogate", "A: \xed\xa0\x80\n", "stanza-encoding"},
		{"byte order mark", "\ufeffA: b\n", "stanza-field-name"},
		{"too many fields", many.String(), "stanza-too-many-fields"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := deb.ParseStanza([]byte(c.text))
			if err == nil {
				t.Fatalf("accepted as %q", s)
			}
			wantReason(t, err, c.reason)
			if tooLarge := errors.Is(err, deb.ErrTooLarge); tooLarge != (c.reason == "stanza-too-many-fields") {
				t.Errorf("%v: is ErrTooLarge: %v", err, tooLarge)
			}
		})
	}
}

func TestStanzaChanges(t *testing.T) {
	var s deb.Stanza
	for _, f := range [][2]string{{"Package", "a"}, {"Version", "1"}, {"PACKAGE", "b"}, {"Description", "x\n y"}} {
		if err := s.Set(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	c := s.Clone()
	if !s.Del("version") || s.Del("version") {
		t.Error("Del does not tell whether the field was there")
	}
	if got, want := s.String(), "Package: b\nDescription: x\n y\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := c.String(), "Package: b\nVersion: 1\nDescription: x\n y\n"; got != want {
		t.Errorf("the copy is %q, want %q", got, want)
	}
	for _, f := range [][2]string{
		{"A", "b\nC: d"}, {"A", "b\n\nC: d"}, {"A", "b\n"}, {"A", "b\n \n c"}, {"A: b\nC", "d"}, {"", "x"}, {"A\n", "x"}, {"A", "\r"}, {"A", "b\n\n"},
	} {
		if err := s.Set(f[0], f[1]); err == nil {
			t.Errorf("Set(%q, %q) works: %q", f[0], f[1], s.String())
		}
	}
}

// TestManyLines fails by its duration when reading lines takes quadratic time.
func TestManyLines(t *testing.T) {
	text := "Description: x\n" + strings.Repeat(" .\n", 1<<18)
	s, err := deb.ParseStanza([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != text {
		t.Error("the text changed")
	}
}

func FuzzStanza(f *testing.F) {
	f.Add([]byte("Package: hello\nDepends: a,\n b\nEmpty:\nFiles:\n x\n\n"))
	f.Add([]byte("A: b\n \nPackage: openssl\n"))
	f.Add([]byte("A: b\nA: c\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		readers := readStanzas(t, text, 1<<16)
		s, err := deb.ParseStanza(text)
		if err != nil {
			return
		}
		again, err := deb.ParseStanza([]byte(s.String()))
		if err != nil {
			t.Fatalf("cannot read %q again: %v", s, err)
		}
		if again.String() != s.String() {
			t.Fatalf("%q became %q", s, again)
		}
		if bytes.Contains(s.AppendTo(nil), []byte("\n\n")) {
			t.Fatalf("%q reads as several stanzas", s)
		}
		if len(readers) != 1 || len(readers[0]) != s.Len() {
			t.Fatalf("the streaming reader sees %q in %q", readers, text)
		}
		for i, f := range readers[0] {
			if f.Name == "" || s.Get(f.Name) == "" && f.Value != "" {
				t.Fatalf("field %d is %q in the streaming reader", i, f)
			}
		}
	})
}

// readStanzas reads text with a StanzaReader. Text that is malformed ends it.
func readStanzas(t testing.TB, text []byte, most int) (stanzas [][]deb.Field) {
	t.Helper()
	sr := deb.NewStanzaReader(bytes.NewReader(text), most)
	for {
		s, err := sr.Next()
		if err != nil {
			return stanzas
		}
		var fields []deb.Field
		for _, f := range s.Fields {
			fields = append(fields, deb.Field{Name: string(f.Name), Value: string(f.Value)})
		}
		stanzas = append(stanzas, fields)
	}
}

func ExampleParseStanza() {
	s, err := deb.ParseStanza([]byte("Package: hello\nVersion: 2.10-3\nDescription: greets\n the world\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Get("version"))
	fmt.Printf("%q\n", s.Get("Description"))

	_, err = deb.ParseStanza([]byte("Package: hello\n\nPackage: openssl\n"))
	fmt.Println(err)
	// Output:
	// 2.10-3
	// "greets\n the world"
	// line 2: an empty line ends the stanza, but more follows
}
