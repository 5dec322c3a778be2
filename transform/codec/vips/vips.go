// Package vips wraps libvips for the codec: images and their operations. It contains all C code of the product except
// that of score, sequence, svg and look, which work on plain arrays. It does not know variants and makes no decisions.
package vips

// #cgo pkg-config: vips libheif
// #cgo CFLAGS: -O3
// #cgo LDFLAGS: -ldl -lm -ljpeg
// #include "vips_load.h"
// #include "vips_pixel.h"
import "C"

import (
	"errors"
	"runtime"
	"strings"
	"unsafe"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
)

// Image owns one reference to a VipsImage. Its methods replace the reference; Free releases it. A failed method leaves
// the image unchanged.
type Image struct {
	p *C.VipsImage
}

// Strictness decides which errors of a broken file a loader tolerates.
type Strictness int

// The levels of strictness.
const (
	Forgiving      = Strictness(C.VIPS_FAIL_ON_NONE)
	Whole          = Strictness(C.VIPS_FAIL_ON_TRUNCATED)
	WithoutError   = Strictness(C.VIPS_FAIL_ON_ERROR)
	WithoutWarning = Strictness(C.VIPS_FAIL_ON_WARNING)
)

// Loading says how a picture is opened.
type Loading struct {
	Format string  // as the header reader names it
	Shrink int     // JPEG: 1, 2, 4 or 8
	Scale  float64 // WebP: 0 < scale <= 1
	Pages  int
	Strict Strictness
}

// loaders maps each format that libvips reads to its loader.
var loaders = map[string]C.int{
	"jpeg": C.GC_JPEG, "png": C.GC_PNG, "webp": C.GC_WEBP, "avif": C.GC_HEIF, "heic": C.GC_HEIF, "tiff": C.GC_TIFF, "jxl": C.GC_JXL,
	"pdf": C.GC_PDF,
	"ico": C.GC_PNG, // Only for the PNG pictures of icons; the others are decoded in Go.
}

// Version is the version of libvips at build time.
const Version = C.VIPS_VERSION

// Boot initialises and configures libvips for this process; it may be called again.
func Boot() error {
	if C.gc_boot() != 0 {
		return vipsError()
	}
	return nil
}

// UseVectors enables vector code for operations that are built from now on, in the whole process. Boot disables it.
func UseVectors() { C.vips_vector_set_enabled(1) }

// UsesVectors reports whether vector code is in use. Not every libvips and processor supports it.
func UsesVectors() bool { return C.vips_vector_isenabled() != 0 }

// LoadsSVG reports whether libvips loads an SVG although untrusted loaders are blocked.
func LoadsSVG() bool { return C.gc_probe_svg() != 0 }

// WritesJXL reports whether there is a saver for JPEG XL, which not every libvips has.
func WritesJXL() bool { return HasOperation("jxlsave_buffer") }

// HasOperation reports whether libvips was built with an operation.
func HasOperation(name string) bool {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	return C.gc_has(s) != 0
}

// libraryVersion calls the version function of a codec library; "" if there is none.
func libraryVersion(function, soname string) string {
	f, n := C.CString(function), C.CString(soname)
	defer C.free(unsafe.Pointer(f))
	defer C.free(unsafe.Pointer(n))
	if v := C.gc_library(f, n); v != nil {
		return C.GoString(v)
	}
	return ""
}

// vipsError returns and clears the error text of libvips. It is only a hint for the operator: the buffer is shared by
// the process.
func vipsError() error {
	text := strings.TrimSpace(C.GoString(C.vips_error_buffer()))
	C.vips_error_clear()
	if text == "" {
		text = "libvips gave no reason"
	}
	return errors.New(text)
}

// Load opens b. The pixels are decoded when they are read, so b stays pinned until the pinner's owner releases it.
func Load(pin *runtime.Pinner, b []byte, o Loading) (*Image, error) {
	pin.Pin(&b[0])
	opts := C.GcLoad{kind: loaders[o.Format], shrink: C.int(max(o.Shrink, 1)), scale: C.double(o.Scale), pages: C.int(max(o.Pages, 1)), fail_on: C.int(o.Strict)}
	if opts.scale <= 0 {
		opts.scale = 1
	}
	im := &Image{}
	if C.gc_load(unsafe.Pointer(&b[0]), C.size_t(len(b)), opts, &im.p) != 0 {
		return nil, vipsError()
	}
	return im, nil
}

// FromPixels makes an image from a copy of interleaved 8-bit samples.
func FromPixels(samples []byte, width, height, bands int) (*Image, error) {
	im := &Image{}
	if C.gc_from_pixels(unsafe.Pointer(&samples[0]), C.size_t(len(samples)), C.int(width), C.int(height), C.int(bands), &im.p) != 0 {
		return nil, vipsError()
	}
	return im, nil
}

// NewPixels makes an sRGB image in memory. The caller must write its interleaved 8-bit samples before any other use.
// They are not cleared, and are valid as long as the image.
func NewPixels(width, height, bands int) (*Image, []byte, error) {
	im := &Image{}
	p := C.gc_new_pixels(C.int(width), C.int(height), C.int(bands), &im.p)
	if p == nil {
		return nil, nil, vipsError()
	}
	return im, unsafe.Slice((*byte)(p), width*height*bands), nil
}

// Free frees the image's memory.
func (im *Image) Free() {
	if im != nil && im.p != nil {
		C.g_object_unref(C.gpointer(im.p))
		im.p = nil
	}
}

// Clone returns a second reference to the same pixels.
func (im *Image) Clone() *Image {
	C.g_object_ref(C.gpointer(im.p))
	return &Image{p: im.p}
}

// apply replaces the image by the result of f.
func (im *Image) apply(f func(in *C.VipsImage, out **C.VipsImage) C.int) error {
	var out *C.VipsImage
	if f(im.p, &out) != 0 {
		return vipsError()
	}
	C.g_object_unref(C.gpointer(im.p))
	im.p = out
	return nil
}

// Facts are the properties of a loaded image.
type Facts struct {
	Width, Height, Bands, Bits int
	Alpha, Grey, Rgb, Cmyk     bool
	Profile                    bool
	pages, pageHeight, Loop    int
}

// Facts reads the image's header.
func (im *Image) Facts() Facts {
	i := C.gc_info(im.p)
	return Facts{
		Width: int(i.width), Height: int(i.height), Bands: int(i.bands), Bits: int(i.bits),
		Alpha: i.alpha != 0, Grey: i.grey != 0, Rgb: i.rgb != 0, Cmyk: i.cmyk != 0, Profile: i.profile != 0,
		pages: int(i.pages), pageHeight: int(i.page_height), Loop: int(i.loop),
	}
}

// Size is the image's width and height in pixels.
func (im *Image) Size() geometry.Size { f := im.Facts(); return geometry.Size{W: f.Width, H: f.Height} }

// Delays are the frame durations in milliseconds.
func (im *Image) Delays() []int {
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

// Memory decodes the image into memory.
func (im *Image) Memory() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_memory(in, out) })
}

// Plain unpacks packed samples, which cannot be scaled, and divides premultiplied colours by alpha.
func (im *Image) Plain(multiplied bool) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_plain(in, out, flag(multiplied)) })
}

// Extract crops the image to an area.
func (im *Image) Extract(r geometry.Rect) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_extract(in, out, C.int(r.X), C.int(r.Y), C.int(r.W), C.int(r.H))
	})
}

// Resize scales to exactly s.
func (im *Image) Resize(s geometry.Size) error {
	now := im.Size()
	if now == s {
		return nil
	}
	h, v := float64(s.W)/float64(now.W), float64(s.H)/float64(now.H)
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_resize(in, out, C.double(h), C.double(v)) })
}

// Orient turns and mirrors an image in memory.
func (im *Image) Orient(o geometry.Orientation) error {
	if o == (geometry.Orientation{}) {
		return nil
	}
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_orient(in, out, C.int(o.Turns), flag(o.Mirror))
	})
}

// Srgb converts to 8-bit sRGB, or to one 8-bit band when grey.
func (im *Image) Srgb(useProfile, grey bool) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_srgb(in, out, flag(useProfile), flag(grey))
	})
}

// MarkCMYK declares that the four bands are inks.
func (im *Image) MarkCMYK() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_mark_cmyk(in, out) })
}

// Attention crops to the part that draws the most attention and returns its position.
func (im *Image) Attention(s geometry.Size) (geometry.Rect, error) {
	var left, top C.int
	err := im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_attention(in, out, C.int(s.W), C.int(s.H), &left, &top)
	})
	return geometry.Rect{X: int(left), Y: int(top), W: s.W, H: s.H}, err
}

// FindTrim returns the area inside a border of one colour; a nil background means the colour of the top-left pixel.
func (im *Image) FindTrim(threshold float64, background []float64) (geometry.Rect, error) {
	var left, top, width, height C.int
	var bg *C.double
	if background != nil {
		bg = (*C.double)(&background[0])
	}
	if C.gc_find_trim(im.p, C.double(threshold), bg, &left, &top, &width, &height) != 0 {
		return geometry.Rect{}, vipsError()
	}
	return geometry.Rect{X: int(left), Y: int(top), W: int(width), H: int(height)}, nil
}

// Blur is a Gaussian blur.
func (im *Image) Blur(sigma float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_blur(in, out, C.double(sigma)) })
}

// Sharpen makes edges steeper.
func (im *Image) Sharpen(sigma float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_sharpen(in, out, C.double(sigma)) })
}

// Pixelate gives every square of the given side its mean colour.
func (im *Image) Pixelate(side int) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_pixelate(in, out, C.int(side)) })
}

// AddAlpha adds an opaque alpha channel if there is none.
func (im *Image) AddAlpha() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_add_alpha(in, out) })
}

// DropAlpha removes the alpha channel.
func (im *Image) DropAlpha() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_drop_alpha(in, out) })
}

// ToRGB converts a grey picture to three colour bands, and keeps alpha.
func (im *Image) ToRGB() error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_to_rgb(in, out) })
}

// Opaque reports whether all pixels are opaque.
func (im *Image) Opaque() (bool, error) {
	var o C.int
	if C.gc_opaque(im.p, &o) != 0 {
		return false, vipsError()
	}
	return o != 0, nil
}

// Embed places the image at x, y on a canvas of size s; colour has one value per band.
func (im *Image) Embed(x, y int, s geometry.Size, colour []float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_embed(in, out, C.int(x), C.int(y), C.int(s.W), C.int(s.H), (*C.double)(&colour[0]))
	})
}

// Flatten lays the image on a colour, which has one value per colour band.
func (im *Image) Flatten(colour []float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_flatten(in, out, (*C.double)(&colour[0])) })
}

// Fade prepares a watermark: it multiplies its alpha by opacity.
func (im *Image) Fade(opacity float64) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_mark(in, out, C.double(opacity)) })
}

// Over draws a watermark of the same size over the image, which keeps its bands.
func (im *Image) Over(mark *Image) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int { return C.gc_over(in, mark.p, out) })
}

// Replicate tiles the image horizontally and vertically.
func (im *Image) Replicate(across, down int) error {
	return im.apply(func(in *C.VipsImage, out **C.VipsImage) C.int {
		return C.gc_replicate(in, out, C.int(across), C.int(down))
	})
}

// Touch decodes every pixel without keeping it.
func (im *Image) Touch() error {
	if C.gc_touch(im.p) != 0 {
		return vipsError()
	}
	return nil
}

// Join stacks frames of one size into a new image.
func Join(frames []*Image) (*Image, error) {
	raw := make([]*C.VipsImage, len(frames))
	for i, f := range frames {
		raw[i] = f.p
	}
	im := &Image{}
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

// Undecodable is the fault of a picture whose pixels cannot be read. The file is known to be complete, so it must be
// broken. The public text never contains the library's text, which may belong to another picture.
func Undecodable(op string, cause error) error {
	return fault.New(fault.DecodeFailed, op, "the picture cannot be decoded", cause)
}

// Internal is the fault of a step whose failure is not due to the source.
func Internal(op string, cause error) error {
	return fault.New(fault.Internal, op, "the picture could not be made", cause)
}

// VisibleLibraries returns the versions of the codec libraries that the process can see.
func VisibleLibraries() map[string]string {
	v := map[string]string{}
	for name, version := range map[string]string{"libheif": libraryVersion("heif_get_version", "libheif.so.1"), "libaom": AOMVersion()} {
		if version != "" {
			v[name] = version
		}
	}
	return v
}

// AOMVersion is the version of libaom; "" if the library is hidden.
func AOMVersion() string { return libraryVersion("aom_codec_version_str", "libaom.so.3") }
