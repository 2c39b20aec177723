// Package settings keeps what an administrator changes while a server runs.
//
// [Settings] is the whole tree, typed; its JSON form is that of the API. A
// [Service] holds the present one, takes changes as JSON merge patches (RFC
// 7396, without null), checks every leaf, and keeps what was set in a [Store].
// Secrets are sealed there, and shown as [Mask].
package settings

import (
	"fmt"
	"log/slog"

	"github.com/repod-io/repod/aptrepo/upstream"
)

// Settings is the tree. Tags say how a leaf is checked, see rules.go.
type Settings struct {
	// What retention leaves: see package retention.
	RetentionDays      int64 `json:"retention_days" rule:"0..3650"`       // a superseded version stays so long; 0: for ever
	KeepVersions       int64 `json:"keep_versions" rule:"0..1000"`        // the newest that stay; 0: all
	AuditRetentionDays int64 `json:"audit_retention_days" rule:"0..3650"` // then entries are archived; 0: never

	// PublicURL is what clients call the server, without a trailing slash; "":
	// what a request called it.
	PublicURL      string  `json:"public_url" rule:"baseurl"`
	MaxUploadBytes int64   `json:"max_upload_bytes" rule:"1048576..1099511627776"`
	Signing        Signing `json:"signing"`
	Scan           Scan    `json:"scan"`
	Import         Import  `json:"import"`
	SBOM           SBOM    `json:"sbom"`
	SMTP           SMTP    `json:"smtp"`
	Webhook        Webhook `json:"webhook"`
	LDAP           LDAP    `json:"ldap"`
	OIDC           OIDC    `json:"oidc"`

	Downloads Downloads `json:"downloads"`
}

// Signing is about the keys and signatures of the repository.
type Signing struct {
	OverlapDays    int64 `json:"overlap_days" rule:"0..3650"`    // how long a replaced key goes on signing
	ValidUntilDays int64 `json:"valid_until_days" rule:"0..365"` // 0: no Valid-Until
	// KeyringPackage names the package with the public keys, see
	// aptrepo.Repo.PublishKeyring; "": there is none. It is beyond the API reference.
	KeyringPackage string `json:"keyring_package" rule:"keyring"`
}

// Scan is about what may be published; see package scan.
type Scan struct {
	ClamAVAddress        string `json:"clamav_address" rule:"clamav"` // "": no scanner
	ClamAVTimeoutSeconds int64  `json:"clamav_timeout_seconds" rule:"1..3600"`
	// FailPolicy says what happens to a package that could not be scanned.
	FailPolicy string `json:"fail_policy" rule:"block|review|allow"`
	RescanCron string `json:"rescan_cron" rule:"cron"` // "": never by itself
	CVE        CVE    `json:"cve"`
}

// CVE is about known vulnerabilities: what each severity leads to.
type CVE struct {
	Enabled    bool    `json:"enabled"`
	Critical   string  `json:"critical" rule:"block|review|warn|allow"`
	High       string  `json:"high" rule:"block|review|warn|allow"`
	Medium     string  `json:"medium" rule:"block|review|warn|allow"`
	Low        string  `json:"low" rule:"block|review|warn|allow"`
	Negligible string  `json:"negligible" rule:"block|review|warn|allow"`
	Unknown    string  `json:"unknown" rule:"block|review|warn|allow"`
	KEV        string  `json:"kev" rule:"block|review|warn|allow"` // known to be exploited
	EPSSBlock  float64 `json:"epss_block" rule:"0..1"`             // 0: off, as the next
	EPSSReview float64 `json:"epss_review" rule:"0..1"`
	Feeds      Feeds   `json:"feeds"`
}

