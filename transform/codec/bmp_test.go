package codec

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/bmp"
	"github.com/goldcrest/goldcrest/variant"
)

// bmpParts is a hand-made BMP.
type bmpParts struct {
	header, depth, compression int
	height                     int // 0 = 5; negative = rows from top to bottom
	palette                    []byte
	used                       int
	masks                      []uint32
	gap                        int // bytes between header and pixels
	noOffset                   bool
	rows                       []byte
}

const bmpWidth = 7

func (p bmpParts) file() []byte {
	if p.height == 0 {
		p.height = 5
	}
	h := make([]byte, p.header)
	binary.LittleEndian.PutUint32(h, uint32(p.header))
	if p.header == 12 {
		binary.LittleEndian.PutUint16(h[4:], bmpWidth)
		binary.LittleEndian.PutUint16(h[6:], uint16(p.height))
		h[8], h[10] = 1, byte(p.depth)
	} else {
		binary.LittleEndian.PutUint32(h[4:], bmpWidth)
		binary.LittleEndian.PutUint32(h[8:], uint32(int32(p.height)))
		h[12], h[14] = 1, byte(p.depth)
	}
	if p.header >= 40 {
		h[16] = byte(p.compression)
		binary.LittleEndian.PutUint32(h[20:], uint32(len(p.rows)))
		h[32] = byte(p.used)
	}
	masks := p.masks
	for i, m := range masks {
		if p.header >= 44+4*i {
			binary.LittleEndian.PutUint32(h[40+4*i:], m)
		} else {
			h = binary.LittleEndian.AppendUint32(h, m)
		}
	}
	body := slices.Concat(h, p.palette, make([]byte, p.gap))
	file := binary.LittleEndian.AppendUint32([]byte("BM"), uint32(14+len(body)+len(p.rows)))
	file = append(file, 0, 0, 0, 0)
	offset := uint32(14 + len(body))
	if p.noOffset {
		offset = 0
	}
	file = binary.LittleEndian.AppendUint32(file, offset)
	return slices.Concat(file, body, p.rows)
}

// bmpColours are the colours of the test picture: column x of row y has the colour (x+y)%4.
var bmpColours = []color.NRGBA{{222, 33, 41, 255}, {33, 206, 33, 255}, {33, 33, 222, 255}, {231, 222, 41, 255}}

// bmpRows packs the test picture from its last row to its first; pixel returns the bits of a colour.
func bmpRows(depth int, down bool, pixel func(n int) uint64) []byte {
	var out []byte
	for i := range 5 {
		y := 4 - i
		if down {
			y = i
		}
		row := make([]byte, (bmpWidth*depth+31)/32*4)
		for x := range bmpWidth {
			v := pixel((x + y) % 4)
			if depth < 8 {
				row[x*depth/8] |= byte(v << (8 - depth - x*depth%8))
				continue
			}
			for k := range depth / 8 {
				row[x*depth/8+k] = byte(v >> (8 * k))
			}
		}
		out = append(out, row...)
	}
	return out
}

// packed packs a colour into masks; the fourth is alpha.
func packed(masks ...uint32) func(n int) uint64 {
	return func(n int) uint64 {
		c := bmpColours[n]
		var v uint64
		for i, m := range masks {
			low := uint64(m & -m)
			if m != 0 {
				v |= (uint64([]byte{c.R, c.G, c.B, 128}[i])*(uint64(m)/low) + 127) / 255 * low
			}
		}
		return v
	}
}

func bmpPalette(entry int) []byte {
	var p []byte
	for _, c := range bmpColours {
		p = append(p, []byte{c.B, c.G, c.R, 0}[:entry]...)
	}
	return p
}

func index(n int) uint64 { return uint64(n) }

