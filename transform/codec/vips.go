package codec

// #cgo pkg-config: vips libheif
// #cgo LDFLAGS: -ldl
// #include "vips_load.h"
// #include "vips_pixel.h"
import "C"

import (
	"errors"
	"runtime"
	"strings"
	"unsafe"
)

// pixmap owns one reference to a VipsImage. Its methods replace the reference; free gives it back. A failed method
// leaves the image as it was.
type pixmap struct {
	p *C.VipsImage
}

// strictness is how much of a broken file a loader forgives.
type strictness C.int

const (
	forgiving      = strictness(C.VIPS_FAIL_ON_NONE)
	whole          = strictness(C.VIPS_FAIL_ON_TRUNCATED)
	withoutError   = strictness(C.VIPS_FAIL_ON_ERROR)
	withoutWarning = strictness(C.VIPS_FAIL_ON_WARNING)
)

// loading says how a picture is opened.
type loading struct {
	kind   C.int
	shrink int     // JPEG: 1, 2, 4 or 8
	scale  float64 // WebP: 0 < scale <= 1
	pages  int
	strict strictness
}

// loaders names the loader of each format that libvips reads for us, by the name that the header reader gives it.
var loaders = map[string]C.int{
	"jpeg": C.GC_JPEG, "png": C.GC_PNG, "webp": C.GC_WEBP, "avif": C.GC_HEIF, "heic": C.GC_HEIF, "tiff": C.GC_TIFF, "jxl": C.GC_JXL,
}

// boot settles libvips for this process; it may be called again.
func boot() { C.gc_boot() }

// useVectors has operations that are built from now on use vector code, in the whole process; boot ends that.
func useVectors() { C.vips_vector_set_enabled(1) }

// usesVectors reports whether they do, which not every libvips and processor can.
func usesVectors() bool { return C.vips_vector_isenabled() != 0 }

// loadsSVG reports whether libvips takes an SVG although untrusted loaders are blocked.
func loadsSVG() bool { return C.gc_probe_svg() != 0 }

// hasOperation reports whether libvips was built with an operation.
func hasOperation(name string) bool {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return C.gc_has(s) != 0
}

// libraryVersion asks a codec library for its version by its version function; "" where there is none.
func libraryVersion(function, soname string) string {
	f, n := C.CString(function), C.CString(soname)
	defer C.free(unsafe.Pointer(f))
	defer C.free(unsafe.Pointer(n))
	if v := C.gc_library(f, n); v != nil {
		return C.GoString(v)
	}
	return ""
}

// vipsError takes the text that libvips left. The text is a hint for the operator only: its buffer is shared by the
// process.
func vipsError() error {
	text := strings.TrimSpace(C.GoString(C.vips_error_buffer()))
	C.vips_error_clear()
	if text == "" {
		text = "libvips gave no reason"
	}
	return errors.New(text)
}

// load opens b. The pixels are decoded when they are wanted, so b stays pinned until the pinner's owner releases it.
func load(pin *runtime.Pinner, b []byte, o loading) (*pixmap, error) {
	pin.Pin(&b[0])
	opts := C.GcLoad{kind: o.kind, shrink: C.int(max(o.shrink, 1)), scale: C.double(o.scale), pages: C.int(max(o.pages, 1)), fail_on: C.int(o.strict)}
	if opts.scale <= 0 {
		opts.scale = 1
	}
	im := &pixmap{}
	if C.gc_load(unsafe.Pointer(&b[0]), C.size_t(len(b)), opts, &im.p) != 0 {
		return nil, vipsError()
	}
	return im, nil
}

// fromPixels makes an image of interleaved 8-bit samples, copying them.
func fromPixels(samples []byte, width, height, bands int) (*pixmap, error) {
	im := &pixmap{}
	if C.gc_from_pixels(unsafe.Pointer(&samples[0]), C.size_t(len(samples)), C.int(width), C.int(height), C.int(bands), &im.p) != 0 {
		return nil, vipsError()
	}
	return im, nil
}

// newPixels makes an sRGB image in memory whose interleaved 8-bit samples the caller writes before anything else is
// done with it. They are not cleared, and live as long as the image.
func newPixels(width, height, bands int) (*pixmap, []byte, error) {
	im := &pixmap{}
	p := C.gc_new_pixels(C.int(width), C.int(height), C.int(bands), &im.p)
	if p == nil {
		return nil, nil, vipsError()
	}
	return im, unsafe.Slice((*byte)(p), width*height*bands), nil
}

func (im *pixmap) free() {
	if im != nil && im.p != nil {
		C.g_object_unref(C.gpointer(im.p))
		im.p = nil
	}
}

// clone shares the pixels under a second reference.
func (im *pixmap) clone() *pixmap {
	C.g_object_ref(C.gpointer(im.p))
	return &pixmap{p: im.p}
}

// apply replaces the image by what f makes of it.
func (im *pixmap) apply(f func(in *C.VipsImage, out **C.VipsImage) C.int) error {
	var out *C.VipsImage
	if f(im.p, &out) != 0 {
		return vipsError()
	}
	C.g_object_unref(C.gpointer(im.p))
	im.p = out
	return nil
}

