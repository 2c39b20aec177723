package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/pquerna/otp/totp"
)

// consoleImport adds a source, which is another repod, syncs it, and fetches a
// package with what it depends on.
func consoleImport(t *testing.T, b *browser, c *api, _ string) {
	up := serve(t, t.TempDir(), "--distributions", "upstream")
	there := newAPI(up.URL, newToken(t, up))
	for _, p := range []pkg{newPkg("lib-b", "1.0", 100), packed("app-a", "3.0", "Package: app-a\nVersion: 3.0\nArchitecture: amd64\n"+
		"Maintainer: T <t@example.org>\nSection: misc\nPriority: optional\nDepends: lib-b (>= 1.0)\nDescription: "+attack+"\n", nil)} {
		must(t, http.StatusCreated)(there.upload(t.Context(), "upstream", p.Deb))
	}
	key := must(t, http.StatusOK)(there.do(t.Context(), "GET", "/apt/repod.asc", "", nil))
	must(t, http.StatusOK)(c.do(t.Context(), "PATCH", "/settings/", "application/json", strings.NewReader(`{"import":{"sources":[]}}`)))

	b.open("/ui/imports/sources", "Imports")
	b.click("New source")
	b.fill("ID", "neighbour")
	b.fill("URL", up.URL+"/apt/")
	b.fill("Suite", "upstream")
	b.fill("Public key, armoured", string(key.Body))
	b.click("Create")
	b.shows("neighbour")
	b.click("Sync")
	b.shows("Done")
	b.click("Search and fetch")
	b.settled("Imports")
	b.fill("Name or description", "app-")
	b.click("Apply")
	b.shows(attack)
	b.picture("import-search")
	b.click("Fetch …")
	b.fill("Distribution", "bookworm")
	b.fill("Group", "from-neighbour")
	b.click("Preview")
	b.shows("2 packages to fetch")
	b.picture("import-preview")
	b.click("Fetch")
	b.shows("2 packages imported")
	a := must(t, http.StatusOK)(c.do(t.Context(), "GET", "/distributions/bookworm/packages?q=lib-b", "", nil))
	if !strings.Contains(string(a.Body), `"lib-b"`) {
		t.Errorf("bookworm has %s", a.Body)
	}
	b.open("/ui/imports/groups", "Imports")
	b.shows("from-neighbour: 2 packages")
	b.open("/ui/jobs", "Jobs")
	b.shows("Import fetch")
}

// consoleQuarantine takes a package out and releases it, and has all scanned.
func consoleQuarantine(t *testing.T, b *browser, c *api, _ string) {
	status := func(want string) {
		t.Helper()
		a := must(t, http.StatusOK)(c.do(t.Context(), "GET", "/artifacts/hostile/1.0", "", nil))
		if !strings.Contains(string(a.Body), `"status":"`+want+`"`) {
			t.Errorf("want %s, have %s", want, a.Body)
		}
	}
	b.open("/ui/packages/hostile/1.0", "hostile 1.0")
	b.click("Quarantine")
	b.fill("Reason", attack)
	b.do(chromedp.KeyEvent("\x1b")) // Escape closes, and does nothing
	b.until("!document.querySelector('dialog')")
	status("indexed")
	b.click("Quarantine")
	b.fill("Reason", attack)
	b.click("Quarantine")
	b.shows("is in quarantine.")
	status("quarantined")
	b.shows("It is in no distribution.")
	b.picture("quarantined")
	b.click("Release")
	b.shows("Release hostile 1.0")
	b.click("Release")
	b.shows("is released.")
	status("indexed")
	b.open("/ui/security/scanner", "Security")
	b.click("Scan again …")
	b.click("Scan")
	b.shows("Done")
}

// consoleFactor sets up a second factor and logs in with a recovery code: the
// one-time password of the confirmation is used up.
func consoleFactor(t *testing.T, b *browser, _ *api, _ string) {
	b.open("/ui/account", "Your account")
	b.click("Set up")
	b.fill("Your password", consoleViewer+"x")
	b.click("Go on")
	b.shows("Enter the secret in your authenticator")
	secret, err := js[string](b, "/Secret: ([A-Z2-7]+)/.exec(document.querySelector('dialog[open]').textContent)[1]")
	if err != nil {
		t.Fatal(err)
	}
	otp, err := totp.GenerateCode(secret, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b.fill("The one-time password that it shows", otp)
	b.click("Confirm")
	b.shows("Recovery codes, shown this once")
	codes, err := js[string](b, "document.querySelector('dialog[open] pre').textContent")
	if err != nil || len(strings.Fields(codes)) < 5 {
		t.Fatalf("codes are %q: %v", codes, err)
	}
	b.click("Close")
	b.click("Log out")
	b.settled("Log in")
	b.fill("User name", "reader")
	b.fill("Password", consoleViewer+"x")
	b.click("Log in")
	b.until("document.activeElement.name === 'otp'")
	b.complains("401")
	b.fill("One-time password or recovery code", strings.Fields(codes)[0])
	b.click("Log in")
	b.settled("Overview")
	b.click("Log out")
	b.settled("Log in")
}
