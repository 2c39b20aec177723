package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// attack is text that becomes a script wherever it is taken for markup.
const attack = `<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"'>&lt;b&gt;{{7*7}}`

// consoleTracker makes tool 1.0-1 wait for review.
var consoleTracker = fmt.Sprintf(`{"tool":{"CVE-2026-0001":{"description":%q,"scope":"remote","releases":{"bookworm":
	{"status":"resolved","repositories":{"bookworm":"1.0-1"},"fixed_version":"1.0-2","urgency":"high"}}}}}`, attack)

const consoleViewer = "Reads only 1"

// consolePages are all pages, with what their heading says to who may see them.
var consolePages = []struct{ path, title, viewer string }{
	{"/ui/", "Overview", "Overview"},
	{"/ui/packages", "Packages", "Packages"},
	{"/ui/packages?q=hostile&sort=-size_bytes", "Packages", "Packages"},
	{"/ui/packages/hostile", "hostile", "hostile"},
	{"/ui/packages/hostile/1.0", "hostile 1.0", "hostile 1.0"},
	{"/ui/packages/tool/1.0-1", "tool 1.0-1", "tool 1.0-1"},
	{"/ui/upload", "Upload", "needs the role uploader"},
	{"/ui/distributions", "Distributions", "Distributions"},
	{"/ui/distributions/bookworm", "bookworm", "bookworm"},
	{"/ui/imports", "Imports", "Imports"},
	{"/ui/imports/sources", "Imports", "Imports"},
	{"/ui/imports/groups", "Imports", "Imports"},
	{"/ui/security", "Security", "Security"},
	{"/ui/security/vulnerabilities", "Security", "Security"},
	{"/ui/security/review", "Security", "needs the role auditor"},
	{"/ui/security/scanner", "Security", "Security"},
	{"/ui/downloads", "Downloads", "Downloads"},
	{"/ui/audit", "Audit log", "needs the role auditor"},
	{"/ui/users", "Users", "needs the role admin"},
	{"/ui/tokens", "Tokens", "needs the role admin"},
	{"/ui/keys", "Signing keys", "needs the role admin"},
	{"/ui/jobs", "Jobs", "Jobs"},
	{"/ui/account", "Your account", "Your account"},
	{"/ui/settings", "Settings", "needs the role admin"},
}

func init() {
	for _, section := range []string{"signing", "scan", "cve", "import", "sbom", "smtp", "webhook", "ldap", "oidc", "downloads"} {
		consolePages = append(consolePages, struct{ path, title, viewer string }{"/ui/settings/" + section, "Settings", "needs the role admin"})
	}
}

// consoleServer starts a server that has hostile text wherever text is shown.
func consoleServer(t *testing.T) (*server, *api, string) {
	dir, files := t.TempDir(), t.TempDir()
	tracker := filepath.Join(files, "tracker.json")
	writeFile(t, tracker, []byte(consoleTracker))
	s := serve(t, dir, "--distributions", both, "--outbound", "any")
	load := exec.CommandContext(t.Context(), binary(t), "vulndb", "import", "--data-dir", dir, "debian="+tracker)
	load.Env = serverEnv()
	output(t, load)
	c := newAPI(s.URL, newToken(t, s))
	must(t, http.StatusCreated)(c.upload(t.Context(), "bookworm", hostilePkg("hostile", "1.0").Deb))
	must(t, http.StatusAccepted)(c.upload(t.Context(), "bookworm", newPkg("tool", "1.0-1", 100).Deb))
	must(t, http.StatusCreated)(c.post(t.Context(), "/auth/users",
		map[string]any{"username": "reader", "password": consoleViewer, "full_name": attack, "roles": []string{"viewer"}}))
	must(t, http.StatusCreated)(c.post(t.Context(), "/distributions/init",
		map[string]any{"codename": "lab", "description": attack, "origin": "lab'<b>", "architectures": []string{"amd64"}}))
	deb := filepath.Join(files, "from-browser.deb")
	writeFile(t, deb, newPkg("from-browser", "2.0", 5000).Deb)
	return s, c, deb
}

// hostilePkg builds a package whose fields try to be markup.
func hostilePkg(name, version string) pkg {
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nSection: misc\nPriority: optional\nMaintainer: %s <a@example.org>\n"+
		"Homepage: javascript:document.title='owned'\nDescription: %s\n %s\n", name, version, strings.NewReplacer("<", "(", ">", ")").Replace(attack), attack, attack)
	return packed(name, version, control, []byte(attack))
}

