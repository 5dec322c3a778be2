package encode

import (
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// effort is the effort of AVIF. Print and drawings get EffortFinal at once: EffortFirst makes them a third larger,
// which costs a slow network more time than the encoder saves. A picture above the limit of the request path gets
// EffortFirst in every stage: EffortFinal could use up the processor time that a variant may take.
func (e *Encoder) effort() int {
	if e.avifAllowed() && (e.unhurried() || e.kindFor(variant.AVIF) != look.Photo) {
		return choose.EffortFinal
	}
	return choose.EffortFirst
}

// unhurried reports whether nobody waits for the variant.
func (e *Encoder) unhurried() bool { return e.Job.Stage != variant.StageFirst }

// slows reports whether a format is made by the slower encoder: a hot AVIF, if it is measured. Its q is predicted by
// the model of final ones, see hotAhead.
func (e *Encoder) slows(f variant.Format) bool {
	return f == variant.AVIF && e.Job.Stage == variant.StageHot && e.avifAllowed()
}

// hotAhead is how much higher the slower encoder scores than the final one with the same q: the mean of ten photos,
// with libaom 3.12 tuned by iq, and 3.6 by ssim.
func hotAhead() float64 {
	if vips.TunesIQ() {
		return 8
	}
	return 3.5
}

// stage is the stage of a variant. Only an AVIF can be first-stage: its final variant is made by another encoder, or by
// its measured score. Other formats that a viewer waits for are final with their predicted quality: making each of them
// twice would cost more than it saves.
func (e *Encoder) stage(b Encoded) variant.Stage {
	faster := e.effort() == choose.EffortFirst
	switch {
	case b.Format != variant.AVIF || !e.avifAllowed():
	case e.Job.Stage == variant.StageFirst && (b.foretold || faster):
		return variant.StageFirst
	case e.Job.Stage == variant.StageHot && b.score > 0:
		return variant.StageHot
	}
	return variant.StageFinal
}
