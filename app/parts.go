package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"

	"github.com/goldcrest/goldcrest/config"
	"github.com/goldcrest/goldcrest/report"
	"github.com/goldcrest/goldcrest/server"
	"github.com/goldcrest/goldcrest/server/api"
	"github.com/goldcrest/goldcrest/telemetry"
	"github.com/goldcrest/goldcrest/transform"
)

// part is one part of a server. serve stops at the first that cannot be built; doctor builds the same ones, without
// listening, and reports on each.
type part struct {
	name  string
	todo  string   // advice if the failure itself has none
	needs []string // earlier parts that it depends on
	open  func(context.Context) error
}

// partError is a part that cannot be built.
type partError struct {
	part
	error
}

// Unwrap returns the reason.
func (e partError) Unwrap() error { return e.error }

// KeyTodo says how to make a key.
const KeyTodo = "set signing.keys; \"openssl rand -hex 32\" makes a key, and once more a salt"

// Advice on parts that serve and doctor check in different ways.
const (
	lookUp     = "; docs/config.md explains every key"
	configTodo = "correct it; config.yaml is the commented example, docs/config.md explains every key"
	storeTodo  = "name a directory that this user can write in cache.store.dir, or compare cache.store.s3 with the bucket" + lookUp
)

// Todo is the advice on a failure if it is that of a part; "" = the failure itself has it.
func Todo(err error) string {
	var p partError
	if errors.As(err, &p) {
		return p.todo
	}
	return ""
}

// badConfig is an invalid configuration.
func badConfig(err error) error {
	return partError{part{name: "configuration", todo: configTodo}, err}
}

// Load reads the configuration from file and environ.
func Load(file string, environ []string) (config.Config, error) {
	cfg, err := config.Load(file, environ)
	if err != nil {
		return cfg, badConfig(err)
	}
	return cfg, nil
}

// parts lists the parts of a server, in the order of building.
func (a *App) parts() []part {
	return []part{
		{"secret files", "chmod go-w, and give them to the user that the server runs as", nil,
			func(context.Context) error { return a.checkSecrets(a.cfg) }},
		{"signing keys", KeyTodo, nil, a.openRules},
		{"telemetry", "compare tracing.otlp, metrics.otlp and log.otlp with the collector's address, or leave them empty; " +
			"reports.dsn_file names a file with the DSN of a Sentry project", nil, a.openTelemetry},
		{"store", storeTodo, nil, a.openStore},
		{"origin", "correct the section origin, or server.base_url" + lookUp, nil, a.openOrigin},
		{"worker", workerTodo, nil, a.openWorkers},
		{"pipeline", "correct the sections cache, origin and transform" + lookUp, []string{"store", "origin", "worker"}, a.openPipeline},
		{"prewarm", "correct the sections prewarm and compat, and let this user read the files that they name" + lookUp,
			[]string{"signing keys", "telemetry", "pipeline"}, a.openPrewarm},
		{"server", "correct the sections server and api, and let this user read the files that they name" + lookUp,
			[]string{"secret files", "prewarm"}, a.openServer},
	}
}

// open builds the parts; after an error some are open.
func (a *App) open(ctx context.Context) error {
	for _, p := range a.parts() {
		if err := p.open(ctx); err != nil {
			return partError{p, err}
		}
		if err := ctx.Err(); err != nil {
			return err // ctx may have ended before a service responded that its part can start without
		}
	}
	return nil
}

// openRules builds the rules that a reload replaces.
func (a *App) openRules(context.Context) error {
	now, err := newLive(a.cfg, nil)
	if err != nil {
		return err
	}
	now.rules.Links = a.keepLinks()
	a.live.Store(now)
	return nil
}

// openTelemetry opens what sends traces, metrics, log lines and reports. The parts after this one log to it.
func (a *App) openTelemetry(ctx context.Context) (err error) {
	lost := a.metrics.Lost
	a.telemetry, err = telemetry.Open(ctx, a.cfg.OTLP(), telemetry.Source{
		Version: a.version, Instance: a.instance, Metrics: a.metrics, Log: a.log, Lost: lost,
	})
	if err != nil {
		return err
	}
	a.reports, err = report.Open(a.cfg.Reports, report.Source{
		Version: a.version, Instance: a.instance, Log: a.log, Lost: lost,
	})
	if err != nil {
		return err
	}
	handlers := []slog.Handler{a.log.Handler()}
	for _, more := range []slog.Handler{a.telemetry.Logs(handlers[0]), a.reports.Handler()} {
		if more != nil {
			handlers = append(handlers, more)
		}
	}
	if len(handlers) > 1 {
		a.log = slog.New(slog.NewMultiHandler(handlers...))
	}
	return a.reports.KeepCrashes(a.log)
}

// openWorkers starts the worker processes.
func (a *App) openWorkers(ctx context.Context) (err error) {
	pool := a.cfg.Transform
	pool.Quality = a.cfg.Quality.Targets
	pool.OriginalBytes, pool.Build, pool.ImageMemory = a.cfg.Origin.MaxBytes, buildID(a.version), a.fitMemory(pool.ImageMemory)
	pool.Workers = a.fitWorkers(pool.Workers)
	a.pool, err = transform.Open(ctx, pool, a.metrics, a.log)
	return err
}

// openServer makes the HTTP server, without its listeners.
func (a *App) openServer(context.Context) (err error) {
	a.watcher = a.newWatcher()
	a.fitHeap()
	deps := server.Deps{
		Images: a.pipeline, Check: a.pool.Alive, Started: a.purges.Replayed,
		About: func() map[string]string {
			return map[string]string{"sandbox": a.pool.Sandbox().String(), "quality": a.pool.Drift().String()}
		},
		Metrics: a.metrics.Handler(), Meter: a.metrics, Log: a.log,
		Pressure: a.watcher.Step,
		NoImages: !a.cfg.Is(config.RoleProxy),
		Tracer:   a.telemetry.Tracer(), TrustTraces: a.cfg.Tracing.Trust,
		Deps: api.Deps{
			Warm: a.pipeline.Warm, Purge: a.purge,
			Overview: &api.Overview{
				Version: a.version, Started: a.started, Levels: a.levels, Totals: a.metrics.Totals, History: a.history.Recent,
				Config: func(w io.Writer) error { return a.live.Load().print(w) },
			},
		},
	}
	if a.prewarm != nil { // a nil pointer in an interface would not be nil
		deps.Prewarm, deps.Predecessor = a.prewarm.service, a.prewarm.compat
		if a.prewarm.intakes != nil {
			deps.Overview.Intakes = a.prewarm.intakes
		}
	}
	if a.server, err = server.New(a.cfg.Server, deps, a.live.Load().rules); err != nil {
		return err
	}
	a.metrics.Build(a.version, runtime.Version(), a.pool.Versions()["libvips"])
	a.metrics.Sandbox(a.pool.Sandbox().Landlock > 0, a.pool.Sandbox().Seccomp)
	a.metrics.Watch(a.levels)
	return nil
}