// TestConsole drives the console as people do, in a real browser.
func TestConsole(t *testing.T) {
	slow(t)
	needPrograms(t, "chromium")
	s, c, deb := consoleServer(t)
	b := newBrowser(t, s.URL)
	steps := []struct {
		name string
		run  func(*testing.T, *browser, *api, string)
	}{
		{"keyboard", consoleLogin}, {"upload", consoleUpload}, {"promote", consolePromote}, {"review", consoleReview},
		{"token", consoleToken}, {"setting", consoleSetting}, {"history", consoleHistory}, {"import", consoleImport},
		{"quarantine", consoleQuarantine}, {"admin", consoleAdmin},
		{"logout", consoleLogout}, {"viewer", consoleAsViewer}, {"factor", consoleFactor},
		{"reset", consoleReset}, {"policy", consolePolicy},
	}
	for _, step := range steps {
		ok := t.Run(step.name, func(t *testing.T) {
			step.run(t, b.on(t), c, deb)
			if step.name != "policy" {
				b.quiet(step.name)
			}
		})
		if !ok {
			return // the next steps begin where this one ends
		}
	}
}

func logIn(b *browser, name, password string) {
	b.t.Helper()
	b.settled("Log in")
	b.fill("User name", name)
	b.fill("Password", password)
	b.click("Log in")
	b.until("!document.body.classList.contains('alone')")
	b.settled("")
}

// consoleLogin comes by a deep link, and uses no mouse.
func consoleLogin(t *testing.T, b *browser, _ *api, _ string) {
	b.open("/ui/packages?q=hostile", "Log in")
	b.picture("login")
	typed := func(text string) chromedp.Action[chromedp.Void] { return chromedp.KeyEvent(text) }
	b.do(typed(kb.Tab)) // from the heading to the first field
	b.until("document.activeElement.name === 'username'")
	b.do(typed("admin"), typed(kb.Tab), typed("wrong"), typed(kb.Enter))
	b.shows("invalid_credentials")
	b.complains("401")
	b.fill("Password", "")
	b.do(typed(adminPassword), typed(kb.Enter))
	b.settled("Packages")
	if got := b.address(); got != "/ui/packages?q=hostile" {
		t.Errorf("the login leads to %s", got)
	}
	b.shows(attack)
	b.do(typed(kb.Tab))
	if got, err := js[string](b, "document.activeElement.textContent"); err != nil || got == "" {
		t.Errorf("the focus is on %q: %v", got, err)
	}
}

func consoleUpload(t *testing.T, b *browser, _ *api, deb string) {
	b.click("Upload")
	b.settled("Upload")
	b.fill("Distribution", "bookworm")
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#files"), []string{deb}))
	b.shows("It is in bookworm; apt sees it.")
	b.picture("uploaded")
	b.click("Packages")
	b.settled("Packages")
	b.shows("from-browser")
	b.fill("Name or description", "from-b")
	b.click("Apply")
	b.until("location.search.includes('q=from-b') && !document.querySelector('#main .busy')")
	rows, err := js[int](b, "document.querySelectorAll('#main tbody tr').length")
	if err != nil || rows != 1 {
		t.Errorf("the search finds %d packages: %v", rows, err)
	}
}

func consolePromote(t *testing.T, b *browser, c *api, _ string) {
	b.open("/ui/packages/from-browser/2.0?arch=amd64", "from-browser 2.0")
	b.click("Promote")
	b.shows("It is published in the other distribution as well")
	b.fill("To", "trixie")
	b.picture("promote")
	b.click("Promote")
	b.shows("is promoted.")
	a := must(t, http.StatusOK)(c.do(t.Context(), "GET", "/distributions/trixie/packages", "", nil))
	if !strings.Contains(string(a.Body), `"from-browser"`) {
		t.Errorf("trixie has %s", a.Body)
	}
}

func consoleReview(t *testing.T, b *browser, c *api, _ string) {
	b.open("/ui/security/review", "Security")
	b.shows("tool 1.0-1 amd64")
	b.click("Its vulnerabilities")
	b.shows(attack)
	b.picture("review")
	b.click("Decide")
	b.shows("Decide about tool 1.0-1")
	b.fill("Decision", "not_affected")
	b.fill("Reason", attack)
	b.fill("Expires in days", "30")
	b.click("Decide")
	b.shows("Nothing waits.")
	a := must(t, http.StatusOK)(c.do(t.Context(), "GET", "/artifacts/tool/1.0-1", "", nil))
	if body := string(a.Body); !strings.Contains(body, `"status":"accepted"`) || !strings.Contains(body, `"decision":"not_affected"`) || strings.Contains(body, `"expires_at":null`) {
		t.Errorf("tool is %s", body)
	}
}

