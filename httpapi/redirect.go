package httpapi

import (
	"net/http"
	"strconv"
	"strings"
)

// conditions are the fields by which a request says what the client has already
// (RFC 9110, section 13). The tags of a store are others than the server's.
var conditions = []string{"If-None-Match", "If-Modified-Since", "If-Range", "If-Match", "If-Unmodified-Since"}

// redirect sends a client that wants a package to the store that has it, where
// the storage offers that. It reports whether it did; what it leaves, the server
// answers itself: HEAD, conditional requests, all that is no package, and what
// cannot be found or signed.
//
// Nobody may keep the answer: the address in it soon ends to hold.
func (t *tree) redirect(w http.ResponseWriter, r *http.Request, name string) bool {
	if r.Method != http.MethodGet || !strings.HasPrefix(name, "pool/") {
		return false
	}
	for _, field := range conditions {
		if r.Header.Get(field) != "" {
			return false
		}
	}
	address, size, err := t.repo.PoolURL(r.Context(), name)
	if err != nil {
		return false // the way through the server tells what is wrong
	}
	if rec, ok := w.(*recorder); ok {
		rec.redirect = size
	}
	h := w.Header()
	h.Set("Location", address)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusTemporaryRedirect)
	return true
}

// elsewhere returns what a client that was redirected fetches of a file: how many
// bytes, and whether the first is among them. That it does is not seen, and
// assumed. A range that is not understood counts as the whole.
func elsewhere(field string, size int64) (begins bool, n int64) {
	unit, spec, _ := strings.Cut(field, "=")
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if unit != "bytes" || !ok {
		return true, size
	}
	end, err := strconv.ParseInt(last, 10, 64)
	if first == "" { // the last so many bytes
		if err != nil || end < 0 {
			return true, size
		}
		n = min(end, size)
		return n == size, n
	}
	start, startErr := strconv.ParseInt(first, 10, 64)
	if startErr != nil || start < 0 || last != "" && (err != nil || end < start) {
		return true, size
	}
	if start >= size {
		return false, 0 // the store answers 416
	}
	if last == "" || end >= size {
		end = size - 1
	}
	return start == 0, end - start + 1
}
