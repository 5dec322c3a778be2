package codec

// #cgo LDFLAGS: -ljpeg
// #include "rewrite_jpeg.h"
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/goldcrest/goldcrest/variant"
)

// rewriteContainer writes a file of somebody else again, so that only what decoders need of it is left, and each byte
// of it has one place. Its pixels stay as they are. A file with anything unusual is refused: it is then encoded like
// any other. stripContainer is enough for what our own encoders made.
//
// What is compressed can still say anything: a picture may show a page of text. But no byte of the result is copied
// from where no decoder looks.
func rewriteContainer(f variant.Format, b []byte) ([]byte, error) {
	var out []byte
	var err error
	switch f {
	case variant.JPEG:
		out, err = rewriteJPEG(b)
	case variant.PNG:
		out, err = rewritePNG(b)
	case variant.WebP:
		out, err = rewriteWebP(b)
	case variant.GIF:
		out, err = rewriteGIF(b)
	default:
		err = errContainer
	}
	if err != nil {
		return nil, fmt.Errorf("rewrite %s: %w", f, err)
	}
	return out, nil
}

// rewriteJPEG decodes the coefficients and encodes them again, without any marker that libjpeg does not write by
// itself.
func rewriteJPEG(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, errContainer
	}
	var body *C.uchar
	var n C.ulong
	if C.gc_jpeg_rewrite((*C.uchar)(unsafe.Pointer(&b[0])), C.ulong(len(b)), &body, &n) != 0 {
		return nil, errContainer
	}
	defer C.free(unsafe.Pointer(body))
	return C.GoBytes(unsafe.Pointer(body), C.int(n)), nil
}
