package sqlstore

import (
	"strings"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	steps, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func(testing.TB) *DB{"SQLite": openSQLite, "PostgreSQL": openPostgres} {
		t.Run(name, func(t *testing.T) {
			got, err := open(t).Describe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			digits := strings.TrimPrefix(got.Server, name+" ")
			if len(digits) < 2 || digits[0] < '1' || digits[0] > '9' || got.Step != len(steps) {
				t.Errorf("%+v", got)
			}
			if off := time.Since(got.Now).Abs(); off > 10*time.Second {
				t.Errorf("the clock is off by %v", off)
			}
		})
	}
}
