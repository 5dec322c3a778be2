package encode

import (
	"github.com/goldcrest/goldcrest/transform/codec/choose"
	"github.com/goldcrest/goldcrest/transform/codec/look"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
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

// drawn reports whether an original of that format was kept without loss, as drawings and screenshots are.
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
		// A variant is at most three quarters of the master, and a photo's colours are halved in it once more.
		halved := photo && v.Traits.Colourful < choose.VividFrom
		best, err = e.save(variant.JPEG, choose.Settings{Saving: vips.Saving{Q: masterQuality, FullChroma: !halved, Plain: true, Baseline: true}, Note: "a master"})
	}
	if err != nil {
		return variant.Image{}, err
	}
	return e.Image(best), nil
}
