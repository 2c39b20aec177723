package e2e

import (
	"net/http"
	"testing"
)

// TestSmoke is the shortest way from a package to apt: it runs always, so
// that a change that breaks the whole is seen at once.
func TestSmoke(t *testing.T) {
	s := serve(t, t.TempDir(), "--distributions", "bookworm")
	c := newAPI(s.URL, newToken(t, s))
	check := newChecker(t, s)
	root := newAptRoot(t, check.base, "bookworm", check.keyring)

	hello := newPkg("hello-e2e", "1.0", 100)
	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", hello.Deb))
	st, err := check.verify(t.Context(), "bookworm", true)
	if err != nil {
		t.Fatal(err)
	}
	if got := st.Packages[hello.ID()]["SHA256"]; got != hello.SHA256() {
		t.Errorf("the index has SHA-256 %q, the package %s", got, hello.SHA256())
	}
	if err := check.pool(t.Context(), st); err != nil {
		t.Error(err)
	}
	if err := root.update(t.Context()); err != nil {
		t.Fatal(err)
	}
	output(t, root.command(t.Context(), "apt-get", "-y", "install", "--download-only", hello.Name))
	if got := root.archives(t); len(got) != 1 {
		t.Errorf("apt has downloaded %v", got)
	}
	s.stop(t)
	fsck(t, s.Dir)
}
