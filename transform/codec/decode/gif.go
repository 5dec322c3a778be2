package decode

import (
	"errors"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// gifFile is the parsed block structure of a GIF. It is decoded in Go for two reasons: libnsgif uses another canvas
// size than the file's if that size is in its list or a side exceeds 2,048, and libvips paints areas that no frame
// covers black.
type gifFile struct {
	b      []byte
	canvas geometry.Size // from the header reader: at least the extents of all frames
	frames []gifFrame
	loop   int // number of times the animation is shown; 0 = forever
}

// gifFrame is one frame. Its slices refer to the file.
type gifFrame struct {
	at          geometry.Rect
	palette     []byte
	transparent int // index of the colour that is not drawn; -1 = none
	interlaced  bool
	disposal    byte
	delay       int // milliseconds
	data        int // offset of the compressed indexes
}

// What happens to a frame before the next one is drawn.
const (
	disposeToBackground = 2
	disposeToPrevious   = 3
)

// gifDelay is the delay that browsers use if the file gives none.
const gifDelay = 100

// gifInterlaced holds the first row and the step of each pass.
var gifInterlaced = [...][2]int{{0, 8}, {4, 8}, {2, 4}, {1, 2}}

// parseGIF walks the blocks as far as they are valid. A block's data for the next frame is used only if the block is
// complete.
func parseGIF(b []byte, canvas geometry.Size) *gifFile {
	g := &gifFile{b: b, canvas: canvas, loop: 1}
	if len(b) < 13 {
		return g
	}
	at := 13
	global := gifPalette(b, &at, b[10])
	next := gifFrame{transparent: -1, delay: gifDelay}
	for at < len(b) {
		switch b[at] {
		case 0x00:
			at++ // A stray terminator.
		case 0x21:
			g.extension(at, &next)
			at = sniff.GIFBlocksEnd(b, at+2)
		case 0x2c:
			if at+10 > len(b) {
				return g
			}
			f := next
			f.at = geometry.Rect{X: le16(b, at+1), Y: le16(b, at+3), W: le16(b, at+5), H: le16(b, at+7)}
			packed := b[at+9]
			f.interlaced = packed&0x40 != 0
			at += 10
			if f.palette = gifPalette(b, &at, packed); f.palette == nil {
				f.palette = global
			}
			f.data = at
			g.frames = append(g.frames, f)
			at = sniff.GIFBlocksEnd(b, at+1)
			next = gifFrame{transparent: -1, delay: gifDelay}
		default:
			return g
		}
	}
	return g
}

// gifPalette returns the colour table that a packed field announces and moves at past it; nil if there is none.
func gifPalette(b []byte, at *int, packed byte) []byte {
	if packed&0x80 == 0 {
		return nil
	}
	from := min(*at, len(b))
	*at += sniff.GIFColours(packed)
	return b[from:min(*at, len(b))]
}

func le16(b []byte, at int) int { return int(b[at]) | int(b[at+1])<<8 }

// extension reads the extension block at offset at: data of the next frame, or of the animation.
func (g *gifFile) extension(at int, next *gifFrame) {
	b := g.b
	switch {
	case at+8 <= len(b) && b[at+1] == 0xf9 && b[at+2] >= 4:
		next.disposal = b[at+3] >> 2 & 7
		next.delay = 10 * le16(b, at+4)
		next.transparent = -1
		if b[at+3]&1 != 0 {
			next.transparent = int(b[at+6])
		}
	case at+19 <= len(b) && b[at+1] == 0xff && (string(b[at+3:at+14]) == "NETSCAPE2.0" || string(b[at+3:at+14]) == "ANIMEXTS1.0") && b[at+15] == 1:
		if g.loop = le16(b, at+16); g.loop > 0 {
			g.loop++ // The file counts repetitions.
		}
	}
}

// delays returns the frame durations in milliseconds.
func (g *gifFile) delays() []int {
	out := make([]int, len(g.frames))
	for i, f := range g.frames {
		out[i] = f.delay
	}
	return out
}

// whole reports whether the last frame has all its pixels.
func (g *gifFile) whole() bool {
	if len(g.frames) == 0 {
		return false
	}
	last := g.frames[len(g.frames)-1]
	indexes := make([]byte, last.at.W*last.at.H)
	n, err := unpackGIF(g.b, last.data, indexes)
	return err == nil && n == len(indexes)
}

// draw paints the first n frames into pixels, stacked vertically, four bytes per pixel.
func (g *gifFile) draw(pixels []byte, n int) error {
	bytes := 4 * g.canvas.W * g.canvas.H
	var indexes, before []byte
	for i, f := range g.frames[:n] {
		to := pixels[i*bytes : (i+1)*bytes]
		if i == 0 {
			clear(to)
		} else {
			copy(to, pixels[(i-1)*bytes:])
			switch last := g.frames[i-1]; last.disposal {
			case disposeToBackground: // Browsers use transparency as the background, whatever colour the file names.
				g.wipe(to, last.at)
			case disposeToPrevious:
				copy(to, before)
			}
		}
		if f.disposal == disposeToPrevious && i+1 < n {
			before = append(before[:0], to...)
		}
		if need := f.at.W * f.at.H; cap(indexes) < need {
			indexes = make([]byte, need)
		} else {
			indexes = indexes[:need]
		}
		got, err := unpackGIF(g.b, f.data, indexes)
		if err != nil {
			return err
		}
		g.paint(to, f, indexes[:got])
	}
	return nil
}

// wipe makes an area transparent.
func (g *gifFile) wipe(to []byte, r geometry.Rect) {
	for y := r.Y; y < min(r.Y+r.H, g.canvas.H); y++ {
		clear(to[4*(y*g.canvas.W+min(r.X, g.canvas.W)) : 4*(y*g.canvas.W+min(r.X+r.W, g.canvas.W))])
	}
}

// paint draws a frame on the canvas. Indexes without a colour are not drawn.
func (g *gifFile) paint(to []byte, f gifFrame, indexes []byte) {
	row := func(y, n int) {
		if y = f.at.Y + y; y >= g.canvas.H {
			return
		}
		line := indexes[n*f.at.W : min((n+1)*f.at.W, len(indexes))]
		line = line[:min(len(line), max(0, g.canvas.W-f.at.X))]
		at := 4 * (y*g.canvas.W + f.at.X)
		for _, index := range line {
			if c := 3 * int(index); int(index) != f.transparent && c+3 <= len(f.palette) {
				p, q := to[at:at+4:at+4], f.palette[c:c+3:c+3]
				p[0], p[1], p[2], p[3] = q[0], q[1], q[2], 255
			}
			at += 4
		}
	}
	if f.at.W == 0 {
		return
	}
	rows := (len(indexes) + f.at.W - 1) / f.at.W
	if !f.interlaced {
		for y := range rows {
			row(y, y)
		}
		return
	}
	n := 0
	for _, pass := range gifInterlaced {
		for y := pass[0]; y < f.at.H && n < rows; y += pass[1] {
			row(y, n)
			n++
		}
	}
}

var errGIFData = errors.New("the data of a GIF frame are broken")

// errGIFShort says that a frame's data end before its pixels, without an end code.
var errGIFShort = errors.New("the data of a GIF frame are cut off")

// unpackGIF decompresses a frame's indexes. n is less than len(out) if the data contain an end code before.
func unpackGIF(b []byte, at int, out []byte) (n int, err error) {
	const most = 12 // bits of a code
	if at >= len(b) {
		return 0, errGIFShort
	}
	literal := uint(b[at])
	if literal >= most {
		return 0, errGIFData
	}
	at++
	var prefix [1 << most]uint16
	var length [1 << most]int32
	var suffix, first [1 << most]byte
	end := 1<<literal + 1
	for i := range 1 << literal {
		length[i], suffix[i], first[i] = 1, byte(i), byte(i)
	}
	width, next, last := literal+1, end+1, -1
	var bits uint32
	var have uint
	left := 0 // bytes left in the sub-block
	for n < len(out) {
		for have < width {
			if left == 0 {
				if at >= len(b) || b[at] == 0 {
					return n, errGIFShort
				}
				left = int(b[at])
				at++
			}
			if at >= len(b) {
				return n, errGIFShort
			}
			bits |= uint32(b[at]) << have
			at, left, have = at+1, left-1, have+8
		}
		code := int(bits & (1<<width - 1))
		bits, have = bits>>width, have-width
		switch {
		case code == end-1:
			width, next, last = literal+1, end+1, -1
			continue
		case code == end:
			return n, nil
		case code > next, last < 0 && code > end:
			return n, errGIFData
		}
		if last >= 0 && next < 1<<most {
			prefix[next], length[next], first[next] = uint16(last), length[last]+1, first[last]
			suffix[next] = first[code]
			if code == next {
				suffix[next] = first[last]
			}
			if next++; next == 1<<width && width < most {
				width++
			}
		}
		to := out[n:min(n+int(length[code]), len(out))]
		n += len(to)
		c := code
		for i := int(length[code]) - 1; i >= 0; i-- {
			if i < len(to) {
				to[i] = suffix[c]
			}
			c = int(prefix[c])
		}
		last = code
	}
	return n, nil
}

// loadGIF paints the first frames of a GIF.
func (s *Source) loadGIF(pages int) (*vips.Image, error) {
	g := s.gif
	if pages > len(g.frames) {
		return nil, vips.Undecodable("codec.loadGIF", errGIFShort)
	}
	im, pixels, err := vips.NewPixels(g.canvas.W, g.canvas.H*pages, 4)
	if err != nil {
		return nil, vips.Undecodable("codec.loadGIF", err)
	}
	if err = g.draw(pixels, pages); err == nil && allOpaque(pixels) {
		err = im.DropAlpha()
	}
	if err != nil {
		im.Free()
		return nil, vips.Undecodable("codec.loadGIF", err)
	}
	return im, nil
}

// openGIF parses the file. A GIF without trailer is accepted if its last frame is complete.
func (s *Source) openGIF() error {
	s.gif = parseGIF(s.body, geometry.Size{W: s.Info.Width, H: s.Info.Height})
	if s.Info.LacksEnd && !s.gif.whole() {
		return fault.New(fault.TruncatedSource, "codec.openGIF", "the picture is cut off", nil)
	}
	return nil
}

// allOpaque reports whether all pixels, of four bytes each, have full alpha.
func allOpaque(pixels []byte) bool {
	for i := 3; i < len(pixels); i += 4 {
		if pixels[i] != 255 {
			return false
		}
	}
	return true
}
