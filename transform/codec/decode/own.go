package decode

import (
	"math"

	"github.com/goldcrest/goldcrest/transform/codec/bmp"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/svg"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// DrawnScale returns the scale at which to rasterise a drawing, so that the cropped area has the wanted size and
// nothing is enlarged afterwards. With trims, a border is removed first, at the drawing's own size.
func (s *Source) DrawnScale(scaled, cropped geometry.Size, trims bool) float64 {
	scale := math.Max(float64(scaled.W)/float64(cropped.W), float64(scaled.H)/float64(cropped.H))
	if trims {
		scale = 1
	}
	most := float64(maxPDFPixels)
	if s.Svg != nil {
		most = float64(s.Svg.MaxPixels())
	}
	return math.Min(scale, math.Sqrt(most/float64(s.Stored.Area())))
}

// Enlarges reports whether the source may be enlarged for spec. A vector drawing may always be.
func (s *Source) Enlarges(spec variant.Spec) bool {
	return spec.Enlarge || s.Format() == "svg" || s.Format() == "pdf"
}

// Drawn reports whether the source is rasterised at the wanted scale.
func (s *Source) Drawn() bool { return s.Svg != nil || s.pdf > 0 }

// drawSVG rasterises the drawing.
func (s *Source) drawSVG(scale float64) (*vips.Image, error) {
	at := geometry.Size{W: max(1, geometry.ScaleSide(s.Stored.W, scale)), H: max(1, geometry.ScaleSide(s.Stored.H, scale))}
	im, pixels, err := vips.NewPixels(at.W, at.H, 4)
	if err != nil {
		return nil, vips.Undecodable("codec.drawSVG", err)
	}
	if err := svg.Open().Draw(s.Svg, pixels, at.W, at.H); err != nil {
		im.Free()
		return nil, err
	}
	return im, nil
}

// loadBMP decodes a BMP in Go.
func (s *Source) loadBMP() (*vips.Image, error) {
	f, err := bmp.Parse(s.body, s.Info.Width, s.Info.Height)
	if err != nil {
		return nil, err
	}
	im, pixels, err := vips.NewPixels(f.Width, f.Height, f.Bands())
	if err != nil {
		return nil, vips.Undecodable("codec.loadBMP", err)
	}
	err = f.Draw(pixels)
	if err == nil && f.Bands() == 4 && (allOpaque(pixels) ||
		allClear(pixels)) { // Many writers set alpha to zero everywhere in an opaque picture.
		err = im.DropAlpha()
	}
	if err != nil {
		im.Free()
		return nil, vips.Undecodable("codec.loadBMP", err)
	}
	return im, nil
}

// allClear reports whether all pixels, of four bytes each, have zero alpha.
func allClear(pixels []byte) bool {
	for i := 3; i < len(pixels); i += 4 {
		if pixels[i] != 0 {
			return false
		}
	}
	return true
}
