package sniff

import "bytes"

// jxlMagic begins a codestream.
const jxlMagic = "\xff\x0a"

// jxlWindow is how much of a codestream is read for its header.
const jxlWindow = 64

// inspectJXL reads the header of a JPEG XL codestream, with or without boxes. Its decoder applies the orientation, and
// uses four bytes a sample.
func inspectJXL(b []byte) (Info, error) {
	code, complete := jxlCodestream(b)
	if !bytes.HasPrefix(code, []byte(jxlMagic)) {
		return Info{}, broken("it has no codestream")
	}
	r := jxlBits{b: code[len(jxlMagic):min(len(code), jxlWindow)]}
	in := Info{Channels: 4, Bits: 32, Alpha: true, End: len(b), Complete: complete}
	in.Height, in.Width = r.jxlSize()
	// Metadata other than the default may have more fields, the first of which is the orientation.
	if r.bits(1) == 0 && r.bits(1) == 1 && r.bits(3) >= 4 {
		in.Width, in.Height = in.Height, in.Width
	}
	if r.short {
		return Info{}, broken("it is cut off")
	}
	return in, nil
}

// jxlCodestream finds the codestream, or its first part, and reports whether all boxes are complete. The end of a bare
// codestream is known only to its decoder.
func jxlCodestream(b []byte) (code []byte, complete bool) {
	if bytes.HasPrefix(b, []byte(jxlMagic)) {
		return b, true
	}
	end, whole := boxes(b, func(name string, body []byte) {
		switch {
		case code != nil:
		case name == "jxlc":
			code = body
		case name == "jxlp" && len(body) >= 4:
			code = body[4:]
		}
	})
	return code, whole && end == len(b) && code != nil
}

// jxlBits reads numbers, least significant bit first.
type jxlBits struct {
	b     []byte
	at    int
	short bool // more bits were read than exist
}

func (r *jxlBits) bits(n int) (v int) {
	for i := range n {
		if r.at>>3 >= len(r.b) {
			r.short = true
			return 0
		}
		v |= int(r.b[r.at>>3]>>(r.at&7)&1) << i
		r.at++
	}
	return v
}

// jxlSide is a side of more than 256 pixels, or one that is not a multiple of 8.
func (r *jxlBits) jxlSide() int { return 1 + r.bits([]int{9, 13, 18, 30}[r.bits(2)]) }

// jxlRatios are the widths given as a ratio.
var jxlRatios = [8][2]int64{1: {1, 1}, 2: {12, 10}, 3: {4, 3}, 4: {3, 2}, 5: {16, 9}, 6: {5, 4}, 7: {2, 1}}

func (r *jxlBits) jxlSize() (height, width int) {
	small := r.bits(1) == 1
	side := r.jxlSide
	if small {
		side = func() int { return 8 * (1 + r.bits(5)) }
	}
	height = side()
	if ratio := jxlRatios[r.bits(3)]; ratio[1] != 0 {
		return height, int(min(int64(height)*ratio[0]/ratio[1], maxSide))
	}
	return height, side()
}
