package httpapi

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/repod-io/repod/auth"
)

// Nobody learns from the time of an answer whether a user is known: the medians
// of the kinds of users differ by less than what their own halves do, or by a
// twentieth. It takes half a minute and a quiet machine.
func TestTimingTellsNothing(t *testing.T) {
	if os.Getenv("REPOD_LONG") == "" {
		t.Skip("REPOD_LONG is not set")
	}
	f := newFixture(t, func(c *Config) { c.RateLimits["forgot_password"], c.RateLimits["login"] = 0, 0 })
	f.users.Argon2id = auth.Argon2id{}
	for _, name := range []string{"active", "inactive"} {
		f.addUser(name, "viewer")
	}
	if a := f.json("PATCH", "/auth/users/inactive", f.tokens[auth.Admin], `{"active":false}`); a.status != 200 {
		t.Fatal(a.body)
	}
	for _, test := range []struct {
		name   string
		rounds int
		status int
		call   func(user string) answer
	}{
		{"login", 60, http.StatusUnauthorized, func(user string) answer {
			return f.json("POST", "/auth/token", "", fmt.Sprintf(`{"username":%q,"password":"Wrong horse 9"}`, user))
		}},
		{"forgot password", 400, http.StatusOK, func(user string) answer {
			return f.json("POST", "/auth/forgot-password", "", fmt.Sprintf(`{"email":"%s@example.com"}`, user))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			users := []string{"active", "unknown1", "inactive"}
			times := map[string][]time.Duration{}
			for round := range test.rounds {
				for i := range users {
					user := users[(round+i)%len(users)]
					f.clock.move(2 * time.Hour) // nothing is throttled
					begun := time.Now()
					a := test.call(user)
					times[user] = append(times[user], time.Since(begun))
					if a.status != test.status {
						t.Fatalf("%s: %d %s", user, a.status, a.body)
					}
				}
			}
			of := median(times["active"])
			noise := max(of/20, (median(times["active"][:test.rounds/2]) - median(times["active"][test.rounds/2:])).Abs())
			for _, user := range users[1:] {
				got := median(times[user])
				t.Logf("%s %v, active %v", user, got, of)
				if (got - of).Abs() > noise {
					t.Errorf("%s takes %v, a user who is known %v", user, got, of)
				}
			}
		})
	}
}

func median(of []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
