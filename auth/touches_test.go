package auth

import (
	"fmt"
	"testing"
	"time"
)

func TestTouchesMemory(t *testing.T) {
	var touches touches
	touches.init()
	now := begin
	for i := range 3 * maxRecent {
		id := fmt.Sprint(i)
		if !touches.begin(id, now) {
			t.Fatalf("use of token %d is not written", i)
		}
		touches.end(id, true)
		now = now.Add(time.Second)
	}
	if n := len(touches.recent); n > maxRecent {
		t.Errorf("%d tokens are kept in mind", n)
	}
	if touches.begin(fmt.Sprint(3*maxRecent-1), now) {
		t.Error("a token used of late was forgotten")
	}
}
