package render

import (
	"cmp"
	"slices"

	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// chainShrink is the largest ratio to a larger picture of the same call at which a picture is made from that picture
// instead of the original. Scaling twice by less loses measurable sharpness (bench/quality chain).
const chainShrink = 0.75

// whole reports whether the job's pixels come from the whole source, scaled down. Later steps may change them.
func (j *Job) whole() bool {
	p := &j.Plan
	return j.Frames == 1 && !j.Spec.Trim.On && !p.Enlarges() && p.Crop.Size == p.Upright.Of(p.Stored)
}

// plain reports whether no later step changes the pixels, so that they can replace the source.
func (j *Job) plain() bool {
	p := &j.Plan
	return j.whole() && !j.Effects() && !p.Result.Smart && p.Result.Size == p.Scaled && p.Canvas == p.Result.Size && p.Out == p.Canvas
}

// Follows reports whether the job's pixels can be made from those of larger.
func (j *Job) Follows(larger *Job) bool {
	a, b := larger.Plan.Scaled, j.Plan.Scaled
	return larger.plain() && j.whole() && larger.Plan.Final == j.Plan.Final && larger.Spec.KeepProfile == j.Spec.KeepProfile &&
		float64(b.W) <= chainShrink*float64(a.W) && float64(b.H) <= chainShrink*float64(a.H)
}

// Link is a picture of a call from which smaller ones can be made.
type Link struct {
	Pic *Picture
	Job *Job
}

// Chain holds the pictures of a call from which others are made, from large to small. It owns them.
type Chain []Link

// Free frees the pictures.
func (c Chain) Free() {
	for _, l := range c {
		l.Pic.Free()
	}
}

// Next is the smallest picture from which j can be made; nil = none.
func (c Chain) Next(j *Job) *Link {
	for i := len(c) - 1; i >= 0; i-- {
		if j.Follows(c[i].Job) {
			return &c[i]
		}
	}
	return nil
}

// Chained sorts groups from large to small and reports which of them will be made from an earlier one.
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

// Leads reports whether any of the other groups will be made from the first.
func Leads(groups [][]*Job) bool {
	return slices.ContainsFunc(groups[1:], func(g []*Job) bool { return g[0].Follows(groups[0][0]) })
}

// rescale is scale for a picture made from a larger one, which is already upright and in its final colours.
func (r *renderer) rescale() error {
	p := &r.plan
	err := r.im.Resize(p.Scaled)
	if err == nil && !p.Result.Smart && p.Result.Size != p.Scaled {
		err = r.im.Extract(p.Result.At)
	}
	if err == nil {
		err = r.im.Memory()
	}
	if err != nil {
		return vips.Internal("codec.rescale", err)
	}
	return r.attend()
}
