package codec

import "github.com/goldcrest/goldcrest/variant"

// The efforts of AVIF: libaom's speeds 9, 8 and 6. The second takes more than three times as long as the first, for a
// tenth fewer bytes of a photo and a third of a text at the same likeness; the third takes three times as long as the
// second, for a seventh.
const (
	effortFirst = 0
	effortFinal = 1
	effortHot   = 3
)

// effort is how hard AVIF is encoded. Print and drawings get the second effort at once: the first takes a third more
// bytes of them, which costs a slow network more time than the encoder spares. A picture above the bound of the request
// path gets the first in any stage: the other one could use up the processor time that a variant may take.
func (e *encoder) effort() int {
	if e.avifAllowed() && (e.unhurried() || e.kindFor(variant.AVIF) != Photo) {
		return effortFinal
	}
	return effortFirst
}

// unhurried reports whether nobody waits for the variant.
func (e *encoder) unhurried() bool { return e.job.stage != variant.StageFirst }

// slows reports whether a format is made by the slower encoder: of what is measured, AVIF that is hot. Its q is
// foretold by the model of final ones, see hotAhead.
func (e *encoder) slows(f variant.Format) bool {
	return f == variant.AVIF && e.job.stage == variant.StageHot && e.avifAllowed()
}

// hotAhead is by how much an encode of the slower encoder scores higher than one of the final one with the same q: the
// mean of ten photos, with libaom 3.12 tuned by iq, and 3.6 by ssim.
func hotAhead() float64 {
	if tunesIQ() {
		return 8
	}
	return 3.5
}

// stage is what a variant counts as. Only an AVIF is first: its final one is made by another encoder, or by its
// measured score. Other formats that a viewer waits for are final by what was foretold of them: to make each of them
// twice would cost more than it spares.
func (e *encoder) stage(b encoded) variant.Stage {
	faster := e.effort() == effortFirst
	switch {
	case b.format != variant.AVIF || !e.avifAllowed():
	case e.job.stage == variant.StageFirst && (b.foretold || faster):
		return variant.StageFirst
	case e.job.stage == variant.StageHot && b.score > 0:
		return variant.StageHot
	}
	return variant.StageFinal
}
