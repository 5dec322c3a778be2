package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/metrics"
	"github.com/goldcrest/goldcrest/pipeline/fetch"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pipeline/weight"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// runner returns the function that makes a batch. Its context is detached from the request that started the batch.
func (p *Pipeline) runner(ctx context.Context, find finder) func(*batch) {
	ctx = context.WithoutCancel(ctx)
	return func(b *batch) {
		ctx, cancel := context.WithTimeout(ctx, p.cfg.FillTimeout)
		defer cancel()
		p.run(ctx, b, find)
	}
}

// run makes the fills of a batch and publishes every one.
func (p *Pipeline) run(ctx context.Context, b *batch, find finder) {
	defer b.giveSlot()
	r := &run{p: p, b: b, start: p.parts.Now()}
	r.todo = r.lookUp(ctx, find)
	if len(r.todo) == 0 {
		return
	}
	if err := r.make(ctx); err != nil {
		if r.lateDone != nil {
			<-r.lateDone // The store may have what cannot be made.
		}
		r.fail(r.todo, err)
	}
}

// make makes the fills that the look-up did not find: admit, fetch, accept, enter, begin, transform. deliver publishes
// and stores each variant. An error applies to all fills in r.todo.
func (r *run) make(ctx context.Context) error {
	wanted, callOff := context.WithCancel(ctx)
	defer callOff()
	r.awaitLate(ctx, callOff)
	seat, err := r.admit()
	if err != nil {
		return err
	}
	defer r.p.transforms.Unbook(seat)
	if !r.p.fills.wait(r.b, callOff) {
		return errUnwanted
	}
	if err := r.fetch(wanted); err != nil {
		return err
	}
	defer r.from.Back()
	if r.todo = r.verbatim(ctx, r.accept(ctx)); len(r.todo) == 0 {
		return nil
	}
	seat, release, err := r.enter(wanted, seat)
	if err != nil {
		return err
	}
	defer release()
	if err := r.begin(seat); err != nil {
		return err
	}
	r.transform(ctx, release)
	r.leaveMaster(ctx)
	return nil
}

// errUnwanted ends a batch for which no caller waits any more.
var errUnwanted = fault.New(fault.Canceled, "pipeline.run", "nobody waits for the picture any more", context.Canceled)

// takeSlot passes the batch's fetch slot to the caller, which must release it. It is nil if there was none or it was
// taken before.
func (b *batch) takeSlot() (slot func()) {
	slot, b.slot = b.slot, nil
	return slot
}

// giveSlot releases the batch's fetch slot if it was not taken.
func (b *batch) giveSlot() {
	if slot := b.takeSlot(); slot != nil {
		slot()
	}
}

// run is the state of one batch while it is made.
type run struct {
	p             *Pipeline
	b             *batch
	todo          []*fill // fills that must be made
	start         time.Time
	transformFrom time.Time
	timings       Timings
	generation    cache.Generation // in which work on the batch began
	from          fetch.Supply     // the original or master; zero before the fetch
	with          Transformer      // Transformer or Aside, depending on the seat at the transform gate
	first         *cache.Entry     // the entry that an upgrade replaces
	sentenced     bool             // the original is recorded as one from which nothing can be made
	lookups
}

// admit asks the tolls of the batch, and books its seat at the transform gate. Before the fetch it refuses a batch that
// would wait too long for the latest deadline of its viewers. Background work is never refused.
func (r *run) admit() (seat *gate.Piece, err error) {
	p := r.p
	if err := p.fills.collect(r.b); err != nil {
		return nil, err
	}
	seat = r.weighed()
	if seat.Urgency.Present() < gate.Viewing {
		return seat, nil
	}
	if p.relief.now() >= pressure.CacheOnly {
		return nil, errShort()
	}
	if err := p.originals.Gate().Would(&gate.Piece{Urgency: seat.Urgency, Deadline: seat.Deadline}); err != nil {
		return nil, err
	}
	return seat, p.transforms.Admit(seat)
}

// weighed returns the batch's seat at the transform gate, weighed by what is known so far.
func (r *run) weighed() *gate.Piece {
	looks := slices.ContainsFunc(r.todo, func(f *fill) bool { return weight.Heavy(f.spec, r.from.Original) })
	dear := r.p.transforms.Dear(r.b.source)
	due, key := r.p.fills.due(r.b)
	return &gate.Piece{Urgency: r.b.urgency, Heavy: looks || dear, Dear: dear && !looks,
		Deadline: due, Source: r.b.source, Key: key}
}

