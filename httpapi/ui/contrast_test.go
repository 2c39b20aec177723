package ui

import (
	"math"
	"regexp"
	"strconv"
	"testing"
)

// luminance is the relative luminance of a colour as "#1b2430" or "#fff" (WCAG 2.2).
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	if len(colour) == 4 {
		colour = "#" + colour[1:2] + colour[1:2] + colour[2:3] + colour[2:3] + colour[3:4] + colour[3:4]
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// Text and what it stands on differ enough in both colour schemes (WCAG 2.2,
// 1.4.3 and 1.4.11).
func TestContrast(t *testing.T) {
	schemes := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllSubmatch(files["console.css"].body, -1)
	if len(schemes) != 2 {
		t.Fatalf("there are %d colour schemes", len(schemes))
	}
	for i, scheme := range schemes {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([\w-]+): (#\w+);`).FindAllSubmatch(scheme[1], -1) {
			colours[string(m[1])] = string(m[2])
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"text", "bg", 4.5}, {"text", "panel", 4.5}, {"text", "hover", 4.5}, {"text", "info-bg", 4.5},
			{"text", "good-bg", 4.5}, {"text", "warn-bg", 4.5}, {"text", "bad-bg", 4.5},
			{"soft", "bg", 4.5}, {"soft", "panel", 4.5}, {"soft", "hover", 4.5}, {"soft", "bad-bg", 4.5},
			{"accent", "bg", 4.5}, {"accent", "panel", 4.5}, {"accent", "hover", 4.5}, {"on-accent", "accent", 4.5},
			{"good", "good-bg", 4.5}, {"warn", "warn-bg", 4.5}, {"bad", "bad-bg", 4.5}, {"bad", "panel", 4.5}, {"panel", "bad", 4.5},
			{"field", "panel", 3}, {"field", "bg", 3},
		} {
			a, b := luminance(t, colours[pair.front]), luminance(t, colours[pair.back])
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < pair.least {
				t.Errorf("scheme %d: %s on %s has the contrast %.2f, not %.1f", i, pair.front, pair.back, ratio, pair.least)
			}
		}
	}
}
