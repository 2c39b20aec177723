package main

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/repod-io/repod/httpapi/client"
)

// jobProgress returns what shows how far a job is, a bar on a terminal and
// nothing elsewhere, and its end.
func (p *program) jobProgress(what string) (show func(client.Job), end func()) {
	if !isTerminal(p.stderr) {
		return func(client.Job) {}, func() {}
	}
	bar := progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	)
	show = func(j client.Job) {
		if j.Progress.Total == 0 {
			return
		}
		bar.ChangeMax(j.Progress.Total)
		bar.Describe(oneLine(fmt.Sprintf("%s %s", what, j.Progress.Message)))
		_ = bar.Set(j.Progress.Done) // a bar that cannot be drawn stops no job
	}
	return show, func() { _ = bar.Clear() }
}
