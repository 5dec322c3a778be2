package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/prewarm/usage"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/metrics"
)

// expected are the label values of an instance with this configuration.
func expected(cfg config.Config) metrics.Expected {
	e := metrics.Expected{Store: "dir"}
	if cfg.Cache.Store.S3.Bucket != "" {
		e.Store = "s3"
	}
	e.Tokens = names(cfg.API.Quotas())
	for _, in := range cfg.Intakes {
		e.Intakes = append(e.Intakes, in.Name)
	}
	return e
}

// names are the names of the tokens that have one.
func names(quotas map[string]usage.Quota) []string { return slices.Sorted(maps.Keys(quotas)) }

// prewarmMeter counts for prewarm.
type prewarmMeter struct {
	*metrics.Metrics
	app *App
}

// Used implements prewarm.Observer. Tokens that are no longer configured have no series.
func (p prewarmMeter) Used(owner string, u usage.Usage) {
	if _, known := p.app.live.Load().quotas[owner]; known {
		p.Metrics.Used(owner, metrics.Used{
			Units: u.Units, Images: u.Images, Made: u.Made, Broken: u.Broken, Refused: u.Refused,
			Fetched: u.Bytes.Source, Stored: u.Bytes.Stored, Replaced: u.Bytes.Stored + u.Bytes.Saved,
		})
	}
}

// levels reads the current state of the parts for a scrape.
func (a *App) levels() metrics.Levels {
	memory, load, pool := a.memory.Stats(), a.pipeline.Load(), a.pool.Stats()
	l := metrics.Levels{
		MemoryBytes: memory.Bytes, MemoryEntries: int64(memory.Entries), Fills: load.Fills,
		FetchRunning: load.Fetching, FetchWaiting: load.FetchWaiting,
		TransformRunning: load.Transforming, TransformWaiting: load.TransformWaiting, TransformHeld: load.TransformHeld, UpgradesPending: load.Upgrades,
		Workers: pool.Workers, WorkersBusy: pool.Busy, ImageBytes: pool.Bytes,
	}
	l.PendingBytes, l.StoreOpen = a.tiers.Load()
	if a.store != nil {
		l.StoreHung = a.store.Hung()
	}
	l.NegativeEntries, l.BreakersOpen = a.origin.Known()
	if a.watcher != nil {
		now := a.watcher.Level()
		l.PressureStep, l.PressureUsed, l.PressureLimit = int(now.Step), now.Used, now.Limit
	}
	if a.prewarm != nil {
		a.prewarmLevels(&l)
	}
	return l
}

// prewarmLevels adds the state of prewarm. A scrape does not wait long for a queue on another machine.
func (a *App) prewarmLevels(l *metrics.Levels) {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	s, err := a.prewarm.service.Stats(ctx)
	if l.QueueSilent = err != nil; l.QueueSilent {
		return
	}
	l.Jobs, l.JobVariants, l.JobWorking = s.Jobs, s.Variants, s.Working
	for _, n := range s.Waiting {
		l.JobWaiting += n
	}
}
