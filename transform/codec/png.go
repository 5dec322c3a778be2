package codec

import (
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/container"
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
func (s *source) mendPNG() error {
	mended, ok := container.MendPNG(s.original)
	if !ok {
		return fault.New(fault.TruncatedSource, "codec.mendPNG", "the picture is cut off", nil)
	}
	s.body = mended
	s.strict = forgiving // All rows are known to be there.
	return nil
}

// vouch has a picture that a decoder refused decoded once more without complaints, where all of its pixels are known to
// be there: decoders differ in what they forgive behind the last row.
func (s *source) vouch() bool {
	if s.info.Format != "png" || s.strict == forgiving || !container.PNGComplete(s.body) {
		return false
	}
	for k, im := range s.shared {
		im.free()
		delete(s.shared, k)
	}
	clear(s.uses)
	s.strict = forgiving
	return true
}
