package codec

import (
	"cmp"
	"slices"
)

// chainShrink is how small a picture must be, against one that is made with it, to be made from that one instead of
// from the original: what is scaled down twice by less loses sharpness that can be measured (bench/quality chain).
const chainShrink = 0.75

// whole reports whether the job's pixels are those of the whole source, scaled down, with whatever is done to them
// after that.
func (j *job) whole() bool {
	p := &j.plan
	return j.frames == 1 && !j.spec.Trim.On && !p.enlarges() && p.cropSize == p.upright.of(p.stored)
}

// plain reports whether nothing is done to them after that, so that they can stand for the source.
func (j *job) plain() bool {
	p := &j.plan
	return j.whole() && !j.effects() && !p.resultSmart && p.result == p.scaled && p.canvas == p.result && p.out == p.canvas
}

// follows reports whether the job's pixels may be made from those of larger.
func (j *job) follows(larger *job) bool {
	a, b := larger.plan.scaled, j.plan.scaled
	return larger.plain() && j.whole() && larger.plan.final == j.plan.final &&
		float64(b.W) <= chainShrink*float64(a.W) && float64(b.H) <= chainShrink*float64(a.H)
}

// link is a picture of a call, from which smaller ones of it may be made.
type link struct {
	pic *picture
	job *job
}

// chain is the pictures of a call that lead to others, from large to small. It owns them.
type chain []link

func (c chain) free() {
	for _, l := range c {
		l.pic.free()
	}
}

// next is the smallest picture that j may be made from; nil = none.
func (c chain) next(j *job) *link {
	for i := len(c) - 1; i >= 0; i-- {
		if j.follows(c[i].job) {
			return &c[i]
		}
	}
	return nil
}

// chained orders groups from large to small and tells which of them will be made from one before.
func chained(groups [][]*job) (follows []bool) {
	slices.SortStableFunc(groups, func(a, b []*job) int { return cmp.Compare(b[0].plan.scaled.area(), a[0].plan.scaled.area()) })
	follows = make([]bool, len(groups))
	var before chain
	for i, g := range groups {
		follows[i] = before.next(g[0]) != nil
		before = append(before, link{job: g[0]})
	}
	return follows
}

// leads reports whether any of the others will be made from the first group.
func leads(groups [][]*job) bool {
	return slices.ContainsFunc(groups[1:], func(g []*job) bool { return g[0].follows(groups[0][0]) })
}

// rescale is scale for a picture that is made from a larger one, which is upright and has its colours already.
func (r *renderer) rescale() error {
	p := &r.plan
	err := r.im.resize(p.scaled)
	if err == nil && !p.resultSmart && p.result != p.scaled {
		err = r.im.extract(p.resultAt)
	}
	if err == nil {
		err = r.im.memory()
	}
	if err != nil {
		return internal("codec.rescale", err)
	}
	return r.attend()
}
