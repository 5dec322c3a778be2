package pipeline

import (
	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/heat"
	"github.com/goldcrest/goldcrest/variant"
)

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
	if m.ContentType != variant.AVIF.MediaType() || variant.StageOf(m.Attrs) != variant.StageFinal {
		return false
	}
	return variant.DecodeFacts(m.Attrs).Choice.Score > 0
}

func pixels(m cache.Meta) int64 {
	f := variant.DecodeFacts(m.Attrs)
	return int64(f.Width) * int64(f.Height)
}

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
	now, was := variant.DecodeFacts(hot.Attrs).Choice, variant.DecodeFacts(final.Attrs).Choice
	if len(hot.Body) < len(final.Body) && hot.ContentType == final.ContentType &&
		now.Score >= min(was.Score, now.Target-scoreSlack) {
		return later(final, hot), false
	}
	final.Attrs = variant.WithStage(final.Attrs, variant.StageHot)
	return final, true
}
