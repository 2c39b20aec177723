package clamav

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"time"
)

// ErrAddress is wrapped by the errors that a malformed address causes.
var ErrAddress = errors.New("the address is neither unix:///path nor tcp://host:port")

// ParseAddress returns what net.Dial takes for an address of clamd:
// "unix:///run/clamav/clamd.ctl" or "tcp://127.0.0.1:3310", whose port may be
// left out. Its errors wrap [ErrAddress].
func ParseAddress(s string) (network, address string, err error) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return "", "", ErrAddress
	}
	switch {
	case u.Scheme == "unix" && u.Host == "" && path.IsAbs(u.Path) && path.Clean(u.Path) != "/":
		return "unix", u.Path, nil
	case u.Scheme == "tcp" && u.Hostname() != "" && (u.Path == "" || u.Path == "/"):
		port := u.Port()
		if port == "" {
			port = "3310"
		}
		return "tcp", net.JoinHostPort(u.Hostname(), port), nil
	}
	return "", "", ErrAddress
}

// connectTimeout bounds how long a connection may take to come about: clamd is
// near.
const connectTimeout = 10 * time.Second

// dial connects to clamd.
func (s *Scanner) dial(ctx context.Context) (net.Conn, error) {
	network, address, err := ParseAddress(s.Address)
	if err != nil {
		return nil, err
	}
	dial := s.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	ctx, cancel := context.WithTimeout(ctx, min(connectTimeout, s.timeout()))
	defer cancel()
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("connect to clamd: %w", plain(err))
	}
	return conn, nil
}

// plain strips an error of the network of addresses, which are paths of this
// machine, perhaps, and nothing for everybody to read.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}
