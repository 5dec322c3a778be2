// Package pipeline turns a Ref into bytes, and makes each variant once at a time.
package pipeline

import (
	"context"
	"log/slog"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/heat"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pipeline/master"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// Outcome says what a look-up met.
type Outcome string

// The outcomes. Collapsed is a miss that joined a fill somebody else had begun.
const (
	Hit       Outcome = "hit"
	Stale     Outcome = "stale"
	Miss      Outcome = "miss"
	Collapsed Outcome = "collapsed"
)

// Timings is how long each phase of an answer took; 0 = the phase was not needed. A collapsed answer has those of its
// fill. Probe is the part of Transform in which the picture was looked at for its quality, CPU the processor time that
// Transform took.
type Timings struct{ Lookup, Queue, Fetch, Transform, Probe, CPU time.Duration }

// Answer is a variant and how it was come by. Entry is shared and immutable.
type Answer struct {
	Entry   cache.Entry
	Outcome Outcome
	Tier    string        // memory or store for hits, master for what was made from one, else ""
	Age     time.Duration // of the entry
	Over    time.Duration // stale: how long past its life the entry is
	Timings Timings
	NoStore bool // the origin forbids keeping it and cache.honour_origin is set
	Views   int  // that this instance counted of it lately; by Peek alone
	Needed  int  // after how many views it is worth a slower encoder; 0 = never. By Peek alone
}

// Transformer makes images, or the master, of one original at the stage asked for. Each spec is emitted as it is ready,
// at most once and from one goroutine; a non-nil error stands for every spec that was not emitted. Implemented by
// transform.Pool.
type Transformer interface {
	Transform(ctx context.Context, original variant.Original, specs []variant.Spec, stage variant.Stage, emit func(i int, img variant.Image, err error)) error
}

// Tiers is the cache as the pipeline reads it. Implemented by cache.Tiered.
type Tiers interface {
	// Lookup reads memory, then the store under its own short budget. An error other than cache.ErrMiss means unknown.
	Lookup(ctx context.Context, key string) (cache.Entry, string, error)
	Stat(ctx context.Context, key string) (cache.Meta, string, error)
	// Read reads the store alone, under the budget of Lookup, and keeps nothing in memory.
	Read(ctx context.Context, key string) (cache.Entry, error)
	// Recall reads memory only.
	Recall(key string) (cache.Entry, bool)
	// Forget drops from memory what matches and is purged already.
	Forget(match func(key string) bool) int
}

// Keeper is the cache as the pipeline writes it. Implemented by cache.Tiered.
type Keeper interface {
	// Remember keeps an entry in memory; background entries do not push out what viewers read.
	Remember(key string, e cache.Entry, background bool)
	// Save writes to the store and waits for its turn; SaveBehind gives up where too much is pending. What was purged
	// since its making began is cache.ErrPurged.
	Save(ctx context.Context, key string, e cache.Entry) error
	SaveBehind(ctx context.Context, key string, e cache.Entry) error
}

// Observer learns what the pipeline does. Implemented by metrics.Metrics. Safe for concurrent use.
type Observer interface {
	Refused(gate string)
	// Filled is called for each variant that was made, and for each that could not be.
	Filled(f metrics.Fill)
	Remade(outcome string)
	// Upgraded is called for each entry that an upgrade was asked for (queued or dropped) and for each that left the
	// queue: made, kept (the first stage was not larger), present (another instance made it), gone (purged meanwhile)
	// or failed.
	Upgraded(outcome string)
	// Mastered is called for each fill that was made from a master (used), and for each master that was made, failed,
	// or was dropped because too much else was to be done.
	Mastered(outcome string)
}

// Parts is what a Pipeline is made of.
type Parts struct {
	Tiers       Tiers
	Keeper      Keeper
	Store       cache.Store // the durable tier itself, guarded by Purges: what Warm trusts
	Purges      *cache.Purges
	PurgeLog    PurgeLog // of an instance alone; nil = its purges are forgotten with the process
	Fetcher     fetch.Fetcher
	Transformer Transformer
	Aside       Transformer   // makes what is heavy beside light pictures, in workers that do not hold them up; nil = Transformer
	Observer    Observer      // nil = none
	Heat        *heat.Counter // of viewers' answers; nil = nothing is counted, nor made by the slower encoder
	Log         *slog.Logger
	Now         func() time.Time // nil = time.Now
}

// Pipeline answers Refs. Safe for concurrent use.
type Pipeline struct {
	cfg        Config
	parts      Parts
	fills      fills
	originals  *fetch.Group[origin.Original]
	source     fetch.Source   // of what variants are made from
	masters    *master.Source // nil = none are kept
	verdicts   verdicts
	transforms *gate.Gate
	remakes    chan struct{}
	upgrades   upgrades
	relief     *relief
	clock      *calm // by which entries age
}

// New makes a Pipeline.
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
	p := &Pipeline{cfg: cfg, parts: parts, remakes: make(chan struct{}, cfg.Remakes), relief: newRelief(), clock: newCalm(parts.Now)}
	p.verdicts = newVerdicts(parts.Now)
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
	p.transforms = gate.New(gate.Config{
		Name: "transform", Slots: cfg.TransformSlots, Room: cfg.TransformRoom, Patience: cfg.Patience,
		Hold: gate.ViewerHold, Refused: parts.Observer.Refused,
	})
	p.upgrades.open(cfg, parts.Now)
	return p, nil
}

