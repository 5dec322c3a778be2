// Package pipeline returns the variant of a Ref, and makes each variant only once at a time.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/heat"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/calm"
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pipeline/marks"
	"github.com/goldcrest/goldcrest/pipeline/master"
	"github.com/goldcrest/goldcrest/pipeline/verdict"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// Outcome is the result of a look-up.
type Outcome string

// The outcomes. Collapsed is a miss that joined a running fill.
const (
	Hit       Outcome = "hit"
	Stale     Outcome = "stale"
	Miss      Outcome = "miss"
	Collapsed Outcome = "collapsed"
)

// Timings is how long each phase took; 0 = the phase was not needed. A collapsed answer has the timings of its fill.
// Probe is the part of Transform in which the picture was examined for its quality. CPU is the processor time of
// Transform.
type Timings struct{ Lookup, Queue, Fetch, Transform, Probe, CPU time.Duration }

// Answer is a variant and how it was found. Entry is shared and immutable.
type Answer struct {
	Entry   cache.Entry
	Outcome Outcome
	Tier    string        // memory or store for hits, master for variants made from a master, else ""
	Age     time.Duration // of the entry
	Over    time.Duration // stale: how long the entry is past its lifetime
	Timings Timings
	NoStore bool // the origin forbids storing it and cache.honour_origin is set
	Views   int  // recent views counted by this instance; set by Peek only
	Needed  int  // views from which a slower encoder is worth its cost; 0 = never. Set by Peek only
}

// Transformer makes variants, or the master, of one original at the requested stage. It emits each spec as soon as it
// is ready, at most once and from one goroutine. A non-nil error applies to every spec that was not emitted.
// Implemented by transform.Pool.
type Transformer interface {
	Transform(ctx context.Context, original variant.Original, specs []variant.Spec, stage variant.Stage, emit func(i int, img variant.Image, err error)) error
}

// Tiers is the pipeline's read access to the cache. Implemented by cache.Tiered.
type Tiers interface {
	// Lookup reads memory, then the store within its own short timeout. An error other than cache.ErrMiss means
	// unknown.
	Lookup(ctx context.Context, key string) (cache.Entry, string, error)
	Stat(ctx context.Context, key string) (cache.Meta, string, error)
	// Read reads only the store, with the timeout of Lookup, and keeps nothing in memory.
	Read(ctx context.Context, key string) (cache.Entry, error)
	// Recall reads only memory.
	Recall(key string) (cache.Entry, bool)
	// Forget drops matching entries that are already purged from memory.
	Forget(match func(key string) bool) int
}

// Keeper is the pipeline's write access to the cache. Implemented by cache.Tiered.
type Keeper interface {
	// Remember keeps an entry in memory; background entries do not displace entries that viewers read.
	Remember(key string, e cache.Entry, background bool)
	// Save waits for its turn and writes to the store; SaveBehind gives up if too much is pending. Both return
	// cache.ErrPurged if the entry was purged after work on it began.
	Save(ctx context.Context, key string, e cache.Entry) error
	SaveBehind(ctx context.Context, key string, e cache.Entry) error
}

// Observer is told what the pipeline does. Implemented by metrics.Metrics. Safe for concurrent use.
type Observer interface {
	Refused(gate string)
	// Filled is called for each variant that was made or failed.
	Filled(f metrics.Fill)
	Remade(outcome string)
	// Upgraded is called for each entry whose upgrade was requested (queued or dropped) and for each that left the
	// queue: made, kept (the new one was not smaller), present (another instance made it), gone (purged meanwhile) or
	// failed.
	Upgraded(outcome string)
	// Mastered is called for each fill that was made from a master (used), and for each master that was made, failed,
	// or was dropped because of too much other work.
	Mastered(outcome string)
}

// Parts are the dependencies of a Pipeline.
type Parts struct {
	Tiers       Tiers
	Keeper      Keeper
	Store       cache.Store // the durable tier itself, guarded by Purges; Warm relies on it
	Purges      *cache.Purges
	PurgeLog    PurgeLog // of a single instance; nil = its purges are lost when the process ends
	Fetcher     fetch.Fetcher
	Transformer Transformer
	Aside       Transformer   // makes heavy variants in workers that light ones do not need; nil = Transformer
	Observer    Observer      // nil = none
	Heat        *heat.Counter // of viewers' answers; nil = no views are counted and the slower encoder is not used
	Log         *slog.Logger
	Now         func() time.Time // nil = time.Now
}

