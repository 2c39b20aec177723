package ldap_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/auth/ldap"
)

// Tags of the messages of RFC 4511.
const (
	bindRequest      = 0x60
	bindResponse     = 0x61
	searchEntry      = 0x64
	searchDone       = 0x65
	searchReference  = 0x73
	extendedRequest  = 0x77
	extendedResponse = 0x78
)

// tlv is an element in BER.
func tlv(tag byte, parts ...[]byte) []byte {
	content := slices.Concat(parts...)
	return slices.Concat([]byte{tag, 0x82, byte(len(content) >> 8), byte(len(content))}, content)
}

func text(s string) []byte { return tlv(0x04, []byte(s)) }

// A message makes one of the given number.
type message func(id byte) []byte

func result(tag, code byte) message {
	return func(id byte) []byte {
		return tlv(0x30, tlv(0x02, []byte{id}), tlv(tag, tlv(0x0a, []byte{code}), text(""), text("says the server")))
	}
}

func entry(dn, uid string) message {
	return func(id byte) []byte {
		attribute := tlv(0x30, text("uid"), tlv(0x31, text(uid)))
		return tlv(0x30, tlv(0x02, []byte{id}), tlv(searchEntry, text(dn), tlv(0x30, attribute)))
	}
}

func reference(url string) message {
	return func(id byte) []byte {
		return tlv(0x30, tlv(0x02, []byte{id}), tlv(searchReference, text(url)))
	}
}

// A step answers one request. An error ends the connection.
type step func(w io.Writer, id byte) error

// say answers with messages.
func say(messages ...message) step {
	return func(w io.Writer, id byte) error {
		for _, m := range messages {
			if _, err := w.Write(m(id)); err != nil {
				return err
			}
		}
		return nil
	}
}

// login is what a server says to one, with a search for groups.
func login() []step {
	return []step{
		say(result(bindResponse, goldap.LDAPResultSuccess)), // of the service account
		say(entry("uid=alice,dc=x", "alice"), result(searchDone, goldap.LDAPResultSuccess)),
		say(result(bindResponse, goldap.LDAPResultSuccess)), // of the user
		say(result(bindResponse, goldap.LDAPResultSuccess)), // of the service account
		say(entry("cn=team,dc=x", "team"), result(searchDone, goldap.LDAPResultSuccess)),
	}
}

// scripted serves one connection: the first request by the first step and so
// on, and then it hangs up. It returns the address, and the tags of the
// requests once the connection has ended. config is nil for no TLS.
func scripted(t *testing.T, config *tls.Config, steps []step) (address string, requests func() []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	if config != nil {
		l = tls.NewListener(l, config)
	}
	var tags []byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, answer := range steps {
			id, tag, err := readRequest(r)
			if err != nil {
				return
			}
			if tags = append(tags, tag); answer(conn, id) != nil {
				return
			}
		}
		if _, tag, err := readRequest(r); err == nil {
			tags = append(tags, tag)
		}
	}()
	requests = func() []byte { l.Close(); <-done; return tags }
	t.Cleanup(func() { requests() })
	return address, requests
}

// readRequest returns the number and the tag of a message.
func readRequest(r *bufio.Reader) (id, tag byte, err error) {
	head, err := r.Peek(2)
	if err != nil {
		return 0, 0, err
	}
	length := 2 + int(head[1])
	if head[1] >= 0x80 {
		return 0, 0, fmt.Errorf("a request of %#x", head)
	}
	content := make([]byte, length)
	if _, err := io.ReadFull(r, content); err != nil {
		return 0, 0, err
	}
	var number int
	rest, err := asn1.Unmarshal(content[2:], &number)
	if err != nil || len(rest) == 0 {
		return 0, 0, fmt.Errorf("a request without a number: %w", err)
	}
	return byte(number), rest[0], nil
}

// at is a configuration for a scripted server. Nothing in it ends by time.
func at(url string) ldap.Config {
	return ldap.Config{
		URL: url, VerifyCertificate: true, BaseDN: "dc=x", UserFilter: "(uid={username})", AttrUsername: "uid",
		GroupBaseDN: "dc=x", GroupFilter: "(member={dn})",
		RoleGroups: map[auth.Role][]string{auth.Uploader: {"cn=team,dc=x"}}, Timeout: time.Hour,
	}
}