// fetch gets the original or master from which the fills are made.
func (r *run) fetch(ctx context.Context) (err error) {
	// Read the generation before any byte: every later purge then covers the variants made from these bytes.
	r.generation = r.p.parts.Purges.Now()
	r.from, err = r.p.source.Get(ctx, fetch.Ask{
		Source: r.b.source, Specs: specsOf(r.todo), Key: r.b.fills[0].key, Generation: r.generation,
		Limits: r.fetchLimits(), Urgency: r.b.urgency, Slot: r.b.takeSlot(),
	})
	r.timings.Lookup += r.from.Looked
	r.timings.Queue, r.timings.Fetch = r.from.Waited, r.from.Fetched
	return err
}

func specsOf(todo []*fill) []variant.Spec {
	specs := make([]variant.Spec, len(todo))
	for i, f := range todo {
		specs[i] = f.spec
	}
	return specs
}

// enter waits for a worker. release frees it, and may be called more than once.
func (r *run) enter(ctx context.Context, booked *gate.Piece) (seat *gate.Piece, release func(), err error) {
	r.b.urgency.Raise(gate.Warming) // Otherwise an upgrade would hold its original in memory, or fetch it again.
	since := r.p.parts.Now()
	_, waiting := trace.Start(ctx, "queue")
	r.p.transforms.Unbook(booked)
	seat = r.weighed()
	release, err = r.p.transforms.Enter(ctx, seat)
	waiting.End(failure(err))
	if err != nil {
		return nil, nil, err
	}
	r.timings.Queue += r.p.parts.Now().Sub(since)
	return seat, sync.OnceFunc(release), nil
}

// begin starts the work on a batch that is still wanted, unless the original has been found to be unusable meanwhile.
func (r *run) begin(seat *gate.Piece) error {
	if err := r.judged(); err != nil {
		return err
	}
	if !r.p.fills.pass(r.b) {
		return errUnwanted
	}
	if r.with = r.p.parts.Transformer; seat.Aside {
		r.with = r.p.parts.Aside
	}
	r.transformFrom = r.p.parts.Now()
	return nil
}

// transform makes the variants and delivers each when it is ready.
func (r *run) transform(ctx context.Context, release func()) {
	todo, specs := r.todo, specsOf(r.todo)
	making := r.beginMaster()
	if making != nil {
		specs = append(specs, making.Spec())
		defer making.End(r.masterSaver(ctx))
	}
	made := false
	within, span := trace.Start(ctx, "transform")
	span.Set("format", string(specs[0].Format))
	span.Set("variants", strconv.Itoa(len(specs)))
	err := func() error {
		defer release()
		return r.with.Transform(within, r.from.Original, specs, r.b.stage, func(i int, img variant.Image, err error) {
			switch {
			case i == len(todo):
				making.Made(img, err)
			case err != nil:
				r.judge(err, made)
				r.fail(todo[i:i+1], err)
			default:
				made = true
				r.deliver(ctx, todo[i], img)
			}
		})
	}()
	span.End(failure(err))
	if err == nil {
		err = fault.New(fault.Internal, "pipeline.transform", "an internal error", errors.New("the transform left a variant out"))
	}
	rest := slices.DeleteFunc(slices.Clone(todo), func(f *fill) bool { return f.published })
	if len(rest) > 0 {
		r.judge(err, made)
	}
	if made {
		r.p.verdicts.Forget(r.b.source)
	}
	r.fail(rest, err)
}

// deliver publishes one image and stores it.
func (r *run) deliver(ctx context.Context, f *fill, img variant.Image) {
	t := r.timings
	t.Transform, t.Probe, t.CPU = r.p.parts.Now().Sub(r.transformFrom), img.Choice.Probe, img.Choice.CPU
	a := Answer{Entry: r.entry(img, f.spec), Outcome: Miss, Timings: t, NoStore: r.from.For(f.spec).NoStore}
	if r.from.Master != nil {
		a.Tier = TierMaster
		r.p.parts.Observer.Mastered("used")
	}
	viewer := r.b.urgency.Present() == gate.Viewing
	if r.first != nil {
		choose := better
		if r.b.stage == variant.StageHot {
			choose = lighter
		}
		a.Entry, r.b.kept = choose(*r.first, a.Entry)
	} else if !a.NoStore { // before publishing, so that the next request finds it in memory
		r.p.parts.Keeper.Remember(f.key, a.Entry, !viewer)
	}
	f.publish(a, nil)
	filled := t.filled(f, img.Format)
	filled.Picture, filled.Score = img.Choice.Kind, img.Choice.Score
	r.p.parts.Observer.Filled(filled)
	if a.NoStore {
		return
	}
	ctx = context.WithoutCancel(ctx)
	r.p.fills.save(f, func() (err error) {
		ctx, span := trace.Start(ctx, "store")
		span.Set("format", string(img.Format))
		defer func() { span.End(failure(err)) }()
		if r.first != nil {
			return r.p.replace(ctx, f.key, r.first.Meta, a.Entry)
		}
		return r.p.save(ctx, f.key, a.Entry, !viewer)
	})
}

