package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/repod-io/repod/deb/debtest"
	"github.com/repod-io/repod/httpapi/client"
)

// TestServer does with a real server what a program would.
func TestServer(t *testing.T) {
	ctx := t.Context()
	anyone, err := client.New(newServer(t).URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var refusal *client.Error
	if _, err := anyone.Login(ctx, client.Login{Username: "admin", Password: "wrong"}); !errors.As(err, &refusal) || refusal.Code != "invalid_credentials" {
		t.Fatalf("a wrong password: %v", err)
	}
	session, err := anyone.Login(ctx, client.Login{Username: "admin", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	admin, err := anyone.WithToken(session.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	made, err := admin.CreateToken(ctx, client.NewToken{Name: "ci", Roles: []string{"maintainer"}, ExpiresInDays: 7})
	if err != nil {
		t.Fatal(err)
	}
	ci, err := anyone.WithToken(made.Token)
	if err != nil {
		t.Fatal(err)
	}
	me, err := ci.Me(ctx)
	if err != nil || me.Username != "token:ci" || me.Token == nil || me.Token.ID != made.ID || anyone.HasToken() {
		t.Errorf("I am %+v, %v", me, err)
	}

	for _, version := range []string{"1.0", "1:1.0~rc1+b1", "2.0"} {
		file := debtest.Package{Name: "libhello++", Version: version}.Build()
		done, err := ci.Upload(ctx, client.Upload{Distribution: "jammy", File: bytes.NewReader(file), Size: int64(len(file))})
		if err != nil || done.Status != "indexed" || done.Filename == nil {
			t.Fatalf("uploaded as %+v, %v", done, err)
		}
	}
	if _, err := ci.Upload(ctx, client.Upload{Distribution: "nosuch", File: bytes.NewReader([]byte("x")), Size: 1}); !errors.As(err, &refusal) || refusal.Code == "" {
		t.Errorf("an upload of nothing to nowhere: %v", err)
	}
	var versions []string
	for row, err := range ci.AllArtifacts(ctx, client.PackageQuery{Q: "hello", Distribution: "jammy"}) {
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, row.Version)
	}
	if len(versions) != 3 {
		t.Errorf("versions are %q", versions)
	}
	detail, err := ci.Package(ctx, "libhello++")
	if err != nil || detail.LatestVersion != "1:1.0~rc1+b1" || time.Since(detail.Versions[0].UploadedAt) > time.Hour {
		t.Errorf("%+v, %v", detail, err)
	}
	if _, err := ci.Promote(ctx, client.Promotion{Name: "libhello++", Version: "1:1.0~rc1+b1", From: "jammy", To: "focal"}); err != nil {
		t.Error(err)
	}
	published, err := ci.Published(ctx, "focal", client.PublishedQuery{})
	if err != nil || published.Total != 1 || published.Items[0].Name != "libhello++" {
		t.Errorf("%+v, %v", published, err)
	}
	if err := ci.DeleteVersion(ctx, "libhello++", "1:1.0~rc1+b1", "", false); err != nil {
		t.Error(err)
	}
	if _, err := ci.Artifact(ctx, "libhello++", "1:1.0~rc1+b1", ""); !errors.As(err, &refusal) || refusal.Status != 404 || refusal.Code != "version_not_found" {
		t.Errorf("a deleted version: %v", err)
	}
	var bill bytes.Buffer
	if err := ci.SBOM(ctx, &bill, client.SBOMQuery{Distribution: "jammy", Format: "spdx"}); err != nil || !bytes.Contains(bill.Bytes(), []byte("libhello")) || !json.Valid(bill.Bytes()) {
		t.Errorf("%v: %s", err, bill.Bytes())
	}

	set, err := admin.Settings(ctx)
	if err != nil || set.ETag == "" {
		t.Fatal(err)
	}
	changed, err := admin.PatchSettings(ctx, map[string]any{"keep_versions": 3}, set.ETag)
	if err != nil || changed.ETag == set.ETag || !bytes.Contains(changed.JSON, []byte(`"keep_versions":3`)) {
		t.Errorf("%v: %s", err, changed.JSON)
	}
	if _, err := admin.PatchSettings(ctx, map[string]any{"keep_versions": 4}, set.ETag); !errors.As(err, &refusal) || refusal.Code != "precondition_failed" {
		t.Errorf("settings of another state: %v", err)
	}
	_, err = admin.PatchSettings(ctx, map[string]any{"keep_versions": -1, "nosuch": 1}, "")
	if !errors.As(err, &refusal) || len(refusal.Fields) != 2 || refusal.Fields[0].Field == "" {
		t.Errorf("settings that are none: %v", err)
	}
	log, err := admin.AuditLog(ctx, client.AuditQuery{Action: "settings.update"})
	if err != nil || log.Total != 1 || log.Items[0].User != "admin" {
		t.Errorf("%+v, %v", log, err)
	}
	if health, err := anyone.Health(ctx); err != nil || health.Status != "healthy" || anyone.Ready(ctx) != nil {
		t.Errorf("%+v, %v", health, err)
	}
	if now, err := anyone.Clock(ctx); err != nil || time.Since(now).Abs() > time.Minute {
		t.Errorf("%v, %v", now, err)
	}
	if err := admin.RevokeToken(ctx, made.ID); err != nil {
		t.Error(err)
	}
	if err := ci.SBOM(ctx, io.Discard, client.SBOMQuery{}); !errors.As(err, &refusal) || refusal.Code != "invalid_token" {
		t.Errorf("a revoked token: %v", err)
	}
	if err := admin.Logout(ctx, false); err != nil {
		t.Error(err)
	}
	if _, err := admin.Me(ctx); !errors.As(err, &refusal) || refusal.Status != 401 {
		t.Errorf("a session that has ended: %v", err)
	}
}
