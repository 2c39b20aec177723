package auth

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// hashed was made by the reference implementation in C, Debian's package argon2
// 0~20171227-0.3+deb12u1:
//
//	printf %s password | argon2 somesalt -id -t 3 -k 1024 -p 2 -l 32 -e
const hashed = "$argon2id$v=19$m=1024,t=3,p=2$c29tZXNhbHQ$ffa0r58ft2qj3Ii4Z77CclSBKLWBnmWyd9PpuSOYNTI"

func TestMatches(t *testing.T) {
	h, err := parsePHC(hashed)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		password string
		want     bool
	}{{"password", true}, {"Password", false}, {"password\x00", false}, {"", false}} {
		if got := h.matches(tt.password); got != tt.want {
			t.Errorf("%q matches: %t", tt.password, got)
		}
	}
}

func TestHash(t *testing.T) {
	cost := Argon2id{Memory: 16, Time: 3, Threads: 2}
	seen := map[Secret]bool{}
	for _, password := range []string{"", "a", strings.Repeat("long", 256), strings.Repeat("x", 72) + "1", strings.Repeat("x", 72) + "2"} {
		for range 2 {
			hash, err := cost.Hash(rand.Reader, password)
			if err != nil || seen[hash] || !strings.HasPrefix(string(hash), "$argon2id$v=19$m=16,t=3,p=2$") {
				t.Fatalf("Hash = %q, %v; seen before: %t", string(hash), err, seen[hash])
			}
			seen[hash] = true
			h, err := parsePHC(hash)
			if err != nil || !h.matches(password) || h.matches(password+"x") {
				t.Errorf("%q is not the hash of %.10q (error %v)", string(hash), password, err)
			}
		}
	}
}

func TestHashFails(t *testing.T) {
	for _, cost := range []Argon2id{{8, 0, 1}, {8, 17, 1}, {7, 1, 1}, {15, 1, 2}, {256*1024 + 1, 1, 1}, {256, 1, 0}, {256, 1, 17}} {
		if _, err := cost.Hash(rand.Reader, "x"); err == nil {
			t.Errorf("Hash at %+v succeeds", cost)
		}
	}
	gone := errors.New("gone")
	if _, err := (Argon2id{}).Hash(iotest.ErrReader(gone), "x"); !errors.Is(err, gone) {
		t.Errorf("Hash without randomness: %v", err)
	}
	if _, err := (Argon2id{}).Hash(io.LimitReader(rand.Reader, 15), "x"); err == nil {
		t.Error("Hash takes a short salt")
	}
}

func TestBlankCostsTheSame(t *testing.T) {
	for _, cost := range []Argon2id{{}, {8, 1, 1}, {64, 3, 2}} {
		blank := cost.blank()
		hash, err := cost.Hash(rand.Reader, "x")
		if err != nil {
			t.Fatal(err)
		}
		real, err := parsePHC(hash)
		if err != nil || blank.Argon2id != real.Argon2id || len(blank.salt) != len(real.salt) || len(blank.digest) != len(real.digest) {
			t.Errorf("blank hash %v, real hash %v (error %v)", blank, real, err)
		}
	}
	if (Argon2id{Memory: 8, Time: 1, Threads: 1}).blank().matches("") {
		t.Error("the blank hash has a password")
	}
}

func TestParsePHCRefuses(t *testing.T) {
	const good = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$2mzTAI85jwP6+k/mHDeH3OgNt7E86G5W"
	if _, err := parsePHC(good); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"argon2id", "argon2i"}, {"argon2id", "argon2d"}, {"argon2id", ""}, {"$argon2id", "argon2id"},
		{"v=19", "v=16"}, {"v=19", "v=019"}, {"$v=19", ""},
		{"m=65536", "m=262145"}, {"m=65536", "m=7"}, {"m=65536", "m=4294967296"}, {"m=65536", "m=-1"}, {"m=65536", "m=+65536"}, {"m=65536", "m=065536"}, {"m=65536", "m= 65536"},
		{"t=2", "t=0"}, {"t=2", "t=17"}, {"p=1", "p=0"}, {"p=1", "p=17"}, {"p=1", "p=256"}, {"p=1", "p=1,x=1"}, {"m=65536,t=2", "t=2,m=65536"},
		{"c29tZXNhbHQ", ""}, {"c29tZXNhbHQ", "c29tZXNhbHR"}, {"c29tZXNhbHQ", "c29tZXNhbHQ="}, {"c29tZXNhbHQ", "c29tZXNhbH"}, {"c29tZXNhbHQ", "c29t\nZXNhbHQ"},
		{"c29tZXNhbHQ", strings.Repeat("AAAA", 22)}, {"G5W", "G5WA"}, {"G5W", "G5W$"}, {"G5W", "G5W\n"}, {"G5W", "G5W" + strings.Repeat("AAAA", 14)},
		{"2mzTAI85jwP6+k/mHDeH3OgNt7E86G5W", ""}, {"2mzTAI85jwP6+k/mHDeH3OgNt7E86G5W", "2mzTAI85jwP6+k/mHDeH"},
		{good, ""}, {good, "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"},
	} {
		bad := Secret(strings.Replace(good, change[0], change[1], 1))
		if bad == good {
			t.Fatalf("%q changes nothing", change)
		}
		if h, err := parsePHC(bad); err == nil {
			t.Errorf("parsePHC(%q) = %+v", string(bad), h)
		}
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add(hashed)
	f.Add(string(DefaultArgon2id.blank().encode()))
	f.Add("$argon2id$v=19$m=8,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parsePHC(Secret(text))
		if err != nil {
			return
		}
		if !h.valid() || string(h.encode()) != text {
			t.Errorf("parsed %q to %+v", text, h)
		}
		if again, err := parsePHC(h.encode()); err != nil || !bytes.Equal(again.salt, h.salt) || !bytes.Equal(again.digest, h.digest) {
			t.Errorf("parsed %q again to %+v, %v", text, again, err)
		}
	})
}
