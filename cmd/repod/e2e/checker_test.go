package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A checker verifies a served repository from outside, as apt does but more
// thoroughly: signatures by gpgv (and sqv, where it is installed), every size
// and hash by itself. It shares no code with the server.
type checker struct {
	base    string // URL of the tree, ends in "/"
	keyring string // file with the public key, as it was at first
	scratch string
	http    *http.Client
}

// newChecker trusts the key that the server gives out now.
func newChecker(t *testing.T, s *server) *checker {
	t.Helper()
	needPrograms(t, "gpgv")
	c := &checker{base: s.URL + "/apt/", scratch: t.TempDir(), http: newAPI("", "").http}
	c.keyring = filepath.Join(c.scratch, "repod.gpg")
	key, err := c.fetch(t.Context(), "repod.gpg")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, c.keyring, key)
	return c
}

// at returns a checker of the same repository, served elsewhere.
func (c *checker) at(s *server) *checker {
	moved := *c
	moved.base = s.URL + "/apt/"
	return &moved
}

func (c *checker) fetch(ctx context.Context, name string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+name, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d: %s", name, resp.StatusCode, body)
	}
	return body, nil
}

// A listed file is one that a Release lists.
type listed struct {
	SHA256 string
	Size   int64
}

// check fetches file name and compares it with what was promised.
func (c *checker) check(ctx context.Context, name string, want listed) ([]byte, error) {
	body, err := c.fetch(ctx, name)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if got := hex.EncodeToString(sum[:]); int64(len(body)) != want.Size || got != want.SHA256 {
		return nil, fmt.Errorf("%s: %d bytes with SHA-256 %s, listed are %d with %s", name, len(body), got, want.Size, want.SHA256)
	}
	return body, nil
}

// A state is the signed state of a distribution, verified.
type state struct {
	Date     string
	Packages map[string]stanza // by name, version and architecture
	Files    map[string]listed // by their names by hash, relative to the checker's base
}

// A stanza is one entry of a Packages file.
type stanza map[string]string

// verify checks the current state of a distribution down to the indices:
// signatures, and that every listed file can be had by hash with the very
// bytes that were promised. Files by their plain names may already belong to
// the next state, so still tells whether the repository is known to be at
// rest; only then they are compared, too.
func (c *checker) verify(ctx context.Context, codename string, still bool) (*state, error) {
	dist := "dists/" + codename + "/"
	signed, err := c.fetch(ctx, dist+"InRelease")
	if err != nil {
		return nil, err
	}
	release, err := c.gpgv(ctx, signed)
	if err != nil {
		return nil, err
	}
	if still {
		if err := c.detached(ctx, dist, release); err != nil {
			return nil, err
		}
	}
	files, date, err := parseRelease(release)
	if err != nil {
		return nil, err
	}
	s := &state{Date: date, Packages: make(map[string]stanza), Files: make(map[string]listed)}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		byHash := dist + filepath.Dir(name) + "/by-hash/SHA256/" + files[name].SHA256
		s.Files[byHash] = files[name]
		body, err := c.check(ctx, byHash, files[name])
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", name, date, err)
		}
		if still {
			if _, err := c.check(ctx, dist+name, files[name]); err != nil {
				return nil, err
			}
		}
		if err := s.add(name, body, files); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return s, nil
}

// add takes up one index file. A compressed one must hold what the plain one
// is promised to be.
func (s *state) add(name string, body []byte, files map[string]listed) error {
	if plain, ok := strings.CutSuffix(name, ".gz"); ok {
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		if got := hex.EncodeToString(sum[:]); got != files[plain].SHA256 {
			return fmt.Errorf("unpacks to %s, the plain file has %s", got, files[plain].SHA256)
		}
		return nil
	}
	if filepath.Base(name) != "Packages" {
		return nil
	}
	seen := make(map[string]bool)
	for text := range strings.SplitSeq(string(body), "\n\n") {
		if strings.TrimSpace(text) == "" {
			continue
		}
		p, err := parseStanza(text)
		if err != nil {
			return err
		}
		id := p["Package"] + " " + p["Version"] + " " + p["Architecture"]
		if seen[id] {
			return fmt.Errorf("%s is listed twice", id)
		}
		seen[id] = true
		s.Packages[id] = p
	}
	return nil
}

