package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/repod-io/repod/httpapi/client"
)

func (p *program) sbomCommand() *cobra.Command {
	var distribution, format, version, arch, output string
	cmd := &cobra.Command{
		Use:   "sbom [NAME VERSION]",
		Short: "Write the SBOM of a distribution, of all, or of one package",
		Long: `sbom writes a bill of materials: of what is published in a distribution, in all
of them when none is named, or of one package and what it depends on. It goes to
standard output, or to a file that appears once it is complete.`,
		Example: `  repod sbom --distribution jammy --output jammy.cdx.json
  repod sbom nginx 1.24.0 --format spdx`,
		GroupID: "client",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return usagef("want NAME and VERSION of a package, or neither")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.sbom(output, func(c *client.Client, w io.Writer) error {
				q := client.SBOMQuery{Format: format, Version: version, Distribution: distribution}
				if len(args) == 2 {
					return c.PackageSBOM(cmd.Context(), w, args[0], args[1], arch, q)
				}
				return c.SBOM(cmd.Context(), w, q)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&distribution, "distribution", "d", "", "what is published in `codename`")
	flags.StringVar(&format, "format", "cyclonedx", "cyclonedx or spdx")
	flags.StringVar(&version, "spec-version", "", "`version` of the format (default: 1.6 of CycloneDX, 2.3 of SPDX)")
	flags.StringVar(&arch, "arch", "", "`architecture` of the package (default amd64, else the first)")
	flags.StringVarP(&output, "output", "o", "", "write to a `file`, in place of what it holds")
	return cmd
}

// scratch is a file that an answer is written to, anew at each attempt.
type scratch struct{ *os.File }

// Restart implements [client.Restarter].
func (s scratch) Restart() error {
	_, err := s.Seek(0, io.SeekStart)
	return errors.Join(err, s.Truncate(0))
}

// sbom fetches a bill into a file beside the one that is wanted, or to standard
// output, as a whole or not at all.
func (p *program) sbom(output string, fetch func(*client.Client, io.Writer) error) error {
	c, err := p.client(defaultRetries)
	if err != nil {
		return err
	}
	dir := "" // of temporary files
	if output != "" {
		dir = cmp.Or(filepath.Dir(output), ".")
	}
	file, err := os.CreateTemp(dir, ".repod-sbom-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := fetch(c, scratch{file}); err != nil {
		return err
	}
	if output == "" {
		_, err := io.Copy(p.stdout, io.NewSectionReader(file, 0, 1<<62))
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), output); err != nil {
		return err
	}
	fmt.Fprintln(p.stderr, "repod: wrote "+output)
	return nil
}
