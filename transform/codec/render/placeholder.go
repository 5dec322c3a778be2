package render

import (
	"github.com/goldcrest/goldcrest/transform/codec/frosted"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// placeholderSide is the longer side, in cells, of the grid that a placeholder is computed from. The highest of the
// seven waves of a placeholder is then seven cells long, so a finer grid would change nothing.
const placeholderSide = 50

// summary averages a picture's pixels as they pass by.
type summary struct {
	cells  *vips.Cells
	hashes [2]string // unchanged, and flattened on the background
}

// watch averages the first frame of the picture as it is read.
func (p *Picture) watch() (err error) {
	s := p.Size
	grid := s
	if longest := max(s.W, s.H); longest > placeholderSide {
		share := placeholderSide / float64(longest)
		grid = geometry.Size{W: max(1, geometry.ScaleSide(s.W, share)), H: max(1, geometry.ScaleSide(s.H, share))}
	}
	p.sum.cells, err = p.Im.Watch(s, grid)
	return err
}

// Placeholder is the ThumbHash of a picture whose pixels have been read, as it looks in format f: flattened on the
// background if the format has no alpha. It is computed once for all variants that share the pixels. It is "" if there
// are no pixels, as with the engine bimg.
func (p *Picture) Placeholder(f variant.Format, background variant.Color) string {
	if p.sum.cells == nil {
		return ""
	}
	flat := 0
	if p.Alpha && (f == variant.JPEG || background.Set) {
		flat = 1
	}
	if p.sum.hashes[flat] == "" {
		p.sum.hashes[flat] = p.sum.hash(flat == 1, background)
	}
	return p.sum.hashes[flat]
}

// hash computes the ThumbHash, flattened on the background if flat is set.
func (g *summary) hash(flat bool, background variant.Color) string {
	on := ColourBands(background, false)
	grid, sums := g.cells.Sums()
	pixels := make([]byte, 0, 4*len(sums))
	for _, s := range sums {
		alpha, n := float64(s[3]), float64(s[4])
		if n == 0 {
			return "" // Not all pixels were read.
		}
		cover := alpha / n / 255
		for c, below := range on {
			colour := 0.0
			if alpha > 0 {
				colour = float64(s[c]) / alpha
			}
			if flat {
				colour = colour*cover + below*(1-cover)
			}
			pixels = append(pixels, byte(colour+0.5))
		}
		if flat {
			cover = 1
		}
		pixels = append(pixels, byte(255*cover+0.5))
	}
	return frosted.Hash(grid.W, grid.H, pixels)
}
