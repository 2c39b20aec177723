package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A query reads parameters of a query string and collects what is wrong with
// them. Parameters that nobody reads are ignored.
type query struct {
	values url.Values
	faults []fault
}

func newQuery(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.fault("query", "is not a well-formed query string")
	}
	return q
}

func (q *query) fault(field, format string, args ...any) {
	q.faults = append(q.faults, fault{field, fmt.Sprintf(format, args...)})
}

// err returns what is wrong with the parameters read so far, or nil.
func (q *query) err() error {
	if len(q.faults) == 0 {
		return nil
	}
	return invalid(q.faults...)
}

// text returns a parameter of up to most characters, "" when it is missing.
func (q *query) text(name string, most int) string {
	values := q.values[name]
	if len(values) > 1 {
		q.fault(name, "must be given once")
	}
	s := q.values.Get(name)
	switch {
	case !utf8.ValidString(s) || strings.Contains(s, "\x00"):
		q.fault(name, "must be text in UTF-8")
	case utf8.RuneCountInString(s) > most:
		q.fault(name, "must have at most %d characters", most)
	}
	return s
}

// word returns a parameter that is a name of some kind.
func (q *query) word(name string) string { return q.text(name, 256) }

// number returns a whole number from low to high; fallback when it is missing.
func (q *query) number(name string, fallback, low, high int) int {
	s := q.word(name)
	if s == "" {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		q.fault(name, "must be a whole number from %d to %d", low, high)
		return fallback
	}
	return n
}

// oneOf returns one of some words; the first when it is missing.
func (q *query) oneOf(name string, words ...string) string {
	s := q.word(name)
	if s == "" {
		return words[0]
	}
	if !slices.Contains(words, s) {
		q.fault(name, "must be one of %s", strings.Trim(strings.Join(words, ", "), ", "))
	}
	return s
}

// truth returns true or false; false when it is missing.
func (q *query) truth(name string) bool { return q.oneOf(name, "false", "true") == "true" }

// paging is which page of a listing is asked for.
type paging struct{ page, perPage int }

func (q *query) paging() paging {
	return paging{
		page:    q.number("page", 1, 1, 1_000_000_000),
		perPage: q.number("per_page", 50, 1, 200),
	}
}
