package render

import (
	"cmp"
	"slices"

	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// chainShrink is how small a picture must be, against one that is made with it, to be made from that one instead of
// from the original: what is scaled down twice by less loses sharpness that can be measured (bench/quality chain).
const chainShrink = 0.75

// whole reports whether the job's pixels are those of the whole source, scaled down, with whatever is done to them
// after that.
func (j *Job) whole() bool {
	p := &j.Plan
	return j.Frames == 1 && !j.Spec.Trim.On && !p.Enlarges() && p.CropSize == p.Upright.Of(p.Stored)
}

// plain reports whether nothing is done to them after that, so that they can stand for the source.
func (j *Job) plain() bool {
	p := &j.Plan
	return j.whole() && !j.Effects() && !p.ResultSmart && p.Result == p.Scaled && p.Canvas == p.Result && p.Out == p.Canvas
}

// Follows reports whether the job's pixels may be made from those of larger.
func (j *Job) Follows(larger *Job) bool {
	a, b := larger.Plan.Scaled, j.Plan.Scaled
	return larger.plain() && j.whole() && larger.Plan.Final == j.Plan.Final &&
		float64(b.W) <= chainShrink*float64(a.W) && float64(b.H) <= chainShrink*float64(a.H)
}

// Link is a picture of a call, from which smaller ones of it may be made.
type Link struct {
	Pic *Picture
	Job *Job
}

// Chain is the pictures of a call that lead to others, from large to small. It owns them.
type Chain []Link

// Free gives the pictures back.
func (c Chain) Free() {
	for _, l := range c {
		l.Pic.Free()
	}
}

// Next is the smallest picture that j may be made from; nil = none.
func (c Chain) Next(j *Job) *Link {
	for i := len(c) - 1; i >= 0; i-- {
		if j.Follows(c[i].Job) {
			return &c[i]
		}
	}
	return nil
}

// Chained orders groups from large to small and tells which of them will be made from one before.
func Chained(groups [][]*Job) (follows []bool) {
	slices.SortStableFunc(groups, func(a, b []*Job) int { return cmp.Compare(b[0].Plan.Scaled.Area(), a[0].Plan.Scaled.Area()) })
	follows = make([]bool, len(groups))
	var before Chain
	for i, g := range groups {
		follows[i] = before.Next(g[0]) != nil
		before = append(before, Link{Job: g[0]})
	}
	return follows
}

// Leads reports whether any of the others will be made from the first group.
func Leads(groups [][]*Job) bool {
	return slices.ContainsFunc(groups[1:], func(g []*Job) bool { return g[0].Follows(groups[0][0]) })
}

// rescale is scale for a picture that is made from a larger one, which is upright and has its colours already.
func (r *renderer) rescale() error {
	p := &r.plan
	err := r.im.Resize(p.Scaled)
	if err == nil && !p.ResultSmart && p.Result != p.Scaled {
		err = r.im.Extract(p.ResultAt)
	}
	if err == nil {
		err = r.im.Memory()
	}
	if err != nil {
		return vips.Internal("codec.rescale", err)
	}
	return r.attend()
}
