package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
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
			path, query := "/sbom/export", url.Values{}
			if len(args) == 2 {
				path = "/sbom/" + url.PathEscape(args[0]) + "/" + url.PathEscape(args[1])
			}
			for name, value := range map[string]string{"distribution": distribution, "format": format, "version": version, "arch": arch} {
				if value != "" {
					query.Set(name, value)
				}
			}
			return p.sbom(cmd.Context(), path, query, output)
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

// sbom fetches a bill into a file beside the one that is wanted, or to standard
// output, as a whole or not at all.
func (p *program) sbom(ctx context.Context, path string, query url.Values, output string) error {
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
	if _, err := c.do(ctx, request{method: http.MethodGet, path: path, query: query, into: file}); err != nil {
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