// Import is about upstream archives; see packages upstream and importer.
type Import struct {
	ScheduleEnabled bool    `json:"schedule_enabled"`
	Schedule        string  `json:"schedule" rule:"cron"` // when all sources are synced
	Timezone        string  `json:"timezone" rule:"timezone"`
	TimeoutSeconds  int64   `json:"timeout_seconds" rule:"1..3600"` // of a request without progress
	Concurrency     int64   `json:"concurrency" rule:"1..16"`       // downloads at a time
	ProxyURL        Secret  `json:"proxy_url" rule:"proxyurl"`      // "": none
	Sources         Sources `json:"sources"`
	// PullThrough are the codenames of the distributions that offer what the
	// sources have, and get it when somebody asks. It is beyond the API reference.
	PullThrough []string `json:"pull_through" rule:"line"`
}

// SBOM is about bills of materials. It is beyond the API reference.
type SBOM struct {
	// Publish puts them beside the repository, where everybody can read them.
	Publish bool `json:"publish"`
}

// SMTP is about mail.
type SMTP struct {
	Enabled        bool     `json:"enabled"`
	Host           string   `json:"host" rule:"host"`
	Port           int64    `json:"port" rule:"1..65535"`
	Username       string   `json:"username" rule:"line"`
	Password       Secret   `json:"password"`
	TLS            string   `json:"tls" rule:"starttls|tls|none"`
	From           string   `json:"from" rule:"address"`
	Recipients     []string `json:"recipients" rule:"address" most:"50"` // of mails to operators
	Kinds          []string `json:"kinds" rule:"mailkind" most:"50"`     // which of those go out
	TimeoutSeconds int64    `json:"timeout_seconds" rule:"1..120"`
}

// Webhook is about where events are posted; see package notify.
type Webhook struct {
	Enabled        bool     `json:"enabled"`
	URL            string   `json:"url" rule:"hookurl"`
	Secret         Secret   `json:"secret" rule:"short"`           // key of signatures; "": none
	Events         []string `json:"events" rule:"event" most:"50"` // which of those are posted; none: all
	TimeoutSeconds int64    `json:"timeout_seconds" rule:"1..60"`  // for an attempt
	MaxAttempts    int64    `json:"max_attempts" rule:"1..10"`     // then a delivery is given up
	// Format and Targets are beyond the API reference.
	Format  string  `json:"format" rule:"auto|json|slack|mattermost|teams"`
	Targets Targets `json:"targets"`
}

// LDAP is about the directory of users; see package auth/ldap.
type LDAP struct {
	Enabled           bool                `json:"enabled"`
	URL               string              `json:"url" rule:"ldapurl"`
	StartTLS          bool                `json:"starttls"`
	VerifyCertificate bool                `json:"verify_certificate"`
	CAPEM             string              `json:"ca_pem" rule:"pem"`
	BindDN            string              `json:"bind_dn" rule:"line"`
	BindPassword      Secret              `json:"bind_password"`
	BaseDN            string              `json:"base_dn" rule:"line"`
	UserFilter        string              `json:"user_filter" rule:"userfilter"`
	AttrUsername      string              `json:"attr_username" rule:"attribute"`
	AttrEmail         string              `json:"attr_email" rule:"attribute"`
	AttrFullName      string              `json:"attr_full_name" rule:"attribute"`
	AttrGroups        string              `json:"attr_groups" rule:"attribute"`
	GroupBaseDN       string              `json:"group_base_dn" rule:"line"`
	GroupFilter       string              `json:"group_filter" rule:"filter"`
	RoleGroups        map[string][]string `json:"role_groups" rule:"line" keys:"role"` // whole: a patch replaces it
	DefaultRole       string              `json:"default_role" rule:"|viewer|uploader|auditor|maintainer|admin"`
	AutoProvision     bool                `json:"auto_provision"`
	TimeoutSeconds    int64               `json:"timeout_seconds" rule:"1..60"`
}

