package httpapi

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"github.com/repod-io/repod/aptrepo/sqlstore"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
)

// stocked is a fixture with a few packages.
func stocked(t testing.TB, change ...func(*Config)) *fixture {
	f := newFixture(t, change...)
	for _, p := range []debtest.Package{
		pkg("nginx", "1.22.1", "Section: httpd"),
		pkg("nginx", "1.24.0~rc1+b", "Section: httpd", "Depends: libc6 (>= 2.34), mta-a | mail-transport-agent", "Suggests: nginx-doc", "Homepage: https://nginx.org"),
		{Name: "nginx", Version: "1.24.0~rc1+b", Arch: "arm64"},
		pkg("postfix", "3.6.4", "Provides: mail-transport-agent"),
	} {
		f.publish(p, "jammy")
	}
	return f
}

func TestListPackages(t *testing.T) {
	f := stocked(t)
	a := f.get("/packages/", auth.Viewer).want(t, 200, "")
	a.keys(t, "items", "total", "page", "per_page", "pages")
	for _, want := range []string{
		`"total":2,"page":1,"per_page":50,"pages":1`,
		`{"name":"nginx","latest_version":"1.24.0~rc1+b","versions":["1.24.0~rc1+b","1.22.1"],"architectures":["amd64","arm64"],"distributions":["jammy"],"section":"httpd","description":"test package nginx","status":"indexed","size_bytes":`,
		`"uploaded_at":"2026-05-12T10:00:00Z","uploaded_by":"token:role-uploader","vulnerabilities":{"scanned":false,"critical":0,"high":0,"medium":0,"low":0,"negligible":0,"unknown":0}}`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s lacks %s", a.body, want)
		}
	}
	a = f.get("/artifacts/?per_page=1&page=2", auth.Viewer).want(t, 200, "")
	if want := `"total":4,"page":2,"per_page":1,"pages":4`; !strings.Contains(a.body, want) {
		t.Errorf("%s lacks %s", a.body, want)
	}
	var rows struct{ Items []map[string]any }
	a.decode(t, &rows)
	if len(rows.Items) != 1 || rows.Items[0]["arch"] != "arm64" || rows.Items[0]["latest_version"] != nil {
		t.Errorf("rows are %v", rows.Items)
	}
}

func TestListQueries(t *testing.T) {
	f := stocked(t)
	tests := []struct {
		query string
		names string // of the packages found, or the field at fault
	}{
		{"", "nginx postfix"},
		{"?sort=-name", "postfix nginx"},
		{"?q=GIN", "nginx"},
		{"?q=%25", ""},
		{"?q=_", ""},
		{"?q='", ""},
		{"?q=%5C", ""},
		{"?q=%22%20OR%201%3D1", ""},
		{"?arch=arm64", "nginx"},
		{"?status=indexed&distribution=jammy&section=httpd", "nginx"},
		{"?distribution=nosuch", ""},
		{"?page=1000000000", ""},
		{"?unknown=parameter", "nginx postfix"},
		{"?q=" + strings.Repeat("%C3%A4", 128), ""},
		{"?q=" + strings.Repeat("a", 129), "!q"},
		{"?q=%00", "!q"},
		{"?q=%ff", "!q"},
		{"?page=0", "!page"},
		{"?page=-1", "!page"},
		{"?page=9223372036854775808", "!page"},
		{"?page=abc", "!page"},
		{"?page=1&page=2", "!page"},
		{"?per_page=201", "!per_page"},
		{"?per_page=1e2", "!per_page"},
		{"?sort=name;drop", "!query"},
		{"?sort=name%20desc", "!sort"},
		{"?status=INDEXED", "!status"},
		{"?q=%zz", "!query"},
	}
	for _, test := range tests {
		a := f.get("/packages"+test.query, auth.Viewer)
		if field, bad := strings.CutPrefix(test.names, "!"); bad {
			var p problem
			json.Unmarshal([]byte(a.body), &p)
			if a.status != 422 || p.Errors[0].Field != field {
				t.Errorf("%.60s: %d %s", test.query, a.status, a.body)
			}
			continue
		}
		var page struct {
			Items []struct{ Name string }
		}
		a.decode(t, &page)
		var names []string
		for _, row := range page.Items {
			names = append(names, row.Name)
		}
		if got := strings.Join(names, " "); a.status != 200 || got != test.names || page.Items == nil {
			t.Errorf("%.60s: %d %q, want %q", test.query, a.status, got, test.names)
		}
	}
}

