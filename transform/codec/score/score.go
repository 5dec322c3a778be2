// Package score computes the difference of a picture from its reference as SSIMULACRA2: 100 for the same picture, 90
// for no visible difference, 70 for high quality, 50 for medium quality, down to below 0.
package score

// #cgo CFLAGS: -O3 -std=c11 -Wno-psabi
// #cgo LDFLAGS: -lm
// #include "score.h"
import "C"

import (
	"errors"
	"math"
	"runtime"
	"unsafe"
)

// Pixels are 8-bit sRGB pixels, row by row. The caller keeps ownership.
type Pixels struct {
	Data          []byte
	Width, Height int
	Bands         int // 3, or 4 with alpha, not premultiplied
	Pitch         int // bytes from one row to the next; 0 = Width * Bands
}

func (p *Pixels) pitch() int {
	if p.Pitch == 0 {
		return p.Width * p.Bands
	}
	return p.Pitch
}

func (p *Pixels) valid() bool {
	return (p.Bands == 3 || p.Bands == 4) && p.Width > 0 && p.Height > 0 && p.pitch() >= p.Width*p.Bands &&
		len(p.Data) >= (p.Height-1)*p.pitch()+p.Width*p.Bands
}

// ErrSize is the error for pictures that have no score: a side is below 8 pixels, or their sizes differ.
var ErrSize = errors.New("score: the pictures are too small or differ in size")

// Scorer compares pictures of one size. Its memory is proportional to their width (1.5 kB per pixel of width). It
// belongs to one goroutine at a time.
type Scorer struct {
	c             *C.struct_scorer
	width, height int
}

// New makes a Scorer for pictures of this size. The caller must Close it.
func New(width, height int) (*Scorer, error) {
	if width > math.MaxInt32/64 || height > math.MaxInt32/64 || width < 8 || height < 8 {
		return nil, ErrSize
	}
	c := C.scorer_new(C.int(width), C.int(height))
	if c == nil {
		return nil, errors.New("score: no memory")
	}
	return &Scorer{c, width, height}, nil
}

// Close frees the memory.
func (s *Scorer) Close() {
	C.scorer_free(s.c)
	s.c = nil
}

// grounds are the greys on which transparent pictures are laid, as in the reference tool; the lower score counts.
var grounds = [2]float32{0.1, 0.9}

// Score compares a picture with its reference. The error is ErrSize if they do not have the Scorer's size.
func (s *Scorer) Score(reference, picture Pixels) (float64, error) {
	if !reference.valid() || !picture.valid() || reference.Width != s.width || reference.Height != s.height ||
		picture.Width != s.width || picture.Height != s.height {
		return 0, ErrSize
	}
	if reference.Bands == 3 && picture.Bands == 3 {
		return s.run(&reference, &picture, 0), nil
	}
	return min(s.run(&reference, &picture, grounds[0]), s.run(&reference, &picture, grounds[1])), nil
}

func (s *Scorer) run(a, b *Pixels, ground float32) float64 {
	v := C.scorer_run(s.c, (*C.uint8_t)(unsafe.SliceData(a.Data)), (*C.uint8_t)(unsafe.SliceData(b.Data)),
		C.size_t(a.pitch()), C.size_t(b.pitch()), C.int(a.Bands), C.int(b.Bands), C.float(ground))
	runtime.KeepAlive(a.Data)
	runtime.KeepAlive(b.Data)
	return float64(v)
}

// windowAt and weightAt return the C constants for tests, which cannot use cgo.
func windowAt(i int) float32 { return float32(C.kernel_at(C.int(i))) }
func weightAt(i int) float64 { return float64(C.weight_at(C.int(i))) }
