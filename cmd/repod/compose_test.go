package main

import (
	"encoding/base64"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// composeFile is what the tests look at of compose.yaml.
type composeFile struct {
	Services map[string]composeService
	Networks map[string]struct {
		Internal bool
		IPAM     struct{ Config []struct{ Subnet string } }
	}
	Volumes map[string]any
	Secrets map[string]struct{ File string }
	Configs map[string]struct{ Content string }
}

type composeService struct {
	Image, User string
	Build       struct{ Context, Dockerfile string }
	Command     []string
	Environment map[string]string
	EnvFile     []string `yaml:"env_file"`
	Secrets     []string
	Volumes     []string
	Networks    []string
	Ports       []string
	Configs     []struct{ Source, Target string }
	ReadOnly    bool     `yaml:"read_only"`
	CapDrop     []string `yaml:"cap_drop"`
	DependsOn   map[string]struct {
		Condition string
	} `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
}

func readCompose(t *testing.T) (c composeFile) {
	t.Helper()
	text, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// All that a service refers to is there, and all that is there is used.
func TestComposeReferences(t *testing.T) {
	c := readCompose(t)
	used := map[string]bool{}
	want := func(service, kind, name string, there bool) {
		used[kind+" "+name] = true
		if !there {
			t.Errorf("%s: there is no %s %q", service, kind, name)
		}
	}
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			volume, _, _ := strings.Cut(v, ":")
			_, there := c.Volumes[volume]
			want(name, "volume", volume, there)
		}
		for _, n := range s.Networks {
			_, there := c.Networks[n]
			want(name, "network", n, there)
		}
		for _, secret := range s.Secrets {
			_, there := c.Secrets[secret]
			want(name, "secret", secret, there)
		}
		for _, config := range s.Configs {
			_, there := c.Configs[config.Source]
			want(name, "config", config.Source, there)
		}
		for other, how := range s.DependsOn {
			service, there := c.Services[other]
			want(name, "service", other, there)
			if how.Condition == "service_healthy" && len(service.Healthcheck.Test) == 0 {
				t.Errorf("%s waits for the health of %s, which has no check", name, other)
			}
		}
		for _, value := range s.Environment {
			if secret, ok := strings.CutPrefix(value, "/run/secrets/"); ok && !slices.Contains(s.Secrets, secret) {
				t.Errorf("%s is not given the secret %s", name, secret)
			}
		}
		if len(s.Ports) > 0 != (name == "proxy") {
			t.Errorf("%s is reached from outside by %q", name, s.Ports)
		}
		if registry, _, ok := strings.Cut(s.Image, "/"); ok && strings.ContainsAny(registry, ".:") {
			t.Errorf("%s: image %s names a registry", name, s.Image)
		}
	}
	for kind, names := range map[string][]string{
		"volume": keys(c.Volumes), "network": keys(c.Networks), "secret": keys(c.Secrets), "config": keys(c.Configs),
	} {
		for _, name := range names {
			if !used[kind+" "+name] {
				t.Errorf("nobody uses the %s %s", kind, name)
			}
		}
	}
	if slices.Contains(c.Services["proxy"].Networks, "back") || !c.Networks["back"].Internal {
		t.Error("the proxy, or the world, reaches the database")
	}
}

func keys[T any](m map[string]T) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}

// Each server gets settings that repod takes, and what they say belongs together.
func TestComposeSettings(t *testing.T) {
	c := readCompose(t)
	known := map[string]bool{"AWS_ACCESS_KEY_ID_FILE": true, "AWS_SECRET_ACCESS_KEY_FILE": true}
	for key := range configKeys() {
		known[variable(key)] = true
	}
	dir, contents := t.TempDir(), map[string]string{
		"secret-key": base64.StdEncoding.EncodeToString(make([]byte, secretKeySize)), "admin-password": testPassword,
		"pgpass": "postgres:5432:repod:repod:from-the-file", "s3-access-key": "access", "s3-secret-key": "s3-secret",
	}
	for name, text := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	servers := 0
	for name, service := range c.Services {
		if service.Image != "repod" {
			continue
		}
		servers++
		env := map[string]string{"REPOD_DATA_DIR": dir, "REPOD_LISTEN": ":8000"} // of the image
		for key, value := range service.Environment {
			if !known[key] {
				t.Errorf("%s: repod does not know %s", name, key)
			}
			env[key] = strings.ReplaceAll(value, "/run/secrets/", dir+"/")
		}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		addSettings(flags, storeSettings, serveSettings)
		s, err := loadSettings(flags, func(name string) string { return env[name] })
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.serveConfig(io.Discard)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.bucket == nil || got.bucket.Bucket != "repod" || got.bucket.SecretAccessKey != "s3-secret" || got.adminPassword != testPassword {
			t.Errorf("%s: %+v", name, got.storeConfig)
		}
		if host, port, _ := net.SplitHostPort(strings.TrimPrefix(got.bucket.Endpoint, "http://")); !slices.Contains(c.Services[host].Command, ":"+port) {
			t.Errorf("%s: nobody listens at %s", name, got.bucket.Endpoint)
		}
		if !slices.Contains(c.Services["bucket"].Command, "/data/"+got.bucket.Bucket) || !slices.Contains(c.Services["s3"].Command, got.bucket.Region) {
			t.Errorf("%s: the bucket is not made", name)
		}
		db, err := pgx.ParseConfig(got.postgres)
		if err != nil || db.Password != "from-the-file" || c.Services[db.Host].Environment["POSTGRES_DB"] != db.Database {
			t.Errorf("%s: database %v", name, err)
		}
		if subnet := c.Networks["front"].IPAM.Config[0].Subnet; !slices.Contains(got.trustedProxies, netip.MustParsePrefix(subnet)) {
			t.Errorf("%s: the proxy is not trusted", name)
		}
		if !service.ReadOnly || !slices.Contains(service.CapDrop, "ALL") {
			t.Errorf("%s may do more than it needs to", name)
		}
	}
	if servers < 2 {
		t.Errorf("%d servers", servers)
	}
}

// nginx takes the configuration of the proxy, and it names each server.
func TestComposeProxy(t *testing.T) {
	c := readCompose(t)
	text := strings.ReplaceAll(c.Configs["proxy"].Content, "$$", "$")
	for name, s := range c.Services {
		if s.Image == "repod" && !strings.Contains(text, "server "+name+":8000") {
			t.Errorf("the proxy does not know %s", name)
		}
	}
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	text = regexp.MustCompile(`server repod-(\d)`).ReplaceAllString(text, "server 127.0.0.$1")
	conf := "daemon off; pid " + dir + "/pid; error_log stderr;\nevents {}\nhttp { access_log off;\n" + text + "}\n"
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), nginx, "-t", "-p", dir, "-c", filepath.Join(dir, "nginx.conf")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The commands that the comments tell make each secret, and nothing else.
func TestComposeSecrets(t *testing.T) {
	c := readCompose(t)
	text, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -e\n")
	for line := range strings.Lines(string(text)) {
		if command, ok := strings.CutPrefix(line, "#   "); ok && !strings.HasPrefix(command, "chown") {
			script.WriteString(command)
		}
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script.String())
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "secrets", "*"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := map[string]bool{}
	for _, s := range c.Secrets {
		wanted[filepath.Join(dir, s.File)] = true
	}
	for _, s := range c.Services {
		for _, file := range s.EnvFile {
			wanted[filepath.Join(dir, file)] = true
		}
	}
	for _, path := range made {
		if info, err := os.Stat(path); err != nil || !wanted[path] || info.Size() == 0 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, wanted: %v", path, info.Mode(), wanted[path])
		}
		delete(wanted, path)
	}
	for path := range wanted {
		t.Errorf("%s is not made", path)
	}
	key, err := os.ReadFile(filepath.Join(dir, "secrets/secret-key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseSecretKey(strings.TrimSpace(string(key))); err != nil {
		t.Error(err)
	}
}