// bmpKinds returns the test picture in every way that a BMP can store it.
func bmpKinds() map[string]bmpParts {
	wide := []uint32{0xff0000, 0xff00, 0xff}
	odd := []uint32{0xff000000, 0xff0000, 0xff00}
	m565, m555, m444 := []uint32{0xf800, 0x7e0, 0x1f}, []uint32{0x7c00, 0x3e0, 0x1f}, []uint32{0xf00, 0xf0, 0xf}
	tens := []uint32{0x3ff00000, 0xffc00, 0x3ff}
	with := func(masks []uint32, alpha uint32) []uint32 { return append(slices.Clone(masks), alpha) }
	two := func(n int) uint64 { return uint64(n & 1) }
	rle8 := []byte{ // Runs, uncompressed indexes, a move, and lines that end early or overflow.
		4, 0, 3, 1, 0, 0, // The lowest row: 0 0 0 0 1 1 1
		0, 7, 0, 1, 2, 3, 0, 1, 2, 0, 0, 0, // 0 1 2 3 0 1 2
		0, 2, 2, 1, 3, 3, 0, 0, // From the row above on: _ _ 3 3 3
		9, 2, 0, 1,
	}
	rle4 := []byte{
		4, 0x00, 3, 0x11, 0, 0,
		0, 7, 0x01, 0x23, 0x01, 0x20, 0, 0,
		0, 2, 2, 1, 3, 0x33, 0, 0,
		9, 0x22, 0, 1,
	}
	return map[string]bmpParts{
		"24 bits":                            {header: 40, depth: 24, rows: bmpRows(24, false, packed(wide...))},
		"24 bits, top down":                  {header: 40, depth: 24, height: -5, rows: bmpRows(24, true, packed(wide...))},
		"24 bits, OS/2":                      {header: 12, depth: 24, rows: bmpRows(24, false, packed(wide...))},
		"24 bits, OS/2 2":                    {header: 64, depth: 24, rows: bmpRows(24, false, packed(wide...))},
		"24 bits, OS/2 2, short":             {header: 16, depth: 24, rows: bmpRows(24, false, packed(wide...))},
		"24 bits, a gap":                     {header: 40, depth: 24, gap: 70, rows: bmpRows(24, false, packed(wide...))},
		"24 bits, masks":                     {header: 40, depth: 24, compression: 3, masks: wide, rows: bmpRows(24, false, packed(wide...))},
		"24 bits, no offset":                 {header: 40, depth: 24, noOffset: true, rows: bmpRows(24, false, packed(wide...))},
		"32 bits":                            {header: 40, depth: 32, rows: bmpRows(32, false, packed(wide...))},
		"32 bits, the fourth byte set":       {header: 40, depth: 32, rows: bmpRows(32, false, packed(with(wide, 0xff000000)...))},
		"32 bits, V4, fourth byte 0":         {header: 108, depth: 32, rows: bmpRows(32, false, packed(wide...))},
		"32 bits, V5, fourth byte 0":         {header: 124, depth: 32, rows: bmpRows(32, false, packed(wide...))},
		"32 bits, V5, a mask and no alpha":   {header: 124, depth: 32, compression: 3, masks: with(wide, 0xff000000), rows: bmpRows(32, false, packed(wide...))},
		"32 bits, masks behind the header":   {header: 40, depth: 32, compression: 3, masks: odd, rows: bmpRows(32, false, packed(odd...))},
		"32 bits, masks in a header of 52":   {header: 52, depth: 32, compression: 3, masks: odd, rows: bmpRows(32, false, packed(odd...))},
		"32 bits, ten each":                  {header: 56, depth: 32, compression: 3, masks: tens, rows: bmpRows(32, false, packed(tens...))},
		"16 bits":                            {header: 40, depth: 16, rows: bmpRows(16, false, packed(m555...))},
		"16 bits, 555":                       {header: 40, depth: 16, compression: 3, masks: m555, rows: bmpRows(16, false, packed(m555...))},
		"16 bits, 565":                       {header: 40, depth: 16, compression: 3, masks: m565, rows: bmpRows(16, false, packed(m565...))},
		"16 bits, 565, V5, top down":         {header: 124, depth: 16, height: -5, compression: 3, masks: m565, rows: bmpRows(16, true, packed(m565...))},
		"16 bits, 444":                       {header: 108, depth: 16, compression: 3, masks: m444, rows: bmpRows(16, false, packed(m444...))},
		"8 bits":                             {header: 40, depth: 8, used: 4, palette: bmpPalette(4), rows: bmpRows(8, false, index)},
		"8 bits, V5, top down":               {header: 124, depth: 8, used: 4, height: -5, palette: bmpPalette(4), rows: bmpRows(8, true, index)},
		"8 bits, a short palette":            {header: 40, depth: 8, palette: bmpPalette(4), rows: bmpRows(8, false, index)},
		"8 bits, no offset":                  {header: 40, depth: 8, used: 4, palette: bmpPalette(4), noOffset: true, rows: bmpRows(8, false, index)},
		"8 bits, OS/2":                       {header: 12, depth: 8, palette: append(bmpPalette(3), make([]byte, 252*3)...), rows: bmpRows(8, false, index)},
		"4 bits":                             {header: 40, depth: 4, palette: append(bmpPalette(4), make([]byte, 48)...), rows: bmpRows(4, false, index)},
		"4 bits, OS/2 2":                     {header: 64, depth: 4, palette: append(bmpPalette(4), make([]byte, 48)...), rows: bmpRows(4, false, index)},
		"1 bit":                              {header: 40, depth: 1, palette: bmpPalette(4)[:8], rows: bmpRows(1, false, two)},
		"1 bit, OS/2":                        {header: 12, depth: 1, palette: bmpPalette(3)[:6], rows: bmpRows(1, false, two)},
		"RLE8":                               {header: 40, depth: 8, compression: 1, used: 4, palette: bmpPalette(4), rows: rle8},
		"RLE4":                               {header: 40, depth: 4, compression: 2, used: 4, palette: bmpPalette(4), rows: rle4},
		"32 bits, V5, alpha":                 {header: 124, depth: 32, compression: 3, masks: with(wide, 0xff000000), rows: bmpRows(32, false, packed(with(wide, 0xff000000)...))},
		"32 bits, masks with alpha behind":   {header: 40, depth: 32, compression: 6, masks: with(wide, 0xff000000), rows: bmpRows(32, false, packed(with(wide, 0xff000000)...))},
		"16 bits, V4, masks with one of one": {header: 108, depth: 16, compression: 3, masks: with(m555, 0x8000), rows: bmpRows(16, false, packed(with(m555, 0x8000)...))},
	}
}

