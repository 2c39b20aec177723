package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/repod-io/repod/index"
)

const (
	// signingTime bounds one run of a program that signs.
	signingTime = 30 * time.Second
	// signingOutput and signingMessages bound what it prints.
	signingOutput   = 32 << 20
	signingMessages = 500
	// publicKeyForm is what a program is asked besides the forms of signatures.
	publicKeyForm = "public-key"
)

// A signingProgram signs in another process, which has the key. It runs without a
// shell, and none of the server's variables but HOME reaches it.
type signingProgram struct {
	argv []string
	args func(form string) []string // further ones, for an index.Form or publicKeyForm
	home string                     // HOME
}

// commandSigner is the program of --signing-command: it is run with one further argument,
// clearsign, detach or public-key.
func (c *storeConfig) commandSigner() *signingProgram {
	return &signingProgram{argv: c.signingCommand, args: func(form string) []string { return []string{form} }, home: c.home}
}

// gpgSigner has gpg sign, which asks its agent, for a key in its keyring.
func (c *storeConfig) gpgSigner() *signingProgram {
	argv := []string{"gpg", "--batch", "--no-tty", "--quiet"}
	if c.gnupgHome != "" {
		argv = append(argv, "--homedir", c.gnupgHome)
	}
	sign := []string{"--local-user", c.gpgKey, "--digest-algo", "SHA512", "--no-emit-version", "--no-comments", "--armor", "--output", "-"}
	return &signingProgram{argv: argv, home: c.home, args: func(form string) []string {
		switch form {
		case publicKeyForm:
			return []string{"--export-options", "export-minimal", "--export", c.gpgKey}
		case string(index.Clear):
			return slices.Concat(sign, []string{"--clearsign"})
		}
		return slices.Concat(sign, []string{"--detach-sign"})
	}}
}

// signer asks the program for its public keys, with which everything that it signs
// is verified.
func (p *signingProgram) signer(ctx context.Context) (*index.External, error) {
	public, err := p.run(ctx, publicKeyForm, nil)
	if err != nil {
		return nil, err
	}
	ring, err := index.ParseKeyring(public)
	if err == nil {
		err = index.CheckKeys(ring)
	}
	if err != nil {
		return nil, fmt.Errorf("the public key that %s gives: %w", p.argv[0], err)
	}
	return &index.External{Keys: ring, Sign: func(ctx context.Context, form index.Form, text []byte) ([]byte, error) {
		return p.run(ctx, string(form), text)
	}}, nil
}

// run runs the program and returns what it writes to standard output.
func (p *signingProgram) run(ctx context.Context, form string, stdin []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, signingTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.argv[0], append(slices.Clone(p.argv[1:]), p.args(form)...)...)
	stdout, stderr := &bounded{most: signingOutput, full: cancel}, &bounded{most: signingMessages}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), stdout, stderr
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=" + cmp.Or(p.home, "/")}
	// What it has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case stdout.over:
		return nil, fmt.Errorf("%s %s: it writes more than %d bytes", p.argv[0], form, signingOutput)
	case err == nil:
		return stdout.text, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s %s: no answer: %w", p.argv[0], form, ctx.Err())
	case errors.As(err, &exit):
		err = errors.New("ended with " + exit.String())
	}
	if said := oneLine(string(stderr.text)); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return nil, fmt.Errorf("%s %s: %w", p.argv[0], form, err)
}

// bounded keeps the beginning of what is written to it, and drops the rest.
type bounded struct {
	text []byte // no bytes.Buffer, whose ReadFrom would be asked instead of Write
	most int
	over bool
	full func() // called when there is more; may be nil
}

func (b *bounded) Write(p []byte) (int, error) {
	keep := min(len(p), b.most-len(b.text))
	b.text = append(b.text, p[:keep]...)
	if keep < len(p) {
		b.over = true
		if b.full != nil {
			b.full()
		}
	}
	return len(p), nil
}

// parseFingerprint takes a fingerprint as gpg prints it, with spaces.
func parseFingerprint(s string) (string, error) {
	s = strings.ToUpper(strings.Join(strings.Fields(s), ""))
	if s != "" && (len(s) != 40 || strings.Trim(s, "0123456789ABCDEF") != "") {
		return "", usagef("--signing-gpg-key: want the whole fingerprint of a key, 40 hexadecimal digits: gpg --list-secret-keys")
	}
	return s, nil
}
