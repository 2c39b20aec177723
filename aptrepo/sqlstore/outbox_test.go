package sqlstore

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/repod-io/repod/aptrepo"
)

// Whoever relays messages hears of each commit that has one, and of no other.
func TestOnMessage(t *testing.T) {
	db := openSQLite(t)
	var heard atomic.Int32
	db.OnMessage(func() { heard.Add(1) })
	step := func(fn func(tx aptrepo.Tx) error, want int32) {
		t.Helper()
		_ = db.Update(t.Context(), fn)
		if got := heard.Load(); got != want {
			t.Errorf("heard %d times, want %d", got, want)
		}
	}
	step(func(tx aptrepo.Tx) error { return tx.ScheduleRemoval("x", time.Unix(1, 0)) }, 0)
	step(func(tx aptrepo.Tx) error { return tx.Enqueue(aptrepo.Message{Topic: "x"}) }, 1)
	step(func(tx aptrepo.Tx) error {
		return errors.Join(tx.Enqueue(aptrepo.Message{Topic: "x"}), errors.New("refused"))
	}, 1)
	step(func(tx aptrepo.Tx) error { return tx.Enqueue(aptrepo.Message{Topic: "y"}) }, 2)
}

func TestOutboxDepth(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *DB{"SQLite": openSQLite, "PostgreSQL": openPostgres} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			n, oldest, err := db.OutboxDepth(t.Context())
			if n != 0 || !oldest.IsZero() || err != nil {
				t.Errorf("of an empty one: %d, %v, %v", n, oldest, err)
			}
			at := time.Date(2026, 5, 12, 10, 0, 0, 0, time.UTC)
			err = db.Update(t.Context(), func(tx aptrepo.Tx) error {
				return errors.Join(tx.Enqueue(aptrepo.Message{Topic: "x", CreatedAt: at.Add(time.Minute)}),
					tx.Enqueue(aptrepo.Message{Topic: "x", CreatedAt: at}))
			})
			if err != nil {
				t.Fatal(err)
			}
			if n, oldest, err = db.OutboxDepth(t.Context()); n != 2 || !oldest.Equal(at) || err != nil {
				t.Errorf("%d, %v, %v", n, oldest, err)
			}
		})
	}
}
