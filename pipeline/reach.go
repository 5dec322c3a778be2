package pipeline

import (
	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

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
