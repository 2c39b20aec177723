package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// setAPIHeaders sets what all answers of the API carry, and files do not.
func setAPIHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

// writeJSON sends v. Characters that mean something to HTML stand as they are:
// nothing sniffs the type of what is sent.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	writeBody(w, status, "application/json", buf.Bytes())
	return nil
}

func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	setAPIHeaders(h)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// A timestamp is a time in answers: RFC 3339, UTC, whole seconds. The zero
// time is null.
type timestamp time.Time

func (t timestamp) MarshalJSON() ([]byte, error) {
	if time.Time(t).IsZero() {
		return []byte("null"), nil
	}
	return time.Time(t).UTC().AppendFormat(nil, `"2006-01-02T15:04:05Z"`), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (t *timestamp) UnmarshalJSON(data []byte) error { return (*time.Time)(t).UnmarshalJSON(data) }

// timestampOf returns the time that t points to, or null.
func timestampOf(t *time.Time) timestamp {
	if t == nil {
		return timestamp{}
	}
	return timestamp(*t)
}

// list makes sure that an empty list is sent as [], not null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// orNull returns nil for "".
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// A page is one page of a listing.
type page[T any] struct {
	Items   []T `json:"items"`
	Total   int `json:"total"`
	Page    int `json:"page"`
	PerPage int `json:"per_page"`
	Pages   int `json:"pages"`
}

func newPage[T, R any](items []T, total int, p paging, row func(T) R) page[R] {
	out := page[R]{Items: []R{}, Total: total, Page: p.page, PerPage: p.perPage, Pages: (total + p.perPage - 1) / p.perPage}
	for _, item := range items {
		out.Items = append(out.Items, row(item))
	}
	return out
}
