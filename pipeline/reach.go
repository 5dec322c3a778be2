package pipeline

import (
	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/reach"
)

// viaAttr is the entry attribute that holds the reach.Via of its original, "" where no redirect left the source's host.
// Masters hand it on to what is made from them.
const viaAttr = "via"

// answerTo is answer for one who may have what comes from some hosts only. An entry beyond them is refused, and not
// made anew: what the store has decides, until it is too old or purged. An entry that does not say where it came from
// is as good as absent: it is from a version that did not keep that, and the one that replaces it will. The Answer is
// zero where the caller may not have the entry.
func (p *Pipeline) answerTo(within reach.Hosts, e cache.Entry, tier string) (a Answer, usable bool, refused error) {
	a, usable = p.answer(e, tier)
	if within == "" {
		return a, usable, nil
	}
	via, known := e.Attrs[viaAttr]
	switch {
	case known && within.AllowsAll(reach.Via(via)):
		return a, usable, nil
	case known && usable:
		return Answer{}, false, reach.Refused("pipeline.answerTo")
	}
	return Answer{}, false, nil
}
