package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// peer returns the address at the other end of the connection; it is not valid
// for a Unix socket.
func peer(r *http.Request) netip.Addr {
	p, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}

func (a *api) trusted(ip netip.Addr) bool {
	if !ip.IsValid() {
		return len(a.TrustedProxies) > 0
	}
	return slices.ContainsFunc(a.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// clientIP returns the address of the client: the last one on the way here
// that is no trusted proxy. Entries further left in X-Forwarded-For are what
// the client says.
func (a *api) clientIP(r *http.Request) netip.Addr {
	ip := peer(r)
	if !a.trusted(ip) {
		return ip
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		if ip = next.Unmap().WithZone(""); !a.trusted(ip) {
			break
		}
	}
	return ip
}

// clientKey names the client for rate limits. An IPv6 client is its /64, the
// smallest network that is handed out.
func clientKey(ip netip.Addr) string {
	if ip.Is6() {
		p, _ := ip.Prefix(64)
		return p.String()
	}
	return ip.String()
}

// baseURL returns what the client calls the server: as the settings say, else what the
// request says.
func (a *api) baseURL(r *http.Request) string {
	if url := a.Settings.Current().PublicURL; url != "" {
		return url
	}
	secure := r.TLS != nil
	if proto := r.Header.Get("X-Forwarded-Proto"); a.trusted(peer(r)) && proto != "" {
		nearest := proto[strings.LastIndexByte(proto, ',')+1:]
		secure = strings.EqualFold(strings.TrimSpace(nearest), "https")
	}
	return requestURL(r, secure)
}

// hostPattern is stricter than net/http: a name goes into shell scripts and
// apt sources.
var hostPattern = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// requestURL is the base URL as the request names it. A client that names no
// sensible host gets the address that it has reached.
func requestURL(r *http.Request, secure bool) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	if hostPattern.MatchString(r.Host) {
		return scheme + r.Host
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && hostPattern.MatchString(local.String()) {
		return scheme + local.String()
	}
	return scheme + "localhost"
}
