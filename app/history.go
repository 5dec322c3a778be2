package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/stall"
)

// keepHistory samples the counters every metrics.Step until ctx ends. The days survive restarts if the instance has its
// own queue directory; otherwise they begin again with the process, and Prometheus has the rest.
func (a *App) keepHistory(ctx context.Context) {
	file, disk := a.historyFile(), stall.New(1)
	if text, err := onDisk(disk, func() ([]byte, error) { return os.ReadFile(file) }); err == nil {
		if err := a.history.RestoreDays(text); err != nil {
			a.log.Warn("the history of the console's charts cannot be read; it starts empty", "file", file, "error", err)
		}
	}
	tick := time.NewTicker(metrics.Step)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			a.history.Look(time.Now())
			a.saveHistory(disk, file)
			return
		case now := <-tick.C:
			a.history.Look(now)
		}
		if n%30 == 0 {
			a.saveHistory(disk, file)
		}
	}
}

// historyFile is the file with the days.
func (a *App) historyFile() string {
	return filepath.Join(a.live.Load().cfg.Prewarm.Queue.Dir, "history.json")
}

// onDisk runs a call on the queue's disk, and abandons it if the disk hangs: neither the charts nor a stop wait for it.
func onDisk[T any](disk *stall.Calls, call func() (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return stall.Do(ctx, disk, call)
}

// saveHistory writes the days; a reader sees the old or the new ones, never a mix.
func (a *App) saveHistory(disk *stall.Calls, file string) {
	text, err := a.history.MarshalDays()
	if err == nil {
		_, err = onDisk(disk, func() (struct{}, error) {
			if err := os.WriteFile(file+".new", text, 0o600); err != nil {
				return struct{}{}, err
			}
			return struct{}{}, os.Rename(file+".new", file)
		})
	}
	if errors.Is(err, fs.ErrNotExist) {
		return // the directory does not exist
	}
	if err != nil {
		a.log.Warn("the history of the console's charts cannot be saved", "error", err)
	}
}
