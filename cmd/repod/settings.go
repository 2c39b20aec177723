package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// A setting takes its value from a flag, else from an environment variable,
// else from the configuration file, else its default.
type setting struct {
	name     string // of the flag; REPOD_NAME is the variable
	fallback string // shown in the help
	usage    string
}

// storeSettings say where the repository is kept: all commands that work on
// it have them.
var storeSettings = []setting{
	{"data-dir", "repod-data", "`directory` of the embedded database, files, keys and spool; created with mode 0700"},
	{"database-url", "", "`url`: sqlite:PATH or postgres://... (default sqlite:DATA-DIR/repod.db)"},
	{"storage-url", "", "`url`: where packages and indices are kept: file:PATH, or s3://BUCKET/PREFIX?endpoint=https://host:port&region=R&path_style=true&redirect=true (default file:DATA-DIR/files)"},
	{"secret-key-file", "", "`file` with 32 bytes in base64, mode 0600: signs sessions and seals secrets; one for all servers of a database (default: generated in DATA-DIR)"},
	{"signing-key-file", "", "`file` with an armoured OpenPGP private key, mode 0600 (default: generated, kept in the database)"},
	{"signing-command", "", "`command` that signs in place of such a key, run with clearsign, detach or public-key as last argument"},
	{"signing-gpg-key", "", "`fingerprint` of a key in a GnuPG keyring that signs in place of such a key, by gpg and its agent"},
	{"signing-gnupg-home", "", "`directory` of that keyring (default: ~/.gnupg)"},
}

// serveSettings are the further ones of the server.
var serveSettings = []setting{
	{"listen", ":8000", "`address` to listen on: host:port, :0 for any free port, unix:/path"},
	{"public-url", "", "`url` that clients call, e.g. https://repo.example.com (default: taken from the request)"},
	{"admin-username", "admin", "`name` of the first administrator, created when there is no user"},
	{"distributions", "", "`codenames` to create when they do not exist, e.g. jammy,bookworm"},
	{"outbound", "private", "`where` connections of the server may go: public, private (also a company's own networks) or any (also this machine)"},
	{"clamav-update-command", "", "`command` that fetches new signatures for clamd, e.g. freshclam"},
	{"trusted-proxies", "", "`networks` whose X-Forwarded-For and X-Forwarded-Proto count, e.g. 10.0.0.0/8,::1/128"},
	{"tls-cert-file", "", "`file` with the certificate chain in PEM: serve HTTPS"},
	{"tls-key-file", "", "`file` with its private key in PEM"},
	{"rate-limits", "", "`requests` a minute by class, e.g. upload=200, or off"},
	{"cors-origins", "", "`origins` whose scripts may call the API, e.g. https://console.example.com"},
	{"metrics-token-file", "", "`file` with a bearer token of 16 characters or more that may read /metrics (default: administrators only)"},
	{"log-format", "", "`format`: text or json (default: text on a terminal, else json)"},
	{"log-level", "info", "`level`: debug, info, warn or error"},
}

// Secrets have no flag, since other users can read command lines. NAME and
// NAME-file are their keys in the configuration file, REPOD_NAME and
// REPOD_NAME_FILE their variables.
const (
	secretKey         = "secret-key" // its file has a flag
	signingPassphrase = "signing-key-passphrase"
	adminPassword     = "admin-password"
	metricsToken      = "metrics-token" // its file has a flag
)

// configKeys returns what a configuration file may hold.
func configKeys() map[string]bool {
	keys := map[string]bool{
		secretKey:                   true,
		signingPassphrase:           true,
		signingPassphrase + "-file": true,
		adminPassword:               true,
		adminPassword + "-file":     true,
		metricsToken:                true,
	}
	for _, s := range slices.Concat(storeSettings, serveSettings) {
		keys[s.name] = true
	}
	return keys
}

// settings looks values up.
type settings struct {
	flags *pflag.FlagSet
	env   func(string) string
	file  map[string]string
}

