package pipeline

import (
	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/heat"
	"github.com/goldcrest/goldcrest/variant"
)

// scoreSlack is how far a measured score may be below its target.
const scoreSlack = 0.5

// Viewed counts that a viewer was sent all bytes of an entry. Once there are enough views, the next hit has the entry
// made again by a slower encoder.
func (p *Pipeline) Viewed(key string, m cache.Meta) {
	if h := p.parts.Heat; !h.View(key, m.ETag) {
		h.Begin(key, m.ETag, p.breakEven(m))
	}
}

// breakEven is the number of views from which the slower encoder is worth its cost for an entry.
func (p *Pipeline) breakEven(m cache.Meta) int {
	if !lightens(m) {
		return heat.Never
	}
	return p.parts.Heat.Needed(pixels(m), m.Size)
}

// views returns the number of views of an entry, and the number from which the slower encoder is worth it; 0 = never.
func (p *Pipeline) views(key string, m cache.Meta) (views, needed int) {
	views, needed = p.parts.Heat.Read(key, m.ETag)
	if needed = min(needed, p.breakEven(m)); needed == heat.Never {
		needed = 0
	}
	return views, needed
}

// lightens reports whether the slower encoder may make an entry smaller: it is a final AVIF with a measured score, with
// which the new score can be compared. Animations have no slower encoder.
func lightens(m cache.Meta) bool {
	if m.ContentType != variant.AVIF.MediaType() || variant.StageOf(m.Attrs) != variant.StageFinal {
		return false
	}
	f := variant.DecodeFacts(m.Attrs)
	return f.Choice.Score > 0 && f.Frames <= 1
}

func pixels(m cache.Meta) int64 {
	f := variant.DecodeFacts(m.Attrs)
	return int64(f.Width) * int64(f.Height)
}

// lightenIfHot queues an entry with enough views for the slower encoder.
func (p *Pipeline) lightenIfHot(ref variant.Ref, key string, m cache.Meta) {
	if p.parts.Heat.Take(key) && lightens(m) {
		p.improve(improvement{ref, key, variant.StageHot, m})
	}
}

// tellQueued counts an entry that was queued for improvement, or dropped.
func (p *Pipeline) tellQueued(i improvement, outcome string) {
	if i.stage == variant.StageHot {
		p.parts.Heat.Queued(i.key, i.from.ETag, outcome)
		return
	}
	p.parts.Observer.Upgraded(outcome)
}

// tellImproved counts the outcome of a queued entry. f is nil if its fill did not start.
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

// lighter returns the better of a final entry and the one that the slower encoder made: the smaller one, unless its
// score is further below the target than that of the final one. A final entry that is kept is not tried again.
func lighter(final, hot cache.Entry) (e cache.Entry, kept bool) {
	now, was := variant.DecodeFacts(hot.Attrs).Choice, variant.DecodeFacts(final.Attrs).Choice
	if len(hot.Body) < len(final.Body) && hot.ContentType == final.ContentType &&
		now.Score >= min(was.Score, now.Target-scoreSlack) {
		return later(final, hot), false
	}
	final.Attrs = variant.WithStage(final.Attrs, variant.StageHot)
	return final, true
}
