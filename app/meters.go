package app

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
)

// expected are the words that an instance with this configuration counts by.
func expected(cfg config.Config) metrics.Expected {
	e := metrics.Expected{Store: "dir"}
	if cfg.Cache.Store.S3.Bucket != "" {
		e.Store = "s3"
	}
	for _, k := range fault.Kinds() {
		e.Kinds = append(e.Kinds, string(k))
	}
	e.Tokens = names(cfg.API.Quotas())
	return e
}

// names are those of the tokens that have one.
func names(quotas map[string]prewarm.Quota) []string { return slices.Sorted(maps.Keys(quotas)) }

// fillMeter counts fills for the pipeline.
type fillMeter struct{ m *metrics.Metrics }

// Refused implements pipeline.Observer.
func (f fillMeter) Refused(gate string) { f.m.Refused(gate) }

// Filled implements pipeline.Observer.
func (f fillMeter) Filled(g pipeline.Filling) {
	t := g.Timings
	f.m.Filled(metrics.Fill{
		Format: g.Format, Kind: string(g.Kind), Class: g.Class.String(), Picture: g.Picture, Score: g.Score,
		Lookup: t.Lookup, Queue: t.Queue, Fetch: t.Fetch, Transform: t.Transform,
	})
}

// Remade implements pipeline.Observer.
func (f fillMeter) Remade(outcome string) { f.m.Remade(outcome) }

// Upgraded implements pipeline.Observer.
func (f fillMeter) Upgraded(outcome string) { f.m.Upgraded(outcome) }

// Mastered implements pipeline.Observer.
func (f fillMeter) Mastered(outcome string) { f.m.Mastered(outcome) }

// fetchMeter counts downloads for the origin.
type fetchMeter struct{ m *metrics.Metrics }

// Fetched implements origin.Observer.
func (f fetchMeter) Fetched(kind fault.Kind, elapsed time.Duration, bytes int64) {
	f.m.Fetched(string(kind), elapsed, bytes)
}

// Noted implements origin.Observer.
func (f fetchMeter) Noted(event string) { f.m.Noted(event) }

// poolMeter counts workers and their transforms for the transform pool.
type poolMeter struct{ m *metrics.Metrics }

// WorkerStarted implements transform.Observer.
func (p poolMeter) WorkerStarted(took time.Duration) { p.m.WorkerStarted(took) }

// WorkerEnded implements transform.Observer.
func (p poolMeter) WorkerEnded(reason string) { p.m.WorkerEnded(reason) }

// Transformed implements transform.Observer.
func (p poolMeter) Transformed(kind fault.Kind, wall, cpu time.Duration) {
	p.m.Transformed(string(kind), wall, cpu)
}

// Admitted implements transform.Observer.
func (p poolMeter) Admitted(waited time.Duration) { p.m.Admitted(waited) }

// prewarmMeter counts for the prewarm door.
type prewarmMeter struct {
	*metrics.Metrics
	app *App
}

// Used implements prewarm.Observer. Tokens that are not configured, as those of old jobs, have no series of their own.
func (p prewarmMeter) Used(owner string, u prewarm.Usage) {
	if _, known := p.app.live.Load().quotas[owner]; known {
		p.Metrics.Used(owner, metrics.Used{
			Units: u.Units, Images: u.Images, Made: u.Made, Broken: u.Broken, Refused: u.Refused,
			Fetched: u.Bytes.Source, Stored: u.Bytes.Stored, Replaced: u.Bytes.Stored + u.Bytes.Saved,
		})
	}
}

// levels reads the present state of the parts for a scrape.
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

// prewarmLevels adds the state of the prewarm door. A scrape does not wait long for a queue on another machine.
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
