package pipeline

import (
	"context"
	"errors"
	"maps"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/trace"
)

// lookups are the results of a run's look-ups. While the variants are fetched, those that the store has not answered in
// time continue. If the store has all variants after all, that ends the fetch and the wait for a worker.
type lookups struct {
	old       map[*fill]Answer      // entries to replace: too old to be served unless the origin fails
	late      map[*fill]*cache.Late // look-ups that continue
	lateFound map[*fill]Answer      // what they found: all or nil; written before lateDone is closed
	lateOld   map[*fill]Answer      // as old, of what they found; likewise
	lateDone  chan struct{}         // nil = some fill has no such look-up
}

// lookUp publishes the entries that the cache has and returns the fills that must be made.
func (r *run) lookUp(ctx context.Context, find finder) (todo []*fill) {
	ctx, span := trace.Start(ctx, "lookup")
	defer span.End("")
	r.old, r.late = map[*fill]Answer{}, map[*fill]*cache.Late{}
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
			r.noteLate(f, err)
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

// noteLate records a failed look-up that may still succeed.
func (r *run) noteLate(f *fill, err error) {
	if l, ok := errors.AsType[*cache.Late](err); ok {
		r.late[f] = l
	}
}

// awaitLate calls callOff when the store has all variants of the run.
func (r *run) awaitLate(ctx context.Context, callOff func()) {
	if len(r.late) == 0 || len(r.late) < len(r.todo) {
		return
	}
	r.lateDone, r.lateOld = make(chan struct{}), map[*fill]Answer{}
	go func() {
		defer close(r.lateDone)
		found := map[*fill]Answer{}
		for f, l := range r.late {
			e, err := l.Wait(ctx)
			if err != nil {
				return
			}
			a, usable, _ := r.p.answerTo(r.b.within, e, cache.TierStore)
			switch {
			case a.Outcome == "":
				return // It is refused, and made as if there were none.
			case !usable:
				r.lateOld[f] = a
			default:
				a.Timings.Lookup = r.p.parts.Now().Sub(r.start)
				found[f] = a
			}
		}
		if len(found) == len(r.late) {
			r.lateFound = found
			callOff()
		}
	}()
}

// withoutLate publishes the entries that came late, if all have, and returns the fills without one. Those that are too
// old are for fail.
func (r *run) withoutLate(todo []*fill) []*fill {
	select {
	case <-r.lateDone:
		maps.Copy(r.old, r.lateOld)
	default:
		return todo
	}
	if r.lateFound == nil {
		return todo
	}
	for _, f := range todo {
		if !f.published {
			a := r.lateFound[f]
			r.p.parts.Keeper.Remember(f.key, a.Entry, r.b.urgency.Present() < gate.Viewing)
			f.publish(a, nil)
		}
	}
	return nil
}
