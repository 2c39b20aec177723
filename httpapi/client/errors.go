package client

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	maxBackoff = 30 * time.Second
	// maxRetryAfter is the longest wait a server may ask for.
	maxRetryAfter = 15 * time.Minute
)

// An Error is a refusal by the server (a problem of RFC 9457), or the failure of a
// job. Where something in between answered, Code is "".
type Error struct {
	Status  int          `json:"status"` // of HTTP
	Code    string       `json:"code"`   // for programs: "duplicate_conflict"
	Message string       `json:"detail"` // for people
	Fields  []FieldError `json:"errors,omitempty"`

	// RetryAfter is when the server wants to be asked again; 0: it does not say.
	RetryAfter time.Duration `json:"-"`

	job bool // asking again gives no other answer
}

// A FieldError is what is wrong with one field, parameter or part.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error returns the message, what is wrong with each field, and the code.
func (e *Error) Error() string {
	text := strings.TrimSuffix(e.Message, ".")
	for i, f := range e.Fields {
		text += [...]string{": ", ", "}[min(i, 1)] + f.Field + " " + f.Message
	}
	if e.Code != "" {
		text += " (" + e.Code + ")"
	}
	return text
}

// ErrAnswer is the error of an answer that no server of ours gives.
var ErrAnswer = errors.New("the answer is not what a repod server says")

// A cutError ends an answer of which some has gone where it cannot be taken back.
type cutError struct{ err error }

func (e *cutError) Error() string { return "the answer broke off: " + e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// maxRefusal bounds what is read of a refusal.
const maxRefusal = 1 << 20

// errorOf reads a refusal, also one that some proxy in between wrote.
func errorOf(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	e := &Error{}
	if json.Unmarshal(text, e) != nil || e.Message == "" {
		*e = Error{Message: "the server answered " + resp.Status}
		if target := resp.Header.Get("Location"); target != "" && resp.StatusCode < 400 {
			e.Message += ", redirecting to " + target
		}
	}
	e.Status = resp.StatusCode
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds >= 0 {
		e.RetryAfter = time.Duration(min(seconds, 1<<30)) * time.Second
	}
	return e
}

// retryDelay says how long to wait before trying again after err, negative
// for never, and whether that counts as a failure: a busy server that says
// when to come back does not.
func retryDelay(err error, failures int) (delay time.Duration, counts bool) {
	backoff := min(time.Second<<min(failures, 10), maxBackoff)
	backoff += rand.N(backoff / 4) // so that many clients do not come back at once
	var e *Error
	if !errors.As(err, &e) {
		if permanent(err) {
			return -1, true
		}
		return backoff, true
	}
	if e.job {
		return -1, true
	}
	switch e.Status {
	case http.StatusTooManyRequests:
		return within(max(e.RetryAfter, time.Second)), false
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return within(max(e.RetryAfter, backoff)), true
	}
	return -1, true
}

func within(d time.Duration) time.Duration {
	if d > maxRetryAfter {
		return -1
	}
	return d
}

// permanent reports whether sending again cannot help: there is no such host,
// it is not trusted or does not speak TLS, it is no server of ours, or a local
// file failed.
func permanent(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		dns         *net.DNSError
		file        *os.PathError
		cut         *cutError
	)
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &file) || errors.Is(err, ErrAnswer) || errors.As(err, &cut) || errors.As(err, &dns) && dns.IsNotFound ||
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") ||
		errors.Is(err, ErrChanged)
}