func consoleToken(t *testing.T, b *browser, c *api, _ string) {
	b.open("/ui/tokens", "Tokens")
	b.click("New token")
	b.fill("Name", "-bad-")
	b.click("Create")
	b.shows("must be 1 to 64 letters")
	b.complains("422")
	b.fill("Name", "browser-made")
	b.click("Create")
	b.shows("shown this once")
	token, err := js[string](b, "document.querySelector('dialog[open] pre').textContent")
	if err != nil || !strings.HasPrefix(token, "repod_") {
		t.Fatalf("the token shown is %q: %v", token, err)
	}
	must(t, http.StatusOK)(newAPI(c.base, token).do(t.Context(), "GET", "/auth/me", "", nil))
	b.click("Close")
	b.open("/ui/tokens", "Tokens")
	b.shows("browser-made")
	if strings.Contains(b.text(), token) {
		t.Error("the token is shown again")
	}
	b.picture("tokens")
}

func consoleSetting(t *testing.T, b *browser, c *api, _ string) {
	b.open("/ui/settings", "Settings")
	b.fill("Keep versions", "9999")
	b.click("Save")
	if stopped, err := js[bool](b, "!document.querySelector('[name=keep_versions]').validity.valid"); err != nil || !stopped {
		t.Errorf("a number out of bounds is not stopped: %v", err)
	}
	b.fill("Public URL", "ftp://repo.example.com")
	b.fill("Keep versions", "7")
	b.click("Save")
	b.shows("validation_failed")
	if invalid, err := js[bool](b, "document.activeElement.name === 'public_url' && document.activeElement.getAttribute('aria-invalid') === 'true'"); err != nil || !invalid {
		t.Errorf("the bad field is not marked: %v", err)
	}
	b.complains("422")
	b.fill("Public URL", "")
	b.click("Save")
	b.shows("Saved: keep_versions.")
	a := must(t, http.StatusOK)(c.do(t.Context(), "GET", "/settings/", "", nil))
	if !strings.Contains(string(a.Body), `"keep_versions":7,`) {
		t.Errorf("the settings are %s", a.Body)
	}
	// A secret is never sent to the browser, and stays when another field changes.
	b.open("/ui/settings/smtp", "Settings")
	b.fill("Password", "mail secret 1")
	b.click("Save")
	b.shows("Saved: smtp.password.")
	b.fill("Host", "mail.example.com")
	b.fill("Password", "mail secret 2")
	b.click("Save")
	b.shows("smtp.host")
	a = must(t, http.StatusOK)(c.do(t.Context(), "GET", "/settings/", "", nil))
	if !strings.Contains(string(a.Body), `"password":"********"`) || strings.Contains(b.text(), "mail secret") {
		t.Errorf("the settings are %s", a.Body)
	}
}

// consoleHistory goes back and forth as browsers do.
func consoleHistory(t *testing.T, b *browser, _ *api, _ string) {
	b.open("/ui/packages", "Packages")
	b.click("Distributions")
	b.settled("Distributions")
	if _, err := js[bool](b, "(history.back(), true)"); err != nil {
		t.Fatal(err)
	}
	b.settled("Packages")
	if got := b.address(); got != "/ui/packages" {
		t.Errorf("back leads to %s", got)
	}
	b.open("/ui/packages/no-such", "Package")
	b.shows("package_not_found")
	b.complains("404")
}

// visit opens all pages; none may complain, and none may run what packages say.
func visit(b *browser, role string, title func(i int) string) {
	for i, p := range consolePages {
		want := title(i)
		b.do(chromedp.Navigate(b.base + p.path))
		b.settled("")
		b.shows(want)
		b.picture(role + p.path)
		b.quiet(role + " " + p.path)
		if owned, err := js[bool](b, "document.title.includes('owned') || [...document.querySelectorAll('#main img, #main script')].length > 0 || [...document.querySelectorAll('a')].some((a) => a.protocol === 'javascript:')"); err != nil || owned {
			b.t.Errorf("%s: text of a package became markup: %v", p.path, err)
		}
		if strings.Contains(b.text(), "undefined") || strings.Contains(b.text(), "[object") {
			b.t.Errorf("%s shows what is not there: %s", p.path, b.text())
		}
	}
}

func consoleAdmin(t *testing.T, b *browser, _ *api, _ string) {
	visit(b, "admin", func(i int) string { return consolePages[i].title })
	for path, count := range map[string]int{"/ui/packages/hostile/1.0": 2, "/ui/users": 1, "/ui/packages/tool/1.0-1": 2, "/ui/distributions": 1} {
		b.open(path, "")
		b.shows(attack)
		if got := strings.Count(b.text(), attack); got < count {
			t.Errorf("%s shows the text %d times, not %d", path, got, count)
		}
	}
	b.open("/ui/packages/hostile/1.0", "")
	b.click("CycloneDX")
	b.until("!document.querySelector('button:disabled')")
	b.do(chromedp.EmulateViewport(390, 800))
	for _, path := range []string{"/ui/", "/ui/packages", "/ui/packages/hostile/1.0", "/ui/settings"} {
		b.open(path, "")
		b.picture("narrow" + path)
		if wide, err := js[int](b, "document.documentElement.scrollWidth"); err != nil || wide > 390 {
			t.Errorf("%s is %d pixels wide on a screen of 390: %v", path, wide, err)
		}
	}
	b.do(chromedp.EmulateViewport(1280, 900))
}