// A server that hangs up at any step leaves open whether the password is right.
func TestHangsUp(t *testing.T) {
	for n := range login() {
		address, _ := scripted(t, nil, login()[:n])
		_, err := directory(at("ldap://"+address), nil).Login(t.Context(), "alice", "alicepw")
		if !errors.Is(err, auth.ErrDirectoryUnavailable) {
			t.Errorf("after %d answers: %v", n, err)
		}
	}
	address, _ := scripted(t, nil, login())
	u, err := directory(at("ldap://"+address), nil).Login(t.Context(), "alice", "alicepw")
	if err != nil || names(u.Roles) != "uploader" {
		t.Errorf("after all answers: %+v, %v", u, err)
	}
}

// What a server says to the user's bind tells a refusal from an outage. Neither
// the error nor the log has the password.
func TestBindResults(t *testing.T) {
	for code, want := range map[byte]error{
		goldap.LDAPResultInvalidCredentials:          auth.ErrInvalidCredentials,
		goldap.LDAPResultNoSuchObject:                auth.ErrInvalidCredentials,
		goldap.LDAPResultInappropriateAuthentication: auth.ErrInvalidCredentials,
		goldap.LDAPResultConstraintViolation:         auth.ErrInvalidCredentials, // locked
		goldap.LDAPResultUnwillingToPerform:          auth.ErrInvalidCredentials, // disabled, expired
		goldap.LDAPResultOperationsError:             auth.ErrDirectoryUnavailable,
		goldap.LDAPResultReferral:                    auth.ErrDirectoryUnavailable,
		goldap.LDAPResultConfidentialityRequired:     auth.ErrDirectoryUnavailable,
		goldap.LDAPResultSaslBindInProgress:          auth.ErrDirectoryUnavailable,
		goldap.LDAPResultBusy:                        auth.ErrDirectoryUnavailable,
		goldap.LDAPResultUnavailable:                 auth.ErrDirectoryUnavailable,
		goldap.LDAPResultOther:                       auth.ErrDirectoryUnavailable,
	} {
		steps := login()
		steps[2] = say(result(bindResponse, code))
		address, _ := scripted(t, nil, steps)
		var log strings.Builder
		d := directory(at("ldap://"+address), nil)
		d.Logger = slog.New(slog.NewTextHandler(&log, nil))
		_, err := d.Login(t.Context(), "alice", "planted-secret")
		if !errors.Is(err, want) {
			t.Errorf("result %d: %v, want %v", code, err, want)
		}
		if told := log.String() + fmt.Sprint(err); strings.Contains(told, "planted-secret") || log.Len() == 0 {
			t.Errorf("result %d: log and error are %s", code, told)
		}
	}
}

// The service account's refusal is no user's fault.
func TestServiceBindResults(t *testing.T) {
	for _, code := range []byte{goldap.LDAPResultInvalidCredentials, goldap.LDAPResultUnwillingToPerform, goldap.LDAPResultBusy} {
		for _, n := range []int{0, 3} {
			steps := login()
			steps[n] = say(result(bindResponse, code))
			address, _ := scripted(t, nil, steps)
			if _, err := directory(at("ldap://"+address), nil).Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
				t.Errorf("result %d at step %d: %v", code, n, err)
			}
		}
	}
}

// A reference in place of an entry is nothing found, and one beside it nothing.
func TestReferences(t *testing.T) {
	away, done := reference("ldap://192.0.2.1/dc=x"), result(searchDone, goldap.LDAPResultSuccess)
	steps := login()
	steps[1] = say(away, done)
	address, requests := scripted(t, nil, steps)
	_, err := directory(at("ldap://"+address), nil).Login(t.Context(), "alice", "alicepw")
	if !errors.Is(err, auth.ErrInvalidCredentials) || bytes.Count(requests(), []byte{bindRequest}) != 1 {
		t.Errorf("a reference alone: %v", err)
	}
	steps[1] = say(away, entry("uid=alice,dc=x", "alice"), away, done)
	address, _ = scripted(t, nil, steps)
	if _, err := directory(at("ldap://"+address), nil).Login(t.Context(), "alice", "alicepw"); err != nil {
		t.Errorf("references beside: %v", err)
	}
}

