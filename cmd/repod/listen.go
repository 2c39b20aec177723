package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// checkListen refuses an address of --listen that cannot be one.
func checkListen(address string) error {
	path, unix := strings.CutPrefix(address, "unix:")
	_, _, err := net.SplitHostPort(address)
	if unix && path == "" || !unix && err != nil {
		return usagef("--listen %s: want host:port or unix:/path", address)
	}
	return nil
}

// listen opens the address of --listen and returns what to tell users.
func listen(ctx context.Context, address string, secure bool) (l net.Listener, shown string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		l, err := listenUnix(ctx, path)
		return l, address, err
	}
	l, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, "", fmt.Errorf("%w: choose another address with --listen", err)
	}
	scheme := "http"
	if secure {
		scheme = "https"
	}
	return l, scheme + "://" + reachable(l.Addr().String()), nil
}

// reachable turns the address of a listener on all interfaces into one that
// can be called from here.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// listenUnix listens on a socket that the owner and the group may use. It
// replaces one that a dead server left.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("%s is in use by another server: stop it or choose another path", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replacing a dead socket: %w", err)
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// A certificate is read again when its file changes, so that a renewed one
// needs no restart.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	modTime time.Time
	current *tls.Certificate
}

// loadCertificate reads a certificate and its key, which other users must not
// be able to read.
func loadCertificate(certFile, keyFile string) (*certificate, error) {
	if err := guarded(keyFile, 0o007); err != nil {
		return nil, err
	}
	c := &certificate{certFile: certFile, keyFile: keyFile}
	_, err := c.get(nil)
	return c, err
}

// get returns the certificate for a handshake. When the new files cannot be
// read, perhaps because they are just being written, it goes on with the old.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.certFile)
	if err == nil && c.current != nil && info.ModTime().Equal(c.modTime) {
		return c.current, nil
	}
	pair, loadErr := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err := errors.Join(err, loadErr); err != nil {
		if c.current != nil {
			return c.current, nil
		}
		return nil, fmt.Errorf("reading the TLS certificate: %w", err)
	}
	c.current, c.modTime = &pair, info.ModTime()
	return c.current, nil
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
}
