package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/auth"
	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/sbom/sbomtest"
	"github.com/repod-io/repod/scan"
)

func newBills(t *testing.T) (*fixture, *known) {
	f, k, _ := newSecurity(t)
	k.set("tool", finding("CVE-2026-1", scan.Medium))
	f.publish(debtest.Package{Name: "tool", Version: "1.0", Fields: []string{"Depends: lib"}}, "jammy")
	f.publish(debtest.Package{Name: "lib", Version: "1:2.0~rc1+b1", Arch: "all"}, "jammy")
	f.publish(debtest.Package{Name: "other", Version: "3"}, "focal")
	return f, k
}

// bom is what both formats have in common, more or less.
type bom struct {
	BOMFormat   string `json:"bomFormat"`
	SpecVersion string `json:"specVersion"`
	SPDXVersion string `json:"spdxVersion"`
	Components  []struct {
		Name string `json:"name"`
		PURL string `json:"purl"`
	} `json:"components"`
	Packages        []json.RawMessage `json:"packages"`
	Vulnerabilities []struct {
		ID string `json:"id"`
	} `json:"vulnerabilities"`
}

func TestSBOMExport(t *testing.T) {
	f, _ := newBills(t)
	for _, tt := range []struct {
		query, name, media, version string
		packages                    int // of CycloneDX
	}{
		{"", "sbom.cdx.json", "application/vnd.cyclonedx+json; version=1.6", "1.6", 3},
		{"?distribution=jammy", "sbom-jammy.cdx.json", "application/vnd.cyclonedx+json; version=1.6", "1.6", 2},
		{"?distribution=jammy&version=1.5", "sbom-jammy.cdx.json", "application/vnd.cyclonedx+json; version=1.5", "1.5", 2},
		{"?format=spdx", "sbom.spdx.json", "application/spdx+json", "SPDX-2.3", 0},
		{"?format=spdx&version=2.3&distribution=focal", "sbom-focal.spdx.json", "application/spdx+json", "SPDX-2.3", 0},
	} {
		a := f.get("/sbom/export"+tt.query, auth.Viewer).want(t, 200, "")
		if got := a.header.Get("Content-Disposition"); got != `attachment; filename="`+tt.name+`"` {
			t.Errorf("%s: Content-Disposition %s", tt.query, got)
		}
		if got := a.header.Get("Content-Type"); got != tt.media {
			t.Errorf("%s: Content-Type %s", tt.query, got)
		}
		if err := sbomtest.CheckReferences([]byte(a.body)); err != nil {
			t.Errorf("%s: %v", tt.query, err)
		}
		var doc bom
		a.decode(t, &doc)
		if doc.SpecVersion+doc.SPDXVersion != tt.version || len(doc.Components) != tt.packages {
			t.Errorf("%s: %+v", tt.query, doc)
		}
	}
	var doc bom
	f.get("/sbom/export?distribution=jammy", auth.Viewer).decode(t, &doc)
	if c := doc.Components[0]; c.PURL != "pkg:deb/repod/lib@1%3A2.0~rc1%2Bb1?arch=all&distro=jammy" || len(doc.Vulnerabilities) != 1 {
		t.Errorf("%+v", doc)
	}
	f.spooled()
}

func TestSBOMErrors(t *testing.T) {
	f, _ := newBills(t)
	for target, code := range map[string]string{
		"/sbom/export?format=xml":                "validation_failed",
		"/sbom/export?version=2.3":               "validation_failed",
		"/sbom/export?format=spdx&version=1.6":   "validation_failed",
		"/sbom/preview?limit=0":                  "validation_failed",
		"/sbom/preview?limit=51":                 "validation_failed",
		"/sbom/tool/1.0?version=1.4":             "validation_failed",
		"/sbom/export?distribution=nosuch":       "unknown_distribution",
		"/sbom/preview?distribution=nosuch":      "unknown_distribution",
		"/sbom/nothing/1.0":                      "package_not_found",
		"/sbom/tool/9":                           "version_not_found",
		"/sbom/tool/1.0?arch=arm64":              "version_not_found",
		"/sbom/export?distribution=jammy&format": "",
	} {
		status := map[string]int{"validation_failed": 422, "unknown_distribution": 400, "": 200}[code]
		if status == 0 {
			status = 404
		}
		f.get(target, auth.Viewer).want(t, status, code)
	}
	f.do("GET", "/sbom/export", "", nil).want(t, 401, "authentication_required")
	f.spooled()
}

func TestSBOMOfPackage(t *testing.T) {
	f, k := newBills(t)
	a := f.get("/sbom/tool/1.0?arch=amd64", auth.Viewer).want(t, 200, "")
	var doc bom
	a.decode(t, &doc)
	if len(doc.Components) != 2 || doc.Components[0].Name != "tool" || doc.Components[1].Name != "lib" || len(doc.Vulnerabilities) != 1 {
		t.Errorf("%+v", doc)
	}
	if got := a.header.Get("Content-Disposition"); got != `attachment; filename="tool-sbom.cdx.json"` {
		t.Errorf("Content-Disposition %s", got)
	}
	b := f.get("/sbom/lib/1:2.0~rc1+b1?format=spdx", auth.Viewer).want(t, 200, "")
	if b.header.Get("Etag") == a.header.Get("Etag") || b.header.Get("Etag") == "" {
		t.Errorf("ETags %s and %s", a.header.Get("Etag"), b.header.Get("Etag"))
	}
	if c := f.do("GET", "/sbom/tool/1.0", f.tokens[auth.Viewer], nil, "If-None-Match", a.header.Get("Etag")); c.status != 304 {
		t.Errorf("unchanged: %d", c.status)
	}
	k.set("bad", finding("CVE-2026-2", scan.Critical))
	f.offer(debtest.Package{Name: "bad"}, "jammy").want(t, 422, "rejected_cve")
	f.get("/sbom/bad/1.0", auth.Viewer).want(t, 200, "").decode(t, &doc)
	if len(doc.Components) != 1 || doc.Components[0].Name != "bad" {
		t.Errorf("%+v", doc)
	}
}