// fetch gets an original, unless it is known to be costly.
func (p *Pipeline) fetch(ctx context.Context, source string, lim origin.Limits) (origin.Original, func(), error) {
	if err := p.verdicts.known(source, lim.Within); err != nil {
		return origin.Original{}, nil, err
	}
	o, err := p.parts.Fetcher.Fetch(ctx, source, lim)
	return o, o.Release, err
}

// Get returns the variant as soon as its bytes exist: from memory, from the store, or freshly made. ref must be
// resolved. What came through a host beyond ref.Within is refused: source_not_allowed. The caller's ctx bounds its own
// waiting only: the work it began goes on for the others, and also for nobody once a worker has it.
func (p *Pipeline) Get(ctx context.Context, ref variant.Ref) (Answer, error) {
	return p.GetFor(ctx, ref, Viewer{})
}

// Viewer is who asks for a variant.
type Viewer struct {
	Key  string // the id of the signing key of their URL: what is made for them is charged to it
	Toll Toll   // it is only made if this agrees; nil always does
}

// GetFor is Get for a viewer of whom something is known.
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
		span.Set("shared", "true") // Whoever began to make it records the rest.
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

// orderOf orders one variant.
func (p *Pipeline) orderOf(ref variant.Ref, key string) order {
	return order{source: ref.Source, within: ref.Within, keys: []string{key}, specs: []variant.Spec{ref.Spec}}
}

// due is until when a viewer waits.
func (p *Pipeline) due(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return time.Now().Add(p.cfg.FillTimeout)
}

// Peek returns the variant if memory or the store has it, and not_cached otherwise, or source_not_allowed where it is
// beyond ref.Within. It never fetches or transforms.
func (p *Pipeline) Peek(ctx context.Context, ref variant.Ref) (Answer, error) {
	start := p.parts.Now()
	if e, tier, err := p.parts.Tiers.Lookup(ctx, ref.Key()); err == nil {
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

// Stat is the hit that Get would give, without its bytes: from memory, else by one look at the store. It returns
// cache.ErrMiss when there is none, or one too old to be answered. Like Get it counts as a viewer's hit, after which
// the entry may be remade.
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

// Close refuses new fills, forgets the upgrades that wait, and waits until running fills are made and stored, or ctx
// ends.
func (p *Pipeline) Close(ctx context.Context) error {
	p.upgrades.end()
	return p.fills.close(ctx)
}

// Load tells how busy the pipeline is. TransformHeld of those that wait could have a slot, if their source or key had
// not its share.
type Load struct{ Fills, Fetching, FetchWaiting, Transforming, TransformWaiting, TransformHeld, Upgrades int }

// Load reports the present load, for metrics.
func (p *Pipeline) Load() Load {
	fetching, transform := p.originals.Gate().Load(), p.transforms.Load()
	return Load{
		Fills: p.fills.inFlight(), Upgrades: p.upgrades.pending(),
		Fetching: fetching.Running, FetchWaiting: fetching.Waiting,
		Transforming: transform.Running, TransformWaiting: transform.Waiting, TransformHeld: transform.Held,
	}
}

// noObserver is the Observer of those who want none.
type noObserver struct{}

func (noObserver) Refused(string)      {}
func (noObserver) Filled(metrics.Fill) {}
func (noObserver) Remade(string)       {}
func (noObserver) Upgraded(string)     {}
func (noObserver) Mastered(string)     {}
