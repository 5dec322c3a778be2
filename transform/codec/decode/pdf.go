package decode

import (
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// A page's own size has two pixels per point (1/72 inch), as for a high-density screen.
const (
	pdfScale     = 2.0
	maxPDFSide   = 2048
	maxPDFPixels = 4 << 20
)

// drawPDF draws the first page of a document on white.
func (s *Source) drawPDF(scale float64) (*vips.Image, error) {
	if !vips.HasOperation("pdfload_buffer") {
		return nil, fault.New(fault.UnsupportedFormat, "codec.load", "PDF is not read by this server", nil)
	}
	load := func(scale float64) (*vips.Image, error) {
		im, err := vips.Load(&s.pin, s.body, vips.Loading{Format: "pdf", Scale: scale, Strict: s.strict})
		if err != nil {
			return nil, vips.Undecodable("codec.drawPDF", err)
		}
		return im, nil
	}
	if s.pdf == 0 {
		page, err := load(1)
		if err != nil {
			return nil, err
		}
		points := page.Size()
		page.Free()
		s.pdf = min(pdfScale, float64(maxPDFSide)/float64(max(points.W, points.H)))
	}
	if scale <= 0 {
		scale = 1
	}
	im, err := load(s.pdf * scale)
	if err != nil {
		return nil, err
	}
	if err := im.DropAlpha(); err != nil {
		im.Free()
		return nil, vips.Undecodable("codec.drawPDF", err)
	}
	return im, nil
}
