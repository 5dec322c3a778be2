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

// Known reports what Warm would find in the store, without doing any work. Present is false if the entry is absent. Err
// is set if the store fails, or if the caller may not have the entry. refs must be resolved.
func (p *Pipeline) Known(ctx context.Context, refs []variant.Ref) []Warmed {
	out := make([]Warmed, len(refs))
	for i, ref := range refs {
		out[i] = p.known(ctx, ref.Key(), ref.Within)
		out[i].Ref = ref
	}
	return out
}

// KnownKey is Known for one key, whose original may have come from the hosts in within.
func (p *Pipeline) KnownKey(ctx context.Context, key string, within reach.Hosts) (present bool, err error) {
	if cache.CheckKey(key) != nil {
		return false, nil // such a key cannot be stored
	}
	w := p.known(ctx, key, within)
	return w.Present, w.Err
}

// known reads the entry's meta from the store.
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

// finder looks up an entry, as Tiers.Lookup does.
type finder func(ctx context.Context, key string) (cache.Entry, string, error)

// absenceLasts is how long a miss in the store is remembered. If another instance stores the entry meanwhile, the
// variant is made twice, and the second write replaces the first.
const absenceLasts = time.Second

// unlessKnownAbsent returns a finder for keys that the store did not have at the time looked. For absenceLasts it reads
// only memory, which has the entries that this instance made since.
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

// vouch returns nil if this instance knows all purges. Otherwise an entry found in the store may be purged.
func (p *Pipeline) vouch() error {
	if p.parts.Purges.Trusted() {
		return nil
	}
	const why = "this instance is out of contact with the others and cannot tell what is purged"
	return fault.New(fault.Overloaded, "pipeline.vouch", why, nil).After(retrySoon)
}

// Recall is Get for a caller that knows the key and wants only a hit in memory. It returns false if Get would do more
// than answer (the entry is absent, stale, of an older recipe, or has to be queued for its upgrade or the slower
// encoder), and if Get would refuse.
func (p *Pipeline) Recall(key string, within reach.Hosts) (Answer, bool) {
	e, ok := p.parts.Tiers.Recall(key)
	if !ok || e.Recipe < variant.Recipe || isFirst(e.Meta) && p.upgrades.wants(key, within) || p.parts.Heat.Due(key) {
		return Answer{}, false
	}
	a, usable, _ := p.answerTo(within, e, cache.TierMemory)
	return a, usable && a.Outcome == Hit
}

// answerTo is answer for a caller whose originals may come only from the hosts in within. An entry from other hosts is
// refused and not made again: the stored entry decides until it is too old or purged. An entry without provenance
// counts as absent; it is from an older version, and its replacement will have it. The Answer is zero if the caller may
// not have the entry.
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
