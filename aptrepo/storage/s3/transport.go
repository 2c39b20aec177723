package s3

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

// transport returns what sends requests, and what closes its idle connections.
func (c *Config) transport() (http.RoundTripper, func()) {
	if c.Transport != nil {
		return onlyS3{c.Transport}, func() {}
	}
	stall := cmp.Or(c.Stall, defaultStall)
	dialer := &net.Dialer{Timeout: min(stall, 10*time.Second), KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return steady{conn, stall}, nil
		},
		TLSHandshakeTimeout: stall,
		IdleConnTimeout:     stall,
		MaxIdleConnsPerHost: 64,
		WriteBufferSize:     64 << 10,
		ReadBufferSize:      64 << 10,
		DisableCompression:  true, // a file is to arrive as it is stored
	}
	return onlyS3{t}, t.CloseIdleConnections
}

// steady is a connection that fails when nothing moves for a while. Writing
// gives reading new time as well: the answer comes after the request.
type steady struct {
	net.Conn
	limit time.Duration
}

func (c steady) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c steady) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// onlyS3 refuses a "not found" that no S3 store wrote. The client would take
// it for a missing file, also when it is the page of a proxy whose store is
// away; and a file that is said to be missing leads to repairs.
type onlyS3 struct{ http.RoundTripper }

func (t onlyS3) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusNotFound || req.Method == http.MethodHead {
		return resp, err
	}
	if !strings.Contains(resp.Header.Get("Content-Type"), "xml") {
		resp.Body.Close()
		return nil, errNotS3
	}
	return resp, nil
}

var errNotS3 = errors.New("an answer 404 that comes from no S3 store")
