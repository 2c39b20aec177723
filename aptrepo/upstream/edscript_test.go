package upstream

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/upstream/mirrortest"
)

func apply(text, script string) (string, error) {
	hunks, err := parseScript([]byte(script))
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = applyScript(&out, strings.NewReader(text), hunks)
	return out.String(), err
}

func TestScripts(t *testing.T) {
	const text = "1\n2\n3\n4\n5\n"
	for _, tt := range []struct{ name, script, want string }{
		{"nothing", "", text},
		{"append", "5a\n6\n.\n", "1\n2\n3\n4\n5\n6\n"},
		{"prepend", "0a\n0\n.\n", "0\n1\n2\n3\n4\n5\n"},
		{"append nothing", "2a\n.\n", text},
		{"delete one", "2d\n", "1\n3\n4\n5\n"},
		{"delete all", "1,5d\n", ""},
		{"change", "2,3c\nb\nc\nd\n.\n", "1\nb\nc\nd\n4\n5\n"},
		{"several", "5d\n3a\nx\n.\n1,2c\ny\n.\n", "y\n3\nx\n4\n"},
		{"before what was changed", "3c\nx\n.\n2a\ny\n.\n", "1\n2\ny\nx\n4\n5\n"},
		{"text like a command", "5a\n1d\n..\n.\n", text + "1d\n..\n"},
	} {
		if got, err := apply(text, tt.script); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	for _, script := range []string{
		"x", "x\n", "\n", "d\n", "a\n", "1\n", "1x\n", "0d\n", "0c\nx\n.\n", "2,1d\n", "1,2a\nx\n.\n", "-1d\n", "+1d\n", "1,d\n", ",1d\n",
		"1d\n2d\n", "1d\n1d\n", "2a\nx\n.\n2d\n3d\n", "1a\nx\n", "1a\nx\n.", "1a", "1d", "s/.//\n", "1,2,3d\n", "!ls\n", "w x\n", "%d\n", "$d\n", "1 d\n",
		"99999999999999999999d\n", "6d\n", "6a\nx\n.\n", "5,6d\n",
	} {
		if _, err := apply(text, script); !errors.Is(err, errScript) {
			t.Errorf("%q: error %v", script, err)
		}
	}
}

// naive applies commands one by one to a list of lines, as ed does.
func naive(text string, hunks []hunk) string {
	lines := strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1]
	for _, h := range slices.Backward(hunks) {
		lines = slices.Replace(lines, int(h.first-1), int(h.last), string(h.text))
	}
	return strings.Join(lines, "")
}

// FuzzScript has scripts do the same in one pass, streaming, as done one
// command after the other in memory.
func FuzzScript(f *testing.F) {
	f.Add("1\n2\n3\n4\n5\n", []byte("5d\n3a\nx\n.\n1,2c\ny\n.\n"))
	f.Add("1\n", []byte("0a\n.\n"))
	f.Add("", []byte("0a\nx\n.\n"))
	f.Add("a\nb", []byte("2d\n"))
	f.Fuzz(func(t *testing.T, text string, script []byte) {
		hunks, err := parseScript(script)
		if err != nil {
			if !errors.Is(err, errScript) {
				t.Fatalf("error %v", err)
			}
			return
		}
		var out bytes.Buffer
		if err := applyScript(&out, strings.NewReader(text), hunks); err != nil {
			if !errors.Is(err, errScript) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			return // no text file: only must not crash
		}
		if want := naive(text, hunks); out.String() != want {
			t.Fatalf("%q\non %q\ngives %q\nwant  %q", script, text, out.String(), want)
		}
	})
}

// What the test archive calls a patch is one.
func TestScriptsOfMirror(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		from, to := randomText(random), randomText(random)
		if got, err := apply(from, string(mirrortest.Script([]byte(from), []byte(to)))); err != nil || got != to {
			t.Fatalf("from %q to %q: %q, %v", from, to, got, err)
		}
	}
}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(8) {
		b.WriteString(strings.Repeat(string(rune('a'+r.IntN(3))), 1+r.IntN(2)) + "\n")
	}
	return b.String()
}

// Lines longer than the buffer are copied in pieces.
func TestScriptOnLongLines(t *testing.T) {
	long := strings.Repeat("x", 700<<10) + "\n"
	got, err := apply(long+"2\n"+long+"4\n", "4d\n2c\ntwo\n.\n")
	if err != nil || got != long+"two\n"+long {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
