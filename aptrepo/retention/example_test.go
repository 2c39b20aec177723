package retention_test

import (
	"fmt"
	"time"

	"github.com/repod-io/repod/aptrepo/retention"
	"github.com/repod-io/repod/deb"
)

func ExampleRules_Plan() {
	day := 24 * time.Hour
	now := time.Date(2026, 5, 12, 2, 0, 0, 0, time.UTC)
	var versions []retention.Version
	for _, text := range []string{"1.9-1", "1.10-1", "1.10-2", "1.11~rc1-1"} {
		v, err := deb.ParseVersion(text)
		if err != nil {
			panic(err)
		}
		versions = append(versions, retention.Version{Version: v, Published: now.Add(-100 * day)})
	}
	versions[0].Promoted = true
	versions[3].Published = now.Add(-10 * day) // 1.10-2 was superseded then

	rules := retention.Rules{After: 30 * day}
	for i, reason := range rules.Plan(versions, now) {
		fmt.Printf("%s %q\n", versions[i].Version, reason)
	}
	// Output:
	// 1.9-1 ""
	// 1.10-1 "retention_days"
	// 1.10-2 ""
	// 1.11~rc1-1 ""
}
