package pipeline

import (
	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

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
