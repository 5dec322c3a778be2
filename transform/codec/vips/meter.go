package vips

// #include "vips_cells.h"
// #include "vips_colour.h"
import "C"

import (
	"unsafe"

	"github.com/goldcrest/goldcrest/transform/codec/geometry"
)

// Conversion describes how samples are converted to sRGB. Light is 1 at the white of sRGB.
type Conversion struct {
	Hdr    bool      // light above 1 is mapped down by tone
	Hlg    bool      // scene light, from which a display derives its own by the brightness of each pixel
	Matrix []float64 // 3 x 3: from the file's primaries to sRGB's
	Weight []float64 // the brightness of the file's primaries
	Peak   float64   // the brightest light that is distinguished
	Tone   []float32 // GC_TONES factors of light, by the square root of light/Peak
	Shade  []uint8   // GC_SHADES: sRGB of light from 0 to 1
	Light  []float32 // of each sample value
}

// Convert converts to 8-bit sRGB, or to grey for a grey picture.
func (im *Image) Convert(t *Conversion) error {
	p := C.g_malloc0(C.gsize(C.sizeof_GcColour + 4*len(t.Light)))
	g := (*C.GcColour)(p)
	g.hdr, g.hlg = flag(t.Hdr), flag(t.Hlg)
	g.peak, g.gain = C.float(t.Peak), C.float(t.Peak)
	for i, v := range t.Weight {
		g.weight[i] = C.float(v)
	}
	for i, v := range t.Matrix {
		g.matrix[i] = C.float(v)
	}
	for i, v := range t.Tone {
		g.tone[i] = C.float(v)
	}
	for i, v := range t.Shade {
		g.shade[i] = C.uint8_t(v)
	}
	copy(unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(p), C.sizeof_GcColour)), len(t.Light)), t.Light)
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_colour(in, out, g) })
}

// Cells sums a picture in a coarse grid while its pixels are read. It needs no pass of its own, since a streamed
// picture cannot be read twice.
type Cells struct{ c *C.GcCells }

// Watch sums the pixels as they are read. s is the size of the picture; further frames below it are ignored.
func (im *Image) Watch(s, grid geometry.Size) (*Cells, error) {
	c := &Cells{C.gc_cells_new(C.int(s.W), C.int(s.H), C.int(grid.W), C.int(grid.H))}
	err := im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_cells_watch(in, out, c.c) })
	if err != nil {
		c.Free()
		return nil, err
	}
	return c, nil
}

// Free frees the memory; c may be nil.
func (c *Cells) Free() {
	if c != nil && c.c != nil {
		C.gc_cells_free(unsafe.Pointer(c.c))
		c.c = nil
	}
}

// Sums returns, for each cell of the grid, the sums of red, green, blue, alpha and the number of pixels; colours are
// weighted by alpha.
func (c *Cells) Sums() (grid geometry.Size, sums [][5]uint64) {
	grid = geometry.Size{W: int(c.c.across), H: int(c.c.down)}
	return grid, unsafe.Slice((*[5]uint64)(unsafe.Add(unsafe.Pointer(c.c), C.sizeof_GcCells)), grid.W*grid.H)
}

// Profile copies the embedded ICC profile; nil if there is none.
func (im *Image) Profile() []byte { return im.metadata(false) }

// EXIF copies the EXIF block; nil if there is none.
func (im *Image) EXIF() []byte { return im.metadata(true) }

func (im *Image) metadata(exif bool) []byte {
	var n C.size_t
	p := C.gc_metadata(im.p, flag(exif), &n)
	if p == nil {
		return nil
	}
	return C.GoBytes(p, C.int(n))
}
