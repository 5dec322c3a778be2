package pipeline

import (
	"context"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/pipeline/gate"
	"github.com/goldcrest/goldcrest/pipeline/master"
	"github.com/goldcrest/goldcrest/pressure"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// TierMaster is the tier of an answer that was made from a master.
const TierMaster = master.Tier

// newMasters returns the source that reads masters before it asks p.source.
func newMasters(p *Pipeline, cfg Config) *master.Source {
	return master.New(cfg.Masters, master.Parts{
		Next: p.source, Read: p.parts.Tiers.Read, Remove: p.parts.Store.Delete, Age: p.age, Purges: p.parts.Purges,
		Judge: func(within reach.Hosts, e cache.Entry) (fresh, standsIn bool, refused error) {
			a, _, refused := p.answerTo(within, e, "")
			return a.Outcome == Hit, a.Outcome != "" && a.Over <= cfg.StaleIfError, refused
		},
		Timeout: cfg.FetchTimeout, Room: cfg.FetchRoom, Refused: p.parts.Observer.Refused,
		Outcome: p.parts.Observer.Mastered, Failed: p.logStore, Now: p.parts.Now,
	})
}

// beginMaster starts a master in the same transform, if no viewer waits for the batch. That saves a decode, and the
// variants are made from the master.
func (r *run) beginMaster() *master.Making {
	if r.b.urgency.Present() == gate.Viewing {
		return nil
	}
	return r.spare()
}

// spare starts the missing master of the original; nil = there is nothing to make.
func (r *run) spare() *master.Making {
	if r.p.masters == nil || r.p.relief.now() > pressure.Normal {
		return nil
	}
	return r.p.masters.Begin(r.from, r.b.fills[0].key)
}

// leaveMaster makes the master after the answers that were made from the original. It waits with the background work,
// and is dropped if its turn does not come.
func (r *run) leaveMaster(ctx context.Context) {
	p, making := r.p, r.spare()
	if making == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.upgrades.life, cancel)() // It ends when the pipeline closes, as upgrades do.
	release, err := p.transforms.Acquire(ctx, gate.At(gate.Warming))
	if err != nil {
		making.Drop()
		return
	}
	defer making.End(r.masterSaver(ctx))
	defer release()
	_ = p.parts.Transformer.Transform(ctx, r.from.Original, []variant.Spec{making.Spec()}, variant.StageFinal,
		func(_ int, img variant.Image, err error) { making.Made(img, err) })
}

// masterSaver returns the function that stores a master.
func (r *run) masterSaver(ctx context.Context) func(key string, img variant.Image) error {
	return func(key string, img variant.Image) error {
		e := r.entry(img, variant.Spec{})
		e.Recipe = variant.MasterRecipe
		return r.p.save(context.WithoutCancel(ctx), key, e, true)
	}
}
