package codec

// #include "vips_cells.h"
import "C"

import (
	"unsafe"

	"github.com/goldcrest/goldcrest/transform/codec/frosted"
	"github.com/goldcrest/goldcrest/variant"
)

// placeholderSide is the longer side, in cells, that a picture is summed up in for its placeholder. The highest of the
// seven waves that are told of it is then seven cells long, so that more would change nothing.
const placeholderSide = 50

// summary sums a picture up while its pixels pass by, which costs no reading of its own: a streamed picture could not
// be read twice.
type summary struct {
	c      *C.GcCells
	hashes [2]string // as it is, and laid on the background
}

// watch sums the pixels up as they are read. They are of a picture of size s; further frames, below it, are left out.
func (im *pixmap) watch(s size) (*summary, error) {
	across, down := s.W, s.H
	if longest := max(s.W, s.H); longest > placeholderSide {
		across, down = max(1, scaleSide(s.W, placeholderSide/float64(longest))), max(1, scaleSide(s.H, placeholderSide/float64(longest)))
	}
	g := &summary{c: C.gc_cells_new(C.int(s.W), C.int(s.H), C.int(across), C.int(down))}
	err := im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_cells_watch(in, out, g.c) })
	if err != nil {
		g.free()
		return nil, err
	}
	return g, nil
}

func (g *summary) free() {
	if g != nil && g.c != nil {
		C.gc_cells_free(unsafe.Pointer(g.c))
		g.c = nil
	}
}

// placeholder is the ThumbHash of a picture whose pixels have been read, as it looks in a format: on the background
// where that has no alpha. It is reckoned once for all variants that share the pixels. "" where there are no pixels, as
// with the engine bimg.
func (p *picture) placeholder(f variant.Format, background variant.Color) string {
	if p.sum == nil {
		return ""
	}
	flat := 0
	if p.alpha && (f == variant.JPEG || background.Set) {
		flat = 1
	}
	if p.sum.hashes[flat] == "" {
		p.sum.hashes[flat] = p.sum.hash(flat == 1, background)
	}
	return p.sum.hashes[flat]
}

// hash is the ThumbHash of what was summed up, laid on the background where it is to be flat.
func (g *summary) hash(flat bool, background variant.Color) string {
	on := colourBands(background, false)
	w, h := int(g.c.across), int(g.c.down)
	pixels := make([]byte, 0, 4*w*h)
	sums := unsafe.Slice((*C.guint64)(unsafe.Add(unsafe.Pointer(g.c), C.sizeof_GcCells)), w*h*C.GC_CELL)
	for i := range w * h {
		s := sums[i*C.GC_CELL:]
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
	return frosted.Hash(w, h, pixels)
}
