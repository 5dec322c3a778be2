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

// Warmed is what became of one variant.
type Warmed struct {
	Ref     variant.Ref
	Key     string
	Meta    cache.Meta // of the stored entry
	Present bool       // the store had it already, maybe at its first stage: no work was done
	Timings Timings    // of the work; zero where it was Present
	Err     error      // nil: the store has acknowledged the entry

	absent bool // the store has no entry, not even an old one
}

// Warm makes what is missing of the variants of one source and returns when they are stored: at most one fetch and one
// transform call. refs must be resolved and name one source and one Within. It waits for a fetch slot before it begins,
// behind every viewer, so a viewer who joins one of its fills never queues behind other background work. A failing
// store is an error here, never a miss. What is stored, or is being made for a viewer, at its first stage counts as it
// is and is queued for its upgrade.
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

// warmTries is how often Warm makes a variant that was purged while it was made.
const warmTries = 4

// warmSome is one try at those of refs; it returns those that were purged meanwhile.
func (p *Pipeline) warmSome(ctx context.Context, refs []variant.Ref, some []int, out []Warmed) (again []int) {
	var o order
	var at []int // the place in out of each key ordered
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

// warm makes the ordered variants; an error stands for all of them.
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
	if !started { // Everything is being made by others already.
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

// judge tells what became of a fill that has ended. Only the word of the store counts: either it acknowledged the
// fill's own write, or it had the entry. An entry that was met in memory, or whose write failed, is saved here.
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

// warmSlot waits until there is memory for background work, and a fetch slot.
func (p *Pipeline) warmSlot(ctx context.Context) (slot func(), err error) {
	ctx, span := trace.Start(ctx, "queue")
	defer func() { span.End(failure(err)) }()
	if err := p.relief.await(ctx); err != nil {
		return nil, err
	}
	return p.originals.Gate().Acquire(ctx, gate.At(gate.Warming))
}

// Improve queues those of found that are stored at their first stage for their upgrade, as Warm does by itself.
func (p *Pipeline) Improve(found []Warmed) {
	for _, w := range found {
		if w.Err == nil {
			p.upgradeIfFirst(w.Ref, w.Key, w.Meta)
		}
	}
}
