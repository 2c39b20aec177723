package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout bounds the question. Containers wait for 30 seconds.
const healthTimeout = 20 * time.Second

func (p *program) healthCommand() *cobra.Command {
	var live bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the server of this machine whether it is ready",
		Long: `health asks the server on this machine, at the address of --listen, whether it is
ready for requests: whether database, storage and signing work. The exit status
is 0 when it is. It is for containers and supervisors, whose image may have no
other program to ask with.`,
		Example: "  repod health --listen :8000",
		GroupID: "server",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd.Flags(), p.env)
			if err != nil {
				return err
			}
			address, path := s.get("listen"), "/health/ready"
			if err := checkListen(address); err != nil {
				return err
			}
			if live {
				path = "/health/live"
			}
			return p.health(cmd.Context(), address, s.get("tls-cert-file") != "", path)
		},
	}
	cmd.Flags().BoolVar(&live, "live", false, "ask only whether it answers")
	addSettings(cmd.Flags(), serveSettings)
	return cmd
}

// health asks a server by the address on which it listens.
func (p *program) health(ctx context.Context, listen string, secure bool, path string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if strings.HasPrefix(listen, ":") {
		listen = "127.0.0.1" + listen
	}
	// The certificate is for the name that clients use; nobody is in between.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	url := "http://" + reachable(listen) + path
	if secure {
		url = "https://" + reachable(listen) + path
	}
	if socket, unix := strings.CutPrefix(listen, "unix:"); unix {
		url = "http://localhost" + path
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not ready: %s: %s", resp.Status, text)
	}
	_, err = fmt.Fprintln(p.stdout, "ready")
	return err
}
