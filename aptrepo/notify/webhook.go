package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A Webhook says where events are posted. It mirrors the settings webhook.*.
type Webhook struct {
	URL string
	// Secret is the key of signatures. "": there are none.
	Secret string
	// Format is one of the formats of format.go. "": FormatAuto.
	Format  string
	Timeout time.Duration // for an attempt; 0: 10 s
}

// A Delivery is an event on its way to a webhook.
type Delivery struct {
	ID      string // the same at each attempt: receivers know by it what they have
	Event   string
	Attempt int    // 1, 2 ...
	Body    []byte // JSON
	Text    string // one line for people, which chats show
}

// A Poster posts to webhooks. Fields are not changed after the first use; it may
// be used by several goroutines.
type Poster struct {
	// Dial connects; it is asked for every address, also that of a name which
	// has another one now. Nil: net.Dialer. Redirects are not followed, and
	// proxies not used.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// RootCAs are the authorities to trust. Nil: the system's.
	RootCAs *x509.CertPool
	// Now is the clock. Nil: time.Now.
	Now func() time.Time

	once   sync.Once
	client *http.Client
}

const (
	maxAnswer  = 64 << 10 // bytes that are read of a body
	maxHeaders = 64 << 10
)

// A WebhookError is why a delivery failed. Its text holds neither the URL, nor
// the secret, nor anything that the receiver sent but the status.
type WebhookError struct {
	Status  int  // of the answer; 0: there was none
	Expired bool // the time for the attempt was over
	Err     error
}

func (e *WebhookError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *WebhookError) Unwrap() error { return e.Err }

// Timeout reports whether the time for the attempt was over.
func (e *WebhookError) Timeout() bool { return e.Expired }

// Gone reports whether the receiver wants no more attempts (RFC 9110, 15.5.11).
func (e *WebhookError) Gone() bool { return e.Status == http.StatusGone }

// Post makes one attempt, and returns the status of the answer, 0 for none. The
// error is nil when it was 2xx, else a *WebhookError, or ctx's.
func (p *Poster) Post(ctx context.Context, w Webhook, d Delivery) (status int, err error) {
	body, err := w.body(d)
	if err != nil {
		return 0, &WebhookError{Err: err}
	}
	limit := cmp.Or(w.Timeout, 10*time.Second)
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return 0, &WebhookError{Err: errors.New("the URL of the webhook is not valid")}
	}
	p.sign(req, w.Secret, d, body)
	resp, err := p.open().Do(req)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case limited.Err() != nil:
		return 0, &WebhookError{Expired: true, Err: fmt.Errorf("the receiver did not answer within %s", limit)}
	default:
		return 0, &WebhookError{Err: plain(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return resp.StatusCode, &WebhookError{Status: resp.StatusCode, Err: fmt.Errorf("the receiver answered with status %d", resp.StatusCode)}
	}
	// What it says does not matter, but the connection can be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	return resp.StatusCode, nil
}

// sign adds the header fields that are about the delivery.
func (p *Poster) sign(req *http.Request, secret string, d Delivery, body []byte) {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	timestamp := strconv.FormatInt(now().Unix(), 10)
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "repod")
	h.Set("X-Repod-Event", d.Event)
	h.Set("X-Repod-Delivery", d.ID)
	h.Set("X-Repod-Attempt", strconv.Itoa(d.Attempt))
	h.Set("X-Repod-Timestamp", timestamp)
	if secret != "" {
		h.Set("X-Repod-Signature", Signature(secret, timestamp, body))
	}
}

// Signature returns the X-Repod-Signature of a request: "sha256=" and, in
// hexadecimal digits, the HMAC-SHA256 of the X-Repod-Timestamp, a dot and the
// body. Receivers compare it in constant time (hmac.Equal), and refuse
// timestamps that are older than five minutes.
func Signature(secret, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, timestamp+".")
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// open returns the client.
func (p *Poster) open() *http.Client {
	p.once.Do(func() {
		dial := p.Dial
		if dial == nil {
			dial = new(net.Dialer).DialContext
		}
		p.client = &http.Client{
			Transport: &http.Transport{
				DialContext:            dial,
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: p.RootCAs},
				MaxResponseHeaderBytes: maxHeaders,
				MaxIdleConnsPerHost:    2,
				IdleConnTimeout:        time.Minute,
				DisableCompression:     true,
				ForceAttemptHTTP2:      true,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	})
	return p.client
}

// plain returns what may be told of an error of net/http, whose texts quote the
// URL, which may hold a key, and what the receiver sent, which may be the
// greeting of a service that is nobody's business.
func plain(err error) error {
	var (
		dial *net.OpError
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &dial) && dial.Op == "dial":
		return dial
	case errors.As(err, &cert):
		return cert
	}
	return errors.New("the connection broke, or the answer is not HTTP")
}

// WebhookRetry are the pauses between attempts.
func WebhookRetry() []time.Duration {
	list := []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute}
	for len(list) < 9 { // ten attempts at most
		list = append(list, 2*time.Hour)
	}
	return list
}

// Jitter lengthens a pause by up to a tenth, so that deliveries which failed
// together do not come back together. random is from 0 up to 1.
func Jitter(pause time.Duration, random float64) time.Duration {
	return pause + time.Duration(random*float64(pause/10))
}
