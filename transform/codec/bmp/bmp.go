// Package bmp decodes BMP, and the similar pictures in icon files, in Go: libvips would read them through ImageMagick,
// which is blocked.
package bmp

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/goldcrest/goldcrest/fault"
)

// The compression methods of a BMP. For OS/2, the numbers above rle4 have other meanings.
const (
	raw            = 0
	rle8           = 1
	rle4           = 2
	bitfields      = 3
	alphaBitfields = 6
)

// Header sizes that decide how a file is read.
const (
	os2Header = 12 // 16-bit sides, 3-byte colours
	os2Short  = 16
	windows3  = 40
	alphaV3   = 56 // the first with an alpha mask
	os2V2     = 64
)

// File is a picture as described by its header.
type File struct {
	Width, Height int
	topDown       bool
	depth         int // bits per pixel
	compression   int
	palette       []byte // three or four bytes per colour: blue, green, red
	entry         int    // bytes per colour
	masks         [4]uint32
	pixels        []byte
}

// errShort says that the file ends before its pixels.
var errShort = errors.New("the pixels of a BMP are cut off")

// Parse reads the header. The header reader has checked that it is complete and that its size is possible.
func Parse(b []byte, width, height int) (*File, error) {
	header := int(min(binary.LittleEndian.Uint32(b[14:]), 1<<16))
	f := &File{Width: width, Height: height, entry: 4}
	used := 0
	switch {
	case header == os2Header:
		f.depth, f.entry = int(binary.LittleEndian.Uint16(b[24:])), 3
	default:
		f.topDown = int32(binary.LittleEndian.Uint32(b[22:])) < 0
		f.depth = int(binary.LittleEndian.Uint16(b[28:]))
	}
	if header > os2Short {
		f.compression = int(binary.LittleEndian.Uint32(b[30:]))
	}
	if header >= windows3 && len(b) >= 50 {
		used = int(min(binary.LittleEndian.Uint32(b[46:]), 256))
	}
	if !f.known(header) {
		return nil, fault.New(fault.UnsupportedFormat, "bmp.Parse", "this kind of BMP is not supported", nil)
	}
	at := 14 + header
	if header == windows3 {
		at += map[int]int{bitfields: 12, alphaBitfields: 16}[f.compression]
	}
	f.setMasks(b, header)
	offset := int64(binary.LittleEndian.Uint32(b[10:]))
	if f.depth <= 8 {
		if used == 0 {
			used = 1 << f.depth
		}
		from := min(at, len(b))
		to := min(from+used*f.entry, len(b))
		if offset > int64(from) {
			to = min(to, int(min(offset, int64(len(b))))) // Some palettes are shorter than declared.
		}
		f.palette = b[from:to]
		at = to
	}
	if offset == 0 {
		offset = int64(at)
	}
	f.pixels = b[min(offset, int64(len(b))):]
	return f, nil
}

// known reports whether depth and compression are compatible.
func (f *File) known(header int) bool {
	os2 := header == os2Short || header == os2V2
	switch f.compression {
	case raw:
		return true
	case rle8:
		return f.depth == 8 && !f.topDown
	case rle4:
		return f.depth == 4 && !f.topDown
	case bitfields, alphaBitfields:
		return !os2 && f.depth >= 16
	}
	return false
}

// setMasks finds which bits of a pixel belong to which colour. The masks follow the first 40 bytes of a header, or are
// at the same offset in a longer one.
func (f *File) setMasks(b []byte, header int) {
	mask := func(at int) uint32 {
		if at+4 > len(b) {
			return 0
		}
		return binary.LittleEndian.Uint32(b[at:])
	}
	f.masks = [4]uint32{0xff0000, 0xff00, 0xff}
	if f.depth == 16 {
		f.masks = [4]uint32{0x7c00, 0x3e0, 0x1f}
	}
	if f.compression == bitfields || f.compression == alphaBitfields {
		if stored := [4]uint32{mask(54), mask(58), mask(62)}; stored != [4]uint32{} {
			f.masks = stored
		}
	}
	// Browsers use the alpha mask with any compression.
	if f.compression == alphaBitfields || header >= alphaV3 && header != os2V2 {
		f.masks[3] = mask(66)
	}
	if f.depth != 16 && f.depth != 32 {
		f.masks[3] = 0
	}
}

// Bands is the number of bands that Draw writes.
func (f *File) Bands() int {
	if f.masks[3] != 0 {
		return 4
	}
	return 3
}

