package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/variant"
)

// answer judges an entry by its age: usable as a hit, usable as stale while it is remade, or too old (false).
func (p *Pipeline) answer(e cache.Entry, from variant.Provenance, tier string) (a Answer, usable bool) {
	a = Answer{Entry: e, Outcome: Hit, Tier: tier}
	a.Age = p.age(e.Meta)
	life := p.cfg.TTL
	if from.HasLife && p.cfg.HonourOrigin {
		life = from.Life
	} else if life == 0 {
		return a, true
	}
	a.Age += from.Since // What was made from a master is as old as that.
	if a.Age <= life {
		return a, true
	}
	a.Outcome, a.Over = Stale, a.Age-life
	return a, a.Over <= p.cfg.Revalidate
}

// age is how old an entry is by the calm clock, never negative.
func (p *Pipeline) age(m cache.Meta) time.Duration { return max(p.clock.now().Sub(m.Created), 0) }

// follow does what a viewer's hit calls for behind its answer: an entry that is stale or of an older recipe is remade,
// one of the first stage upgraded, and a hot one made lighter.
func (p *Pipeline) follow(ref variant.Ref, key string, a Answer) {
	// A stale entry past Revalidate is here because its origin failed a moment ago: asking again at once would not
	// help.
	stale := a.Outcome == Stale && a.Over <= p.cfg.Revalidate
	outdated := a.Outcome == Hit && a.Entry.Recipe < variant.Recipe
	switch {
	case stale || outdated:
		p.remake(ref, key)
	case a.Outcome == Hit: // Whoever made it, or waited while it was made, has not come back yet.
		p.upgradeIfFirst(ref, key, a.Entry.Meta)
		p.lightenIfHot(ref, key, a.Entry.Meta)
	}
}

// remake makes an old entry anew. At most cfg.Remakes run at a time and more are not remembered: the next hit asks
// again, so a new recipe never makes a cold fleet.
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
		case all[0].answer.Outcome == Hit: // It was not made anew.
			p.parts.Observer.Remade("renewed")
		default:
			p.parts.Observer.Remade("made")
		}
	}()
}

// calm tells the time by which entries age. It is the wall clock, but where that jumps ahead it follows at no more than
// twice the pace of time, so that a clock set wrong, or set right, does not make a whole store old at once; the restart
// of the process ends that. Where the wall clock jumps back, so does this one: an entry from the future counts as new.
// Safe for concurrent use.
type calm struct {
	wall func() time.Time

	mu   sync.Mutex
	at   time.Time // when it was last asked, by the monotonic clock
	told time.Time // what it said
}

func newCalm(wall func() time.Time) *calm {
	return &calm{wall: wall, at: time.Now(), told: wall().Round(0)}
}

func (c *calm) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, told := time.Now(), c.wall().Round(0)
	if most := c.told.Add(2 * at.Sub(c.at)); told.After(most) {
		told = most
	}
	c.at, c.told = at, told
	return told
}

// recall notes the entry that there is of what is to be made anew.
func (r *run) recall(ctx context.Context, f *fill) *fill {
	if e, tier, err := r.p.parts.Tiers.Lookup(ctx, f.key); err == nil { // Else it is made all the same.
		if a, _, refused := r.p.answerTo(r.b.within, e, tier); refused == nil && a.Outcome != "" {
			r.old[f] = a
		}
	}
	return f
}

// unless is the version of the original that the only variant to be made was made of before, if nothing but its age
// speaks against that variant: where the original is still the same, there is nothing to be made.
func (r *run) unless() (v origin.Validators) {
	if len(r.todo) != 1 || r.b.upgrade || r.todo[0].spec.HashType != "" {
		return v
	}
	a, ok := r.old[r.todo[0]]
	if !ok || a.Entry.Recipe < variant.Recipe || variant.StageOf(a.Entry.Attrs) == variant.StageFirst {
		return v
	}
	return origin.Kept(a.Entry.Attrs)
}

// renew publishes the entry that there is as if it were made now: its origin says that the original is the same. It
// keeps the generation in which it was made, so that whatever was purged since stays so.
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