// addSettings defines the flags of a command, and --config.
func addSettings(flags *pflag.FlagSet, lists ...[]setting) {
	flags.SortFlags = false
	for _, s := range slices.Concat(lists...) {
		flags.String(s.name, s.fallback, s.usage+" ["+variable(s.name)+"]")
	}
	flags.String("config", "", "YAML `file` with the names of these flags as keys ["+variable("config")+"]")
}

// variable names the environment variable of a setting.
func variable(name string) string {
	return "REPOD_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// loadSettings reads the configuration file, when there is one.
func loadSettings(flags *pflag.FlagSet, env func(string) string) (*settings, error) {
	s := &settings{flags: flags, env: env}
	path := s.get("config")
	if path == "" {
		return s, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("reading the configuration: %w", err)
	}
	if s.file, err = parseConfig(text); err != nil {
		return nil, usagef("%s: %w", path, err)
	}
	for _, name := range []string{secretKey, signingPassphrase, adminPassword, metricsToken} {
		if s.file[name] == "" {
			continue
		}
		if err := guarded(path, 0o077); err != nil {
			return nil, usagef("holding %s: %w", name, err)
		}
	}
	return s, nil
}

// get returns a setting's value. An empty variable counts as unset.
func (s *settings) get(name string) string {
	f := s.flags.Lookup(name)
	if f != nil && f.Changed {
		return f.Value.String()
	}
	if v := s.env(variable(name)); v != "" {
		return v
	}
	if v, ok := s.file[name]; ok {
		return v
	}
	if f != nil {
		return f.DefValue
	}
	return ""
}

// secret returns a secret given directly or by file, without the line end
// that editors add; "" when it is not given.
func (s *settings) secret(name string) (string, error) {
	value, path := s.get(name), s.get(name+"-file")
	switch {
	case value != "" && path != "":
		return "", usagef("both %s and %s are set: keep one", variable(name), variable(name+"-file"))
	case path == "":
		return value, nil
	}
	if name == secretKey || name == metricsToken {
		if err := guarded(path, 0o077); err != nil {
			return "", err
		}
	}
	return readSecret(path)
}

// readSecret returns the contents of a small file without a final line end.
func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// guarded refuses a file whose mode has one of the forbidden bits.
func guarded(path string, forbidden fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("reading a secret: %w", err)
	}
	if perm := info.Mode().Perm(); perm&forbidden != 0 {
		return fmt.Errorf("%s has mode %04o and other users may read it: chmod %04o %s", path, perm, perm&^forbidden, path)
	}
	return nil
}

// parseConfig reads a configuration file: a mapping of the settings' names to
// values, written as in the flags or, where a flag takes a comma list, as a
// YAML list or mapping.
func parseConfig(text []byte) (map[string]string, error) {
	var doc map[string]yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("not a YAML mapping: %w", err)
	}
	known := configKeys()
	values := make(map[string]string, len(doc))
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		name := strings.ReplaceAll(key, "_", "-")
		if !known[name] {
			return nil, fmt.Errorf("unknown key %q", key)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("key %q is there twice", key)
		}
		node := doc[key]
		value, err := flatten(&node)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", key, err)
		}
		values[name] = value
	}
	return values, nil
}

// flatten writes a YAML value as a flag's: a,b for lists, a=1,b=2 for mappings.
func flatten(n *yaml.Node) (string, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", nil
		}
		return n.Value, nil
	case yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("want a list of plain values")
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	case yaml.MappingNode:
		var items []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if value.Kind != yaml.ScalarNode {
				return "", errors.New("want a mapping to plain values")
			}
			items = append(items, key.Value+"="+value.Value)
		}
		return strings.Join(items, ","), nil
	}
	return "", errors.New("want a plain value, a list or a mapping")
}

// list splits a comma list and drops the spaces around its items.
func list(s string) []string {
	var items []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
