package pipeline

import (
	"context"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/variant"
)

// answer classifies an entry by age: a hit, stale but usable while it is remade, or too old (false).
func (p *Pipeline) answer(e cache.Entry, from variant.Provenance, tier string) (a Answer, usable bool) {
	a = Answer{Entry: e, Outcome: Hit, Tier: tier}
	a.Age = p.age(e.Meta)
	life := p.cfg.TTL
	if from.HasLife && p.cfg.HonourOrigin {
		life = from.Life
	} else if life == 0 {
		return a, true
	}
	a.Age += from.Since // A variant made from a master is at least as old as the master.
	if a.Age <= life {
		return a, true
	}
	a.Outcome, a.Over = Stale, a.Age-life
	return a, a.Over <= p.cfg.Revalidate
}

// age is the age of an entry by the calm clock, never negative.
func (p *Pipeline) age(m cache.Meta) time.Duration { return max(p.clock.Now().Sub(m.Created), 0) }

// follow starts the background work after a viewer's hit: it remakes an entry that is stale or of an older recipe,
// upgrades one of the first stage, and sends a hot one to the slower encoder.
func (p *Pipeline) follow(ref variant.Ref, key string, a Answer) {
	// An entry past Revalidate is served only because its origin has just failed: do not ask it again at once.
	stale := a.Outcome == Stale && a.Over <= p.cfg.Revalidate
	outdated := a.Outcome == Hit && a.Entry.Recipe < variant.Recipe
	switch {
	case stale || outdated:
		p.remake(ref, key)
	case a.Outcome == Hit: // On a miss the viewer has not come back yet.
		p.upgradeIfFirst(ref, key, a.Entry.Meta)
		p.lightenIfHot(ref, key, a.Entry.Meta)
	}
}

// remake makes an old entry again. At most cfg.Remakes run at a time. Further ones are not queued: the next hit asks
// again. So a new recipe never makes the caches of all instances cold.
func (p *Pipeline) remake(ref variant.Ref, key string) {
	if p.relief.now() > pressure.Normal {
		p.parts.Observer.Remade("deferred")
		return
	}
	select {
	case p.remakes <- struct{}{}:
	default:
		p.parts.Observer.Remade("deferred")
		return
	}
	o := p.orderOf(ref, key)
	o.rank, o.stage, o.refresh = gate.Warming, variant.StageFinal, true
	all, _, err := p.fills.join(o, p.runner(context.Background(), p.parts.Tiers.Lookup))
	if err != nil {
		<-p.remakes
		return
	}
	go func() {
		<-all[0].stored
		<-p.remakes
		switch {
		case all[0].err != nil:
			p.parts.Observer.Remade("failed")
		case all[0].answer.Outcome == Hit: // the origin said that it is unchanged
			p.parts.Observer.Remade("renewed")
		default:
			p.parts.Observer.Remade("made")
		}
	}()
}

// recall records the existing entry of a fill that will be remade.
func (r *run) recall(ctx context.Context, f *fill) *fill {
	if e, tier, err := r.p.parts.Tiers.Lookup(ctx, f.key); err == nil { // On an error the variant is made anyway.
		if a, _, refused := r.p.answerTo(r.b.within, e, tier); refused == nil && a.Outcome != "" {
			r.old[f] = a
		}
	}
	return f
}

// unless returns the validators of the original from which the only variant of the run was made before, if its age is
// the only reason to remake it. If the original is unchanged, nothing has to be made.
func (r *run) unless() (v origin.Validators) {
	if len(r.todo) != 1 || r.b.upgrade || r.todo[0].spec.HashType != "" || r.marked() {
		return v
	}
	a, ok := r.old[r.todo[0]]
	if !ok || a.Entry.Recipe < variant.Recipe || variant.StageOf(a.Entry.Attrs) == variant.StageFirst {
		return v
	}
	return origin.Kept(a.Entry.Attrs)
}

// renew publishes the existing entry as new, because its origin says that the original is unchanged. The entry keeps
// its generation, so that purges since then still apply.
func (r *run) renew(ctx context.Context, f *fill) {
	e := r.old[f].Entry
	e.Created = r.p.parts.Now().UTC().Truncate(time.Second)
	e.Attrs = variant.Renewed(e.Attrs, r.from.From.Life, r.from.From.HasLife)
	a := Answer{Entry: e, Outcome: Hit, Tier: r.old[f].Tier, Timings: r.timings, NoStore: r.from.NoStore}
	viewer := r.b.urgency.Present() == gate.Viewing
	if a.NoStore {
		f.publish(a, nil)
		return
	}
	r.p.parts.Keeper.Remember(f.key, e, !viewer)
	f.publish(a, nil)
	r.p.fills.save(f, func() error { return r.p.save(context.WithoutCancel(ctx), f.key, e, !viewer) })
}
