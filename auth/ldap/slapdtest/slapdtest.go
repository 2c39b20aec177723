// Package slapdtest gives tests an LDAP server of their own: OpenLDAP's slapd
// (Debian package slapd) on loopback, with its files in a temporary directory.
package slapdtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Of every server.
const (
	BaseDN        = "dc=test,dc=example"
	AdminDN       = "cn=admin," + BaseDN
	AdminPassword = "slapd-admin"
)

// A Server is a slapd that runs until the end of its test.
type Server struct {
	URL   string // ldap://127.0.0.1:PORT
	TLS   string // ldaps://127.0.0.1:PORT
	CAPEM string // what signed the server's certificate, which is for 127.0.0.1 and localhost
	cmd   *exec.Cmd
}

const program = "/usr/sbin/slapd"

// Start starts a server that holds the entries of an LDIF text (RFC 2849)
// below BaseDN, which is there already. Lines of options are added to the
// configuration of its database. Without slapd on the machine it skips the
// test, or fails it where the environment says CI=true.
func Start(t testing.TB, ldif string, options ...string) *Server {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("slapd is not installed")
		}
		t.Skip("slapd is not installed")
	}
	dir := t.TempDir()
	s := &Server{}
	if err := s.certify(dir); err != nil {
		t.Fatal(err)
	}
	if err := configure(dir, ldif, options); err != nil {
		t.Fatal(err)
	}
	s.run(t, dir)
	return s
}

// configure writes the configuration and fills the database.
func configure(dir, ldif string, options []string) error {
	config := fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile %[1]s/slapd.pid
argsfile %[1]s/slapd.args
TLSCACertificateFile %[1]s/ca.pem
TLSCertificateFile %[1]s/cert.pem
TLSCertificateKeyFile %[1]s/key.pem
database mdb
suffix %[2]q
rootdn %[3]q
rootpw %[4]s
directory %[1]s/db
overlay memberof
memberof-group-oc groupOfNames
access to attrs=userPassword by anonymous auth by * none
access to * by * read
%[5]s
`, dir, BaseDN, AdminDN, AdminPassword, strings.Join(options, "\n"))
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "slapd.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return err
	}
	root := "dn: " + BaseDN + "\nobjectClass: dcObject\nobjectClass: organization\no: test\ndc: test\n\n"
	add := exec.Command("/usr/sbin/slapadd", "-f", path)
	add.Stdin = strings.NewReader(root + ldif)
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("slapadd: %w: %s", err, out)
	}
	return nil
}

// run starts the program and waits until it answers.
func (s *Server) run(t testing.TB, dir string) {
	t.Helper()
	plain, over := freePort(t), freePort(t)
	s.URL, s.TLS = "ldap://"+plain, "ldaps://"+over
	var log bytes.Buffer
	s.cmd = exec.Command(program, "-f", filepath.Join(dir, "slapd.conf"), "-h", s.URL+" "+s.TLS, "-d", "0")
	s.cmd.Stdout, s.cmd.Stderr = &log, &log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", plain)
		if err == nil {
			conn.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("slapd does not answer: %v: %s", err, log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Stop ends the server before its test is over.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
	s.cmd = nil
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certify makes a certificate authority and the server's certificate.
func (s *Server) certify(dir string) error {
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, server, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	s.CAPEM = encode("CERTIFICATE", caDER)
	for name, text := range map[string]string{
		"ca.pem": s.CAPEM, "cert.pem": encode("CERTIFICATE", der), "key.pem": encode("PRIVATE KEY", keyDER),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