func TestShowArtifact(t *testing.T) {
	f := stocked(t)
	a := f.get("/artifacts/nginx/1.24.0~rc1+b", auth.Viewer).want(t, 200, "")
	a.keys(t, "name", "version", "arch", "architectures", "status", "status_reason", "status_detail", "source", "component",
		"section", "priority", "maintainer", "description", "homepage", "multi_arch", "essential", "installed_size_kb", "size_bytes",
		"filename", "download_url", "sha256", "sha512", "md5", "pre_depends", "depends", "recommends", "suggests", "enhances",
		"breaks", "conflicts", "replaces", "provides", "distributions", "publications", "origin", "source_id", "group",
		"uploaded_by", "uploaded_at", "scan", "decision")
	for _, want := range []string{
		`"arch":"amd64","architectures":["amd64","arm64"]`,
		`"depends":"libc6 (>= 2.34), mta-a | mail-transport-agent"`,
		`"publications":[{"distribution":"jammy","component":"main","published_at":"2026-05-12T10:00:00Z"}]`,
		`"origin":"upload","source_id":null,"group":null`,
		`"decision":null`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s lacks %s", a.body, want)
		}
	}
	var art struct {
		URL string `json:"download_url"`
	}
	a.decode(t, &art)
	path, ok := strings.CutPrefix(art.URL, f.server.URL)
	if !ok {
		t.Fatalf("download_url is %q", art.URL)
	}
	f.do("GET", path, "", nil).want(t, 200, "")

	f.get("/artifacts/nginx/1.24.0~rc1+b?arch=arm64", auth.Viewer).want(t, 200, "")
	f.get("/artifacts/nginx/1.24.0~rc1+b?arch=i386", auth.Viewer).want(t, 404, "version_not_found")
	f.get("/artifacts/nginx/9", auth.Viewer).want(t, 404, "version_not_found")
	f.get("/artifacts/apache/9", auth.Viewer).want(t, 404, "package_not_found")

	a = f.get("/artifacts/nginx", auth.Viewer).want(t, 200, "")
	a.keys(t, "name", "latest_version", "description", "section", "homepage", "versions")
	var all struct {
		Latest   string `json:"latest_version"`
		Homepage string
		Versions []struct{ Version, Arch string }
	}
	a.decode(t, &all)
	want := []struct{ Version, Arch string }{{"1.24.0~rc1+b", "amd64"}, {"1.24.0~rc1+b", "arm64"}, {"1.22.1", "amd64"}}
	if all.Latest != "1.24.0~rc1+b" || all.Homepage != "https://nginx.org" || !reflect.DeepEqual(all.Versions, want) {
		t.Errorf("package is %+v", all)
	}
}