// An entry without a DN would be a bind as nobody, which succeeds.
func TestEntryWithoutDN(t *testing.T) {
	steps := login()
	steps[1] = say(entry("", "alice"), result(searchDone, goldap.LDAPResultSuccess))
	address, _ := scripted(t, nil, steps)
	if _, err := directory(at("ldap://"+address), nil).Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Error(err)
	}
}

// A server that never stops to send is cut off, with TLS and without.
func TestEndlessAnswer(t *testing.T) {
	pair, ca := certificate(t, "127.0.0.1", time.Hour)
	for scheme, config := range map[string]*tls.Config{"ldap://": nil, "ldaps://": {Certificates: []tls.Certificate{pair}}} {
		steps := login()
		steps[1] = func(w io.Writer, id byte) error {
			many := slices.Repeat(entry("uid="+strings.Repeat("a", 1000)+",dc=x", "alice")(id), 60)
			for range 1000 { // 60 MB, then the end
				if _, err := w.Write(many); err != nil {
					return err
				}
			}
			return say(result(searchDone, goldap.LDAPResultSuccess))(w, id)
		}
		address, _ := scripted(t, config, steps)
		c := at(scheme + address)
		c.CAPEM = ca
		if _, err := directory(c, nil).Login(t.Context(), "alice", "alicepw"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// A login ends with its context, whatever the server does.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address, _ := scripted(t, nil, []step{func(io.Writer, byte) error { cancel(); return nil }})
	if _, err := directory(at("ldap://"+address), nil).Login(ctx, "alice", "alicepw"); !errors.Is(err, auth.ErrDirectoryUnavailable) {
		t.Error(err)
	}
}

// A server without StartTLS gets no password in clear.
func TestStartTLSRefused(t *testing.T) {
	address, requests := scripted(t, nil, []step{say(result(extendedResponse, goldap.LDAPResultProtocolError))})
	c := at("ldap://" + address)
	c.StartTLS = true
	_, err := ldap.Test(t.Context(), c, nil)
	var failed *ldap.StepError
	if !errors.As(err, &failed) || failed.Step != ldap.StepTLS {
		t.Errorf("Test: %v", err)
	}
	if got := requests(); !slices.Equal(got, []byte{extendedRequest}) {
		t.Errorf("requests are %#x", got)
	}
}

func TestCertificates(t *testing.T) {
	for name, test := range map[string]struct {
		host   string
		valid  time.Duration
		newest uint16
		verify bool
		step   string // "": it works
	}{
		"valid":               {"127.0.0.1", time.Hour, 0, true, ""},
		"TLS 1.2":             {"127.0.0.1", time.Hour, tls.VersionTLS12, true, ""},
		"TLS 1.1":             {"127.0.0.1", time.Hour, tls.VersionTLS11, true, ldap.StepTLS},
		"TLS 1.1, unverified": {"127.0.0.1", time.Hour, tls.VersionTLS11, false, ldap.StepTLS},
		"expired":             {"127.0.0.1", -time.Minute, 0, true, ldap.StepTLS},
		"another host":        {"127.0.0.2", time.Hour, 0, true, ldap.StepTLS},
		"expired, unverified": {"127.0.0.2", -time.Minute, 0, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pair, ca := certificate(t, test.host, test.valid)
			config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: test.newest}
			address, _ := scripted(t, config, login())
			c := at("ldaps://" + address)
			c.CAPEM, c.VerifyCertificate = ca, test.verify
			encrypted, err := ldap.Test(t.Context(), c, nil)
			var failed *ldap.StepError
			switch {
			case test.step == "" && (err != nil || !encrypted):
				t.Errorf("Test = %t, %v", encrypted, err)
			case test.step != "" && (!errors.As(err, &failed) || failed.Step != test.step):
				t.Errorf("Test: %v, want step %s", err, test.step)
			}
		})
	}
}

// certificate makes one for an address, which vouches for itself.
func certificate(t *testing.T, host string, valid time.Duration) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
