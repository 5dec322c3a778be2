package codec

// #include "vips_save.h"
import "C"

import (
	"unsafe"

	"github.com/goldcrest/goldcrest/variant"
)

// tunesIQ reports whether the linked libaom can be told to keep what people see, rather than structure alone.
func tunesIQ() bool { return C.gc_tunes_iq() == 1 }

// bare removes everything but the pixels.
func (im *pixmap) bare() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_bare(in, out) })
}

// animate marks a stacked, bare image as an animation with one delay in milliseconds a frame.
func (im *pixmap) animate(pageHeight, loop int, delays []int) {
	d := make([]C.int, len(delays))
	for i, v := range delays {
		d[i] = C.int(v)
	}
	C.gc_animate(im.p, C.int(pageHeight), C.int(len(d)), &d[0], C.int(loop))
}

// save encodes the image; the bytes belong to the caller.
func (im *pixmap) save(o C.GcSave) ([]byte, error) {
	var buf unsafe.Pointer
	var n C.size_t
	r := C.gc_save(im.p, o, &buf, &n)
	defer C.g_free(C.gpointer(buf))
	if r != 0 {
		return nil, vipsError()
	}
	return C.GoBytes(buf, C.int(n)), nil
}

// options are the settings in the words of the C side.
func (s settings) options(f variant.Format) C.GcSave {
	o := C.GcSave{q: C.int(s.q), effort: C.int(s.effort), full_chroma: flag(s.fullChroma), alpha_q: C.int(s.alphaQ), plain: flag(s.plain), baseline: flag(s.baseline)}
	switch f {
	case variant.JPEG:
		o.format = C.GC_SAVE_JPEG
	case variant.PNG:
		o.format = C.GC_SAVE_PNG
		o.palette, o.bits, o.dither = flag(!s.lossless), 8, flag(s.bits == 0)
		if s.bits > 0 {
			o.bits = C.int(s.bits)
		}
	case variant.WebP:
		o.format = C.GC_SAVE_WEBP
		o.lossless = flag(s.lossless)
	case variant.AVIF:
		o.format = C.GC_SAVE_AVIF
	case variant.GIF:
		o.format = C.GC_SAVE_GIF
		// A GIF has no q: below 75 its palette gets fewer colours, 256 down to 8.
		o.bits = C.int(min(8, max(3, 3+s.q/15)))
	}
	return o
}
