package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/repod-io/repod/httpapi"
)

// parseRateLimits reads --rate-limits: class=requests a minute, or off.
func parseRateLimits(s string) (httpapi.RateLimits, error) {
	classes := slices.Sorted(maps.Keys(httpapi.DefaultRateLimits()))
	limits := httpapi.RateLimits{}
	if s == "off" {
		for _, class := range classes {
			limits[class] = 0
		}
		return limits, nil
	}
	for _, item := range list(s) {
		class, number, _ := strings.Cut(item, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n < 0 || !slices.Contains(classes, class) {
			return nil, usagef("--rate-limits %s: want off, or CLASS=NUMBER for some of %s", item, strings.Join(classes, ", "))
		}
		if _, twice := limits[class]; twice {
			return nil, usagef("--rate-limits: %s is there twice", class)
		}
		limits[class] = n
	}
	return limits, nil
}