// OIDC is about logging in by an OpenID Connect issuer; see package auth/oidc.
// It is beyond the API reference.
type OIDC struct {
	Enabled       bool                `json:"enabled"`
	Issuer        string              `json:"issuer" rule:"issuer"`
	ClientID      string              `json:"client_id" rule:"line"`
	ClientSecret  Secret              `json:"client_secret"`
	Scopes        []string            `json:"scopes" rule:"line"`
	UsernameClaim string              `json:"username_claim" rule:"line"`
	GroupsClaim   string              `json:"groups_claim" rule:"line"`
	RoleGroups    map[string][]string `json:"role_groups" rule:"line" keys:"role"` // whole: a patch replaces it
	DefaultRole   string              `json:"default_role" rule:"|viewer|uploader|auditor|maintainer|admin"`
	AutoProvision bool                `json:"auto_provision"`
}

// Downloads is about counting them; see aptrepo.DownloadCounter.
type Downloads struct {
	Enabled  bool   `json:"enabled"`
	KeepDays int64  `json:"keep_days" rule:"1..3650"`
	ClientIP string `json:"client_ip" rule:"none|masked|full"` // what is kept of addresses
}

// MailKinds are the kinds of mails to operators.
var MailKinds = []string{
	"review_needed", "package_rejected", "package_quarantined", "decision_made", "decision_expiring", "decision_expired",
	"new_vulnerabilities", "sync_failed", "key_expiring",
}

// WebhookEvents are the events that a webhook can get.
var WebhookEvents = []string{
	"package.indexed", "package.pending_review", "package.rejected", "package.quarantined", "package.released",
	"package.promoted", "package.deleted", "decision.made", "decision.expired", "vulnerabilities.found",
	"import.finished", "sync.failed", "scanner.unavailable", "distribution.created", "retention.finished", "gpg.generated",
	"webhook.test",
}

// Default returns the tree as it is before anything is set.
func Default() *Settings {
	return &Settings{
		AuditRetentionDays: 365,

		MaxUploadBytes: 1 << 30,
		Signing:        Signing{OverlapDays: 90},
		Scan: Scan{
			ClamAVTimeoutSeconds: 120, FailPolicy: "block", RescanCron: "45 3 * * *",
			CVE: CVE{
				Enabled: true, Critical: "block", High: "review", Medium: "warn", Low: "allow", Negligible: "allow", Unknown: "warn",
				KEV: "block", EPSSBlock: 0.9, EPSSReview: 0.5, Feeds: presetFeeds(),
			},
		},
		Import: Import{
			ScheduleEnabled: true, Schedule: "0 3 * * *", Timezone: "UTC", TimeoutSeconds: 60, Concurrency: 2,
			Sources: upstream.Presets(), PullThrough: []string{},
		},
		SMTP: SMTP{
			Port: 587, TLS: "starttls", Recipients: []string{}, Kinds: append([]string{}, MailKinds...), TimeoutSeconds: 10,
		},
		Webhook: Webhook{Events: []string{}, TimeoutSeconds: 10, MaxAttempts: 6, Format: "auto", Targets: Targets{}},
		LDAP: LDAP{
			VerifyCertificate: true, UserFilter: "(uid={username})",
			AttrUsername: "uid", AttrEmail: "mail", AttrFullName: "cn", AttrGroups: "memberOf",
			GroupFilter: "(|(member={dn})(uniqueMember={dn})(memberUid={username}))",
			RoleGroups:  map[string][]string{}, DefaultRole: "viewer", AutoProvision: true, TimeoutSeconds: 10,
		},
		OIDC: OIDC{
			Scopes: []string{"openid", "profile", "email"}, UsernameClaim: "preferred_username", GroupsClaim: "groups",
			RoleGroups: map[string][]string{},
		},
		Downloads: Downloads{Enabled: true, KeepDays: 400, ClientIP: "masked"},
	}
}

// Mask stands for a secret that is set: in what is shown, and in a patch, where
// it leaves the secret as it is.
const Mask = "********"

// A Secret is a password. Every way of printing or marshalling it gives Mask,
// or nothing when it is empty; string(s) reveals it.
type Secret string

func (s Secret) masked() string {
	if s == "" {
		return ""
	}
	return Mask
}

// String returns Mask or "".
func (s Secret) String() string { return s.masked() }

