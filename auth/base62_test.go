package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
)

func TestEncode62(t *testing.T) {
	for _, tt := range []struct {
		b     []byte
		width int
		want  string
	}{
		{nil, 3, "000"},
		{[]byte{61}, 2, "0z"},
		{[]byte{62}, 2, "10"},
		{[]byte{1, 0}, 4, "0048"}, // 256 = 4*62 + 8
		{bytes.Repeat([]byte{0xff}, 4), 6, "4gfFC3"},
		{bytes.Repeat([]byte{0xff}, 32), 43, "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1"},
	} {
		got := encode62(tt.b, tt.width)
		if got != tt.want {
			t.Errorf("encode62(%x) = %q, want %q", tt.b, got, tt.want)
		}
	}
}

func TestRandom62(t *testing.T) {
	text, err := random62(rand.Reader, 10000)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range base62 {
		// 161 expected; 62 counts all within 8 standard deviations.
		if n := strings.Count(text, string(c)); n < 60 || n > 262 {
			t.Errorf("%c stands %d times in 10000", c, n)
		}
	}
	// 248 to 255 are passed over.
	if got, err := random62(bytes.NewReader([]byte{255, 248, 247, 62, 0, 9}), 3); got != "z00" || err != nil {
		t.Errorf("random62 = %q, %v", got, err)
	}
	if _, err := random62(repeat(255), 1); err == nil {
		t.Error("random62 makes do with 255 for ever")
	}
	gone := errors.New("gone")
	if _, err := random62(iotest.ErrReader(gone), 1); !errors.Is(err, gone) {
		t.Errorf("random62 without randomness: %v", err)
	}
}

type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

func TestTokenText(t *testing.T) {
	form := regexp.MustCompile(`^repod_[0-9A-Za-z]{49}$`)
	for range 100 {
		text, err := newTokenText(rand.Reader)
		if err != nil || !form.MatchString(string(text)) || !ValidTokenText(string(text)) {
			t.Fatalf("newTokenText = %q, %v", string(text), err)
		}
	}
	if _, err := newTokenText(io.LimitReader(rand.Reader, 31)); err == nil {
		t.Error("newTokenText makes do with 31 bytes")
	}
}

// The form is public: scanners for leaked tokens know it.
func TestTokenTextVector(t *testing.T) {
	text, err := newTokenText(repeat(0))
	// The CRC-32 of 43 zeros, by Python's zlib: 0x7849568F.
	if want := "repod_00000000000000000000000000000000000000000002CZclj"; string(text) != want || err != nil {
		t.Errorf("newTokenText = %q, %v; want %q", string(text), err, want)
	}
}

func TestValidTokenTextRefuses(t *testing.T) {
	text, err := newTokenText(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for i := range good {
		for _, c := range []byte{'0', 'z', '-', 0, 0x80} {
			bad := good[:i] + string([]byte{c}) + good[i+1:]
			if bad != good && ValidTokenText(bad) {
				t.Errorf("ValidTokenText(%q) though %q is the token", bad, good)
			}
		}
	}
	for _, bad := range []string{"", "repod_", good[:54], good + "0", " " + good, good + "\n", "REPOD_" + good[6:]} {
		if ValidTokenText(bad) {
			t.Errorf("ValidTokenText(%q)", bad)
		}
	}
}
