package codec

import "github.com/goldcrest/goldcrest/variant"

// The efforts of AVIF: libaom's speeds 9 and 8. The second takes more than three times as long, for a tenth fewer bytes of a
// photo and a third of a text at the same likeness.
const (
	effortFirst = 0
	effortFinal = 1
)

// effort is how hard AVIF is encoded. Print and drawings get the second effort at once: the first takes a third more bytes of them, which
// costs a slow network more time than the encoder spares. A picture above the bound of the request path gets the first in any stage: the
// other one could use up the processor time that a variant may take.
func (e *encoder) effort() int {
	if e.avifAllowed() && (e.job.stage == variant.StageFinal || e.kindFor(variant.AVIF) != Photo) {
		return effortFinal
	}
	return effortFirst
}

// stage is what a variant counts as. Only an AVIF is first: its final one is made by another encoder, or by its measured score. Other formats
// that a viewer waits for are final by what was foretold of them: to make each of them twice would cost more than it spares.
func (e *encoder) stage(b encoded) variant.Stage {
	faster := e.effort() == effortFirst
	if b.format == variant.AVIF && e.avifAllowed() && e.job.stage == variant.StageFirst && (b.foretold || faster) {
		return variant.StageFirst
	}
	return variant.StageFinal
}
