package vips

// #include "vips_save.h"
import "C"

import (
	"unsafe"

	"github.com/goldcrest/goldcrest/variant"
)

// TunesIQ reports whether the linked libaom can be tuned for visible quality (iq) instead of structure (ssim).
func TunesIQ() bool { return C.gc_tunes_iq() == 1 }

// Bare removes all metadata.
func (im *Image) Bare() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_bare(in, out) })
}

// Animate marks a stacked, bare image as an animation with one delay in milliseconds per frame.
func (im *Image) Animate(pageHeight, loop int, delays []int) {
	d := make([]C.int, len(delays))
	for i, v := range delays {
		d[i] = C.int(v)
	}
	C.gc_animate(im.p, C.int(pageHeight), C.int(len(d)), &d[0], C.int(loop))
}

// Save encodes the image; the bytes belong to the caller.
func (im *Image) Save(s Saving) ([]byte, error) {
	o := s.forC()
	var buf unsafe.Pointer
	var n C.size_t
	r := C.gc_save(im.p, o, &buf, &n)
	defer C.g_free(C.gpointer(buf))
	if r != 0 {
		return nil, vipsError()
	}
	return C.GoBytes(buf, C.int(n)), nil
}

// DecodeAVIF decodes an AVIF of one picture into memory. b must come from Save: it is decoded without the checks that
// originals undergo.
func DecodeAVIF(b []byte) (*Image, error) {
	im := &Image{}
	if C.gc_unavif(unsafe.Pointer(&b[0]), C.size_t(len(b)), &im.p) != 0 {
		return nil, vipsError()
	}
	return im, nil
}

// Saving holds the settings of an encode. Settings that a format does not have are ignored.
type Saving struct {
	Format     variant.Format
	Q, Effort  int  // in libvips' scale
	FullChroma bool // 4:4:4 instead of 4:2:0; for WebP, which has no 4:4:4, the careful way to halve chroma
	AlphaQ     int
	Lossless   bool
	Plain      bool // JPEG: coefficients chosen by libjpeg
	Baseline   bool // JPEG, with Plain: one pass, which decodes faster
	Bits       int  // per pixel of a palette PNG; 0 = as many as the palette needs, with dithering
}

func (s Saving) forC() C.GcSave {
	o := C.GcSave{
		q: C.int(s.Q), effort: C.int(s.Effort), full_chroma: flag(s.FullChroma), alpha_q: C.int(s.AlphaQ),
		plain: flag(s.Plain), baseline: flag(s.Baseline), lossless: flag(s.Lossless),
	}
	switch s.Format {
	case variant.JPEG:
		o.format = C.GC_SAVE_JPEG
	case variant.PNG:
		o.format = C.GC_SAVE_PNG
		o.palette, o.bits, o.dither = flag(!s.Lossless), 8, flag(s.Bits == 0)
		if s.Bits > 0 {
			o.bits = C.int(s.Bits)
		}
	case variant.WebP:
		o.format = C.GC_SAVE_WEBP
	case variant.AVIF:
		o.format = C.GC_SAVE_AVIF
	case variant.JXL:
		o.format = C.GC_SAVE_JXL
	case variant.GIF:
		o.format = C.GC_SAVE_GIF
		// A GIF has no q: below 75 its palette gets fewer colours, from 256 down to 8.
		o.bits = C.int(min(8, max(3, 3+s.Q/15)))
	}
	return o
}

// MapTo replaces every sample by its value in the table.
func (im *Image) MapTo(table [256]byte) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_map(in, out, (*C.uint8_t)(&table[0])) })
}

// Palette says how a picture is reduced to a palette.
type Palette struct {
	Bits int // per pixel, at most
	Q    int // 1 to 100: a lower one takes fewer colours
}

// InPalette returns the image reduced to the colours of a palette, in memory, without dithering.
func (im *Image) InPalette(p Palette) (*Image, error) {
	few := im.Clone()
	err := few.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_reduce_colours(in, C.int(p.Bits), C.int(p.Q), out)
	})
	if err != nil {
		few.Free()
		return nil, err
	}
	return few, nil
}

// Samples copies the samples: row by row, interleaved.
func (im *Image) Samples() ([]byte, error) {
	var n C.size_t
	p := C.vips_image_write_to_memory(im.p, &n)
	if p == nil {
		return nil, vipsError()
	}
	defer C.g_free(C.gpointer(p))
	return C.GoBytes(p, C.int(n)), nil
}

// View returns the samples of an image in memory without a copy. They are valid as long as the image.
func (im *Image) View() ([]byte, error) {
	var n C.size_t
	p := C.gc_view(im.p, &n)
	if p == nil {
		return nil, vipsError()
	}
	return unsafe.Slice((*byte)(p), int(n)), nil
}

// RewriteJPEG decodes the coefficients of a JPEG and encodes them again, without any marker that libjpeg does not write
// by itself. ok is false if the file is damaged.
func RewriteJPEG(b []byte) (out []byte, ok bool) {
	if len(b) < 4 {
		return nil, false
	}
	var body *C.uchar
	var n C.ulong
	if C.gc_jpeg_rewrite((*C.uchar)(unsafe.Pointer(&b[0])), C.ulong(len(b)), &body, &n) != 0 {
		return nil, false
	}
	defer C.free(unsafe.Pointer(body))
	return C.GoBytes(unsafe.Pointer(body), C.int(n)), true
}
