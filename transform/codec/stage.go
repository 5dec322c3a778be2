package codec

import "github.com/goldcrest/goldcrest/variant"

// The efforts of AVIF: libaom's speeds 9 and 8. The second takes more than three times as long, for a tenth fewer bytes of a
// photo and a third of a text at the same likeness.
const (
	effortFirst = 0
	effortFinal = 1
)

// effort is how hard AVIF is encoded. A picture above the bound of the request path gets the fast encoder in any stage: the other one
// could use up the processor time that a variant may take. Print and drawings get the good one at once: the third of the bytes that
// it spares takes a slow line longer to carry than the encoder to save.
func (e *encoder) effort() int {
	switch {
	case !e.avifAllowed():
		return effortFirst
	case e.job.stage == variant.StageFinal, e.kindFor(variant.AVIF) != Photo:
		return effortFinal
	}
	return effortFirst
}

// stage is what a variant counts as that came out in format f: first only where a final one would be another.
func (e *encoder) stage(f variant.Format) variant.Stage {
	if f == variant.AVIF && e.avifAllowed() && e.effort() == effortFirst {
		return variant.StageFirst
	}
	return variant.StageFinal
}
