package client

import "time"

// An AuditEntry is what somebody did.
type AuditEntry struct {
	ID        int64     `json:"id"`
	Timestamp time.Time `json:"timestamp"`
	Action    string    `json:"action"`
	User      string    `json:"user"`
	IP        string    `json:"ip"`
	Result    string    `json:"result"`
	Target    string    `json:"target"`
	Package   string    `json:"package"`
	Version   string    `json:"version"`
	Detail    string    `json:"detail"`
	RequestID string    `json:"request_id"`
	Hash      string    `json:"hash"`
}

// An AuditVerdict says whether the chain of the audit log holds.
type AuditVerdict struct {
	Status   string `json:"status"`
	Entries  int    `json:"entries"`
	FirstID  int64  `json:"first_id"`
	LastID   int64  `json:"last_id"`
	BrokenAt *int64 `json:"broken_at"`
	Anchor   string `json:"anchor"`
	Head     string `json:"head"`
	Detail   string `json:"detail,omitempty"`
}

// A Health says which parts of the server work: ok, error or disabled.
type Health struct {
	Status     string            `json:"status"`
	Subsystems map[string]string `json:"subsystems"`
}
