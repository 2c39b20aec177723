package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/repod-io/repod/aptrepo"
)

// Result codes of SQLite (sqlite.org/rescode.html).
const (
	sqliteBusy     = 5
	sqliteLocked   = 6
	sqliteNoMem    = 7
	sqliteIOErr    = 10
	sqliteFull     = 13
	sqliteCantOpen = 14
	sqliteProtocol = 15

	sqliteIOErrShmSize = sqliteIOErr | 19<<8 // no room for the shared index of the WAL
)

// classify says what was being done when a statement failed, and whether
// trying again may help. Drivers are told apart by their methods, since none
// is imported here.
func classify(err error, doing string) error {
	var sqlite interface{ Code() int }
	var postgres interface{ SQLState() string }
	kind := aptrepo.ErrUnavailable
	switch {
	case err == nil:
		return nil
	case errors.Is(err, aptrepo.ErrUnavailable), errors.Is(err, aptrepo.ErrFull):
		return fmt.Errorf("%s: %w", doing, err)
	case errors.As(err, &postgres):
		kind = stateKind(postgres.SQLState())
	case errors.As(err, &sqlite):
		kind = codeKind(sqlite.Code())
	case strings.Contains(err.Error(), "disk is full"):
		kind = aptrepo.ErrFull // driver mattn/go-sqlite3 has no such method
	}
	if kind == nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, kind, err)
}

// codeKind sorts a result code of SQLite; nil is a fault that will be there
// at the next try as well.
func codeKind(code int) error {
	if code == sqliteIOErrShmSize {
		return aptrepo.ErrFull
	}
	switch code & 0xff {
	case sqliteFull:
		return aptrepo.ErrFull
	case sqliteBusy, sqliteLocked, sqliteNoMem, sqliteIOErr, sqliteCantOpen, sqliteProtocol:
		return aptrepo.ErrUnavailable
	}
	return nil
}

// stateKind does the same for an SQLSTATE (PostgreSQL manual, appendix A).
func stateKind(state string) error {
	switch {
	case state == "53100": // disk full
		return aptrepo.ErrFull
	case state == "25P03", state == "25006", state == "55P03": // idle too long, on a standby, lock not had
		return aptrepo.ErrUnavailable
	case len(state) != 5:
		return nil
	}
	switch state[:2] {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, operator, system
		return aptrepo.ErrUnavailable
	}
	return nil
}

// callerGone returns ctx's error when that is why err came about: a caller who
// stopped waiting is told that, not that the database is out of reach.
func callerGone(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// invalidText refuses what PostgreSQL cannot keep as text, on both dialects.
func invalidText(field string) error {
	return &aptrepo.FieldError{Field: field, Message: "must be UTF-8 without NUL"}
}
