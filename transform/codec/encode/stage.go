package encode

import (
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// effort is how hard AVIF is encoded. Print and drawings get the second effort at once: the first takes a third more
// bytes of them, which costs a slow network more time than the encoder spares. A picture above the bound of the request
// path gets the first in any stage: the other one could use up the processor time that a variant may take.
func (e *Encoder) effort() int {
	if e.avifAllowed() && (e.unhurried() || e.kindFor(variant.AVIF) != look.Photo) {
		return choose.EffortFinal
	}
	return choose.EffortFirst
}

// unhurried reports whether nobody waits for the variant.
func (e *Encoder) unhurried() bool { return e.Job.Stage != variant.StageFirst }

// slows reports whether a format is made by the slower encoder: of what is measured, AVIF that is hot. Its q is
// foretold by the model of final ones, see hotAhead.
func (e *Encoder) slows(f variant.Format) bool {
	return f == variant.AVIF && e.Job.Stage == variant.StageHot && e.avifAllowed()
}

// hotAhead is by how much an encode of the slower encoder scores higher than one of the final one with the same q: the
// mean of ten photos, with libaom 3.12 tuned by iq, and 3.6 by ssim.
func hotAhead() float64 {
	if vips.TunesIQ() {
		return 8
	}
	return 3.5
}

// stage is what a variant counts as. Only an AVIF is first: its final one is made by another encoder, or by its
// measured score. Other formats that a viewer waits for are final by what was foretold of them: to make each of them
// twice would cost more than it spares.
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
