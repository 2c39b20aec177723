package main

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"
	_ "time/tzdata" // for the time zones of schedules, where the system has none

	"github.com/repod-io/repod/aptrepo/importer"
	"github.com/repod-io/repod/aptrepo/outbound"
	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/aptrepo/upstream"
)

// systemKeyrings is where Debian's and Ubuntu's packages install the keys of
// their archives.
const systemKeyrings = "/usr/share/keyrings"

// transport carries the requests to archives and feeds.
func (c *serveConfig) transport(set *live.Service) *http.Transport {
	return &http.Transport{
		Proxy:                  func(*http.Request) (*url.URL, error) { return importProxy(set.Current().Import) },
		DialContext:            c.dial,
		TLSHandshakeTimeout:    30 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// importer imports from the sources of the settings.
func (c *serveConfig) importer(o *opened, set *live.Service) *importer.Importer {
	transport := c.transport(set)
	return &importer.Importer{
		Repo:     o.repo,
		Catalog:  o.db,
		Sources:  func() []upstream.Source { return set.Current().Import.Sources },
		Keyrings: upstream.Keyrings{Dirs: []string{filepath.Join(c.dataDir, "keyrings"), systemKeyrings}},
		Client: func() *upstream.Client {
			timeout := time.Duration(set.Current().Import.TimeoutSeconds) * time.Second
			return &upstream.Client{
				Transport: transport, Timeout: timeout, UserAgent: "repod/" + buildVersion().Version,
				Permanent: hopeless,
			}
		},
		Concurrency: func() int { return int(set.Current().Import.Concurrency) },
		PullThrough: func() []string { return set.Current().Import.PullThrough },
		MaxSize:     func() int64 { return set.Current().MaxUploadBytes },
		Cache:       filepath.Join(c.dataDir, "upstream"),
		Spool:       filepath.Join(c.dataDir, "spool"),
		Logger:      c.log,
	}
}

// importProxy is the proxy of the settings, nil for none.
func importProxy(s live.Import) (*url.URL, error) {
	if s.ProxyURL == "" {
		return nil, nil
	}
	return url.Parse(string(s.ProxyURL))
}

// hopeless reports errors of connections that will not be others soon: the
// address is refused, or there is no such host.
func hopeless(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, outbound.ErrRefused) || errors.As(err, &dns) && dns.IsNotFound
}
