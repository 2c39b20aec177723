package main

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/storage"
	"github.com/repod-io/repod/aptrepo/storage/s3"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/index"
)

// testStore returns the settings of a repository in a directory of its own.
func testStore(t *testing.T, env map[string]string) storeConfig {
	t.Helper()
	s, err := testSettings(t, env, "--data-dir", filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.storeConfig()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openStore(t *testing.T, c storeConfig) *opened {
	t.Helper()
	if err := c.create(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := c.open(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

func TestSigningKeyFile(t *testing.T) {
	key, err := index.GenerateKey(index.KeyOptions{Name: "example"})
	if err != nil {
		t.Fatal(err)
	}
	armoured, err := key.ArmoredPrivate([]byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	path := writeFile(t, "key.asc", string(armoured), 0o600)
	passphrase := writeFile(t, "passphrase", "open sesame\n", 0o600)
	c := testStore(t, map[string]string{
		"REPOD_SIGNING_KEY_FILE": path, "REPOD_SIGNING_KEY_PASSPHRASE_FILE": passphrase,
	})
	o := openStore(t, c)
	if _, err := o.repo.Init(t.Context(), aptrepo.Distribution{Codename: "jammy"}); err != nil {
		t.Fatal(err)
	}
	f, err := o.repo.OpenFile(t.Context(), "dists/jammy/InRelease")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := index.Verify(text, index.Keyring{key.Public()}, time.Now()); err != nil {
		t.Errorf("not signed by the key of the file: %v", err)
	}
	detail, err := signingKey(t.Context(), o.repo, time.Now())
	if err != nil || !strings.Contains(detail, key.Fingerprint()) {
		t.Errorf("doctor says %q, %v", detail, err)
	}

	c.passphrase = "wrong"
	if _, err := c.signer(t.Context()); err == nil || !strings.Contains(err.Error(), "REPOD_SIGNING_KEY_PASSPHRASE") {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := c.signer(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod 0600") {
		t.Errorf("a key that the group may read: %v", err)
	}
}

func TestDoctorWarnsOfExpiry(t *testing.T) {
	o := openStore(t, testStore(t, nil))
	if _, err := o.repo.GenerateKey(t.Context(), aptrepo.KeyOptions{ExpireDays: 40}); err != nil {
		t.Fatal(err)
	}
	if _, err := signingKey(t.Context(), o.repo, time.Now()); err != nil {
		t.Errorf("40 days before: %v", err)
	}
	_, err := signingKey(t.Context(), o.repo, time.Now().AddDate(0, 0, 11))
	if err == nil || !strings.Contains(err.Error(), "/settings/gpg/generate") {
		t.Errorf("29 days before: %v", err)
	}
}

// The secret key opens the signing key: with another one the start must fail
// rather than sign with a new key that no client knows.
func TestOtherSecretKeyStopsTheStart(t *testing.T) {
	c := testStore(t, nil)
	prepare := func() error {
		o := openStore(t, c)
		users := &auth.Service{Store: o.db, Key: o.secretKey}
		p := &program{stderr: io.Discard}
		return p.prepare(t.Context(), serveConfig{storeConfig: c, admin: "admin"}, o.repo, users)
	}
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(c.keyFile()); err != nil {
		t.Fatal(err)
	}
	if err := prepare(); err == nil || !strings.Contains(err.Error(), "repod doctor") {
		t.Errorf("another secret key: %v", err)
	}
}

func TestStartSweepsBrokenUploads(t *testing.T) {
	c := testStore(t, nil)
	o := openStore(t, c)
	old, young := filepath.Join(c.files, storage.TempPrefix+"old"), filepath.Join(c.files, storage.TempPrefix+"young")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	yesterday := time.Now().AddDate(0, 0, -1)
	if err := os.Chtimes(old, yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	p := &program{stderr: io.Discard}
	users := &auth.Service{Store: o.db, Key: o.secretKey}
	if err := p.prepare(t.Context(), serveConfig{storeConfig: c, admin: "admin"}, o.repo, users); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("yesterday's piece is still there: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("a piece of now, perhaps another server's: %v", err)
	}
}

func TestStoreSettings(t *testing.T) {
	tests := []struct {
		name, database, storage string
		check                   func(storeConfig) bool
	}{
		{"defaults", "", "", func(c storeConfig) bool {
			return c.sqlite == filepath.Join(c.dataDir, "repod.db") && c.files == filepath.Join(c.dataDir, "files")
		}},
		{"paths", "sqlite:x.db", "file:y", func(c storeConfig) bool { return c.sqlite == "x.db" && c.files == "y" }},
		{"PostgreSQL", "postgresql://u:p@h/d?x=y", "", func(c storeConfig) bool {
			return c.postgres == "postgresql://u:p@h/d?x=y" && c.sqlite == ""
		}},
		{"bucket", "", "s3://bucket/apt?endpoint=http://h:1&region=r&path_style=true", func(c storeConfig) bool {
			return c.files == "" && *c.bucket == s3.Config{
				Bucket: "bucket", Prefix: "apt", Endpoint: "http://h:1", Region: "r", PathStyle: true,
				AccessKeyID: "AKID", SecretAccessKey: "TOPSECRET",
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := testStore(t, map[string]string{
				"REPOD_DATABASE_URL": tt.database, "REPOD_STORAGE_URL": tt.storage, "REPOD_SECRET_KEY": strings.Repeat("A", 43),
				"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY_FILE": writeFile(t, "secret", "TOPSECRET\n", 0o600),
			})
			if !tt.check(c) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// What is wrong with a bucket's settings is said without its secrets.
func TestBucketSettingsRefused(t *testing.T) {
	const address = "s3://bucket/apt?endpoint=http://127.0.0.1:1&path_style=true"
	good := map[string]string{"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "TOPSECRET", "REPOD_STORAGE_URL": address}
	for name, tt := range map[string]struct {
		change map[string]string
		says   string
	}{
		"no key":          {map[string]string{"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID_FILE"},
		"no secret":       {map[string]string{"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY_FILE"},
		"twice":           {map[string]string{"AWS_SECRET_ACCESS_KEY_FILE": "/x"}, "keep one"},
		"no such file":    {map[string]string{"AWS_SECRET_ACCESS_KEY": "", "AWS_SECRET_ACCESS_KEY_FILE": "/no/such"}, "/no/such"},
		"line in secret":  {map[string]string{"AWS_SECRET_ACCESS_KEY": "TOP\nSECRET"}, "control characters"},
		"in the address":  {map[string]string{"REPOD_STORAGE_URL": "s3://AKID:TOPSECRET@bucket"}, "do not belong"},
		"bucket":          {map[string]string{"REPOD_STORAGE_URL": "s3://B"}, "bucket"},
		"unknown setting": {map[string]string{"REPOD_STORAGE_URL": address + "&secret=TOPSECRET"}, "unknown parameter"},
	} {
		env := maps.Clone(good)
		maps.Copy(env, tt.change)
		s, err := testSettings(t, env)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.storeConfig()
		if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "SECRET\n") || strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("%s: error %v, want %q", name, err, tt.says)
		}
	}
}

// A start with a bucket that does not work ends with what to check.
func TestBucketAway(t *testing.T) {
	c := testStore(t, map[string]string{
		"REPOD_STORAGE_URL": "s3://bucket?endpoint=http://127.0.0.1:1&path_style=true",
		"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "TOPSECRET",
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := c.create(ctx)
	if err == nil || !strings.Contains(err.Error(), "--storage-url") || strings.Contains(err.Error(), "TOPSECRET") {
		t.Errorf("%v", err)
	}
}
