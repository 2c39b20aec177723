package auth

import (
	"fmt"
	"slices"
	"strings"
)

// A Role is a level of rights. Each role includes all lower ones. The zero
// Role is none at all: nothing includes it and it includes nothing, so that a
// check against a forgotten role refuses.
type Role int

// The roles, lowest first.
const (
	Viewer     Role = iota + 1 // reads
	Uploader                   // publishes and imports packages
	Auditor                    // reads the audit log and the review queue
	Maintainer                 // decides, quarantines, distributes, deletes
	Admin                      // manages users and settings
)

var roleNames = [...]string{Viewer: "viewer", Uploader: "uploader", Auditor: "auditor", Maintainer: "maintainer", Admin: "admin"}

// ParseRole returns the role with a name as [Role.String] gives it, in lower
// case.
func ParseRole(name string) (Role, error) {
	for r := Viewer; r <= Admin; r++ {
		if roleNames[r] == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("unknown role %.40q", name)
}

// Valid reports whether r is one of the five roles.
func (r Role) Valid() bool { return r >= Viewer && r <= Admin }

// Level is 1 for Viewer to 5 for Admin, and 0 for what is no role.
func (r Role) Level() int {
	if !r.Valid() {
		return 0
	}
	return int(r)
}

// Includes reports whether r has all rights of other.
func (r Role) Includes(other Role) bool {
	return r.Valid() && other.Valid() && r >= other
}

// String returns the role's lower-case name.
func (r Role) String() string {
	if !r.Valid() {
		return fmt.Sprintf("role(%d)", int(r))
	}
	return roleNames[r]
}

// MarshalText gives the role's name; what is no role cannot be marshalled.
func (r Role) MarshalText() ([]byte, error) {
	if !r.Valid() {
		return nil, fmt.Errorf("auth: no such role: %d", int(r))
	}
	return []byte(roleNames[r]), nil
}

// UnmarshalText is [ParseRole].
func (r *Role) UnmarshalText(text []byte) error {
	parsed, err := ParseRole(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}

// HighestRole returns the role that counts among several: the highest, or 0
// where there is none.
func HighestRole(roles []Role) Role {
	var highest Role
	for _, r := range roles {
		if r.Includes(max(highest, Viewer)) {
			highest = r
		}
	}
	return highest
}

// SortRoles checks a list of roles and returns a copy ordered by level. A list
// holds one to five roles, each once; anything else is a [*ValidationError] on
// the fields "roles" and "roles[n]".
func SortRoles(roles []Role) ([]Role, error) {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.String()
	}
	return ParseRoles(names)
}

// ParseRoles is [SortRoles] for names of roles.
func ParseRoles(names []string) ([]Role, error) {
	var faults ValidationError
	if n := len(names); n == 0 || n > len(roleNames)-1 {
		faults.add("roles", "must list 1 to %d roles", len(roleNames)-1)
		return nil, &faults
	}
	var roles []Role
	for i, name := range names {
		field := fmt.Sprintf("roles[%d]", i)
		r, err := ParseRole(name)
		switch {
		case err != nil:
			faults.add(field, "must be one of %s", strings.Join(roleNames[Viewer:], ", "))
		case slices.Contains(roles, r):
			faults.add(field, "repeats %s", r)
		default:
			roles = append(roles, r)
		}
	}
	if len(faults.Fields) > 0 {
		return nil, &faults
	}
	slices.Sort(roles)
	return roles, nil
}

// A RoleInfo describes a role to people.
type RoleInfo struct {
	Role        Role     `json:"-"`
	Level       int      `json:"level"` // 1 (lowest) to 5
	Label       string   `json:"label"`
	Description string   `json:"description"`
	Permissions []string `json:"permissions"` // those of lower roles included
}

// Roles describes all roles, lowest first. The caller may change the answer.
func Roles() []RoleInfo {
	steps := []struct {
		role               Role
		label, description string
		adds               []string
	}{
		{Viewer, "Viewer", "Read-only access", []string{"read"}},
		{Uploader, "Uploader", "Viewer, plus publish and import packages", []string{"upload", "import"}},
		{Auditor, "Auditor", "Uploader, plus audit logs and security review queue", []string{"audit", "review"}},
		{Maintainer, "Maintainer", "Auditor, plus sync sources, quarantine, CVE decisions, distributions",
			[]string{"sync", "decide", "quarantine", "distribute", "delete"}},
		{Admin, "Administrator", "Full access, user management and configuration", []string{"users", "settings"}},
	}
	var infos []RoleInfo
	var permissions []string
	for _, s := range steps {
		permissions = append(permissions, s.adds...)
		infos = append(infos, RoleInfo{s.role, s.role.Level(), s.label, s.description, slices.Clone(permissions)})
	}
	return infos
}