func consoleLogout(t *testing.T, b *browser, c *api, _ string) {
	token, err := js[string](b, "JSON.parse(sessionStorage.getItem('repod.session')).token")
	if err != nil {
		t.Fatal(err)
	}
	session := newAPI(c.base, token)
	must(t, http.StatusOK)(session.do(t.Context(), "GET", "/auth/me", "", nil))
	b.click("Log out")
	b.settled("Log in")
	must(t, http.StatusUnauthorized)(session.do(t.Context(), "GET", "/auth/me", "", nil))
	if left, err := js[int](b, "sessionStorage.length + localStorage.length + document.cookie.length"); err != nil || left != 0 {
		t.Errorf("the browser keeps %d things: %v", left, err)
	}
}

func consoleAsViewer(t *testing.T, b *browser, c *api, _ string) {
	b.open("/ui/login?next=https://evil.example.com/", "Log in")
	logIn(b, "reader", consoleViewer)
	if got := b.address(); got != "/ui/" {
		t.Errorf("a login that was linked to leads to %s", got)
	}
	visit(b, "viewer", func(i int) string { return consolePages[i].viewer })
	b.open("/ui/packages/hostile/1.0", "")
	for _, word := range []string{"Quarantine", "Promote", "Delete", "Remove", "Users", "Audit log"} {
		offered, err := js[bool](b, fmt.Sprintf("[...document.querySelectorAll('button, nav a')].some((x) => x.textContent === %q)", word))
		if err != nil || offered {
			t.Errorf("a viewer is offered %s: %v", word, err)
		}
	}
	// The session ends on the server: the next page asks for a login, and leads back.
	must(t, http.StatusOK)(c.post(t.Context(), "/auth/users/reader/reset-password", map[string]string{"new_password": consoleViewer + "x"}))
	b.click("Downloads")
	b.shows("Your session has ended")
	b.complains("401")
	logIn(b, "reader", consoleViewer+"x")
	b.settled("Downloads")
}

func consoleReset(t *testing.T, b *browser, _ *api, _ string) {
	b.open("/ui/reset-password?token=secret-of-a-mail", "New password")
	if got := b.address(); got != "/ui/reset-password" {
		t.Errorf("the address bar says %s", got)
	}
	if kept, err := js[bool](b, "JSON.stringify(sessionStorage).includes('secret-of') || document.documentElement.outerHTML.includes('secret-of')"); err != nil || kept {
		t.Errorf("the token is kept in the page: %v", err)
	}
	b.fill("New password", "Another 1 here")
	b.fill("The same again", "Another 2 here")
	b.click("Set the password")
	b.shows("The passwords differ.")
	b.quiet("passwords that differ") // nothing was sent
	b.fill("The same again", "Another 1 here")
	b.click("Set the password")
	b.shows("invalid_reset_token")
	b.picture("reset")
	b.complains("400")
	b.open("/ui/reset-password", "New password")
	b.shows("Open the link of the mail again")
	// What an issuer sends along does not stay, either.
	b.open("/ui/login?state=s&code=secret-of-an-issuer", "Log in")
	b.shows("oidc_not_configured")
	b.complains("400")
	if got := b.address(); got != "/ui/login" {
		t.Errorf("the address bar says %s", got)
	}
}

// consolePolicy checks that the browser enforces what keeps text from becoming
// markup, and that the checks above would have seen it.
func consolePolicy(t *testing.T, b *browser, _ *api, _ string) {
	b.complaints()
	for name, expression := range map[string]string{
		"markup of a string": "(() => { try { document.createElement('div').innerHTML = '<b>x</b>'; return false; } catch { return true; } })()",
		"inline script": `(() => { const s = document.createElement('script'); try { s.text = 'document.title = "owned"'; document.body.append(s); } catch {}
			return document.title !== 'owned'; })()`,
	} {
		if stopped, err := js[bool](b, expression); err != nil || !stopped {
			t.Errorf("%s is not stopped: %v", name, err)
		}
	}
	if _, err := js[bool](b, "(document.body.append(Object.assign(document.createElement('img'), { src: 'http://127.0.0.1:1/x.png' })), true)"); err != nil {
		t.Fatal(err)
	}
	eventually(t, pageLimit, func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if strings.Count(strings.Join(b.messages, "\n"), "Content Security Policy") < 1 {
			return fmt.Errorf("the browser reports no violation: %q", b.messages)
		}
		return nil
	})
}
