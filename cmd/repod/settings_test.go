package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func writeFile(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// testSettings reads settings from flags, variables and a configuration file.
func testSettings(t *testing.T, env map[string]string, args ...string) (*settings, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addSettings(flags, storeSettings, serveSettings)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadSettings(flags, func(name string) string { return env[name] })
}

func TestPrecedence(t *testing.T) {
	config := writeFile(t, "c.yaml", "listen: file\ndata_dir: file\npublic-url: file\n", 0o644)
	s, err := testSettings(t, map[string]string{
		"REPOD_LISTEN": "env", "REPOD_DATA_DIR": "env", "REPOD_CONFIG": config, "REPOD_PUBLIC_URL": "",
	}, "--listen", "flag")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"listen": "flag", "data-dir": "env", "public-url": "file", "log-level": "info", "database-url": "",
	} {
		if got := s.get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestParseConfig(t *testing.T) {
	tests := []struct{ name, text, key, want, err string }{
		{"plain", "listen: :80", "listen", ":80", ""},
		{"number", "listen: 80", "listen", "80", ""},
		{"list", "distributions: [jammy, bookworm]", "distributions", "jammy,bookworm", ""},
		{"mapping", "rate-limits: {upload: 200, import_fetch: 5}", "rate-limits", "upload=200,import_fetch=5", ""},
		{"off is a word", "rate-limits: off", "rate-limits", "off", ""},
		{"null", "listen:", "listen", "", ""},
		{"empty", "", "listen", "", ""},
		{"unknown", "listne: x", "", "", `unknown key "listne"`},
		{"twice", "data-dir: a\ndata_dir: b", "", "", "twice"},
		{"twice alike", "data-dir: a\ndata-dir: b", "", "", "YAML"},
		{"nested list", "distributions: [[a]]", "", "", "plain values"},
		{"not a mapping", "- a", "", "", "YAML"},
		{"no YAML", "\t:", "", "", "YAML"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			values, err := parseConfig([]byte(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || values[tt.key] != tt.want {
				t.Errorf("%q, %v; want %q", values[tt.key], err, tt.want)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("listen: :80\ndistributions: [a, b]\nrate-limits: {a: 1}"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := parseConfig(text)
		if err != nil && values != nil {
			t.Error("values beside an error")
		}
		known := configKeys()
		for name := range values {
			if !known[name] {
				t.Errorf("key %q came through", name)
			}
		}
	})
}

func TestSecrets(t *testing.T) {
	key := strings.Repeat("A", 43) + "="
	private := writeFile(t, "key", key+"\n", 0o600)
	open := writeFile(t, "key", key, 0o640)
	password := writeFile(t, "pw", " pass word \r\n", 0o444)
	tests := []struct {
		name, secret, want, err string
		env                     map[string]string
	}{
		{"none", secretKey, "", "", nil},
		{"direct", secretKey, key, "", map[string]string{"REPOD_SECRET_KEY": key}},
		{"file", secretKey, key, "", map[string]string{"REPOD_SECRET_KEY_FILE": private}},
		{"both", secretKey, "", "keep one", map[string]string{"REPOD_SECRET_KEY_FILE": private, "REPOD_SECRET_KEY": key}},
		{"readable by the group", secretKey, "", "chmod 0600", map[string]string{"REPOD_SECRET_KEY_FILE": open}},
		{"missing", adminPassword, "", "no such file", map[string]string{"REPOD_ADMIN_PASSWORD_FILE": private + "x"}},
		{"container secret", adminPassword, " pass word ", "", map[string]string{"REPOD_ADMIN_PASSWORD_FILE": password}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := testSettings(t, tt.env)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.secret(tt.secret)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestConfigWithSecretsIsGuarded(t *testing.T) {
	for mode, wantErr := range map[os.FileMode]bool{0o600: false, 0o644: true} {
		config := writeFile(t, "c.yaml", "admin-password: Sesame123\n", mode)
		_, err := testSettings(t, nil, "--config", config)
		if (err != nil) != wantErr {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestSecretKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	first, err := storedSecretKey(path, bytes.NewReader(bytes.Repeat([]byte{7}, secretKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, bytes.Repeat([]byte{7}, secretKeySize)) {
		t.Errorf("key %x", first)
	}
	again, err := storedSecretKey(path, nil)
	if err != nil || !bytes.Equal(again, first) {
		t.Errorf("second start: %x, %v", again, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	if err := writeSecretKey(path, nil); !os.IsExist(err) {
		t.Errorf("a second key replaced the first: %v", err)
	}
}

func TestParseSecretKey(t *testing.T) {
	for text, ok := range map[string]bool{
		strings.Repeat("A", 43) + "=":   true,
		strings.Repeat("A", 43):         true,
		strings.Repeat("A", 43) + "=\n": true,
		strings.Repeat("A", 42):         false,
		strings.Repeat("A", 44):         false,
		strings.Repeat("!", 43):         false,
		"":                              false,
	} {
		if _, err := parseSecretKey(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
