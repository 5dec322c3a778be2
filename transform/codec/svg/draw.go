package svg

// #cgo pkg-config: glib-2.0
// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "draw.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"unsafe"

	"github.com/goldcrest/goldcrest/fault"
)

// fontFiles are the fonts for text. They are opened before a worker's sandbox closes; no file is opened after that. A
// document's own font families are mapped to the nearest of these. They are the fonts on which Debian's
// fontconfig-config depends.
var fontFiles = []string{"DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf"}

// fontFolder is the folder of fontFiles.
const fontFolder = "/usr/share/fonts/truetype/dejavu/"

// Painter draws documents. Its zero value draws none; Open makes one.
type Painter struct {
	usable bool
	fonts  int
}

// Open finds the libraries and fonts once per process: fontconfig has one global configuration.
var Open = sync.OnceValue(func() Painter {
	p := Painter{usable: C.gc_open() == 1}
	if !p.usable {
		return p
	}
	p.fonts = useFonts()
	return p
})

// useFonts restricts the process to fontFiles, and returns how many of them are usable.
func useFonts() int {
	fonts := C.gc_fonts()
	for _, name := range fontFiles {
		if _, err := os.Stat(fontFolder + name); err != nil {
			continue
		}
		path := C.CString(fontFolder + name)
		C.gc_add_font(fonts, path)
		C.free(unsafe.Pointer(path))
	}
	return int(C.gc_use_fonts(fonts))
}

// Usable reports whether documents can be drawn, and whether their text can.
func (p Painter) Usable() (documents, text bool) { return p.usable, p.usable && p.fonts > 0 }

// warmText has a letter of each font, in the styles that a document may use.
const warmText = `<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">` +
	`<defs><filter id="f"><feGaussianBlur stdDeviation="1"/></filter>` +
	`<linearGradient id="g"><stop offset="0"/></linearGradient></defs>` +
	`<rect width="9" height="9" fill="url(#g)" filter="url(#f)"/>` +
	`<g font-size="12"><text y="12">a</text><text y="24" font-weight="bold">a</text>` +
	`<text y="36" font-family="DejaVu Serif">a</text>` +
	`<text y="48" font-family="DejaVu Sans Mono">a</text><text y="60" font-style="italic">a</text></g></svg>`

// Warm draws a document in every font. It must run on the thread that will draw, since each thread opens the fonts
// itself.
func (p Painter) Warm() error {
	d, err := Read([]byte(warmText))
	if err != nil || !p.usable {
		return err
	}
	d.lettered = false // Without fonts there is nothing to open.
	pixels := make([]byte, 64*64*4)
	if err := p.Draw(d, pixels, 64, 64); err != nil {
		return fmt.Errorf("svg.Warm: %w", err)
	}
	if p.fonts > 0 && !inked(pixels[10*64*4:]) {
		return errors.New("svg.Warm: text is not drawn")
	}
	return nil
}

// inked reports whether anything is drawn.
func inked(pixels []byte) bool {
	for i := 3; i < len(pixels); i += 4 {
		if pixels[i] > 0 {
			return true
		}
	}
	return false
}

// Draw draws the document over all of pixels, which are R, G, B and A of a raster of the given size.
func (p Painter) Draw(d *Drawing, pixels []byte, width, height int) error {
	const op = "svg.Draw"
	switch {
	case !p.usable:
		return fault.New(fault.UnsupportedFormat, op, "SVG is not read by this server: librsvg is not installed", nil)
	case d.lettered && p.fonts == 0:
		return fault.New(fault.UnsupportedFormat, op, "the SVG has text, for which this server has no font", nil)
	case width < 1 || height < 1 || width > math.MaxInt16 || height > math.MaxInt16 || len(pixels) != width*height*4:
		return fault.New(fault.Internal, op, "an internal error", fmt.Errorf("%d bytes for %d x %d", len(pixels),
			width, height))
	}
	clear(pixels)
	failed := C.gc_draw(unsafe.Pointer(&d.text[0]), C.size_t(len(d.text)), C.double(d.Width), C.double(d.Height),
		unsafe.Pointer(&pixels[0]), C.int(width), C.int(height))
	if failed != nil {
		return fault.New(fault.DecodeFailed, op, "the picture cannot be decoded", errors.New(C.GoString(failed)))
	}
	C.gc_straighten((*C.uchar)(&pixels[0]), C.size_t(width*height))
	return nil
}