// Draw writes the pixels from top to bottom.
func (f *File) Draw(to []byte) error {
	if f.compression == rle8 || f.compression == rle4 {
		return f.drawRLE(to)
	}
	stride := (f.Width*f.depth + 31) / 32 * 4
	if len(f.pixels)/stride < f.Height {
		return errShort
	}
	line := f.Width * f.Bands()
	channels := f.channels()
	for y := range f.Height {
		row := y
		if !f.topDown {
			row = f.Height - 1 - y
		}
		f.drawRow(to[row*line:(row+1)*line], f.pixels[y*stride:(y+1)*stride], channels)
	}
	return nil
}

func (f *File) drawRow(to, row []byte, channels []channel) {
	bands := f.Bands()
	plain := bands == 3 && f.masks == [4]uint32{0xff0000, 0xff00, 0xff}
	switch {
	case f.depth <= 8:
		for x := range f.Width {
			bit := x * f.depth
			f.colour(to[3*x:], row[bit/8]>>(8-f.depth-bit%8)&(1<<f.depth-1))
		}
	case plain && f.depth >= 24:
		for n := f.depth / 8; len(to) > 0; to, row = to[3:], row[n:] {
			to[0], to[1], to[2] = row[2], row[1], row[0]
		}
	default:
		for n := f.depth / 8; len(to) > 0; to, row = to[bands:], row[n:] {
			v := uint32(row[0]) | uint32(row[1])<<8
			for i := 2; i < n; i++ {
				v |= uint32(row[i]) << (8 * i)
			}
			for i, c := range channels {
				to[i] = c.of(v)
			}
		}
	}
}

// colour writes a palette colour; indexes outside the palette are black.
func (f *File) colour(to []byte, index byte) {
	if at := int(index) * f.entry; at+3 <= len(f.palette) {
		to[0], to[1], to[2] = f.palette[at+2], f.palette[at+1], f.palette[at]
	} else {
		to[0], to[1], to[2] = 0, 0, 0
	}
}

// channel extracts one colour from a pixel.
type channel struct {
	mask  uint32
	shift int
	most  uint64
}

func (f *File) channels() []channel {
	out := make([]channel, f.Bands())
	for i := range out {
		m := f.masks[i]
		shift := bits.TrailingZeros32(m) & 31
		out[i] = channel{m, shift, uint64(m >> shift)}
	}
	return out
}

func (c channel) of(v uint32) byte {
	switch c.most {
	case 0:
		return 0
	case 255:
		return byte(v & c.mask >> c.shift)
	}
	return byte((uint64(v&c.mask>>c.shift)*255 + c.most/2) / c.most)
}

// drawRLE decompresses runs of indexes. Skipped pixels get the first colour.
func (f *File) drawRLE(to []byte) error {
	r := runs{file: f, to: to}
	for p := range f.Width * f.Height {
		f.colour(to[3*p:], 0)
	}
	b := f.pixels
	for r.y < f.Height {
		if len(b) < 2 {
			return errShort
		}
		count, value := int(b[0]), b[1]
		b = b[2:]
		switch {
		case count > 0:
			for i := range count {
				r.put(f.nibble(value, i))
			}
		case value == 0: // End of line.
			r.x, r.y = 0, r.y+1
		case value == 1: // End of picture.
			return nil
		case value == 2: // Move right and up.
			if len(b) < 2 {
				return errShort
			}
			r.x, r.y = r.x+int(b[0]), r.y+int(b[1])
			b = b[2:]
		default: // Uncompressed indexes, padded to 16 bits.
			n := (int(value)*f.depth + 15) / 16 * 2
			if len(b) < n {
				return errShort
			}
			for i := range int(value) {
				r.put(f.nibble(b[i*f.depth/8], i))
			}
			b = b[n:]
		}
	}
	return nil
}

// nibble is the i-th index of a run whose byte is v.
func (f *File) nibble(v byte, i int) byte {
	switch {
	case f.depth == 8:
		return v
	case i%2 == 0:
		return v >> 4
	}
	return v & 15
}

// runs is the position of the next pixel of a compressed picture; y counts from the bottom.
type runs struct {
	file *File
	to   []byte
	x, y int
}

// put writes a pixel; those past the end of a line are dropped.
func (r *runs) put(index byte) {
	if f := r.file; r.x < f.Width && r.y < f.Height {
		f.colour(r.to[3*((f.Height-1-r.y)*f.Width+r.x):], index)
	}
	r.x++
}
