// Package app is the composition root: it builds the parts of a server, runs them and closes them. It is the only
// package that knows all of them. Texts for users are in cli.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/dirstore"
	"github.com/goldcrest/goldcrest/cache/s3store"
	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/heat"
	"github.com/goldcrest/goldcrest/links"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/report"
	"github.com/goldcrest/goldcrest/server"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/telemetry"
	"github.com/goldcrest/goldcrest/transform"
)

// App is a server and all its parts: Open, Listen, Serve, Close.
type App struct {
	version string
	cfg     config.Config
	log     *slog.Logger
	metrics *metrics.Metrics
	memory  *cache.Memory
	stores
	tiers    *cache.Tiered
	origin   *origin.Client
	pool     *transform.Pool
	pipeline *pipeline.Pipeline
	purges   *cache.Purges
	shared   *sharedPurges // nil = no other instance shares the store, as far as this one knows
	prewarm  *background   // nil = the instance has no queue
	server   *server.Server
	live     atomic.Pointer[live]
	instance string
	oneStage bool // variants are final at once, for every caller
	started  time.Time
	history  *metrics.History
	watcher  *pressure.Watcher
	outlets
}

// outlets send to operators' services; both may be nil.
type outlets struct {
	telemetry *telemetry.Telemetry
	reports   *report.Reporter
}

// stores is the storage that outlives this process.
type stores struct {
	store   *dirstore.Store // nil with a bucket
	durable cache.Store     // of variants
	links   *links.Links    // nil = links appear in URLs
	cluster io.Closer       // with the links, if they are not in the store; else nil
}

// newApp is an App without any built part.
func newApp(version string, cfg config.Config, log *slog.Logger) *App {
	a := &App{version: version, cfg: cfg, log: log, metrics: metrics.New(), instance: newInstance(), started: time.Now()}
	a.metrics.Expect(expected(cfg))
	a.history = a.metrics.NewHistory(a.started)
	return a
}

// Open builds every part that cfg asks for; listeners are not opened yet. On an error nothing is left open.
func Open(ctx context.Context, version string, cfg config.Config, log *slog.Logger) (*App, error) {
	if err := cfg.Validate(); err != nil {
		return nil, badConfig(fmt.Errorf("the configuration cannot work:\n%w", err))
	}
	a := newApp(version, cfg, log)
	if err := a.open(ctx); err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(cfg.Server.Drain, time.Second))
		defer cancel()
		return nil, errors.Join(err, a.Close(closing))
	}
	return a, nil
}

// checkSecrets refuses secret files that other users can write, and warns of those that they can read.
func (a *App) checkSecrets(cfg config.Config) error {
	warnings, err := cfg.CheckSecretFiles()
	for _, w := range warnings {
		a.log.Warn(w)
	}
	return err
}

// openPipeline builds the pipeline and what it uses.
func (a *App) openPipeline(ctx context.Context) (err error) {
	a.memory = cache.NewMemory(a.cfg.Cache.Memory.Memory)
	a.purges = cache.NewPurges(a.firstGeneration())
	a.tiers = cache.NewTiered(a.memory, a.durable, a.purges, a.cfg.Cache.Store.Tier, a.metrics)
	a.pipeline, err = pipeline.New(a.pipelineConfig(), pipeline.Parts{
		Tiers: a.tiers, Keeper: a.tiers, Store: a.purges.Guard(a.durable), Purges: a.purges, PurgeLog: a.openPurgeLog(ctx),
		Fetcher: links.Fetcher{Origin: a.origin, Links: a.links}, Transformer: a.pool, Aside: a.pool.Aside(),
		Observer: a.metrics, Log: a.log, Heat: a.heat(),
	})
	return err
}

// heat makes the counter of views; nil if hot variants are off, or this instance serves no viewers.
func (a *App) heat() *heat.Counter {
	if a.oneStage {
		return nil
	}
	c := a.cfg.Quality.Heat
	c.MostCPU = a.cfg.Transform.CPU / 4 // the estimate is an average; some take more than three times as long
	return heat.New(c, a.metrics, time.Now)
}