func TestUnpublishAndDelete(t *testing.T) {
	f := stocked(t)
	admin := f.tokens[auth.Admin]
	maintainer := f.tokens[auth.Maintainer]
	const v = "/artifacts/nginx/1.24.0~rc1+b"
	f.do("DELETE", "/distributions/nosuch/packages/nginx/1.22.1", maintainer, nil).want(t, 404, "distribution_not_found")
	f.do("DELETE", "/distributions/focal/packages/nginx/1.22.1", maintainer, nil).want(t, 404, "version_not_found")
	f.do("DELETE", "/distributions/jammy/packages/apache/1.22.1", maintainer, nil).want(t, 404, "package_not_found")
	f.do("DELETE", "/distributions/jammy/packages/nginx/1.24.0~rc1+b?arch=amd64", maintainer, nil).want(t, 204, "")
	a := f.get(v, auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"filename":null,"download_url":null`) || !strings.Contains(a.body, `"publications":[]`) {
		t.Errorf("unpublished artifact: %s", a.body)
	}
	if got := f.get("/artifacts/nginx", auth.Viewer); !strings.Contains(got.body, `"latest_version":"1.24.0~rc1+b"`) {
		t.Errorf("arm64 is still published: %s", got.body)
	}
	f.get("/artifacts/nginx/install?version=1.24.0~rc1%2Bb&arch=amd64", auth.Viewer).want(t, 409, "not_published")

	f.do("DELETE", v+"?forget=true", maintainer, nil).want(t, 403, "insufficient_role")
	f.do("DELETE", v+"?forget=yes", maintainer, nil).want(t, 422, "validation_failed")
	f.do("DELETE", v+"?arch=amd64", maintainer, nil).want(t, 204, "")
	f.do("DELETE", v+"?arch=amd64", maintainer, nil).want(t, 404, "version_not_found")
	changed := pkg("nginx", "1.24.0~rc1+b", "Homepage: https://example.com")
	f.upload(admin, part{"file", string(changed.Build())}, part{"distribution", "jammy"}).want(t, 409, "duplicate_conflict")
	f.do("DELETE", v+"?arch=amd64&forget=true", admin, nil).want(t, 204, "")
	f.publish(changed, "jammy")
}

func TestDependencies(t *testing.T) {
	f := stocked(t)
	a := f.get("/artifacts/nginx/dependencies", auth.Viewer).want(t, 200, "")
	want := `{"name":"nginx","version":"1.24.0~rc1+b","arch":"amd64","distribution":"jammy","dependencies":[` +
		`{"relation":"depends","alternatives":[{"name":"libc6","constraint":">= 2.34","satisfied_by":null}],"satisfied":false,"available_upstream":false},` +
		`{"relation":"depends","alternatives":[{"name":"mta-a","constraint":"","satisfied_by":null},{"name":"mail-transport-agent","constraint":"","satisfied_by":{"name":"postfix","version":"3.6.4"}}],"satisfied":true,"available_upstream":false},` +
		`{"relation":"suggests","alternatives":[{"name":"nginx-doc","constraint":"","satisfied_by":null}],"satisfied":false,"available_upstream":false}],` +
		`"all_satisfied":false,"missing":["libc6 (>= 2.34)"]}`
	if strings.TrimSpace(a.body) != want {
		t.Errorf("dependencies are %s", a.body)
	}
	a = f.get("/artifacts/nginx/dependencies?version=1.22.1", auth.Viewer).want(t, 200, "")
	if !strings.Contains(a.body, `"dependencies":[],"all_satisfied":true,"missing":[]`) {
		t.Errorf("no dependencies are %s", a.body)
	}
	f.get("/artifacts/nginx/dependencies?distribution=nosuch", auth.Viewer).want(t, 400, "unknown_distribution")
	f.get("/artifacts/nginx/dependencies?version=9", auth.Viewer).want(t, 404, "version_not_found")
	f.get("/artifacts/apache/dependencies", auth.Viewer).want(t, 404, "package_not_found")
}

func TestInstall(t *testing.T) {
	f := stocked(t, func(c *Config) { c.Settings.Defaults.PublicURL = "https://repo.example.com/deb" })
	a := f.get("/artifacts/nginx/install", auth.Viewer).want(t, 200, "")
	a.keys(t, "name", "version", "arch", "distribution", "component", "command", "setup", "sources", "key_url", "script")
	var got struct {
		Command, Sources, Script string
		Setup                    []string
		Key                      string `json:"key_url"`
	}
	a.decode(t, &got)
	if got.Command != "apt-get install -y nginx=1.24.0~rc1+b" || got.Key != "https://repo.example.com/deb/apt/repod.asc" {
		t.Errorf("command %q, key_url %q", got.Command, got.Key)
	}
	sources := f.do("GET", "/apt/jammy.sources", "", nil).want(t, 200, "")
	if got.Sources != sources.body || !strings.Contains(got.Sources, "URIs: https://repo.example.com/deb/apt/\nSuites: jammy\n") {
		t.Errorf("sources are %q, at /apt/ %q", got.Sources, sources.body)
	}
	if want := "#!/bin/sh\nset -e\n" + strings.Join(got.Setup, "\n") + "\n" + got.Command + "\n"; got.Script != want {
		t.Errorf("script is %s", got.Script)
	}
	if !strings.Contains(got.Setup[0], "ca-certificates") {
		t.Errorf("https without certificates: %s", got.Setup[0])
	}
	key := f.do("GET", "/apt/repod.asc", "", nil).want(t, 200, "")
	if !strings.Contains(got.Script, "cat > /etc/apt/keyrings/repod.asc <<'EOF'\n"+strings.TrimRight(key.body, "\n")+"\nEOF\n") {
		t.Errorf("script does not hold the key: %s", got.Script)
	}
	f.get("/artifacts/nginx/install?distribution=focal", auth.Viewer).want(t, 409, "not_published")
	f.get("/artifacts/nginx/install?distribution=nosuch", auth.Viewer).want(t, 400, "unknown_distribution")
	f.get("/artifacts/nginx/install?version=9", auth.Viewer).want(t, 404, "version_not_found")

	f = stocked(t)
	a = f.get("/artifacts/nginx/install", auth.Viewer).want(t, 200, "")
	if strings.Contains(a.body, "ca-certificates") || !strings.Contains(a.body, f.server.URL+"/apt/repod.asc") {
		t.Errorf("without a public URL: %s", a.body)
	}
}

// TestInstallScript runs the script in a shell, with apt replaced and its
// folder moved.
func TestInstallScript(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell")
	}
	f := stocked(t)
	var got struct{ Script, Sources string }
	f.get("/artifacts/nginx/install", auth.Viewer).decode(t, &got)
	root := t.TempDir()
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte("#!/bin/sh\necho \"apt-get $*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "umask 077\nPATH=" + bin + ":$PATH\nmkdir -p " + root + "/sources.list.d\n" + strings.ReplaceAll(got.Script, "/etc/apt", root)
	out, err := exec.Command(sh, "-c", script).CombinedOutput()
	if err != nil || string(out) != "apt-get update\napt-get install -y nginx=1.24.0~rc1+b\n" {
		t.Fatalf("%v: %s", err, out)
	}
	out, err = exec.Command(sh, "-c", "cat "+root+"/sources.list.d/repod-jammy.sources; stat -c %a "+root+"/keyrings "+root+"/keyrings/repod.asc").Output()
	if want := strings.ReplaceAll(got.Sources, "/etc/apt", root) + "755\n644\n"; err != nil || string(out) != want {
		t.Errorf("%v: got %s, want %s", err, out, want)
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"nginx=1:1.0~rc1+b-1": "nginx=1:1.0~rc1+b-1",
		"":                    "''",
		"a b":                 "'a b'",
		"$(x)":                "'$(x)'",
		"it's":                `'it'\''s'`,
		"a;b":                 "'a;b'",
	} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestSyncIndex(t *testing.T) {
	f := stocked(t)
	a := f.do("POST", "/artifacts/admin/sync-index", f.tokens[auth.Maintainer], nil).want(t, 200, "")
	if want := `{"status":"ok","packages_indexed":4,"distributions":["focal","jammy"],"repaired":[]}`; strings.TrimSpace(a.body) != want {
		t.Errorf("answer is %s, want %s", a.body, want)
	}
	var lost string
	for _, key := range f.state() {
		if strings.HasPrefix(key, "pool/main/p/postfix/") {
			lost = key
		}
	}
	if err := f.repo.Storage.Delete(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	a = f.do("POST", "/artifacts/admin/sync-index", f.tokens[auth.Maintainer], nil).want(t, 200, "")
	if !strings.Contains(a.body, `"repaired":[{"kind":"missing_file","name":"postfix","version":"3.6.4","arch":"amd64","detail":`) {
		t.Errorf("a lost file: %s", a.body)
	}
	conn, err := sqlx.Open("sqlite", sqlstore.SQLiteDSN(f.dbPath))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Exec("UPDATE stock SET names = 99"); err != nil {
		t.Fatal(err)
	}
	a = f.do("POST", "/artifacts/admin/sync-index", f.tokens[auth.Maintainer], nil).want(t, 200, "")
	if !strings.Contains(a.body, `{"kind":"stale_index","name":"","version":"","arch":"","detail":"table stock: `) {
		t.Errorf("a wrong count: %s", a.body)
	}
	var names int
	if err := conn.Get(&names, "SELECT names FROM stock"); err != nil || names == 99 {
		t.Errorf("%d names, %v", names, err)
	}
}

func TestDistributions(t *testing.T) {
	f := stocked(t)
	a := f.get("/distributions/", auth.Viewer).want(t, 200, "")
	a.keys(t, "distributions", "total")
	if want := `{"codename":"jammy","description":"","origin":"repod","label":"repod","suite":"jammy","components":["main"],"architectures":["amd64","arm64"],"package_count":2,"artifact_count":4,"size_bytes":`; !strings.Contains(a.body, want) {
		t.Errorf("%s lacks %s", a.body, want)
	}
	if want := `"signed":true,"created_at":"2026-05-12T10:00:00Z","last_published_at":"2026-05-12T10:00:00Z"}],"total":2}`; !strings.Contains(a.body, want) {
		t.Errorf("%s lacks %s", a.body, want)
	}

	a = f.get("/distributions/jammy/packages?arch=arm64", auth.Viewer).want(t, 200, "")
	a.keys(t, "codename", "items", "total", "page", "per_page", "pages")
	if want := `{"codename":"jammy","items":[{"name":"nginx","version":"1.24.0~rc1+b","arch":"arm64","component":"main","status":"indexed","size_bytes":`; !strings.HasPrefix(a.body, want) {
		t.Errorf("published packages are %s", a.body)
	}
	f.get("/distributions/nosuch/packages", auth.Viewer).want(t, 404, "distribution_not_found")

	a = f.post("/distributions/init", `{"codename":"noble","description":"Ubuntu 24.04 LTS","components":["main","extra"],"architectures":["amd64"],"origin":"ACME","label":"acme","suite":"stable","os":"ubuntu:24.04"}`, auth.Maintainer).want(t, 201, "")
	if a.header.Get("Location") != "/distributions/noble/packages" || !strings.Contains(a.body, `"status":"initialized"`) || !strings.Contains(a.body, `"suite":"stable","components":["main","extra"],"architectures":["amd64"]`) {
		t.Errorf("init: %v %s", a.header, a.body)
	}
	f.do("GET", "/apt/dists/noble/InRelease", "", nil).want(t, 200, "")
	f.post("/distributions/init", `{"codename":"noble"}`, auth.Maintainer).want(t, 409, "distribution_exists")
	for body, fields := range map[string]string{
		`{}`:                   "codename",
		`{"codename":".."}`:    "codename",
		`{"codename":"a/b"}`:   "codename",
		`{"codename":"Jammy"}`: "codename",
		`{"codename":"stable\nOrigin: x","suite":"stable"}`:                             "codename",
		`{"codename":"x","description":"x\nSigned-By: y"}`:                              "description",
		`{"codename":"x","components":[]}`:                                              "components",
		`{"codename":"x","components":["main","main"],"architectures":["all"]}`:         "components[1] architectures[0]",
		`{"codename":"x","origin":"a\u0000","label":"` + strings.Repeat("l", 65) + `"}`: "origin",
	} {
		a := f.post("/distributions/init", body, auth.Maintainer).want(t, 422, "validation_failed")
		var p problem
		a.decode(t, &p)
		var got []string
		for _, e := range p.Errors {
			got = append(got, e.Field)
		}
		if strings.Join(got, " ") != fields {
			t.Errorf("%s: faults in %v, want %s", body, got, fields)
		}
	}
}

func TestPromote(t *testing.T) {
	f := stocked(t)
	body := func(version, arch, from, to string) string {
		return fmt.Sprintf(`{"name":"nginx","version":%q,"arch":%q,"from_distribution":%q,"to_distribution":%q}`, version, arch, from, to)
	}
	const v = "1.24.0~rc1+b"
	a := f.post("/distributions/promote", body(v, "amd64", "jammy", "focal"), auth.Maintainer).want(t, 200, "")
	if want := `{"status":"promoted","name":"nginx","version":"1.24.0~rc1+b","arch":"amd64","from_distribution":"jammy","to_distribution":"focal","component":"main","results":[{"arch":"amd64","status":"promoted"}]}`; strings.TrimSpace(a.body) != want {
		t.Errorf("answer is %s", a.body)
	}
	a = f.post("/distributions/promote", body(v, "", "jammy", "focal"), auth.Maintainer).want(t, 200, "")
	if !strings.Contains(a.body, `"status":"promoted"`) || !strings.Contains(a.body, `"arch":null`) || !strings.Contains(a.body, `"results":[{"arch":"amd64","status":"already_present"},{"arch":"arm64","status":"promoted"}]`) {
		t.Errorf("second: %s", a.body)
	}
	a = f.post("/distributions/promote", body(v, "", "jammy", "focal"), auth.Maintainer).want(t, 200, "")
	if !strings.HasPrefix(a.body, `{"status":"already_present"`) {
		t.Errorf("third: %s", a.body)
	}
	for _, test := range []struct {
		body   string
		status int
		code   string
	}{
		{body(v, "", "jammy", "jammy"), 400, "same_distribution"},
		{body(v, "", "nosuch", "jammy"), 400, "unknown_distribution"},
		{body(v, "", "jammy", "nosuch"), 400, "unknown_distribution"},
		{body("9", "", "jammy", "focal"), 404, "version_not_found"},
		{body("1.22.1", "", "focal", "jammy"), 404, "version_not_found"},
		{body(v, "i386", "jammy", "focal"), 404, "version_not_found"},
		{`{"name":"apache","version":"1","from_distribution":"jammy","to_distribution":"focal"}`, 404, "package_not_found"},
		{`{"name":"nginx","version":"1.22.1","component":"extra","from_distribution":"jammy","to_distribution":"focal"}`, 400, "unknown_component"},
		{`{"name":"nginx","version":"1.22.1","from_distribution":"jammy"}`, 422, "validation_failed"},
		{`{"name":"nginx","version":"1.22.1","from":"jammy","to_distribution":"x","from_distribution":"y"}`, 422, "validation_failed"},
	} {
		f.post("/distributions/promote", test.body, auth.Maintainer).want(t, test.status, test.code)
	}
	f.do("DELETE", "/distributions/jammy/packages/nginx/1.22.1", f.tokens[auth.Maintainer], nil).want(t, 204, "")
	f.post("/distributions/promote", body("1.22.1", "", "jammy", "focal"), auth.Maintainer).want(t, 409, "not_published")
}

func TestMigrate(t *testing.T) {
	f := stocked(t)
	f.post("/distributions/init", `{"codename":"small","architectures":["amd64"],"components":["extra"]}`, auth.Maintainer).want(t, 201, "")
	f.post("/distributions/init", `{"codename":"amd","architectures":["amd64"]}`, auth.Maintainer).want(t, 201, "")
	a := f.post("/distributions/migrate", `{"from_distribution":"jammy","to_distribution":"amd","packages":["nginx","curl"]}`, auth.Maintainer).want(t, 200, "")
	a.keys(t, "status", "from_distribution", "to_distribution", "migrated", "skipped", "errors", "packages")
	var got migrateAnswer
	a.decode(t, &got)
	if got.Status != "partial" || got.Migrated != 2 || got.Skipped != 0 ||
		!reflect.DeepEqual(got.Errors, []migrateError{{"curl", "package_not_found", "curl is not in jammy"}, {"nginx", "unsupported_architecture", "amd does not take arm64"}}) ||
		!slices.Contains(got.Packages, migratePackage{"nginx", "1.24.0~rc1+b", "arm64", "unsupported_architecture"}) ||
		!slices.Contains(got.Packages, migratePackage{"nginx", "1.22.1", "amd64", "migrated"}) {
		t.Errorf("answer is %s", a.body)
	}
	a = f.post("/distributions/migrate", `{"from_distribution":"amd","to_distribution":"jammy","remove_source":true}`, auth.Maintainer).want(t, 200, "")
	a.decode(t, &got)
	if got.Status != "ok" || got.Skipped != 2 || len(got.Errors) != 0 {
		t.Errorf("back: %s", a.body)
	}
	a = f.post("/distributions/migrate", `{"from_distribution":"amd","to_distribution":"jammy"}`, auth.Maintainer).want(t, 200, "")
	if want := `{"status":"ok","from_distribution":"amd","to_distribution":"jammy","migrated":0,"skipped":0,"errors":[],"packages":[]}`; strings.TrimSpace(a.body) != want {
		t.Errorf("nothing: %s", a.body)
	}
	a = f.post("/distributions/migrate", `{"from_distribution":"jammy","to_distribution":"small","packages":["postfix"]}`, auth.Maintainer).want(t, 200, "")
	if !strings.Contains(a.body, `"errors":[{"name":"postfix","code":"unknown_component","detail":"small has no component main"}]`) {
		t.Errorf("no component: %s", a.body)
	}
	f.post("/distributions/migrate", `{"from_distribution":"jammy","to_distribution":"focal","packages":[]}`, auth.Maintainer).want(t, 422, "validation_failed")
	f.post("/distributions/migrate", `{"from_distribution":"jammy","to_distribution":"focal","packages":["*"]}`, auth.Maintainer).want(t, 404, "package_not_found")
	f.post("/distributions/migrate", `{"from_distribution":"jammy","to_distribution":"jammy"}`, auth.Maintainer).want(t, 400, "same_distribution")
	f.post("/distributions/migrate", `{"from_distribution":"nosuch","to_distribution":"jammy"}`, auth.Maintainer).want(t, 400, "unknown_distribution")
}

func TestKeys(t *testing.T) {
	f := newFixture(t)
	a := f.get("/settings/gpg", auth.Admin).want(t, 200, "")
	a.keys(t, "keys", "active_fingerprint", "public_key_armored", "key_url")
	type key struct {
		Fingerprint string
		KeyID       string `json:"key_id"`
		Algorithm   string
		UIDs        []string
		State       string
		RetiresAt   *string `json:"retires_at"`
		ExpiresAt   *string `json:"expires_at"`
	}
	var before, after struct {
		Keys   []key
		Active string `json:"active_fingerprint"`
		Public string `json:"public_key_armored"`
		URL    string `json:"key_url"`
	}
	a.decode(t, &before)
	if len(before.Keys) != 1 || before.Keys[0].State != "active" || before.Keys[0].Algorithm != "ed25519" || before.Active != before.Keys[0].Fingerprint ||
		before.URL != f.server.URL+"/apt/repod.asc" || before.Keys[0].RetiresAt != nil || before.Keys[0].ExpiresAt != nil {
		t.Errorf("keys are %s", a.body)
	}
	for body, field := range map[string]string{
		`{"algorithm":"dsa"}`:   "algorithm",
		`{"expire_days":3651}`:  "expire_days",
		`{"expire_days":-1}`:    "expire_days",
		`{"name":"a\n%commit"}`: "name",
		`{"email":"a@b>\nx"}`:   "name",
		`{"passphrase":"x"}`:    "passphrase",
	} {
		a := f.post("/settings/gpg/generate", body, auth.Admin).want(t, 422, "validation_failed")
		if !strings.Contains(a.body, `"field":"`+field+`"`) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	a = f.do("POST", "/settings/gpg/generate", f.tokens[auth.Admin], nil, "Content-Type", "text/plain").want(t, 200, "")
	a.keys(t, "status", "fingerprint", "key_id", "algorithm", "created_at", "expires_at", "retiring", "distributions")
	if !strings.Contains(a.body, `"status":"generated"`) || !strings.Contains(a.body, `"retiring":["`+before.Active+`"],"distributions":["focal","jammy"]`) {
		t.Errorf("generated: %s", a.body)
	}
	f.get("/settings/gpg", auth.Admin).decode(t, &after)
	if len(after.Keys) != 2 || after.Active == before.Active || after.Keys[1].State != "retiring" || after.Keys[1].RetiresAt == nil {
		t.Errorf("afterwards: %+v", after)
	}
	if asc := f.do("GET", "/apt/repod.asc", "", nil).want(t, 200, ""); asc.body != after.Public || asc.body == before.Public {
		t.Error("/apt/repod.asc is not the new ring")
	}
	f.post("/settings/gpg/generate", `x`, auth.Admin).want(t, 400, "invalid_json")
	f.do("POST", "/settings/gpg/generate", f.tokens[auth.Admin], strings.NewReader(`{}`), "Content-Type", "text/plain").want(t, 422, "unsupported_content_type")
}
