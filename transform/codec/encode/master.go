package encode

import (
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// A master is a JPEG of this q. It is a lossless WebP if JPEG could not hold the picture, or would blur a drawing.
// bench/quality master measures what a variant loses by masters.
const (
	masterQuality  = 90
	masterLossless = 0 // the effort of WebP: the lowest, since the size of a master matters little
)

// masterBytes bounds a master. A lossless WebP above it is replaced by a slightly lossy one.
const masterBytes = 6 << 20

// drawn reports whether originals of that format are usually lossless, as drawings and screenshots are.
func drawn(format string) bool {
	return format == "png" || format == "gif" || format == "bmp" || format == "tiff"
}

// master encodes the picture as a master.
func (e *Encoder) master() (variant.Image, error) {
	v := e.Choices.Look(e.Pic)
	photo := v != nil && v.Kind == look.Photo
	var best Encoded
	var err error
	if e.Pic.Alpha || drawn(e.Src.Info.Format) && !photo {
		best, err = e.save(variant.WebP, choose.Settings{Saving: vips.Saving{Lossless: true, Effort: masterLossless, AlphaQ: 100}, Note: "a master without loss"})
	}
	switch {
	case err != nil || best.Body != nil && len(best.Body) <= masterBytes:
	case e.Pic.Alpha:
		best, err = e.save(variant.WebP, choose.Settings{Saving: vips.Saving{Q: masterQuality, Effort: choose.EffortWebP, FullChroma: true, AlphaQ: 100}, Note: "a master"})
	default:
		// A variant is at most three quarters of the master, and a photo's chroma is halved in it again.
		halved := photo && v.Traits.Colourful < choose.VividFrom
		best, err = e.save(variant.JPEG, choose.Settings{Saving: vips.Saving{Q: masterQuality, FullChroma: !halved, Plain: true, Baseline: true}, Note: "a master"})
	}
	if err != nil {
		return variant.Image{}, err
	}
	return e.Image(best), nil
}