// fail publishes the entry that came late, or the old one if the failure may be temporary, or else err.
func (r *run) fail(todo []*fill, err error) {
	if !r.transformFrom.IsZero() && r.from.Master != nil {
		r.p.masters.Distrust(r.b.fills[0].key, err)
	}
	t := r.timings
	if !r.transformFrom.IsZero() {
		t.Transform = r.p.parts.Now().Sub(r.transformFrom)
	}
	for _, f := range r.withoutLate(todo) {
		if old, ok := r.old[f]; ok && !r.b.refresh && mayPass(err) && old.Over <= r.p.cfg.StaleIfError {
			if !f.published {
				f.failure = err
			}
			f.publish(old, nil)
			continue
		}
		if !f.published {
			filled := t.filled(f, f.spec.Format)
			filled.Kind = fault.KindOf(err)
			r.p.parts.Observer.Filled(filled)
		}
		f.publish(Answer{}, err)
	}
}

// filled returns the durations of a fill for the metrics.
func (t Timings) filled(f *fill, format variant.Format) metrics.Fill {
	return metrics.Fill{
		Format: string(format), Class: f.spec.Class.String(),
		Lookup: t.Lookup, Queue: t.Queue, Fetch: t.Fetch, Transform: t.Transform,
	}
}

// mayPass reports whether a failure may be temporary, so that an old entry is the better answer: the fault is
// retryable, or the origin sent an HTML page, an empty body or a broken image, as failing origins do. A source that is
// gone is not temporary.
func mayPass(err error) bool {
	switch k := fault.KindOf(err); k {
	case fault.NotAnImage, fault.TruncatedSource, fault.DecodeFailed:
		return true
	default:
		return k.Retryable()
	}
}

// save stores an entry unless its source was purged after work on it began.
func (p *Pipeline) save(ctx context.Context, key string, e cache.Entry, wait bool) error {
	save := p.parts.Keeper.SaveBehind
	if wait {
		save = p.parts.Keeper.Save
	}
	err := save(ctx, key, e)
	if err != nil {
		p.logStore("a variant was not stored", key, err)
	}
	return err
}

// logStore logs a failure of the store. No caller waits for a write after the answer, so nothing else would log it.
// Errors that the cache caused itself (an open breaker, a dropped write) are counted there and not logged here;
// for a reader such an error is a miss.
func (p *Pipeline) logStore(msg, key string, err error) {
	if errors.Is(err, cache.ErrMiss) || errors.Is(err, cache.ErrUnavailable) || errors.Is(err, cache.ErrPending) || errors.Is(err, cache.ErrPurged) {
		return
	}
	p.parts.Log.Warn(msg, "key", key, "error", err)
}

// failure returns the result of a step's span. A miss or a purge is not a failure.
func failure(err error) string {
	if errors.Is(err, cache.ErrMiss) || errors.Is(err, cache.ErrPurged) {
		return ""
	}
	return string(fault.KindOf(err))
}

// entry makes a cache entry of an image of a spec.
func (r *run) entry(img variant.Image, spec variant.Spec) cache.Entry {
	sum := sha256.Sum256(img.Body)
	attrs := variant.Facts{Image: img, SourceBytes: r.from.Bytes(), Provenance: r.from.For(spec).From}.Encode()
	r.from.Version.Keep(attrs)
	if began := r.generation.String(); began != "" {
		attrs[cache.GenerationAttr] = began
	}
	return cache.Entry{Body: img.Body, Meta: cache.Meta{
		ContentType: img.Format.MediaType(), ETag: `"` + hex.EncodeToString(sum[:12]) + `"`, Size: int64(len(img.Body)),
		Created: r.p.parts.Now().UTC().Truncate(time.Second), Recipe: variant.Recipe, Attrs: attrs,
	}}
}
