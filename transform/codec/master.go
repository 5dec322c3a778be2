package codec

import (
	"github.com/goldcrest/goldcrest/variant"
)

// A master is a JPEG of that q, or a WebP without loss where JPEG could not hold the picture or would blur what is
// drawn in it. bench/quality master has what a variant loses by them.
const (
	masterQuality  = 90
	masterLossless = 0 // the effort of WebP: the least, since nobody waits for fewer bytes
)

// masterBytes bounds a master; a WebP without loss above it gives way to one with a little.
const masterBytes = 6 << 20

// masterFit is how far a master may stay below its bound so that the JPEG decoder can shrink right down to it.
const masterFit = 0.9

// masterResample is what the resampler has left to do, at least, of a picture that the decoder shrinks a master for: a
// master is sharper than most originals, and the decoder alone lets its noise through.
const masterResample = 1.5

// exactBytes bounds the originals that are their own master.
const exactBytes = 1 << 20

// masterBox is the box of a master within bound: the size that the decoder shrinks to by itself where that comes near
// the bound, which spares half of the work.
func masterBox(src *source, bound int) int {
	long := max(src.stored.W, src.stored.H)
	if src.info.Format != "jpeg" {
		return bound
	}
	for _, shrink := range []int{2, 4, 8} {
		if side := long / shrink; side <= bound && float64(side) >= masterFit*float64(bound) {
			return side
		}
	}
	return bound
}

// exactMaster is the original itself, less its metadata, where it is small enough to be kept so and needs no
// conversion.
func exactMaster(src *source, j *job) (variant.Image, bool) {
	if src.info.Frames > 1 || len(src.original) > 2*exactBytes { // Rewriting halves none.
		return variant.Image{}, false
	}
	body, format, ok := untouched(src, j)
	if !ok || len(body) > exactBytes {
		return variant.Image{}, false
	}
	return variant.Image{
		Body: body, Format: format, Width: src.stored.W, Height: src.stored.H, Frames: 1, SourceFormat: src.info.Format,
		SourceWidth: src.stored.W, SourceHeight: src.stored.H, SourceFrames: 1, Exact: true, Note: "the original, less its metadata",
	}, true
}

// drawn reports whether an original of that format was kept without loss, as drawings and screenshots are.
func drawn(format string) bool {
	return format == "png" || format == "gif" || format == "bmp" || format == "tiff"
}

// master encodes the picture as a master.
func (e *encoder) master() (variant.Image, error) {
	v := e.choices.look(e.pic)
	photo := v != nil && v.kind == Photo
	var best encoded
	var err error
	if e.pic.alpha || drawn(e.src.info.Format) && !photo {
		best, err = e.save(variant.WebP, settings{lossless: true, effort: masterLossless, alphaQ: 100, note: "a master without loss"})
	}
	switch {
	case err != nil || best.body != nil && len(best.body) <= masterBytes:
	case e.pic.alpha:
		best, err = e.save(variant.WebP, settings{q: masterQuality, effort: effortWebP, fullChroma: true, alphaQ: 100, note: "a master"})
	default:
		// A variant is at most three quarters of the master, and a photo's colours are halved in it once more.
		halved := photo && v.traits.Colourful < vividFrom
		best, err = e.save(variant.JPEG, settings{q: masterQuality, fullChroma: !halved, plain: true, baseline: true, note: "a master"})
	}
	if err != nil {
		return variant.Image{}, err
	}
	return e.image(best), nil
}
