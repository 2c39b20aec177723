package auth_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/repod-io/repod/auth"
)

var allRoles = []auth.Role{auth.Viewer, auth.Uploader, auth.Auditor, auth.Maintainer, auth.Admin}

func TestRoleOrder(t *testing.T) {
	for i, r := range allRoles {
		if r.Level() != i+1 {
			t.Errorf("%v has level %d, want %d", r, r.Level(), i+1)
		}
		for j, other := range allRoles {
			if got := r.Includes(other); got != (i >= j) {
				t.Errorf("%v includes %v: %t", r, other, got)
			}
		}
		for _, none := range []auth.Role{0, -1, 6} {
			if r.Includes(none) || none.Includes(r) || none.Includes(none) || none.Level() != 0 {
				t.Errorf("role %d has something to do with %v", none, r)
			}
		}
	}
}

func TestParseRole(t *testing.T) {
	for _, r := range allRoles {
		if got, err := auth.ParseRole(r.String()); got != r || err != nil {
			t.Errorf("ParseRole(%q) = %v, %v", r, got, err)
		}
	}
	for _, name := range []string{"", "Admin", "root", "admin ", "role(0)"} {
		if got, err := auth.ParseRole(name); got != 0 || err == nil {
			t.Errorf("ParseRole(%q) = %v, %v; want an error", name, got, err)
		}
	}
}

func TestRoleText(t *testing.T) {
	text, err := json.Marshal(allRoles)
	if want := `["viewer","uploader","auditor","maintainer","admin"]`; string(text) != want || err != nil {
		t.Errorf("Marshal = %s, %v; want %s", text, err, want)
	}
	var roles []auth.Role
	if err := json.Unmarshal(text, &roles); err != nil || !slices.Equal(roles, allRoles) {
		t.Errorf("Unmarshal = %v, %v", roles, err)
	}
	if json.Unmarshal([]byte(`["root"]`), &roles) == nil {
		t.Error("Unmarshal takes root for a role")
	}
	if _, err := json.Marshal(auth.Role(0)); err == nil {
		t.Error("Marshal writes what is no role")
	}
}

func TestParseRoles(t *testing.T) {
	const oneOf = "must be one of viewer, uploader, auditor, maintainer, admin"
	for _, tt := range []struct {
		in     []string
		want   string
		faults []auth.FieldError
	}{
		{in: []string{"viewer"}, want: "[viewer]"},
		{in: []string{"admin", "viewer", "auditor"}, want: "[viewer auditor admin]"},
		{in: []string{"admin", "maintainer", "auditor", "uploader", "viewer"}, want: "[viewer uploader auditor maintainer admin]"},
		{in: nil, faults: []auth.FieldError{{"roles", "must list 1 to 5 roles"}}},
		{in: []string{"admin", "maintainer", "auditor", "uploader", "viewer", "admin"}, faults: []auth.FieldError{{"roles", "must list 1 to 5 roles"}}},
		{in: []string{"root", "viewer", "viewer", "Admin"}, faults: []auth.FieldError{{"roles[0]", oneOf}, {"roles[2]", "repeats viewer"}, {"roles[3]", oneOf}}},
	} {
		got, err := auth.ParseRoles(tt.in)
		var faults *auth.ValidationError
		if errors.As(err, &faults) != (tt.faults != nil) || faults != nil && !slices.Equal(faults.Fields, tt.faults) {
			t.Errorf("ParseRoles(%q): error %v, want %v", tt.in, err, tt.faults)
		}
		if tt.faults == nil && roleNames(got) != tt.want {
			t.Errorf("ParseRoles(%q) = %v, want %s", tt.in, got, tt.want)
		}
	}
	in := []auth.Role{auth.Admin, auth.Viewer}
	if _, err := auth.SortRoles(in); err != nil || in[0] != auth.Admin {
		t.Errorf("SortRoles changes its argument to %v (error %v)", in, err)
	}
	if _, err := auth.SortRoles([]auth.Role{auth.Viewer, 0}); err == nil {
		t.Error("SortRoles takes 0 for a role")
	}
}

func TestHighestRole(t *testing.T) {
	for want, roles := range map[auth.Role][]auth.Role{
		0:               {},
		auth.Viewer:     {auth.Viewer},
		auth.Maintainer: {auth.Viewer, auth.Maintainer, auth.Uploader},
		auth.Admin:      {auth.Admin, 99},
	} {
		if got := auth.HighestRole(roles); got != want {
			t.Errorf("HighestRole(%v) = %v, want %v", roles, got, want)
		}
	}
}

// No part of the answer is shared.
func TestRolesShareNothing(t *testing.T) {
	infos := auth.Roles()
	for _, info := range infos[:4] {
		info.Permissions[0] = "changed"
		_ = append(info.Permissions, "added")
	}
	if last := infos[4].Permissions; last[0] != "read" || slices.Contains(last, "added") || auth.Roles()[0].Permissions[0] != "read" {
		t.Errorf("permissions became %q", last)
	}
}

// The table is part of the API contract, word for word.
func TestRoles(t *testing.T) {
	want, err := os.ReadFile("testdata/roles.json")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]auth.RoleInfo{}
	for _, info := range auth.Roles() {
		table[info.Role.String()] = info
	}
	got, err := json.MarshalIndent(table, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if string(got)+"\n" != string(want) {
		t.Errorf("Roles() marshals to\n%s\nwant\n%s", got, want)
	}
}