// Pipeline returns variants for Refs. Safe for concurrent use.
type Pipeline struct {
	cfg        Config
	parts      Parts
	fills      fills
	originals  *fetch.Group[origin.Original]
	source     fetch.Source   // of originals or masters
	masters    *master.Source // nil = no masters
	verdicts   *verdict.Table
	transforms *gate.Gate
	remakes    chan struct{}
	upgrades   upgrades
	relief     *relief
	clock      *calm.Clock // for the age of entries
}

// New returns a Pipeline.
func New(cfg Config, parts Parts) (*Pipeline, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if parts.Aside == nil {
		parts.Aside = parts.Transformer
	}
	if parts.Observer == nil {
		parts.Observer = noObserver{}
	}
	if parts.Now == nil {
		parts.Now = time.Now
	}
	if parts.Log == nil {
		parts.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pipeline{cfg: cfg, parts: parts, remakes: make(chan struct{}, cfg.Remakes), relief: newRelief(), clock: calm.New(parts.Now)}
	p.verdicts = verdict.New(parts.Now)
	p.fills.byName, p.fills.trusted = map[fillName]*fill{}, parts.Purges.Trusted
	p.originals = fetch.NewGroup(fetch.GroupConfig[origin.Original]{
		Get: p.fetch, Timeout: cfg.FetchTimeout, Purges: parts.Purges,
		Gate: gate.New(gate.Config{
			Name: "fetch", Slots: cfg.FetchSlots, Room: cfg.FetchRoom, Patience: cfg.Patience,
			Refused: parts.Observer.Refused,
		}),
	})
	p.source = fetch.NewOrigin(p.originals, cfg.HonourOrigin)
	if cfg.Masters > 0 {
		p.masters = newMasters(p, cfg)
		p.source = p.masters
	}
	p.source = marks.New(p.source, fetch.NewOrigin(p.originals, cfg.HonourOrigin), parts.Purges, parts.Now)
	p.transforms = gate.New(gate.Config{
		Name: "transform", Slots: cfg.TransformSlots, Room: cfg.TransformRoom, Patience: cfg.Patience,
		Hold: gate.ViewerHold, Refused: parts.Observer.Refused,
	})
	p.upgrades.open(cfg, parts.Now)
	return p, nil
}

// fetch downloads an original, unless it is known to be costly.
func (p *Pipeline) fetch(ctx context.Context, source string, lim origin.Limits) (origin.Original, func(), error) {
	if err := p.verdicts.Known(source, lim.Within); err != nil {
		return origin.Original{}, nil, err
	}
	o, err := p.parts.Fetcher.Fetch(ctx, source, lim)
	return o, o.Release, err
}

// Get returns the variant as soon as its bytes exist: from memory, from the store, or newly made. ref must be resolved.
// A variant whose original came through a host outside ref.Within is refused with source_not_allowed. ctx bounds only
// this caller's wait. The work continues for other callers, and without any caller once a worker has it.
func (p *Pipeline) Get(ctx context.Context, ref variant.Ref) (Answer, error) {
	return p.GetFor(ctx, ref, Viewer{})
}

// Viewer describes the client that requests a variant.
type Viewer struct {
	Key  string // id of the key that signed the URL; the work is charged to it
	Toll Toll   // is asked before the variant is made; nil = no limit
}

// GetFor is Get with information about the viewer.
func (p *Pipeline) GetFor(ctx context.Context, ref variant.Ref, who Viewer) (Answer, error) {
	key := ref.Key()
	if e, ok := p.parts.Tiers.Recall(key); ok {
		a, usable, refused := p.answerTo(ref.Within, e, "memory")
		if refused != nil {
			return Answer{}, refused
		}
		if usable {
			p.follow(ref, key, a)
			return a, nil
		}
	}
	o := p.orderOf(ref, key)
	o.rank, o.stage, o.due, o.key, o.toll = gate.Viewing, p.viewerStage(), p.due(ctx), who.Key, who.Toll
	all, led, err := p.fills.join(o, p.runner(ctx, p.parts.Tiers.Lookup))
	if err != nil {
		return Answer{}, err
	}
	f := all[0]
	if !led[0] {
		_, span := trace.Start(ctx, "lookup")
		span.Set("shared", "true") // The caller that started the fill records the rest.
		defer span.End("")
	}
	select {
	case <-f.ready:
	case <-ctx.Done():
		p.fills.quit(f)
		return Answer{}, ctx.Err()
	}
	if f.err != nil {
		return Answer{}, f.err
	}
	a := f.answer
	if !led[0] && a.Outcome == Miss {
		a.Outcome = Collapsed
	}
	p.follow(ref, key, a)
	return a, nil
}

// orderOf returns the order for one variant.
func (p *Pipeline) orderOf(ref variant.Ref, key string) order {
	return order{source: ref.Source, within: ref.Within, keys: []string{key}, specs: []variant.Spec{ref.Spec}}
}

// due is the time until which a viewer waits.
func (p *Pipeline) due(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return time.Now().Add(p.cfg.FillTimeout)
}

// Peek returns the variant if memory or the store has it. Otherwise it returns not_cached, or source_not_allowed if the
// variant is outside ref.Within. It never fetches or transforms.
func (p *Pipeline) Peek(ctx context.Context, ref variant.Ref) (Answer, error) {
	start := p.parts.Now()
	e, tier, err := p.parts.Tiers.Lookup(ctx, ref.Key())
	if l, ok := errors.AsType[*cache.Late](err); ok { // There is nothing else to do meanwhile.
		tier = cache.TierStore
		e, err = l.Wait(ctx)
	}
	if err == nil {
		a, usable, refused := p.answerTo(ref.Within, e, tier)
		if refused != nil {
			return Answer{}, refused
		}
		if usable {
			a.Timings.Lookup = p.parts.Now().Sub(start)
			a.Views, a.Needed = p.views(ref.Key(), e.Meta)
			return a, nil
		}
	}
	return Answer{}, fault.New(fault.NotCached, "pipeline.Peek", "the variant is not in the cache", nil)
}

// Stat returns the hit that Get would return, without its bytes: from memory, else with one request to the store. It
// returns cache.ErrMiss if there is no entry or it is too old. Like Get it counts as a viewer's hit, after which the
// entry may be remade.
func (p *Pipeline) Stat(ctx context.Context, ref variant.Ref) (Answer, error) {
	key := ref.Key()
	m, tier, err := p.parts.Tiers.Stat(ctx, key)
	if err != nil {
		return Answer{}, err
	}
	a, usable, refused := p.answerTo(ref.Within, cache.Entry{Meta: m}, tier)
	if refused != nil {
		return Answer{}, refused
	}
	if !usable || a.Outcome == Stale {
		return Answer{}, cache.ErrMiss
	}
	p.follow(ref, key, a)
	return a, nil
}

// Close refuses new fills and drops waiting upgrades. It returns when running fills are made and stored, or ctx ends.
func (p *Pipeline) Close(ctx context.Context) error {
	p.upgrades.end()
	return p.fills.close(ctx)
}

// Load is the load of the pipeline. TransformHeld counts those of TransformWaiting that wait only because their source
// or key uses its full share.
type Load struct{ Fills, Fetching, FetchWaiting, Transforming, TransformWaiting, TransformHeld, Upgrades int }

// Load returns the current load, for metrics.
func (p *Pipeline) Load() Load {
	fetching, transform := p.originals.Gate().Load(), p.transforms.Load()
	return Load{
		Fills: p.fills.inFlight(), Upgrades: p.upgrades.pending(),
		Fetching: fetching.Running, FetchWaiting: fetching.Waiting,
		Transforming: transform.Running, TransformWaiting: transform.Waiting, TransformHeld: transform.Held,
	}
}

// noObserver is an Observer that does nothing.
type noObserver struct{}

func (noObserver) Refused(string)      {}
func (noObserver) Filled(metrics.Fill) {}
func (noObserver) Remade(string)       {}
func (noObserver) Upgraded(string)     {}
func (noObserver) Mastered(string)     {}
