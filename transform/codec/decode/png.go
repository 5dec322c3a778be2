package decode

import (
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// checkPNG refuses a PNG in which the checksum of pixel data is wrong.
func checkPNG(b []byte) error {
	if spoiled := container.SpoiledPNG(b); spoiled != "" {
		return fault.New(fault.DecodeFailed, "codec.checkPNG",
			"the picture is damaged: the checksum of its "+spoiled+" chunk is wrong", nil)
	}
	return nil
}

// mendPNG accepts a PNG whose data after the last row is missing.
func (s *Source) mendPNG() error {
	mended, ok := container.MendPNG(s.Original)
	if !ok {
		return fault.New(fault.TruncatedSource, "codec.mendPNG", "the picture is cut off", nil)
	}
	s.body = mended
	s.strict = vips.Forgiving // All rows are known to be complete.
	return nil
}

// Vouch makes the source decode again without complaints, after a decoder refused it, and reports whether it does so.
// This needs a PNG whose pixels are known to be complete: decoders differ in the errors that they tolerate after the
// last row.
func (s *Source) Vouch() bool {
	if s.Info.Format != "png" || s.strict == vips.Forgiving || !container.PNGComplete(s.body) {
		return false
	}
	for k, im := range s.shared {
		im.Free()
		delete(s.shared, k)
	}
	clear(s.uses)
	s.strict = vips.Forgiving
	return true
}
