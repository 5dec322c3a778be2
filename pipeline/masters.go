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

// TierMaster is the tier of an answer that was made from its original's master.
const TierMaster = master.Tier

// newMasters makes the source that reads masters before it asks next.
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

// beginMaster begins the master that is made along with what nobody waits for: that spares a decode, and the variants
// are made from it.
func (r *run) beginMaster() *master.Making {
	if r.b.urgency.Present() == gate.Viewing {
		return nil
	}
	return r.spare()
}

// spare begins the master that the original at hand is to have and has not; nil = there is nothing to make.
func (r *run) spare() *master.Making {
	if r.p.masters == nil || r.p.relief.now() > pressure.Normal {
		return nil
	}
	return r.p.masters.Begin(r.from, r.b.fills[0].key)
}

// leaveMaster makes the master behind the answers that were made from the original: in background work's line, and not
// at all where that comes to no end.
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

// masterSaver stores a master that was made.
func (r *run) masterSaver(ctx context.Context) func(key string, img variant.Image) error {
	return func(key string, img variant.Image) error {
		e := r.entry(img)
		e.Recipe = variant.MasterRecipe
		return r.p.save(context.WithoutCancel(ctx), key, e, true)
	}
}