// facts are what a loaded image says of itself.
type facts struct {
	width, height, bands, bits int
	alpha, grey, rgb, cmyk     bool
	profile                    bool
	pages, pageHeight, loop    int
}

func (im *pixmap) facts() facts {
	i := C.gc_info(im.p)
	return facts{
		width: int(i.width), height: int(i.height), bands: int(i.bands), bits: int(i.bits),
		alpha: i.alpha != 0, grey: i.grey != 0, rgb: i.rgb != 0, cmyk: i.cmyk != 0, profile: i.profile != 0,
		pages: int(i.pages), pageHeight: int(i.page_height), loop: int(i.loop),
	}
}

func (im *pixmap) size() size { f := im.facts(); return size{f.width, f.height} }

// profile copies the embedded ICC profile; nil for none.
func (im *pixmap) profile() []byte {
	var n C.size_t
	p := C.gc_profile(im.p, &n)
	if p == nil {
		return nil
	}
	return C.GoBytes(p, C.int(n))
}

// delays are the frame durations in milliseconds.
func (im *pixmap) delays() []int {
	var n C.int
	p := C.gc_delays(im.p, &n)
	if p == nil {
		return nil
	}
	out := make([]int, n)
	for i, v := range unsafe.Slice((*C.int)(p), int(n)) {
		out[i] = int(v)
	}
	return out
}

func (im *pixmap) memory() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_memory(in, out) })
}

// plain unpacks samples that cannot be scaled as they are, and divides alpha out of colours that were multiplied with
// it.
func (im *pixmap) plain(multiplied bool) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_plain(in, out, flag(multiplied)) })
}

func (im *pixmap) extract(r rect) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_extract(in, out, C.int(r.X), C.int(r.Y), C.int(r.W), C.int(r.H))
	})
}

// resize scales to exactly s.
func (im *pixmap) resize(s size) error {
	now := im.size()
	if now == s {
		return nil
	}
	h, v := float64(s.W)/float64(now.W), float64(s.H)/float64(now.H)
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_resize(in, out, C.double(h), C.double(v)) })
}

func (im *pixmap) orient(o orientation) error {
	if o == (orientation{}) {
		return nil
	}
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_orient(in, out, C.int(o.turns), flag(o.mirror))
	})
}

// srgb converts to 8-bit sRGB, or to one 8-bit band when grey.
func (im *pixmap) srgb(useProfile, grey bool) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_srgb(in, out, flag(useProfile), flag(grey))
	})
}

// markCMYK says that four bands are inks.
func (im *pixmap) markCMYK() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_mark_cmyk(in, out) })
}

// attention cuts the part that draws the eye and says where it was.
func (im *pixmap) attention(s size) (rect, error) {
	var left, top C.int
	err := im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_attention(in, out, C.int(s.W), C.int(s.H), &left, &top)
	})
	return rect{int(left), int(top), s.W, s.H}, err
}

// findTrim is the area inside a border of one colour; background nil means the colour of the top-left pixel.
func (im *pixmap) findTrim(threshold float64, background []float64) (rect, error) {
	var left, top, width, height C.int
	var bg *C.double
	if background != nil {
		bg = (*C.double)(&background[0])
	}
	if C.gc_find_trim(im.p, C.double(threshold), bg, &left, &top, &width, &height) != 0 {
		return rect{}, vipsError()
	}
	return rect{int(left), int(top), int(width), int(height)}, nil
}

func (im *pixmap) blur(sigma float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_blur(in, out, C.double(sigma)) })
}

func (im *pixmap) sharpen(sigma float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_sharpen(in, out, C.double(sigma)) })
}

func (im *pixmap) pixelate(side int) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_pixelate(in, out, C.int(side)) })
}

func (im *pixmap) addAlpha() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_add_alpha(in, out) })
}

func (im *pixmap) dropAlpha() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_drop_alpha(in, out) })
}

func (im *pixmap) toRGB() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_to_rgb(in, out) })
}

// opaque reports whether no pixel lets anything through.
func (im *pixmap) opaque() (bool, error) {
	var o C.int
	if C.gc_opaque(im.p, &o) != 0 {
		return false, vipsError()
	}
	return o != 0, nil
}

// embed lays the image at x, y of a canvas of size s; colour has a value for each band.
func (im *pixmap) embed(x, y int, s size, colour []float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_embed(in, out, C.int(x), C.int(y), C.int(s.W), C.int(s.H), (*C.double)(&colour[0]))
	})
}

func (im *pixmap) flatten(colour []float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_flatten(in, out, (*C.double)(&colour[0])) })
}

// touch decodes every pixel and keeps none.
func (im *pixmap) touch() error {
	if C.gc_touch(im.p) != 0 {
		return vipsError()
	}
	return nil
}

// join stacks frames of one size into a new image.
func join(frames []*pixmap) (*pixmap, error) {
	raw := make([]*C.VipsImage, len(frames))
	for i, f := range frames {
		raw[i] = f.p
	}
	im := &pixmap{}
	if C.gc_join(&raw[0], C.int(len(raw)), &im.p) != 0 {
		return nil, vipsError()
	}
	return im, nil
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}