// pool fetches every package that the state lists and compares sizes and
// hashes.
func (c *checker) pool(ctx context.Context, s *state) error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(s.Packages)) {
		p := s.Packages[id]
		size, err := strconv.ParseInt(p["Size"], 10, 64)
		if err == nil {
			_, err = c.check(ctx, strings.ReplaceAll(p["Filename"], "+", "%2b"), listed{p["SHA256"], size})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// gpgv returns the signed text of a clear-signed message.
func (c *checker) gpgv(ctx context.Context, signed []byte) ([]byte, error) {
	dir, err := os.MkdirTemp(c.scratch, "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "InRelease"), filepath.Join(dir, "Release")
	if err := os.WriteFile(in, signed, 0o600); err != nil {
		return nil, err
	}
	if report, err := exec.CommandContext(ctx, "gpgv", "--keyring", c.keyring, "--output", out, in).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gpgv refuses InRelease: %w: %s\n%s", err, report, signed)
	}
	return os.ReadFile(out)
}

// detached checks Release and Release.gpg.
func (c *checker) detached(ctx context.Context, dist string, want []byte) error {
	dir, err := os.MkdirTemp(c.scratch, "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	paths := make(map[string]string)
	for _, name := range []string{"Release", "Release.gpg"} {
		body, err := c.fetch(ctx, dist+name)
		if err != nil {
			return err
		}
		if name == "Release" && strings.TrimSpace(string(body)) != strings.TrimSpace(string(want)) {
			return fmt.Errorf("Release and InRelease differ:\n%s\n%s", body, want)
		}
		paths[name] = filepath.Join(dir, name)
		if err := os.WriteFile(paths[name], body, 0o600); err != nil {
			return err
		}
	}
	verifiers := [][]string{{"gpgv", "--keyring", c.keyring, paths["Release.gpg"], paths["Release"]}}
	if _, err := exec.LookPath("sqv"); err == nil {
		verifiers = append(verifiers, []string{"sqv", "--keyring", c.keyring, paths["Release.gpg"], paths["Release"]})
	}
	for _, v := range verifiers {
		if report, err := exec.CommandContext(ctx, v[0], v[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s refuses Release.gpg: %w: %s", v[0], err, report)
		}
	}
	return nil
}

// parseRelease reads the list of files in a Release.
func parseRelease(text []byte) (files map[string]listed, date string, err error) {
	files = make(map[string]listed)
	section := ""
	for line := range strings.SplitSeq(string(text), "\n") {
		if !strings.HasPrefix(line, " ") {
			section, _, _ = strings.Cut(line, ":")
			if value, ok := strings.CutPrefix(line, "Date: "); ok {
				date = value
			}
			continue
		}
		if section != "SHA256" {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, "", fmt.Errorf("odd line in Release: %q", line)
		}
		size, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return nil, "", err
		}
		files[fields[2]] = listed{fields[0], size}
	}
	if len(files) == 0 || date == "" {
		return nil, "", fmt.Errorf("a Release without files or date:\n%s", text)
	}
	return files, date, nil
}

func parseStanza(text string) (stanza, error) {
	p := make(stanza)
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			continue // of no interest here
		}
		name, value, ok := strings.Cut(line, ": ")
		if !ok && !strings.HasSuffix(line, ":") {
			return nil, fmt.Errorf("odd line in Packages: %q", line)
		}
		if _, twice := p[name]; twice {
			return nil, fmt.Errorf("field %s is there twice in %q", name, text)
		}
		p[name] = value
	}
	for _, name := range []string{"Package", "Version", "Architecture", "Filename", "Size", "SHA256"} {
		if p[name] == "" {
			return nil, fmt.Errorf("no %s in %q", name, text)
		}
	}
	return p, nil
}

// still checks that what was published is served.
func still(t *testing.T, check *checker) {
	t.Helper()
	st, err := check.verify(t.Context(), "bookworm", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := check.pool(t.Context(), st); err != nil || len(st.Packages) == 0 {
		t.Errorf("of %d packages: %v", len(st.Packages), err)
	}
}
