// Package sequence writes animations as AVIF, with the libheif that can. It works on plain samples, and knows no
// variants.
package sequence

// #cgo pkg-config: libheif
// #cgo CFLAGS: -O3
// #include "sequence.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Supported reports whether the linked libheif writes sequences.
func Supported() bool { return C.GC_SEQUENCES == 1 }

// Frames are the frames of an animation, one below the other.
type Frames struct {
	Samples       []byte // 8-bit sRGB or grey, row by row, interleaved
	Width, Height int    // of one frame
	Bands         int    // 1 to 4
	Delays        []int  // in milliseconds, one for each frame
	Loop          int    // how often it is played; 0 = for ever
}

func (f Frames) forC() C.GcSequence {
	return C.GcSequence{
		width: C.int(f.Width), height: C.int(f.Height), bands: C.int(f.Bands), frames: C.int(len(f.Delays)),
		plays: C.int(f.Loop),
	}
}

// Browsers show a frame of a GIF or WebP that is to be seen for 10 ms or less for 100 ms. Not all do so in an AVIF.
const (
	shortest = 10
	usual    = 100
)

// Encode encodes an animation with q of 1 to 100. fast is libaom's mode for video calls, which takes a tenth of the
// time.
func Encode(f Frames, q int, fast bool) ([]byte, error) {
	if n := f.Width * f.Height * f.Bands * len(f.Delays); n == 0 || n > len(f.Samples) {
		return nil, errors.New("sequence.Encode: samples are missing")
	}
	s := f.forC()
	s.q, s.speed = C.int(q), 8
	if fast {
		s.realtime = 1
	}
	delays := make([]C.int, len(f.Delays))
	for i, d := range f.Delays {
		if d <= shortest {
			d = usual
		}
		delays[i] = C.int(d)
	}
	if f.Loop == 1 {
		s.plays = 2
	}
	var out C.GcFile
	var why [200]C.char
	bad := C.gc_sequence(s, (*C.uint8_t)(&f.Samples[0]), &delays[0], &out, &why[0])
	defer C.free(unsafe.Pointer(out.bytes))
	if bad != 0 {
		return nil, fmt.Errorf("sequence.Encode: %s", C.GoString(&why[0]))
	}
	return finish(C.GoBytes(unsafe.Pointer(out.bytes), C.int(out.length)), f, f.Loop == 1)
}

// Decode decodes some frames of an animation that Encode made of f, with three or four bands. Their numbers must rise.
func Decode(file []byte, f Frames, wanted []int) ([]byte, error) {
	s := f.forC()
	if s.bands < 3 {
		s.bands += 2
	}
	one := f.Width * f.Height * int(s.bands)
	if one == 0 || len(file) == 0 || len(wanted) == 0 || wanted[0] < 0 || wanted[len(wanted)-1] >= len(f.Delays) {
		return nil, errors.New("sequence.Decode: nothing to decode")
	}
	samples, frames := make([]byte, one*len(wanted)), make([]C.int, len(wanted))
	for i, n := range wanted {
		frames[i] = C.int(n)
	}
	s.frames = C.int(len(wanted))
	var why [200]C.char
	if C.gc_frames((*C.uint8_t)(&file[0]), C.size_t(len(file)), s, &frames[0], (*C.uint8_t)(&samples[0]), &why[0]) != 0 {
		return nil, fmt.Errorf("sequence.Decode: %s", C.GoString(&why[0]))
	}
	return samples, nil
}
