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

// runner gives the function that makes a batch, detached from the life of the request that began it.
func (p *Pipeline) runner(ctx context.Context, find finder) func(*batch) {
	ctx = context.WithoutCancel(ctx)
	return func(b *batch) {
		ctx, cancel := context.WithTimeout(ctx, p.cfg.FillTimeout)
		defer cancel()
		p.run(ctx, b, find)
	}
}

// run makes the fills of a batch. It publishes every fill.
func (p *Pipeline) run(ctx context.Context, b *batch, find finder) {
	defer b.giveSlot()
	r := &run{p: p, b: b, start: p.parts.Now()}
	r.todo = r.lookUp(ctx, find)
	if len(r.todo) == 0 {
		return
	}
	if err := r.make(ctx); err != nil {
		r.fail(r.todo, err)
	}
}

// make makes what the look-up did not find: admit, fetch, accept, enter, begin, transform; deliver publishes and stores
// each variant. An error stands for all that is to be made still.
func (r *run) make(ctx context.Context) error {
	seat, err := r.admit()
	if err != nil {
		return err
	}
	defer r.p.transforms.Unbook(seat)
	wanted, callOff := context.WithCancel(ctx)
	defer callOff()
	if !r.p.fills.wait(r.b, callOff) {
		return errUnwanted
	}
	if err := r.fetch(wanted); err != nil {
		return err
	}
	defer r.from.Back()
	if r.todo = r.accept(ctx); len(r.todo) == 0 {
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

// errUnwanted is what becomes of a batch that everybody has quit.
var errUnwanted = fault.New(fault.Canceled, "pipeline.run", "nobody waits for the picture any more", context.Canceled)

// takeSlot hands the fetch slot that came with the batch on to a caller who gives it back; nil where there is none, or
// none any more.
func (b *batch) takeSlot() (slot func()) {
	slot, b.slot = b.slot, nil
	return slot
}

// giveSlot gives the fetch slot back that came with the batch, where nobody took it.
func (b *batch) giveSlot() {
	if slot := b.takeSlot(); slot != nil {
		slot()
	}
}

// run is the state of making one batch.
type run struct {
	p             *Pipeline
	b             *batch
	todo          []*fill // that are to be made
	start         time.Time
	transformFrom time.Time
	timings       Timings
	generation    cache.Generation // in which the making began
	from          fetch.Supply     // what is made from; zero before the fetch
	with          Transformer      // what its seat at the transform gate gets
	old           map[*fill]Answer // entries that are replaced: too old to be answered unless the origin fails
	first         *cache.Entry     // the entry that an upgrade replaces
	sentenced     bool             // the original is remembered as one of which nothing can be made
}

// lookUp publishes what the cache has and returns the fills that must be made.
func (r *run) lookUp(ctx context.Context, find finder) (todo []*fill) {
	ctx, span := trace.Start(ctx, "lookup")
	defer span.End("")
	r.old = map[*fill]Answer{}
	for _, f := range r.b.fills {
		if r.b.upgrade && !r.findFirst(ctx, f) {
			continue
		}
		if r.b.refresh {
			todo = append(todo, r.recall(ctx, f))
			continue
		}
		e, tier, err := find(ctx, f.key)
		if err != nil {
			r.p.logStore("a look-up failed; making the variant instead", f.key, err)
			todo = append(todo, f)
			continue
		}
		a, usable, refused := r.p.answerTo(r.b.within, e, tier)
		if refused != nil {
			f.publish(Answer{}, refused)
			continue
		}
		if !usable {
			if a.Outcome != "" {
				r.old[f] = a
			}
			todo = append(todo, f)
			continue
		}
		a.Timings.Lookup = r.p.parts.Now().Sub(r.start)
		f.publish(a, nil)
	}
	r.timings.Lookup = r.p.parts.Now().Sub(r.start)
	return todo
}

// admit has those who want the batch pay for it, and refuses a viewer's batch early where it would wait for too long:
// before its original is fetched, and not as long as others want what it makes. Background work waits as long as it
// takes. The seat is booked at the transform gate.
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

// weighed is the batch's seat at the transform gate, by what is known by now.
func (r *run) weighed() *gate.Piece {
	looks := slices.ContainsFunc(r.todo, func(f *fill) bool { return weight.Heavy(f.spec, r.from.Original) })
	dear := r.p.transforms.Dear(r.b.source)
	due, key := r.p.fills.due(r.b)
	return &gate.Piece{Urgency: r.b.urgency, Heavy: looks || dear, Dear: dear && !looks,
		Deadline: due, Source: r.b.source, Key: key}
}

// fetch gets what the fills are made from.
func (r *run) fetch(ctx context.Context) (err error) {
	// From before anything is read: what is made of it is purged by all that comes later.
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

// enter waits for a worker. release gives it back, and may be called again.
func (r *run) enter(ctx context.Context, booked *gate.Piece) (seat *gate.Piece, release func(), err error) {
	r.b.urgency.Raise(gate.Warming) // An upgrade that has its original would only hold it, and fetch it again.
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

// begin begins the work on a batch that somebody still wants, unless others found meanwhile that nothing comes of it.
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

// transform makes the images, and delivers each as it is ready.
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
		r.p.verdicts.forget(r.b.source)
	}
	r.fail(rest, err)
}

// deliver publishes one image and stores it.
func (r *run) deliver(ctx context.Context, f *fill, img variant.Image) {
	t := r.timings
	t.Transform, t.Probe, t.CPU = r.p.parts.Now().Sub(r.transformFrom), img.Choice.Probe, img.Choice.CPU
	a := Answer{Entry: r.entry(img), Outcome: Miss, Timings: t, NoStore: r.from.NoStore}
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
	} else if !a.NoStore { // Before publishing, so that whoever asks next finds it in memory.
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

// fail publishes err, or the old entry where there is one and the failure may pass.
func (r *run) fail(todo []*fill, err error) {
	if !r.transformFrom.IsZero() && r.from.Master != nil {
		r.p.masters.Distrust(r.b.fills[0].key, err)
	}
	t := r.timings
	if !r.transformFrom.IsZero() {
		t.Transform = r.p.parts.Now().Sub(r.transformFrom)
	}
	for _, f := range todo {
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

// filled is how long a fill took, for the meters.
func (t Timings) filled(f *fill, format variant.Format) metrics.Fill {
	return metrics.Fill{
		Format: string(format), Class: f.spec.Class.String(),
		Lookup: t.Lookup, Queue: t.Queue, Fetch: t.Fetch, Transform: t.Transform,
	}
}

// mayPass reports whether a failure may pass by itself, so that an old entry is the better answer: it is retryable, or
// the origin answered with a page, with nothing, or with a broken picture, as origins do while they fail. That the
// source is gone is no such failure.
func mayPass(err error) bool {
	switch k := fault.KindOf(err); k {
	case fault.NotAnImage, fault.TruncatedSource, fault.DecodeFailed:
		return true
	default:
		return k.Retryable()
	}
}

// save stores an entry unless its source was purged since its making began.
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

// logStore logs a failure of the store: nobody waits for a write behind an answer, so no door would. Unknown is a miss
// for a reader, and what the cache decided itself (to give the store a rest, to drop a write) is counted there.
func (p *Pipeline) logStore(msg, key string, err error) {
	if errors.Is(err, cache.ErrMiss) || errors.Is(err, cache.ErrUnavailable) || errors.Is(err, cache.ErrPending) || errors.Is(err, cache.ErrPurged) {
		return
	}
	p.parts.Log.Warn(msg, "key", key, "error", err)
}

// failure is how a step's span ends. What was not there, or was purged meanwhile, is no failure.
func failure(err error) string {
	if errors.Is(err, cache.ErrMiss) || errors.Is(err, cache.ErrPurged) {
		return ""
	}
	return string(fault.KindOf(err))
}

// entry wraps an image for the cache.
func (r *run) entry(img variant.Image) cache.Entry {
	sum := sha256.Sum256(img.Body)
	attrs := variant.Facts{Image: img, SourceBytes: r.from.Bytes(), Provenance: r.from.From}.Encode()
	r.from.Version.Keep(attrs)
	if began := r.generation.String(); began != "" {
		attrs[cache.GenerationAttr] = began
	}
	return cache.Entry{Body: img.Body, Meta: cache.Meta{
		ContentType: img.Format.MediaType(), ETag: `"` + hex.EncodeToString(sum[:12]) + `"`, Size: int64(len(img.Body)),
		Created: r.p.parts.Now().UTC().Truncate(time.Second), Recipe: variant.Recipe, Attrs: attrs,
	}}
}
