package codec

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
)

// How the pixels of a BMP are stored. OS/2 has other meanings for the numbers above bmpRLE4.
const (
	bmpRaw            = 0
	bmpRLE8           = 1
	bmpRLE4           = 2
	bmpBitfields      = 3
	bmpAlphaBitfields = 6
)

// Sizes of headers that decide how a file is read.
const (
	bmpOS2      = 12 // sides of 16 bits, colours of 3 bytes
	bmpOS2Short = 16
	bmpWindows3 = 40
	bmpAlphaV3  = 56 // the first with a mask for alpha
	bmpOS2V2    = 64
)

// bmpFile is a BMP as its header tells it.
type bmpFile struct {
	size        size
	topDown     bool
	depth       int // bits of a pixel
	compression int
	palette     []byte // three or four bytes a colour: blue, green, red
	entry       int    // bytes of a colour
	masks       [4]uint32
	pixels      []byte
}

// errBMPShort says that the file ends before its pixels do.
var errBMPShort = errors.New("the pixels of a BMP are cut off")

// parseBMP reads the header. That it is there and its size possible was checked by the header reader.
func parseBMP(b []byte, in sniff.Info) (*bmpFile, error) {
	header := int(min(binary.LittleEndian.Uint32(b[14:]), 1<<16))
	f := &bmpFile{size: size{in.Width, in.Height}, entry: 4}
	used := 0
	switch {
	case header == bmpOS2:
		f.depth, f.entry = le16(b, 24), 3
	default:
		f.topDown = int32(binary.LittleEndian.Uint32(b[22:])) < 0
		f.depth = le16(b, 28)
	}
	if header > bmpOS2Short {
		f.compression = int(binary.LittleEndian.Uint32(b[30:]))
	}
	if header >= bmpWindows3 && len(b) >= 50 {
		used = int(min(binary.LittleEndian.Uint32(b[46:]), 256))
	}
	if !f.known(header) {
		return nil, fault.New(fault.UnsupportedFormat, "codec.parseBMP", "this kind of BMP is not supported", nil)
	}
	at := 14 + header
	if header == bmpWindows3 {
		at += map[int]int{bmpBitfields: 12, bmpAlphaBitfields: 16}[f.compression]
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
			to = min(to, int(min(offset, int64(len(b))))) // Some palettes are shorter than they should be.
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

// known reports whether depth and compression go together.
func (f *bmpFile) known(header int) bool {
	os2 := header == bmpOS2Short || header == bmpOS2V2
	switch f.compression {
	case bmpRaw:
		return true
	case bmpRLE8:
		return f.depth == 8 && !f.topDown
	case bmpRLE4:
		return f.depth == 4 && !f.topDown
	case bmpBitfields, bmpAlphaBitfields:
		return !os2 && f.depth >= 16
	}
	return false
}

// setMasks says which bits of a pixel are which colour. Masks stand behind the first 40 bytes of a header, or in a
// longer one at that place.
func (f *bmpFile) setMasks(b []byte, header int) {
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
	if f.compression == bmpBitfields || f.compression == bmpAlphaBitfields {
		if stored := [4]uint32{mask(54), mask(58), mask(62)}; stored != [4]uint32{} {
			f.masks = stored
		}
	}
	// Browsers heed the mask of alpha whatever the compression is.
	if f.compression == bmpAlphaBitfields || header >= bmpAlphaV3 && header != bmpOS2V2 {
		f.masks[3] = mask(66)
	}
	if f.depth != 16 && f.depth != 32 {
		f.masks[3] = 0
	}
}

// bands are those of the pixels that draw writes.
func (f *bmpFile) bands() int {
	if f.masks[3] != 0 {
		return 4
	}
	return 3
}

// draw writes the pixels, from the top to the bottom.
func (f *bmpFile) draw(to []byte) error {
	if f.compression == bmpRLE8 || f.compression == bmpRLE4 {
		return f.drawRLE(to)
	}
	stride := (f.size.W*f.depth + 31) / 32 * 4
	if len(f.pixels)/stride < f.size.H {
		return errBMPShort
	}
	line := f.size.W * f.bands()
	channels := f.channels()
	for y := range f.size.H {
		row := y
		if !f.topDown {
			row = f.size.H - 1 - y
		}
		f.drawRow(to[row*line:(row+1)*line], f.pixels[y*stride:(y+1)*stride], channels)
	}
	return nil
}

func (f *bmpFile) drawRow(to, row []byte, channels []bmpChannel) {
	bands := f.bands()
	plain := bands == 3 && f.masks == [4]uint32{0xff0000, 0xff00, 0xff}
	switch {
	case f.depth <= 8:
		for x := range f.size.W {
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

// colour writes a colour of the palette; those that are not in it are black.
func (f *bmpFile) colour(to []byte, index byte) {
	if at := int(index) * f.entry; at+3 <= len(f.palette) {
		to[0], to[1], to[2] = f.palette[at+2], f.palette[at+1], f.palette[at]
	} else {
		to[0], to[1], to[2] = 0, 0, 0
	}
}

// bmpChannel takes one colour out of a pixel.
type bmpChannel struct {
	mask  uint32
	shift int
	most  uint64
}

func (f *bmpFile) channels() []bmpChannel {
	out := make([]bmpChannel, f.bands())
	for i := range out {
		m := f.masks[i]
		shift := bits.TrailingZeros32(m) & 31
		out[i] = bmpChannel{m, shift, uint64(m >> shift)}
	}
	return out
}

func (c bmpChannel) of(v uint32) byte {
	switch c.most {
	case 0:
		return 0
	case 255:
		return byte(v & c.mask >> c.shift)
	}
	return byte((uint64(v&c.mask>>c.shift)*255 + c.most/2) / c.most)
}

// drawRLE decompresses runs of indexes. Pixels that are skipped have the first colour.
func (f *bmpFile) drawRLE(to []byte) error {
	r := bmpRuns{file: f, to: to}
	for p := range f.size.W * f.size.H {
		f.colour(to[3*p:], 0)
	}
	b := f.pixels
	for r.y < f.size.H {
		if len(b) < 2 {
			return errBMPShort
		}
		count, value := int(b[0]), b[1]
		b = b[2:]
		switch {
		case count > 0:
			for i := range count {
				r.put(f.nibble(value, i))
			}
		case value == 0: // The end of a line.
			r.x, r.y = 0, r.y+1
		case value == 1: // The end of the picture.
			return nil
		case value == 2: // A step to the right and up.
			if len(b) < 2 {
				return errBMPShort
			}
			r.x, r.y = r.x+int(b[0]), r.y+int(b[1])
			b = b[2:]
		default: // Indexes as they are, in words of 16 bits.
			n := (int(value)*f.depth + 15) / 16 * 2
			if len(b) < n {
				return errBMPShort
			}
			for i := range int(value) {
				r.put(f.nibble(b[i*f.depth/8], i))
			}
			b = b[n:]
		}
	}
	return nil
}

// nibble is the i-th index of a run whose bytes are v, or hold it.
func (f *bmpFile) nibble(v byte, i int) byte {
	switch {
	case f.depth == 8:
		return v
	case i%2 == 0:
		return v >> 4
	}
	return v & 15
}

// bmpRuns is where the next pixel of a compressed picture goes: rows are counted from the bottom.
type bmpRuns struct {
	file *bmpFile
	to   []byte
	x, y int
}

// put writes a pixel; what reaches past the end of a line is dropped.
func (r *bmpRuns) put(index byte) {
	if s := r.file.size; r.x < s.W && r.y < s.H {
		r.file.colour(r.to[3*((s.H-1-r.y)*s.W+r.x):], index)
	}
	r.x++
}

// loadBMP decodes a BMP in Go: libvips reads BMP through ImageMagick only, which is blocked.
func (s *source) loadBMP() (*pixmap, error) {
	f, err := parseBMP(s.body, s.info)
	if err != nil {
		return nil, err
	}
	im, pixels, err := newPixels(f.size.W, f.size.H, f.bands())
	if err != nil {
		return nil, undecodable("codec.loadBMP", err)
	}
	err = f.draw(pixels)
	if err == nil && f.bands() == 4 && (allOpaque(pixels) || allClear(pixels)) { // Many writers leave alpha at zero and mean a picture.
		err = im.dropAlpha()
	}
	if err != nil {
		im.free()
		return nil, undecodable("codec.loadBMP", err)
	}
	return im, nil
}

// allClear reports whether no pixel of four bytes has any alpha.
func allClear(pixels []byte) bool {
	for i := 3; i < len(pixels); i += 4 {
		if pixels[i] != 0 {
			return false
		}
	}
	return true
}
