package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/goldcrest/goldcrest/metrics"
)

// keepHistory takes a look at the counters every metrics.Step until ctx ends. The days are kept over restarts where the instance has a
// queue's directory of its own; elsewhere they begin anew with the process, and Prometheus knows more.
func (a *app) keepHistory(ctx context.Context) {
	file := a.historyFile()
	if text, err := os.ReadFile(file); err == nil {
		if err := a.history.RestoreDays(text); err != nil {
			a.log.Warn("the days of the console's charts cannot be read; they begin anew", "file", file, "error", err)
		}
	}
	tick := time.NewTicker(metrics.Step)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			a.history.Look(time.Now())
			a.saveHistory(file)
			return
		case now := <-tick.C:
			a.history.Look(now)
		}
		if n%30 == 0 {
			a.saveHistory(file)
		}
	}
}

// historyFile is where the days are kept.
func (a *app) historyFile() string {
	return filepath.Join(a.live.Load().cfg.Prewarm.Queue.Dir, "history.json")
}

// saveHistory writes the days; a reader sees the old ones or the new ones, never a mix.
func (a *app) saveHistory(file string) {
	text, err := a.history.MarshalDays()
	if err == nil {
		err = os.WriteFile(file+".new", text, 0o600)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return // There is no such directory.
	}
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		a.log.Warn("the days of the console's charts cannot be kept", "error", err)
	}
}
