// Package outbound says where the connections that a server opens by itself may
// go: to upstream archives, feeds, webhooks, directories and mail servers,
// whose addresses administrators and others type in.
//
// The address is checked when it is dialled, after its name was resolved, so
// that neither a name that changes its address in between nor a redirect leads
// elsewhere. Give [Policy.DialContext] to whatever dials: an http.Transport (with
// Proxy nil), an LDAP or SMTP client.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A Policy is a set of addresses. The zero value is Private.
type Policy int

// The policies. None has the addresses that are of no use to anybody but an
// attacker: link-local ones, where clouds keep their credentials, multicast,
// broadcast, unspecified and reserved ones.
const (
	// Private has all addresses but those of this machine: a company's own
	// networks (RFC 1918, RFC 4193, RFC 6598), too.
	Private Policy = iota
	// Public has the addresses of the Internet only.
	Public
	// Any has those of this machine, too.
	Any
)

var names = map[Policy]string{Private: "private", Public: "public", Any: "any"}

// ParsePolicy returns the policy of a name: public, private or any.
func ParsePolicy(name string) (Policy, error) {
	for p, n := range names {
		if n == name {
			return p, nil
		}
	}
	return 0, fmt.Errorf("outbound policy %q: want public, private or any", name)
}

// String returns the name.
func (p Policy) String() string { return names[p] }

// ErrRefused marks errors of addresses that a policy does not have.
var ErrRefused = errors.New("refused by the policy for outgoing connections")

// A class of addresses, by who may be asked to go there.
type class int

const (
	global class = iota
	private
	loopback
	never
)

// special lists the networks that are not on the Internet (IANA's registries
// of special-purpose addresses), the narrower before the wider.
var special = []struct {
	prefix netip.Prefix
	class  class
}{
	{netip.MustParsePrefix("127.0.0.0/8"), loopback},
	{netip.MustParsePrefix("::1/128"), loopback},

	// Where clouds keep metadata and credentials outside link-local networks.
	{netip.MustParsePrefix("100.100.100.200/32"), never},     // Alibaba
	{netip.MustParsePrefix("168.63.129.16/32"), never},       // Azure's WireServer
	{netip.MustParsePrefix("192.0.0.192/32"), never},         // Oracle, classic
	{netip.MustParsePrefix("fd00:42::42/128"), never},        // Scaleway
	{netip.MustParsePrefix("fd00:100::100:200/128"), never},  // Alibaba
	{netip.MustParsePrefix("fd00:a9fe:a9fe::1/128"), never},  // Linode
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), never}, // Oracle
	{netip.MustParsePrefix("fd00:ec2::/32"), never},          // AWS: metadata, credentials of pods
	{netip.MustParsePrefix("fd20:ce::254/128"), never},       // Google

	{netip.MustParsePrefix("10.0.0.0/8"), private},
	{netip.MustParsePrefix("172.16.0.0/12"), private},
	{netip.MustParsePrefix("192.168.0.0/16"), private},
	{netip.MustParsePrefix("100.64.0.0/10"), private},
	{netip.MustParsePrefix("fc00::/7"), private},

	// Protocols, benchmarks, documentation: nobody's network.
	{netip.MustParsePrefix("192.0.0.0/24"), never},
	{netip.MustParsePrefix("192.0.2.0/24"), never},
	{netip.MustParsePrefix("198.18.0.0/15"), never},
	{netip.MustParsePrefix("198.51.100.0/24"), never},
	{netip.MustParsePrefix("203.0.113.0/24"), never},
	{netip.MustParsePrefix("2001:db8::/32"), never},
	{netip.MustParsePrefix("3fff::/20"), never},

	{netip.MustParsePrefix("0.0.0.0/8"), never},
	{netip.MustParsePrefix("169.254.0.0/16"), never},
	{netip.MustParsePrefix("192.88.99.0/24"), never}, // relays of 6to4
	{netip.MustParsePrefix("224.0.0.0/3"), never},    // multicast, reserved, broadcast
	{netip.MustParsePrefix("2000::/3"), global},
}

// embedded lists where an IPv6 address stands for an IPv4 one, and at which
// byte that begins.
var embedded = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64, RFC 6052
	{netip.MustParsePrefix("2002::/16"), 2},     // 6to4, RFC 3056
	{netip.MustParsePrefix("2001::/32"), -1},    // Teredo: wherever it says
}

func classOf(a netip.Addr) class {
	a = a.WithZone("").Unmap()
	for _, e := range embedded {
		if !e.prefix.Contains(a) {
			continue
		}
		if e.at < 0 {
			return never
		}
		b := a.As16()
		return classOf(netip.AddrFrom4([4]byte(b[e.at : e.at+4])))
	}
	for _, s := range special {
		if s.prefix.Contains(a) {
			return s.class
		}
	}
	if a.Is4() {
		return global
	}
	return never // all of IPv6 that is global is in 2000::/3
}

// Allows returns nil if the policy has the address, and an error that matches
// ErrRefused otherwise. An IPv6 address that stands for an IPv4 one, as for
// NAT64, counts as that.
func (p Policy) Allows(a netip.Addr) error {
	c := classOf(a)
	if a.IsValid() && (c == global || c == private && p != Public || c == loopback && p == Any) {
		return nil
	}
	return fmt.Errorf("address %s: %w", a, ErrRefused)
}

// dialTimeout bounds a dial whose context does not.
const dialTimeout = 30 * time.Second

// DialContext dials a TCP address, host and port, as net.Dialer does, and
// refuses each address of the host that the policy does not have.
func (p Policy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, Control: p.control}
	return d.DialContext(ctx, network, address)
}

// control checks an address that is about to be connected to.
func (p Policy) control(network, address string, _ syscall.RawConn) error {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return fmt.Errorf("network %s: %w", network, ErrRefused)
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %s: %w", address, ErrRefused)
	}
	return p.Allows(to.Addr())
}