// openStore opens the durable tier: the bucket if one is configured, else the directory.
func (a *App) openStore(ctx context.Context) error {
	s := a.cfg.Cache.Store
	seal, err := a.cfg.Cache.Seal()
	if err != nil {
		return err
	}
	s.Dir.Seal, s.S3.Seal = seal, seal
	if s.S3.Bucket != "" {
		store, err := s3store.Open(ctx, s.S3, a.metrics)
		if err != nil {
			return err
		}
		if err := store.SelfTest(ctx); err != nil {
			// Pictures can be served without a store: log that it is down and start.
			a.log.Error("the bucket failed its self-test; serving without it until it answers", "error", err)
		}
		a.durable = cache.Images(store)
		return a.openLinks(store)
	}
	store, err := dirstore.Open(ctx, s.Dir, a.metrics)
	if err != nil {
		return fmt.Errorf("the store's directory (cache.store.dir) cannot be used: %w", err)
	}
	a.store, a.durable = store, cache.Images(store)
	return a.openLinks(store)
}

// pipelineConfig derives the gates' limits from the parts that they guard.
func (a *App) pipelineConfig() pipeline.Config {
	c := pipeline.Default()
	c.FetchSlots = a.cfg.Origin.Slots
	c.TransformSlots = a.pool.Size()
	c.FetchTimeout = a.cfg.Origin.Timeout + a.cfg.Server.Deadline
	c.FillTimeout = c.FetchTimeout + a.cfg.Transform.Timeout
	c.Patience, c.Masters = a.cfg.Transform.Patience, a.cfg.Cache.Masters
	c.TTL, c.Revalidate = a.cfg.Cache.TTL, a.cfg.Cache.Revalidate
	if a.oneStage {
		c.Upgrades = 0
	}
	c.StaleIfError, c.HonourOrigin = a.cfg.Cache.SIE, a.cfg.Cache.HonourOrigin
	return c
}

// newRules builds what a reload replaces.
func newRules(cfg config.Config) (access.Rules, error) {
	keys, err := signing.New(cfg.Signing, time.Now)
	if err != nil {
		return access.Rules{}, err
	}
	parser, err := cfg.NewParser()
	if err != nil {
		return access.Rules{}, err
	}
	names, err := cfg.Origin.Names()
	if err != nil {
		return access.Rules{}, err
	}
	c := cfg.Cache
	return access.Rules{
		Keys: keys, Parser: parser, OnlyPresets: cfg.OnlyPresets, Negotiation: cfg.Negotiation, API: cfg.API,
		Prewarm: unit.Rules{Limits: unit.DefaultLimits(), Select: cfg.Prewarm.Door.Select, Names: names},
		Buckets: cfg.Prewarm.Buckets,
		Lifetimes: access.Lifetimes{
			MaxAge: c.MaxAge, FirstMaxAge: c.FirstMaxAge, SWR: c.SWR, SIE: c.SIE, TTL: c.TTL, HonourOrigin: c.HonourOrigin,
		},
	}, nil
}

// Listen opens the listeners and returns their addresses.
func (a *App) Listen() (public, admin net.Addr, err error) {
	if err := a.server.Listen(); err != nil {
		return nil, nil, err
	}
	public, admin = a.server.Addrs()
	return public, admin, nil
}

// Serve serves until ctx ends or a listener is lost, then stops gracefully: first the requests, then running fills and
// store writes. Call Listen before it and Close after it.
func (a *App) Serve(ctx context.Context) error {
	public, admin := a.server.Addrs()
	a.log.Info("serving", "public", public.String(), "admin", admin.String(), "version", a.version)
	ctx, cancel := context.WithCancel(ctx)
	go a.watcher.Run(ctx)
	wait := a.work(ctx)
	defer wait()
	defer cancel() // Serve also returns if a listener is lost
	return a.server.Serve(ctx)
}

// Close closes the parts in the order of their dependencies. It is safe on a partly built App.
func (a *App) Close(ctx context.Context) error {
	var errs []error
	errs = append(errs, a.prewarm.close(ctx))
	if a.pipeline != nil {
		errs = append(errs, a.pipeline.Close(ctx))
	}
	a.shared.close(ctx) // nothing is made or written any more
	if a.pool != nil {
		errs = append(errs, a.pool.Close())
	}
	if a.origin != nil {
		a.origin.Close()
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.cluster != nil {
		errs = append(errs, a.cluster.Close())
	}
	a.reports.Close(ctx) // last: there may be faults, spans and log lines until here
	a.telemetry.Close(ctx)
	return errors.Join(errs...)
}

// logLevel translates the configured word; Validate has checked it.
func logLevel(word string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(word)); err != nil {
		return slog.LevelInfo
	}
	return l
}

// newLog makes the process's logger.
func newLog(w io.Writer, cfg config.Log, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "text" {
		return slog.New(slog.NewTextHandler(w, opts))
	}
	return slog.New(slog.NewJSONHandler(w, opts))
}
