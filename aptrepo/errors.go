package aptrepo

import (
	"errors"
	"fmt"
)

// Errors that callers can tell apart with errors.Is.
var (
	ErrUnknownDistribution = errors.New("distribution does not exist")
	ErrDistributionExists  = errors.New("distribution exists already")
	ErrUnknownComponent    = errors.New("distribution has no such component")
	ErrUnsupportedArch     = errors.New("distribution does not take this architecture")
	ErrSameDistribution    = errors.New("source and target distribution are the same")
	ErrPackageNotFound     = errors.New("package does not exist")
	ErrVersionNotFound     = errors.New("version does not exist")
	ErrArtifactNotFound    = errors.New("artifact does not exist")
	ErrGroupNotFound       = errors.New("group does not exist")
	ErrGenerationNotFound  = errors.New("generation does not exist")
	ErrNotPublished        = errors.New("not published")
	ErrConflict            = errors.New("name, version and architecture are taken by other contents")
	ErrInvalidPackage      = errors.New("not an acceptable package")
	ErrInvalid             = errors.New("invalid value")
	ErrScope               = errors.New("outside the distributions that this token may write")
	ErrBasePackage         = errors.New("the package claims a place in every system")
	ErrNameScope           = errors.New("outside the package names that this token may write")
	ErrStale               = errors.New("another generation was published first")
	// What the gate refuses, see RefusedError.
	ErrMalware         = errors.New("the package holds malware")
	ErrVulnerable      = errors.New("the package has vulnerabilities that must not be published")
	ErrBlocked         = errors.New("the policy of the distribution does not let the package in")
	ErrScanner         = errors.New("the package could not be scanned")
	ErrNothingToDecide = errors.New("there is nothing to decide about the package")
	ErrNoFile          = errors.New("the bytes of the package are not kept")
	ErrNotQuarantined  = errors.New("the package is not in quarantine")
	ErrQuarantined     = errors.New("the package is in quarantine")
	ErrWouldEmpty      = errors.New("retention would empty the distribution")
	ErrUnavailable     = errors.New("storage is out of reach")
	ErrFull            = errors.New("storage is full")
	ErrNoSigningKey    = errors.New("no signing key")
	ErrSigning         = errors.New("signing failed")
	ErrReservedName    = errors.New("the name belongs to the package of the repository's own keys")
	ErrForeignSigner   = errors.New("signing keys are not kept by this repository")
)

// A ConflictError says that a package's key is taken by other bytes. It
// matches ErrConflict.
type ConflictError struct {
	Key      Key
	Incoming string // SHA-256 of the refused file, lower-case hex
	Existing string
	Deleted  bool // the existing version was deleted, but served once
}

func (e *ConflictError) Error() string {
	was := ""
	if e.Deleted {
		was = " (deleted since)"
	}
	return fmt.Sprintf("%s %s %s exists with other contents%s", e.Key.Name, e.Key.Version, e.Key.Arch, was)
}

// Is reports whether target is ErrConflict.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// A FieldError names the field that is not valid. It matches ErrInvalid.
type FieldError struct {
	Field   string // dotted path, [n] for list items
	Message string
}

func (e *FieldError) Error() string { return e.Field + " " + e.Message }

// Is reports whether target is ErrInvalid.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }
