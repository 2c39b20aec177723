package sqlstore

import (
	"testing"

	"github.com/repod-io/repod/auth/authtest"
)

func TestFailures(t *testing.T) {
	forBoth(t, func(t *testing.T, db *DB) {
		if db.dialect == Postgres {
			emptied(t, db)
		}
		if err := authtest.CheckFailures(t.Context(), db); err != nil {
			t.Error(err)
		}
	})
}
