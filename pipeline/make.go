package pipeline

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// runner gives the function that makes a batch, detached from the life of the request that began it.
func (p *Pipeline) runner(ctx context.Context) func(*batch) {
	ctx = context.WithoutCancel(ctx)
	return func(b *batch) {
		ctx, cancel := context.WithTimeout(ctx, p.cfg.FillTimeout)
		defer cancel()
		p.run(ctx, b)
	}
}

// run makes the fills of a batch: look up, fetch, transform, publish, store. It publishes every fill.
func (p *Pipeline) run(ctx context.Context, b *batch) {
	defer b.giveSlot()
	r := &run{p: p, b: b, start: p.parts.Now()}
	todo := r.lookUp(ctx)
	if len(todo) == 0 {
		return
	}
	if err := p.fills.collect(b); err != nil {
		r.fail(todo, err)
		return
	}
	seat := r.weighed(todo)
	if err := p.admit(seat); err != nil {
		r.fail(todo, err)
		return
	}
	defer p.transforms.Unbook(seat)
	wanted, callOff := context.WithCancel(ctx)
	defer callOff()
	if !p.fills.wait(b, callOff) {
		r.fail(todo, errUnwanted)
		return
	}
	d, back, err := r.get(wanted, todo)
	if err != nil {
		r.fail(todo, err)
		return
	}
	defer back()
	r.download = d
	if d.master == nil { // Else it belongs to the look-up.
		r.timings.Queue, r.timings.Fetch = d.wait, d.elapsed
	}
	todo = r.accept(todo)
	if len(todo) == 0 {
		return
	}
	b.urgency.Raise(gate.Warming) // An upgrade whose original is here ends in prewarm's line: it would only hold the memory, and fetch again.
	waitFrom := p.parts.Now()
	_, waiting := trace.Start(wanted, "queue")
	p.transforms.Unbook(seat)
	seat = r.weighed(todo)
	release, err := p.transforms.Enter(wanted, seat)
	waiting.End(failure(err))
	if err != nil {
		r.fail(todo, err)
		return
	}
	release = sync.OnceFunc(release)
	defer release()
	if err := r.judged(); err != nil { // Asked here: others may have tried it while this batch waited.
		r.fail(todo, err)
		return
	}
	if !p.fills.pass(b) {
		r.fail(todo, errUnwanted)
		return
	}
	if r.with = p.parts.Transformer; seat.Aside {
		r.with = p.parts.Aside
	}
	r.transformFrom = p.parts.Now()
	r.timings.Queue += r.transformFrom.Sub(waitFrom)
	r.transform(ctx, todo, release)
	r.leaveMaster(ctx)
}

// admit refuses a viewer's batch early where it would wait for too long: before its original is fetched, and not as
// long as others want what it makes. Background work waits as long as it takes.
func (p *Pipeline) admit(seat *gate.Piece) error {
	if seat.Urgency.Present() < gate.Viewing {
		return nil
	}
	if p.relief.now() >= pressure.CacheOnly {
		return errShort()
	}
	if err := p.originals.gate.Would(&gate.Piece{Urgency: seat.Urgency, Deadline: seat.Deadline}); err != nil {
		return err
	}
	return p.transforms.Admit(seat)
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
	sentenced     bool // the original is remembered as one of which nothing can be made
	p             *Pipeline
	b             *batch
	generation    cache.Generation // of what is made
	start         time.Time
	transformFrom time.Time
	timings       Timings
	download      *download
	masterWanted  bool             // there is no master, or an old one
	made          *variant.Image   // the master, where it was made along with the variants
	gone          error            // why the master stands in for an original that cannot be had; nil = it does not
	with          Transformer      // what its seat at the transform gate gets
	old           map[*fill]Answer // entries too old to be answered unless the origin fails
	first         *cache.Entry     // the entry that an upgrade replaces
}

// heavy reports whether any of the variants looks heavy, by what is known by now.
func (r *run) heavy(todo []*fill) bool {
	var original *origin.Original
	if r.download != nil {
		original = &r.download.original
	}
	return slices.ContainsFunc(todo, func(f *fill) bool { return heavy(f.spec, original) })
}

// weighed is the batch's seat at the transform gate, by what is known by now.
func (r *run) weighed(todo []*fill) *gate.Piece {
	looks, dear := r.heavy(todo), r.p.transforms.Dear(r.b.source)
	due, key := r.p.fills.due(r.b)
	return &gate.Piece{
		Urgency: r.b.urgency, Heavy: looks || dear, Dear: dear && !looks, Deadline: due, Source: r.b.source, Key: key,
	}
}

// lookUp publishes what the cache has and returns the fills that must be made.
func (r *run) lookUp(ctx context.Context) (todo []*fill) {
	ctx, span := trace.Start(ctx, "lookup")
	defer span.End("")
	r.old = map[*fill]Answer{}
	for _, f := range r.b.fills {
		if r.b.upgrade && !r.findFirst(ctx, f) {
			continue
		}
		if r.b.refresh {
			todo = append(todo, f)
			continue
		}
		e, tier, err := r.p.parts.Tiers.Lookup(ctx, f.key)
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

// from is what the fills are made from.
func (r *run) from() variant.Original {
	o := r.download.original
	if m := r.download.master; m != nil {
		return variant.Original{Body: o.Body, Master: &m.of}
	}
	return variant.Original{Body: o.Body, Info: o.Info}
}

// transform makes the images, publishing each as it is ready and storing it behind the answer.
func (r *run) transform(ctx context.Context, todo []*fill, release func()) {
	specs := make([]variant.Spec, len(todo))
	for i, f := range todo {
		specs[i] = f.spec
	}
	specs, keep := r.withMaster(specs)
	defer keep(ctx)
	made := false
	within, span := trace.Start(ctx, "transform")
	span.Set("format", string(specs[0].Format))
	span.Set("variants", strconv.Itoa(len(specs)))
	err := func() error {
		defer release()
		return r.with.Transform(within, r.from(), specs, r.b.stage, func(i int, img variant.Image, err error) {
			switch {
			case i == len(todo) && err == nil:
				r.made = &img
			case i == len(todo): // That the master could not be made is no fault of the variants.
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
	var rest []*fill
	for _, f := range todo {
		if !f.published {
			rest = append(rest, f)
		}
	}
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
	a := Answer{Entry: r.entry(img), Outcome: Miss, Timings: t, NoStore: r.noStore()}
	if r.download.master != nil {
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
	r.p.parts.Observer.Filled(Filling{Format: string(img.Format), Class: f.spec.Class, Picture: img.Choice.Kind, Score: img.Choice.Score, Timings: t})
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
	if !r.transformFrom.IsZero() && r.download.master != nil {
		r.distrust(err)
	}
	t := r.timings
	if !r.transformFrom.IsZero() {
		t.Transform = r.p.parts.Now().Sub(r.transformFrom)
	}
	for _, f := range todo {
		if old, ok := r.old[f]; ok && mayPass(err) && old.Over <= r.p.cfg.StaleIfError {
			if !f.published {
				f.failure = err
			}
			f.publish(old, nil)
			continue
		}
		if !f.published {
			r.p.parts.Observer.Filled(Filling{Format: string(f.spec.Format), Class: f.spec.Class, Kind: fault.KindOf(err), Timings: t})
		}
		f.publish(Answer{}, err)
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
