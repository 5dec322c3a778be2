package codec

// #cgo LDFLAGS: -ljpeg
// #include "rewrite_jpeg.h"
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

// rewriteContainer is container.Rewrite, for JPEG too: that takes libjpeg.
func rewriteContainer(f variant.Format, b []byte) ([]byte, error) {
	if f != variant.JPEG {
		return container.Rewrite(f, b)
	}
	out, err := rewriteJPEG(b)
	if err != nil {
		return nil, fmt.Errorf("rewrite %s: %w", f, err)
	}
	return out, nil
}

// rewriteJPEG decodes the coefficients and encodes them again, without any marker that libjpeg does not write by
// itself.
func rewriteJPEG(b []byte) ([]byte, error) {
	if len(b) < 4 {
		return nil, container.ErrMalformed
	}
	var body *C.uchar
	var n C.ulong
	if C.gc_jpeg_rewrite((*C.uchar)(unsafe.Pointer(&b[0])), C.ulong(len(b)), &body, &n) != 0 {
		return nil, container.ErrMalformed
	}
	defer C.free(unsafe.Pointer(body))
	return C.GoBytes(unsafe.Pointer(body), C.int(n)), nil
}
