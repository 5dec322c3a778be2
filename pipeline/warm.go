package pipeline

import (
	"context"
	"errors"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/trace"
	"github.com/goldcrest/goldcrest/variant"
)

// Warmed is the result for one variant.
type Warmed struct {
	Ref     variant.Ref
	Key     string
	Meta    cache.Meta // of the stored entry
	Present bool       // the store already had it, perhaps at its first stage: no work was done
	Timings Timings    // of the work; zero if Present
	Err     error      // nil = the store has acknowledged the entry

	absent bool // the store has no entry, not even an old one
}

// Warm makes the missing variants of one source and returns when they are stored: at most one fetch and one transform
// call. refs must be resolved and have the same source and the same Within. Warm first waits for a fetch slot, behind
// all viewers, so a viewer that joins one of its fills never queues behind other background work. A failing store is an
// error here, never a miss. An entry that is stored, or being made for a viewer, at its first stage is accepted and
// queued for its upgrade.
func (p *Pipeline) Warm(ctx context.Context, refs []variant.Ref) []Warmed {
	out := make([]Warmed, len(refs))
	defer p.Improve(out)
	all := make([]int, len(refs))
	for i := range refs {
		all[i] = i
	}
	for range warmTries {
		if all = p.warmSome(ctx, refs, all, out); len(all) == 0 {
			return out
		}
	}
	for _, i := range all {
		out[i].Err = errPurgedAgain()
	}
	return out
}

// warmTries is how often Warm makes a variant that is purged while it is made.
const warmTries = 4

// warmSome tries once to make some of refs. It returns those that were purged meanwhile.
func (p *Pipeline) warmSome(ctx context.Context, refs []variant.Ref, some []int, out []Warmed) (again []int) {
	var o order
	var at []int // index in out of each ordered key
	looked, absent := p.parts.Now(), true
	looking, span := trace.Start(ctx, "lookup")
	for _, i := range some {
		out[i] = p.known(looking, refs[i].Key(), refs[i].Within)
		out[i].Ref, o.source, o.within = refs[i], refs[i].Source, refs[i].Within
		if out[i].Present || out[i].Err != nil {
			continue
		}
		absent = absent && out[i].absent
		o.keys, o.specs, at = append(o.keys, out[i].Key), append(o.specs, refs[i].Spec), append(at, i)
	}
	span.End("")
	if len(at) == 0 {
		return nil
	}
	find := p.parts.Tiers.Lookup
	if absent {
		find = p.unlessKnownAbsent(looked)
	}
	err := p.warm(ctx, o, find, at, out)
	for _, i := range at {
		if err != nil {
			out[i].Err = err
		}
		if errors.Is(out[i].Err, cache.ErrPurged) {
			again = append(again, i)
		}
	}
	return again
}

// warm makes the ordered variants; an error applies to all of them.
func (p *Pipeline) warm(ctx context.Context, o order, find finder, at []int, out []Warmed) error {
	slot, err := p.warmSlot(ctx)
	if err != nil {
		return err
	}
	o.slot, o.rank, o.stage = slot, gate.Warming, variant.StageFinal
	all, led, err := p.fills.join(o, p.runner(ctx, find))
	started := false
	for _, l := range led {
		started = started || l
	}
	if !started { // other callers are already making all of them
		slot()
	}
	if err != nil {
		return err
	}
	for n, f := range all {
		w := &out[at[n]]
		select {
		case <-f.stored:
			w.Err = p.judge(ctx, w, f)
		case <-ctx.Done():
			p.fills.quit(f)
			w.Err = ctx.Err()
		}
	}
	return nil
}

// judge returns the result of a fill that has ended. Only the store counts: it acknowledged the fill's own write, or it
// had the entry. An entry that was found only in memory, or whose write failed, is saved here.
func (p *Pipeline) judge(ctx context.Context, w *Warmed, f *fill) error {
	switch {
	case f.err != nil:
		return f.err
	case f.failure != nil:
		return f.failure
	case f.answer.NoStore:
		return fault.New(fault.NotCached, "pipeline.Warm", "the origin forbids to keep the picture, and cache.honour_origin is set", nil)
	}
	w.Meta, w.Timings = f.answer.Entry.Meta, f.answer.Timings
	switch {
	case errors.Is(f.storeErr, cache.ErrPurged):
		return f.storeErr
	case f.saving && f.storeErr == nil:
		return p.vouch()
	case !f.saving && f.answer.Tier == cache.TierStore:
		w.Present = true
		return p.vouch()
	}
	if known := p.known(ctx, w.Key, w.Ref.Within); known.Present || known.Err != nil {
		w.Meta, w.Present, w.Timings = known.Meta, known.Present, Timings{}
		return known.Err
	}
	if err := p.save(ctx, w.Key, f.answer.Entry, true); err != nil {
		return err
	}
	return p.vouch()
}

// warmSlot waits until background work may start, and for a fetch slot.
func (p *Pipeline) warmSlot(ctx context.Context) (slot func(), err error) {
	ctx, span := trace.Start(ctx, "queue")
	defer func() { span.End(failure(err)) }()
	if err := p.relief.await(ctx); err != nil {
		return nil, err
	}
	return p.originals.Gate().Acquire(ctx, gate.At(gate.Warming))
}

// Improve queues the first-stage entries among found for their upgrade. Warm does so itself.
func (p *Pipeline) Improve(found []Warmed) {
	for _, w := range found {
		if w.Err == nil {
			p.upgradeIfFirst(w.Ref, w.Key, w.Meta)
		}
	}
}
