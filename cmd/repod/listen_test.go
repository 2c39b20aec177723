package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestListen(t *testing.T) {
	for _, secure := range []bool{false, true} {
		l, shown, err := listen(t.Context(), ":0", secure)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		want := map[bool]string{false: "http://127.0.0.1:", true: "https://127.0.0.1:"}[secure]
		if !strings.HasPrefix(shown, want) || strings.HasSuffix(shown, ":0") {
			t.Errorf("shown as %s", shown)
		}
		if _, _, err := listen(t.Context(), l.Addr().String(), secure); err == nil || !strings.Contains(err.Error(), "--listen") {
			t.Errorf("a taken address: %v", err)
		}
	}
}

func TestCheckListen(t *testing.T) {
	for _, good := range []string{":0", "127.0.0.1:80", "[::1]:80", "unix:/run/repod.sock", "unix:relative"} {
		if err := checkListen(good); err != nil {
			t.Error(err)
		}
	}
	var usage *usageError
	for _, bad := range []string{"8000", "unix:", "[::1"} {
		if err := checkListen(bad); !errors.As(err, &usage) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestReachable(t *testing.T) {
	for in, want := range map[string]string{
		"[::]:80":        "127.0.0.1:80",
		"0.0.0.0:80":     "127.0.0.1:80",
		"[::1]:80":       "[::1]:80",
		"192.0.2.1:8000": "192.0.2.1:8000",
	} {
		if got := reachable(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, shown, err := listen(t.Context(), "unix:"+path, false)
	if err != nil || shown != "unix:"+path {
		t.Fatalf("%s, %v", shown, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, _, err := listen(t.Context(), "unix:"+path, false); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a socket in use: %v", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed server leaves it
	l.Close()
	l, _, err = listen(t.Context(), "unix:"+path, false)
	if err != nil {
		t.Fatalf("a dead socket: %v", err)
	}
	l.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := listen(t.Context(), "unix:"+path, false); err == nil {
		t.Error("replaced a file that is no socket")
	}
}

// writePair makes a self-signed certificate and its key.
func writePair(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := errors.Join(os.WriteFile(keyFile, keyPEM, 0o600), os.WriteFile(certFile, certPEM, 0o644)); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writePair(t, dir, "first")
	c, err := loadCertificate(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	name := func() string {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.Subject.CommonName
	}
	writePair(t, dir, "second")
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(certFile, later, later); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "second" {
		t.Errorf("certificate %s after the file changed", got)
	}
	if err := os.WriteFile(certFile, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "second" {
		t.Errorf("certificate %s while the file is being written", got)
	}
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := loadCertificate(certFile, keyFile); err == nil || !strings.Contains(err.Error(), "chmod 0640") {
		t.Errorf("a key that all may read: %v", err)
	}
}
