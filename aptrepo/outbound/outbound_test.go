package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo/outbound"
)

func Example() {
	policy, err := outbound.ParsePolicy("public")
	if err != nil {
		fmt.Println(err)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: policy.DialContext}}
	_, err = client.Get("http://169.254.169.254/latest/meta-data/")
	fmt.Println(errors.Is(err, outbound.ErrRefused))
	// Output: true
}

func TestAllows(t *testing.T) {
	for addresses, want := range map[string]string{ // the policies that have them
		"1.1.1.1 9.255.255.255 11.0.0.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 2606:4700::1111 2a00::1 64:ff9b::101:101 2002:101:101::1 ::ffff:1.1.1.1":              "private public any",
		"10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 100.127.255.255 fc00::1 fdff::1 ::ffff:10.0.0.1 64:ff9b::a00:1":                          "private any",
		"127.0.0.1 127.1.2.3 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::":                                                                                           "any",
		"0.0.0.0 0.1.2.3 :: 169.254.169.254 169.254.0.1 fe80::1 fe80::1%lo fec0::1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 ff02::1":                                  "",
		"fd00:ec2::254 fd20:ce::254 100.100.100.200 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b:1::a9fe:a9fe 2002:a9fe:a9fe::1":                                      "",
		"fd00:ec2::23 fd00:ec2::1:23 fd00:c1::a9fe:a9fe fd00:42::42 fd00:100::100:200 fd00:a9fe:a9fe::1 168.63.129.16 ::ffff:168.63.129.16 64:ff9b::a83f:8110 192.0.0.192": "",
		"168.63.129.15 168.63.129.17":                                                   "private public any",
		"fd00:42::43 fd00:ec3::23 fd00:c1::1":                                           "private any",
		"192.0.0.191 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1": "",
		"2001:0:a9fe:a9fe::1 ::169.254.169.254 ::7f00:1 ::2 192.88.99.1 64:ff9b:1::1":   "",
	} {
		for _, address := range strings.Fields(addresses) {
			var got []string
			for _, p := range []outbound.Policy{outbound.Private, outbound.Public, outbound.Any} {
				if err := p.Allows(netip.MustParseAddr(address)); err == nil {
					got = append(got, p.String())
				} else if !errors.Is(err, outbound.ErrRefused) {
					t.Errorf("%s: %v", address, err)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s is allowed by %q, want %q", address, got, want)
			}
		}
	}
	if outbound.Any.Allows(netip.Addr{}) == nil {
		t.Error("no address is allowed")
	}
}

// Names and odd spellings are checked by the address that they lead to.
func TestDialContext(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("/", http.StatusFound))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1", "0.0.0.0", "::", "[::1]"} {
		address := net.JoinHostPort(strings.Trim(host, "[]"), port)
		if conn, err := outbound.Private.DialContext(t.Context(), "tcp", address); !errors.Is(err, outbound.ErrRefused) {
			t.Errorf("dialling %s: %v", address, err)
			if err == nil {
				conn.Close()
			}
		}
	}
	conn, err := outbound.Any.DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := outbound.Any.DialContext(ctx, "tcp", server.Listener.Addr().String()); !errors.Is(err, context.Canceled) {
		t.Errorf("dialling in vain: %v", err)
	}
	if _, err := outbound.Any.DialContext(t.Context(), "unix", "/run/docker.sock"); !errors.Is(err, outbound.ErrRefused) {
		t.Errorf("dialling a socket: %v", err)
	}
	if _, err := outbound.Any.DialContext(t.Context(), "udp", "127.0.0.1:53"); !errors.Is(err, outbound.ErrRefused) {
		t.Errorf("dialling by UDP: %v", err)
	}
}

func TestParsePolicy(t *testing.T) {
	for _, name := range []string{"public", "private", "any"} {
		if p, err := outbound.ParsePolicy(name); err != nil || p.String() != name {
			t.Errorf("ParsePolicy(%s) = %v, %v", name, p, err)
		}
	}
	for _, name := range []string{"", "Public", "none", "0"} {
		if _, err := outbound.ParsePolicy(name); err == nil {
			t.Errorf("ParsePolicy(%q) succeeds", name)
		}
	}
}
