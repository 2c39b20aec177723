package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/repod-io/repod/deb"

	live "github.com/repod-io/repod/aptrepo/settings"
	"github.com/repod-io/repod/httpapi"
	"github.com/repod-io/repod/scan"
	"github.com/repod-io/repod/scan/clamav"
	"github.com/repod-io/repod/scan/inventory"
)

// scanning is what looks at packages, as the settings have it.
type scanning struct {
	config *serveConfig
	set    *live.Service
	db     *vulnData
	// transport fetches feeds.
	transport http.RoundTripper

	updating sync.Mutex // one update of signatures at a time

	mu   sync.Mutex
	last *clamav.Scanner // what clamd returned last; it remembers what it has probed
}

// startScanning lets the repository scan what is published.
func (c *serveConfig) startScanning(o *opened, set *live.Service) *scanning {
	s := &scanning{config: c, set: set, db: openVulnData(o, c.log), transport: c.transport(set)}
	o.repo.Scanners = []scan.Scanner{
		malwareScanner{s}, &inventory.Scanner{SpoolDir: filepath.Join(c.dataDir, "spool"), Logger: c.log},
	}
	o.repo.Matcher = s
	o.repo.Policy = func(string) scan.Policy { return policyOf(set.Current().Scan) }
	return s
}

// policyOf is the policy of the settings.
func policyOf(s live.Scan) scan.Policy {
	return scan.Policy{
		Severities: map[scan.Severity]scan.Verdict{
			scan.Critical: scan.Verdict(s.CVE.Critical), scan.High: scan.Verdict(s.CVE.High), scan.Medium: scan.Verdict(s.CVE.Medium),
			scan.Low: scan.Verdict(s.CVE.Low), scan.Negligible: scan.Verdict(s.CVE.Negligible), scan.Unknown: scan.Verdict(s.CVE.Unknown),
		},
		KEV: scan.Verdict(s.CVE.KEV), EPSSBlock: s.CVE.EPSSBlock, EPSSReview: s.CVE.EPSSReview, Failure: scan.Verdict(s.FailPolicy),
	}
}

// clamd returns the scanner of the settings, nil for none.
func (s *scanning) clamd() *clamav.Scanner {
	now := s.set.Current().Scan
	if now.ClamAVAddress == "" {
		return nil
	}
	timeout, most := time.Duration(now.ClamAVTimeoutSeconds)*time.Second, s.set.Current().MaxUploadBytes
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.last; l == nil || l.Address != now.ClamAVAddress || l.Timeout != timeout || l.MaxStream != most {
		s.last = &clamav.Scanner{Address: now.ClamAVAddress, Timeout: timeout, MaxStream: most, Dial: s.config.dialScanner}
	}
	return s.last
}

// dialScanner connects to clamd: by TCP where the policy allows, or to a socket
// of this machine.
func (c *serveConfig) dialScanner(ctx context.Context, network, address string) (net.Conn, error) {
	if network == "unix" {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return c.dial(ctx, network, address)
}

// malwareScanner is the clamd of the settings, or none.
type malwareScanner struct{ *scanning }

// Name implements [scan.Scanner].
func (malwareScanner) Name() string { return "clamav" }

// Begin implements [scan.Scanner].
func (m malwareScanner) Begin(ctx context.Context, s scan.Subject) (scan.Pass, error) {
	if clamd := m.clamd(); clamd != nil {
		return clamd.Begin(ctx, s)
	}
	return noScan{}, nil
}

// noScan is a scan that nobody does.
type noScan struct{}

func (noScan) Open(deb.File) (io.WriteCloser, error) { return nil, nil }
func (noScan) Finish(error) scan.Report              { return scan.Report{} }
func (noScan) Abort()                                {}

// Match implements [scan.Matcher].
func (s *scanning) Match(ctx context.Context, inv scan.Inventory) ([]scan.Finding, bool, error) {
	if !s.set.Current().Scan.CVE.Enabled {
		return nil, false, nil
	}
	return s.db.Match(ctx, inv)
}

// Data implements [scan.Matcher].
func (s *scanning) Data(ctx context.Context) (scan.Data, error) {
	if !s.set.Current().Scan.CVE.Enabled {
		return scan.Data{}, nil
	}
	return s.db.Data(ctx)
}

// status is the state of clamd for the API.
func (s *scanning) status(ctx context.Context) httpapi.ScannerStatus {
	clamd := s.clamd()
	if clamd == nil {
		return httpapi.ScannerStatus{}
	}
	return httpapi.ScannerStatus{Enabled: true, Address: clamd.Address, Status: clamd.Status(ctx)}
}

// update runs the program that fetches signatures.
func (s *scanning) update(ctx context.Context) (clamav.Update, error) {
	clamd, argv := s.clamd(), s.config.clamavUpdate
	if clamd == nil || len(argv) == 0 {
		return clamav.Update{}, httpapi.ErrNoScanner
	}
	if !s.updating.TryLock() {
		return clamav.Update{}, clamav.ErrUpdating
	}
	defer s.updating.Unlock()
	u := &clamav.Updater{Scanner: clamd, Run: func(ctx context.Context, output io.Writer) error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdout, cmd.Stderr = output, output
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"} // none of our secrets
		cmd.WaitDelay = 10 * time.Second
		err := cmd.Run()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return errors.New("the update command ended with " + exit.String())
		}
		return err
	}}
	return u.Update(ctx)
}