func TestSBOMPreview(t *testing.T) {
	f, _ := newBills(t)
	for query, want := range map[string]string{
		"":                                   `{"format":"cyclonedx","spec_version":"1.6","distribution":null,"total_packages":3,"shown":3,"truncated":false,"preview":{`,
		"?distribution=jammy&limit=1":        `{"format":"cyclonedx","spec_version":"1.6","distribution":"jammy","total_packages":2,"shown":1,"truncated":true,"preview":{`,
		"?format=spdx&arch=all":              `{"format":"spdx","spec_version":"2.3","distribution":null,"total_packages":1,"shown":1,"truncated":false,"preview":{`,
		"?arch=riscv64&version=1.5&limit=50": `{"format":"cyclonedx","spec_version":"1.5","distribution":null,"total_packages":0,"shown":0,"truncated":false,"preview":{`,
	} {
		a := f.get("/sbom/preview"+query, auth.Viewer).want(t, 200, "")
		if !strings.HasPrefix(a.body, want) {
			t.Errorf("%s: %.200s", query, a.body)
		}
		var out struct {
			Shown   int             `json:"shown"`
			Preview json.RawMessage `json:"preview"`
		}
		a.decode(t, &out)
		var doc bom
		if err := json.Unmarshal(out.Preview, &doc); err != nil {
			t.Fatal(err)
		}
		if len(doc.Components)+len(doc.Packages) != out.Shown {
			t.Errorf("%s: %+v", query, doc)
		}
		if err := sbomtest.CheckReferences(out.Preview); err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// The tag stays as long as the bill does, in both encodings.
func TestSBOMTag(t *testing.T) {
	f, _ := newBills(t)
	const target = "/sbom/export?distribution=jammy"
	plain := f.do("GET", target, f.tokens[auth.Viewer], nil, "Accept-Encoding", "identity").want(t, 200, "")
	zipped := f.do("GET", target, f.tokens[auth.Viewer], nil, "Accept-Encoding", "br, gzip;q=0.5").want(t, 200, "")
	if zipped.header.Get("Content-Encoding") != "gzip" || zipped.header.Get("Vary") != "Accept-Encoding" || plain.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("headers %v", zipped.header)
	}
	r, err := gzip.NewReader(bytes.NewReader([]byte(zipped.body)))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(r); err != nil || string(body) != plain.body {
		t.Errorf("%d bytes, %v; want %d", len(body), err, len(plain.body))
	}
	one, two := plain.header.Get("Etag"), zipped.header.Get("Etag")
	if one == two || one == "" || two == "" {
		t.Errorf("ETags %s and %s", one, two)
	}
	for _, match := range []string{one, two, `"x", W/` + one, "*"} {
		for _, encoding := range []string{"identity", "gzip"} {
			a := f.do("GET", target, f.tokens[auth.Viewer], nil, "If-None-Match", match, "Accept-Encoding", encoding)
			if a.status != http.StatusNotModified || a.body != "" || a.header.Get("Etag") == "" {
				t.Errorf("If-None-Match %s: %d %s", match, a.status, a.body)
			}
		}
	}
	if a := f.do("GET", target, f.tokens[auth.Viewer], nil, "Accept-Encoding", "gzip;q=0"); a.header.Get("Content-Encoding") != "" {
		t.Error("gzip though it is refused")
	}
	if a := f.do("GET", target, f.tokens[auth.Viewer], nil, "Accept-Encoding", "identity", "Range", "bytes=0-9"); a.status != 206 || a.body != plain.body[:10] {
		t.Errorf("range: %d %q", a.status, a.body)
	}
	f.publish(debtest.Package{Name: "other", Version: "4"}, "focal")
	f.do("GET", target, f.tokens[auth.Viewer], nil, "If-None-Match", one).want(t, 304, "")
	f.publish(debtest.Package{Name: "other", Version: "4"}, "jammy")
	if a := f.do("GET", target, f.tokens[auth.Viewer], nil, "If-None-Match", one).want(t, 200, ""); a.header.Get("Etag") == one {
		t.Error("another bill has the same tag")
	}
}

// Bills that are published are files of the APT tree, for everybody.
func TestPublishedBills(t *testing.T) {
	f, _ := newBills(t)
	if err := f.repo.PublishBills(t.Context(), aptrepo.BillQuery{BaseURL: "https://repo.example"}); err != nil {
		t.Fatal(err)
	}
	for name, media := range map[string]string{
		"jammy.cdx.json": "application/vnd.cyclonedx+json", "focal.spdx.json": "application/spdx+json",
		"jammy.spdx.json.asc": "application/pgp-signature",
	} {
		a := f.do("GET", "/apt/"+name, "", nil).want(t, 200, "")
		if a.header.Get("Content-Type") != media || a.header.Get("Cache-Control") != "no-cache" || a.header.Get("Etag") == "" {
			t.Errorf("%s: %v", name, a.header)
		}
		if b := f.do("GET", "/apt/"+name, "", nil, "If-None-Match", a.header.Get("Etag")); b.status != 304 {
			t.Errorf("%s again: %d", name, b.status)
		}
	}
	for _, name := range []string{"nowhere.cdx.json", "jammy.cdx.json.tag", "jammy.json", "x.json.sources"} {
		if a := f.do("GET", "/apt/"+name, "", nil); a.status != 404 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
}
