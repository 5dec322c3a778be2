package pipeline

import (
	"maps"
	"strconv"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/heat"
	"github.com/goldcrest/goldcrest/variant"
)

// hotStage is the stage of entries that the slower encoder made, or would not have made smaller.
var hotStage = strconv.Itoa(int(variant.StageHot))

// scoreSlack is how far below its target a variant may score where its quality is measured.
const scoreSlack = 0.5

// Viewed counts that a viewer was sent all bytes of an entry. Once they are worth it, the next hit has the entry made
// again by a slower encoder.
func (p *Pipeline) Viewed(key string, m cache.Meta) {
	if h := p.parts.Heat; !h.View(key, m.ETag) {
		h.Begin(key, m.ETag, p.breakEven(m))
	}
}

// breakEven is the number of views after which the slower encoder pays for an entry.
func (p *Pipeline) breakEven(m cache.Meta) int {
	if !lightens(m) {
		return heat.Never
	}
	return p.parts.Heat.Needed(pixels(m), m.Size)
}

// views is how often an entry was seen, and after how many views it is worth the slower encoder; 0 = never.
func (p *Pipeline) views(key string, m cache.Meta) (views, needed int) {
	views, needed = p.parts.Heat.Read(key, m.ETag)
	if needed = min(needed, p.breakEven(m)); needed == heat.Never {
		needed = 0
	}
	return views, needed
}

// lightens reports whether the slower encoder may make an entry smaller: a final AVIF whose score was measured, so that
// the score of what replaces it can be held against it.
func lightens(m cache.Meta) bool {
	return m.ContentType == variant.AVIF.MediaType() && m.Attrs[stageAttr] == "" && m.Attrs[scoreAttr] != ""
}

func pixels(m cache.Meta) int64 { return int64(number(m.Attrs["w"])) * int64(number(m.Attrs["h"])) }

// lightenIfHot queues an entry that viewers asked for so often that it is worth a slower encoder.
func (p *Pipeline) lightenIfHot(ref variant.Ref, key string, m cache.Meta) {
	if p.parts.Heat.Take(key) && lightens(m) {
		p.improve(improvement{ref, key, variant.StageHot, m})
	}
}

// tellQueued tells the meters that an entry waits to be made better, or was dropped.
func (p *Pipeline) tellQueued(i improvement, outcome string) {
	if i.stage == variant.StageHot {
		p.parts.Heat.Queued(i.key, i.from.ETag, outcome)
		return
	}
	p.parts.Observer.Upgraded(outcome)
}

// tellImproved tells the meters what became of an entry that was queued. f is nil where it was not begun.
func (p *Pipeline) tellImproved(i improvement, f *fill, outcome string) {
	if i.stage != variant.StageHot {
		p.parts.Observer.Upgraded(outcome)
		return
	}
	r := heat.Remake{Pixels: pixels(i.from), Before: i.from.Size}
	if f != nil {
		r.CPU, r.After = f.answer.Timings.CPU, f.answer.Entry.Size
	}
	p.parts.Heat.Done(i.key, i.from.ETag, outcome, r)
}

// lighter is the better one of a final entry and what the slower encoder made in its place: the smaller, unless that
// falls short of the target by more than the final one does. The final one is not tried again.
func lighter(final, hot cache.Entry) (e cache.Entry, kept bool) {
	if len(hot.Body) < len(final.Body) && hot.ContentType == final.ContentType &&
		attr(hot.Meta, scoreAttr) >= min(attr(final.Meta, scoreAttr), attr(hot.Meta, targetAttr)-scoreSlack) {
		return later(final, hot), false
	}
	final.Attrs = maps.Clone(final.Attrs)
	final.Attrs[stageAttr] = hotStage
	return final, true
}

// attr is an attribute that is a number; 0 where there is none.
func attr(m cache.Meta, name string) float64 {
	v, _ := strconv.ParseFloat(m.Attrs[name], 64)
	return v
}
