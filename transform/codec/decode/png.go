package decode

import (
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// checkPNG refuses a PNG whose pixels have a wrong checksum.
func checkPNG(b []byte) error {
	if spoiled := container.SpoiledPNG(b); spoiled != "" {
		return fault.New(fault.DecodeFailed, "codec.checkPNG",
			"the picture is damaged: the checksum of its "+spoiled+" chunk is wrong", nil)
	}
	return nil
}

// mendPNG accepts a PNG whose end is missing behind the last row.
func (s *Source) mendPNG() error {
	mended, ok := container.MendPNG(s.Original)
	if !ok {
		return fault.New(fault.TruncatedSource, "codec.mendPNG", "the picture is cut off", nil)
	}
	s.body = mended
	s.strict = vips.Forgiving // All rows are known to be there.
	return nil
}

// Vouch has a picture that a decoder refused decoded once more without complaints, where all of its pixels are known to
// be there: decoders differ in what they forgive behind the last row.
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