// GoString returns Mask or "".
func (s Secret) GoString() string { return s.masked() }

// Format writes Mask or "" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.masked()) }

// LogValue returns Mask or "".
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.masked()) }

// MarshalText returns Mask or "", also for encoding/json.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.masked()), nil }

// cross checks what one leaf demands of another.
func (s *Settings) cross(f *faults) {
	need := func(on bool, field, value, what string) {
		if on && value == "" {
			f.add(field, "must not be empty while %s is true", what)
		}
	}
	need(s.SMTP.Enabled, "smtp.host", s.SMTP.Host, "smtp.enabled")
	need(s.SMTP.Enabled, "smtp.from", s.SMTP.From, "smtp.enabled")
	need(s.Webhook.Enabled && len(s.Webhook.Targets) == 0, "webhook.url", s.Webhook.URL, "webhook.enabled")
	need(s.LDAP.Enabled, "ldap.url", s.LDAP.URL, "ldap.enabled")
	need(s.LDAP.Enabled, "ldap.base_dn", s.LDAP.BaseDN, "ldap.enabled")
	need(s.LDAP.Enabled, "ldap.user_filter", s.LDAP.UserFilter, "ldap.enabled")
	need(s.LDAP.Enabled, "ldap.attr_username", s.LDAP.AttrUsername, "ldap.enabled")
	need(s.OIDC.Enabled, "oidc.issuer", s.OIDC.Issuer, "oidc.enabled")
	need(s.OIDC.Enabled, "oidc.client_id", s.OIDC.ClientID, "oidc.enabled")
	need(s.OIDC.Enabled, "oidc.username_claim", s.OIDC.UsernameClaim, "oidc.enabled")
	need(s.OIDC.Enabled, "public_url", s.PublicURL, "oidc.enabled")
	need(true, "import.schedule", s.Import.Schedule, "import.schedule_enabled")
	need(true, "import.timezone", s.Import.Timezone, "import.schedule_enabled")
	if cve := s.Scan.CVE; cve.EPSSBlock > 0 && cve.EPSSReview > cve.EPSSBlock {
		f.add("scan.cve.epss_review", "must not be above scan.cve.epss_block")
	}
	if s.LDAP.StartTLS && scheme(s.LDAP.URL) == "ldaps" {
		f.add("ldap.starttls", "must be false for a URL that begins with ldaps://")
	}
}

// moved refuses to send a stored secret to another server than it was given
// for, or with less protection on the way. given holds the secrets that came
// with the change.
func (s *Settings) moved(before *Settings, given map[string]bool, f *faults) {
	for _, m := range []struct {
		exposed       bool
		field, secret string
		kept          Secret
	}{
		{authority(before.LDAP.URL) != authority(s.LDAP.URL), "ldap.url", "ldap.bind_password", s.LDAP.BindPassword},
		{before.LDAP.StartTLS && !s.LDAP.StartTLS && scheme(s.LDAP.URL) == "ldap", "ldap.starttls", "ldap.bind_password", s.LDAP.BindPassword},
		{before.LDAP.VerifyCertificate && !s.LDAP.VerifyCertificate, "ldap.verify_certificate", "ldap.bind_password", s.LDAP.BindPassword},
		{before.OIDC.Issuer != s.OIDC.Issuer, "oidc.issuer", "oidc.client_secret", s.OIDC.ClientSecret},
		{before.SMTP.Host != s.SMTP.Host, "smtp.host", "smtp.password", s.SMTP.Password},
		{before.SMTP.Port != s.SMTP.Port, "smtp.port", "smtp.password", s.SMTP.Password},
		{before.SMTP.TLS != "none" && s.SMTP.TLS == "none", "smtp.tls", "smtp.password", s.SMTP.Password},
	} {
		if m.exposed && m.kept != "" && !given[m.secret] {
			f.add(m.secret, "must be entered again when %s changes so", m.field)
			given[m.secret] = true // once is enough
		}
	}
}
