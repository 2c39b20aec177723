// Package external has programs of others look for vulnerabilities: Grype and
// Trivy. A [Matcher] writes a bill of materials (CycloneDX 1.5, JSON) of one
// package to the program's standard input and reads its report.
//
// A report proves something only if the program says that it did its work. A
// run that fails, and output that is too long, not JSON, of another format or
// of another version are errors, and never "no findings".
//
// # Formats
//
// The formats were taken from what the projects publish, and the programs
// themselves were not run against this package: before relying on one, scan a
// package with a known vulnerability.
//
//   - Grype: the source of its JSON presenter ("matches", "descriptor"), as of
//     2023 to 2025, and a sample of version 0.114; "grype db status -o json".
//   - Trivy: the source of its report with SchemaVersion 2, as of 2022 to 2024,
//     and its documentation; "trivy version --format json".
//
// The bill has a component for the operating system with the properties that
// both programs write themselves, and the package's purl names its release
// (distro) and its source package (upstream): without them either program
// matches a Debian package against nothing, and finds nothing.
package external

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/repod-io/repod/scan"
)

// A Format is that of a program's reports.
type Format string

// The formats.
const (
	Grype Format = "grype"
	Trivy Format = "trivy"
)

// Defaults of a Matcher.
const (
	DefaultTimeout   = 5 * time.Minute
	DefaultMaxOutput = 64 << 20
)

const (
	// maxFindings bounds the findings of one package. Linux has some thousands.
	maxFindings = 20_000
	// maxDepth bounds how deep a report is nested. Real ones stay below 15.
	maxDepth = 64
)

// A Matcher runs a program for each package. It is a [scan.Matcher]. Its fields
// must not change after the first call.
type Matcher struct {
	Format Format
	// Argv is the program with its arguments, which must make it read a bill of
	// materials from standard input and write its report to standard output, and
	// must not make it fail for what it finds:
	//
	//	grype --quiet --output json
	//
	// "trivy sbom --quiet --format json FILE" wants a file that it can read twice,
	// by its documentation: the program that Run starts has to make one.
	Argv []string
	// DataArgv makes the program describe its data:
	//
	//	grype db status --output json
	//	trivy version --format json
	DataArgv []string
	// Run runs a program until it ends, or ctx does, and returns its standard
	// output. It returns an error when the program cannot be run, its exit code
	// is not 0, or it writes more than limit bytes, and then has ended it. It may
	// be called by several goroutines at once. Required.
	Run func(ctx context.Context, argv []string, stdin io.Reader, limit int64) (stdout []byte, err error)
	// Timeout bounds one run. 0: DefaultTimeout.
	Timeout time.Duration
	// MaxOutput bounds a report, in bytes. 0: DefaultMaxOutput.
	MaxOutput int64
}

var _ scan.Matcher = (*Matcher)(nil)

// ErrReport is wrapped by the errors that a program's output causes.
var ErrReport = errors.New("the report is of no use")

// Match implements [scan.Matcher]. covered is true if the program says that it
// knew the package's OS.
func (m *Matcher) Match(ctx context.Context, inv scan.Inventory) (findings []scan.Finding, covered bool, err error) {
	bom, err := billOf(inv)
	if err != nil {
		return nil, false, fmt.Errorf("write the bill of materials for %s: %w", m.Format, err)
	}
	report, err := m.run(ctx, m.Argv, bom)
	if err != nil {
		return nil, false, err
	}
	switch m.Format {
	case Grype:
		findings, covered, err = parseGrype(report, inv)
	case Trivy:
		findings, covered, err = parseTrivy(report, inv)
	default:
		err = fmt.Errorf("the format %q is unknown", m.Format)
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the report of %s: %w", m.Format, err)
	}
	return findings, covered, nil
}

// Data implements [scan.Matcher]. The generation is the time, in seconds, at
// which the program's data were built: an update of the program alone does not
// show.
func (m *Matcher) Data(ctx context.Context) (scan.Data, error) {
	report, err := m.run(ctx, m.DataArgv, nil)
	if err != nil {
		return scan.Data{}, err
	}
	var built time.Time
	switch m.Format {
	case Grype:
		built, err = parseGrypeStatus(report)
	case Trivy:
		built, err = parseTrivyVersion(report)
	default:
		err = fmt.Errorf("the format %q is unknown", m.Format)
	}
	if err != nil {
		return scan.Data{}, fmt.Errorf("read what data %s has: %w", m.Format, err)
	}
	if built.IsZero() {
		return scan.Data{}, nil
	}
	return scan.Data{Generation: built.Unix(), Date: built}, nil
}

func (m *Matcher) run(ctx context.Context, argv []string, stdin []byte) ([]byte, error) {
	if len(argv) == 0 {
		return nil, fmt.Errorf("%s: no program is given", m.Format)
	}
	timeout, limit := m.Timeout, m.MaxOutput
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	if limit <= 0 {
		limit = DefaultMaxOutput
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := m.Run(ctx, argv, bytes.NewReader(stdin), limit)
	switch {
	case err != nil:
		return nil, fmt.Errorf("run %s: %w", m.Format, err)
	case ctx.Err() != nil: // it may have been killed and its output cut
		return nil, fmt.Errorf("run %s: %w", m.Format, context.Cause(ctx))
	case int64(len(out)) > limit:
		return nil, fmt.Errorf("run %s: %w: it has more than %d bytes", m.Format, ErrReport, limit)
	}
	return out, nil
}

// splitOS splits "debian:12".
func splitOS(os string) (family, release string) {
	family, release, _ = strings.Cut(os, ":")
	return family, release
}