// TestBMPKinds checks the pixels of every kind of BMP, as exactly as its bits allow.
func TestBMPKinds(t *testing.T) {
	c := mustNew(t, "")
	rows := [][]int{{2, 2, 2, 2, 2, 2, 2}, {0, 0, 3, 3, 3, 0, 0}, {0, 0, 0, 0, 0, 0, 0}, {0, 1, 2, 3, 0, 1, 2}, {0, 0, 0, 0, 1, 1, 1}}
	for name, p := range bmpKinds() {
		img, err := one(t, c, p.file(), variant.Spec{Format: variant.PNG}, testLimits)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := decoded(t, img.Body)
		if got.Rect.Size() != image.Pt(bmpWidth, 5) {
			t.Errorf("%s: %v", name, got.Rect.Size())
			continue
		}
		for y := range 5 {
			for x := range bmpWidth {
				n, far := (x+y)%4, 0
				switch {
				case p.compression == 1 && p.depth == 8, p.compression == 2:
					n = rows[y][x]
				case p.depth == 1:
					n &= 1
				case p.depth == 16:
					far = 9 // Half a step of four bits.
				}
				want := bmpColours[n]
				if len(p.masks) == 4 && p.rows[3] != 0 && p.depth == 32 {
					want.A = 128
				}
				if got := got.NRGBAAt(x, y); !near(got, want, far) {
					t.Errorf("%s: pixel %d,%d is %v, want %v", name, x, y, got, want)
				}
			}
		}
	}
}

// TestBMPThatCannotBeRead distinguishes truncated from unsupported files.
func TestBMPThatCannotBeRead(t *testing.T) {
	c := mustNew(t, "")
	kinds := bmpKinds()
	rle, whole := kinds["RLE8"], kinds["24 bits"].file()
	endless := rle
	endless.rows = rle.rows[:len(rle.rows)-6] // Without the last row and the end marker.
	jpeg := kinds["24 bits"]
	jpeg.compression = 4
	down := rle
	down.height = -5
	for _, tt := range []struct {
		what string
		b    []byte
		want fault.Kind
	}{
		{"cut", whole[:len(whole)-1], fault.TruncatedSource},
		{"cut in the runs", rle.file()[:len(rle.file())-3], fault.TruncatedSource},
		{"runs without an end", endless.file(), fault.DecodeFailed},
		{"a JPEG inside", jpeg.file(), fault.UnsupportedFormat},
		{"runs from top to bottom", down.file(), fault.UnsupportedFormat},
	} {
		if _, err := one(t, c, tt.b, variant.Spec{Format: variant.PNG}, testLimits); fault.KindOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.what, err, tt.want)
		}
	}
}

func FuzzBMP(f *testing.F) {
	for _, p := range bmpKinds() {
		f.Add(p.file())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := sniff.Inspect(b)
		if err != nil || in.Format != "bmp" || in.Pixels() > 1<<16 {
			return
		}
		p, err := bmp.Parse(b, in.Width, in.Height)
		if err != nil {
			return
		}
		if (p.Bands() == 4) != in.Alpha {
			t.Fatalf("%d bands, the header reader saw alpha: %v", p.Bands(), in.Alpha)
		}
		pixels := bytes.Repeat([]byte{1}, int(in.Pixels())*p.Bands())
		_ = p.Draw(pixels)
	})
}
