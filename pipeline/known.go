package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// Known tells what Warm would find stored, and does no work: Present, or neither Present nor Err, or Err where the
// store does not answer, or the caller may not have what it has. refs must be resolved.
func (p *Pipeline) Known(ctx context.Context, refs []variant.Ref) []Warmed {
	out := make([]Warmed, len(refs))
	for i, ref := range refs {
		out[i] = p.known(ctx, ref.Key(), ref.Within)
		out[i].Ref = ref
	}
	return out
}

// KnownKey is Known for one key, whose original may have come from these hosts.
func (p *Pipeline) KnownKey(ctx context.Context, key string, within reach.Hosts) (present bool, err error) {
	if cache.CheckKey(key) != nil {
		return false, nil // Nothing can be stored there.
	}
	w := p.known(ctx, key, within)
	return w.Present, w.Err
}

// known looks at the store.
func (p *Pipeline) known(ctx context.Context, key string, within reach.Hosts) Warmed {
	w := Warmed{Key: key}
	m, err := p.parts.Store.Stat(ctx, key)
	if err != nil && !errors.Is(err, cache.ErrMiss) {
		w.Err = fault.New(fault.Internal, "pipeline.known", "the store did not answer", err)
		return w
	}
	if err != nil {
		w.absent = true
		return w
	}
	_, usable, refused := p.answerTo(within, cache.Entry{Meta: m}, "store")
	if w.Err = refused; usable {
		if w.Err = p.vouch(); w.Err == nil {
			w.Meta, w.Present = m, true
		}
	}
	return w
}

// finder looks an entry up, as Tiers.Lookup does.
type finder func(ctx context.Context, key string) (cache.Entry, string, error)

// absenceLasts is how long the word of the store that it has no entry saves asking it again. Another instance may store
// one meanwhile; then the variant is made twice, and the second write replaces the first.
const absenceLasts = time.Second

// unlessKnownAbsent looks up what the store did not have at the time looked. Soon after, it asks only memory, which has
// what this instance made in between.
func (p *Pipeline) unlessKnownAbsent(looked time.Time) finder {
	return func(ctx context.Context, key string) (cache.Entry, string, error) {
		if p.parts.Now().Sub(looked) > absenceLasts {
			return p.parts.Tiers.Lookup(ctx, key)
		}
		if e, ok := p.parts.Tiers.Recall(key); ok {
			return e, cache.TierMemory, nil
		}
		return cache.Entry{}, "", cache.ErrMiss
	}
}

// vouch is nil where this instance knows all purges: else what it finds in the store may be purged.
func (p *Pipeline) vouch() error {
	if p.parts.Purges.Trusted() {
		return nil
	}
	const why = "this instance is out of contact with the others and cannot tell what is purged"
	return fault.New(fault.Overloaded, "pipeline.vouch", why, nil).After(retrySoon)
}

// Recall is Get for a caller that knows the Key and wants nothing but a hit of the memory tier. It is false for
// everything that Get would do more for than answer: what is absent, stale, made by an older recipe, or to be queued
// for its upgrade or the slower encoder; and for what Get would refuse.
func (p *Pipeline) Recall(key string, within reach.Hosts) (Answer, bool) {
	e, ok := p.parts.Tiers.Recall(key)
	if !ok || e.Recipe < variant.Recipe || isFirst(e.Meta) && p.upgrades.wants(key, within) || p.parts.Heat.Due(key) {
		return Answer{}, false
	}
	a, usable, _ := p.answerTo(within, e, cache.TierMemory)
	return a, usable && a.Outcome == Hit
}

// answerTo is answer for one who may have what comes from some hosts only. An entry beyond them is refused, and not
// made anew: what the store has decides, until it is too old or purged. An entry that does not say where it came from
// is as good as absent: it is from a version that did not keep that, and the one that replaces it will. The Answer is
// zero where the caller may not have the entry.
func (p *Pipeline) answerTo(within reach.Hosts, e cache.Entry, tier string) (a Answer, usable bool, refused error) {
	from := variant.DecodeProvenance(e.Attrs)
	a, usable = p.answer(e, from, tier)
	if within == "" {
		return a, usable, nil
	}
	switch {
	case from.ViaKnown && within.AllowsAll(from.Via):
		return a, usable, nil
	case from.ViaKnown && usable:
		return Answer{}, false, reach.Refused("pipeline.answerTo")
	}
	return Answer{}, false, nil
}
