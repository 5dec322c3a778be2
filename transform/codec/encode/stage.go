package encode

import (
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// effort is the effort of a format with stages. Print and drawings get the final one at once: the first one makes an
// AVIF of them a third larger, which costs a slow network more time than the encoder saves. A picture above the limit
// of the request path gets the first one in every stage: the final one could use up the processor time that a variant
// may take.
func (e *Encoder) effort(f variant.Format) int {
	first, final := choose.EffortFirst, choose.EffortFinal
	if f == variant.JXL {
		first, final = choose.EffortFirstJXL, choose.EffortFinalJXL
	}
	if e.stagesAllowed() && (e.unhurried() || e.kindFor(f) != look.Photo) {
		return final
	}
	return first
}

// stagesAllowed reports whether the picture is small enough for the slower encoders.
func (e *Encoder) stagesAllowed() bool { return e.Pic.Size.Area() <= e.Job.Lim.AVIFPixels }

// suits reports whether a negotiated format can be made of the picture.
func (e *Encoder) suits(f variant.Format) bool {
	return !f.Staged() || e.stagesAllowed() && (f == variant.AVIF || vips.WritesJXL())
}

// unhurried reports whether nobody waits for the variant.
func (e *Encoder) unhurried() bool { return e.Job.Stage != variant.StageFirst }

// slows reports whether a format is made by the slower encoder: a hot AVIF, if it is measured. Its q is predicted by
// the model of final ones, see hotAhead.
func (e *Encoder) slows(f variant.Format) bool {
	return f == variant.AVIF && e.Job.Stage == variant.StageHot && e.stagesAllowed()
}

// hotAhead is how much higher the slower encoder scores than the final one with the same q: the mean of ten photos,
// with libaom 3.12 tuned by iq, and 3.6 by ssim.
func hotAhead() float64 {
	if vips.TunesIQ() {
		return 8
	}
	return 3.5
}

// stage is the stage of a variant. Only a format with stages can be first-stage: its final variant is made by another
// encoder, or by its measured score. Other formats that a viewer waits for are final with their predicted quality:
// making each of them twice would cost more than it saves.
func (e *Encoder) stage(b Encoded) variant.Stage {
	switch {
	case !b.Format.Staged() || !e.stagesAllowed():
	case e.Job.Stage == variant.StageFirst && (b.foretold || e.kindFor(b.Format) == look.Photo):
		return variant.StageFirst
	case e.slows(b.Format) && b.score > 0:
		return variant.StageHot
	}
	return variant.StageFinal
}
