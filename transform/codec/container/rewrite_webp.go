package container

import (
	"bytes"
	"encoding/binary"
	"reflect"

	"golang.org/x/image/vp8"
	"golang.org/x/image/vp8l"
)

// webpRewriter rewrites the chunks of a WebP.
type webpRewriter struct {
	out      []byte
	extended []byte // the content of VP8X
	moves    bool   // ANIM was seen
	done     bool   // a still picture was seen
}

// rewriteWebP keeps the picture's own chunks, each up to where its decoder stops reading. A picture without alpha or
// animation gets no extended header.
func rewriteWebP(b []byte) ([]byte, error) {
	var w webpRewriter
	var alpha []byte
	err := webpChunks(b, func(name string, body []byte) error {
		switch name {
		case "VP8X":
			if len(body) < 10 || w.extended != nil || w.done || w.moves || alpha != nil {
				return ErrMalformed
			}
			w.extended = append([]byte{body[0] & 0x12, 0, 0, 0}, body[4:10]...)
		case "ANIM":
			if len(body) < 6 || w.moves || w.done {
				return ErrMalformed
			}
			w.moves = true
			w.out = AppendRIFF(w.out, name, body[:6])
		case "ANMF":
			return w.frame(body)
		case "ALPH":
			if alpha != nil || w.done || w.moves {
				return ErrMalformed
			}
			alpha = body
		case "VP8 ", "VP8L":
			if w.done || w.moves {
				return ErrMalformed
			}
			w.done = true
			return w.picture(name, body, alpha, w.width(), w.height())
		}
		return nil
	})
	if err != nil || w.done == w.moves || w.moves != w.says(0x02) || alpha != nil && !w.says(0x10) {
		return nil, ErrMalformed
	}
	out := append(make([]byte, 0, len(w.out)+32), "RIFF\x00\x00\x00\x00WEBP"...)
	if w.extended != nil && w.extended[0] != 0 {
		out = AppendRIFF(out, "VP8X", w.extended)
	}
	out = append(out, w.out...)
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out, nil
}

// says reports whether the extended header has a flag: 0x10 for alpha, 0x02 for an animation.
func (w *webpRewriter) says(flag byte) bool { return w.extended != nil && w.extended[0]&flag != 0 }

// width and height are the size of the canvas; 0 if there is no extended header.
func (w *webpRewriter) width() int {
	if w.extended == nil {
		return 0
	}
	return uint24(w.extended[4:]) + 1
}

func (w *webpRewriter) height() int {
	if w.extended == nil {
		return 0
	}
	return uint24(w.extended[7:]) + 1
}

// frame writes one frame of an animation.
func (w *webpRewriter) frame(body []byte) error {
	if len(body) < 16 || !w.moves || w.extended == nil {
		return ErrMalformed
	}
	f := webpRewriter{out: append(bytes.Clone(body[:15]), body[15]&3)}
	var alpha []byte
	err := riffChunks(body[16:], func(name string, data []byte) error {
		switch {
		case name == "ALPH" && alpha == nil && !f.done:
			alpha = data
		case (name == "VP8 " || name == "VP8L") && !f.done:
			f.done = true
			return f.picture(name, data, alpha, uint24(body[6:])+1, uint24(body[9:])+1)
		case name == "ALPH" || name == "VP8 " || name == "VP8L":
			return ErrMalformed
		}
		return nil
	})
	if err != nil || !f.done {
		return ErrMalformed
	}
	w.out = AppendRIFF(w.out, "ANMF", f.out)
	return nil
}

// picture writes a picture with its alpha. It must have the given size, unless that is 0.
func (w *webpRewriter) picture(name string, body, alpha []byte, width, height int) error {
	if name == "VP8L" {
		if alpha != nil {
			return ErrMalformed
		}
		n, err := losslessEnd(body, width, height)
		if err != nil {
			return err
		}
		w.out = AppendRIFF(w.out, name, body[:n])
		return nil
	}
	lossy, width, height, err := rewriteVP8(body, width, height)
	if err != nil {
		return err
	}
	if alpha != nil {
		n, err := alphaEnd(alpha, width, height)
		if err != nil {
			return err
		}
		w.out = AppendRIFF(w.out, "ALPH", append([]byte{alpha[0] & 0x3f}, alpha[1:n]...))
	}
	w.out = AppendRIFF(w.out, name, lossy)
	return nil
}

// losslessEnd is the number of bytes of a lossless picture that are read.
func losslessEnd(body []byte, width, height int) (int, error) {
	c, err := vp8l.DecodeConfig(bytes.NewReader(body))
	if err != nil || width > 0 && (c.Width != width || c.Height != height) {
		return 0, ErrMalformed
	}
	r := bytes.NewReader(body)
	if _, err := vp8l.Decode(r); err != nil { // It does not read ahead of a ByteReader.
		return 0, ErrMalformed
	}
	return len(body) - r.Len(), nil
}

// alphaEnd is the number of bytes of an alpha chunk that are read: raw samples, or a lossless picture without its
// header.
func alphaEnd(alpha []byte, width, height int) (int, error) {
	if len(alpha) == 0 || alpha[0]&3 > 1 {
		return 0, ErrMalformed
	}
	if alpha[0]&3 == 0 {
		if n := 1 + width*height; n <= len(alpha) {
			return n, nil
		}
		return 0, ErrMalformed
	}
	bits := uint32(width-1) | uint32(height-1)<<14
	head := binary.LittleEndian.AppendUint32([]byte{0x2f}, bits)
	n, err := losslessEnd(append(head, alpha[1:]...), width, height)
	if err != nil || n < len(head) {
		return 0, ErrMalformed
	}
	return n - len(head) + 1, nil
}

// The layout of a lossy frame's header: three bytes with flags and the size of the first partition, a start code, the
// picture's size.
const (
	vp8Head     = 10
	vp8SizeFrom = 5 // the first bit of the size of the first partition
	vp8Spare    = 2 // bytes after a partition that are kept, as zeros: libwebp reads further ahead than it needs
)

// rewriteVP8 truncates each partition of a lossy picture where the decoder stops reading it.
func rewriteVP8(body []byte, width, height int) (out []byte, w, h int, err error) {
	if len(body) < vp8Head {
		return nil, 0, 0, ErrMalformed
	}
	d := vp8.NewDecoder()
	d.Init(bytes.NewReader(body), len(body))
	head, err := d.DecodeFrameHeader()
	if err != nil || !head.KeyFrame || width > 0 && (head.Width != width || head.Height != height) {
		return nil, 0, 0, ErrMalformed
	}
	if _, err := d.DecodeFrame(); err != nil {
		return nil, 0, 0, ErrMalformed
	}
	first, others, ok := partitionsRead(d)
	if !ok {
		return nil, 0, 0, ErrMalformed
	}
	tag := uint24(body)
	size := tag >> vp8SizeFrom
	from := vp8Head + size + 3*(len(others)-1)
	if first > size || from > len(body) {
		return nil, 0, 0, ErrMalformed
	}
	sizes := body[vp8Head+size : from]
	out = append(make([]byte, 0, len(body)), body[:from]...)
	out = append(out[:vp8Head], partition(body[vp8Head:vp8Head+size], first)...)
	PutUint24(out, tag&(1<<vp8SizeFrom-1)|(len(out)-vp8Head)<<vp8SizeFrom)
	table := len(out)
	out = append(out, sizes...)
	for i, n := range others {
		long := len(body) - from
		if i < len(others)-1 {
			long = min(long, uint24(sizes[3*i:]))
		}
		if n > long {
			return nil, 0, 0, ErrMalformed
		}
		p := partition(body[from:from+long], n)
		if i < len(others)-1 {
			PutUint24(out[table+3*i:], len(p))
		}
		out = append(out, p...)
		from += long
	}
	return out, head.Width, head.Height, nil
}

// partition returns the kept part of a partition of which a decoder reads n bytes.
func partition(b []byte, n int) []byte {
	return append(bytes.Clone(b[:n]), make([]byte, min(vp8Spare, len(b)-n))...)
}

// partitionsRead returns how much of each partition the decoder has read. The decoder keeps that in fields without
// accessors. If another version renames them, no lossy WebP is passed through any more, and TestRewriteKeepsPixels
// fails.
func partitionsRead(d *vp8.Decoder) (first int, others []int, ok bool) {
	read := func(p reflect.Value) int {
		n := p.FieldByName("r")
		if n.Kind() != reflect.Int {
			return -1
		}
		return int(n.Int())
	}
	v := reflect.ValueOf(d).Elem()
	fp, op, count := v.FieldByName("fp"), v.FieldByName("op"), v.FieldByName("nOP")
	if fp.Kind() != reflect.Struct || op.Kind() != reflect.Array || op.Type().Elem().Kind() != reflect.Struct || count.Kind() != reflect.Int {
		return 0, nil, false
	}
	n := int(count.Int())
	if n < 1 || n > op.Len() {
		return 0, nil, false
	}
	first, ok = read(fp), true
	for i := range n {
		others = append(others, read(op.Index(i)))
		ok = ok && others[i] >= 0
	}
	return first, others, ok && first >= 0
}

// webpChunks calls f for each chunk of a WebP.
func webpChunks(b []byte, f func(name string, body []byte) error) error {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WEBP" {
		return ErrMalformed
	}
	total := min(int64(len(b)), int64(binary.LittleEndian.Uint32(b[4:]))+8)
	return riffChunks(b[12:max(total, 12)], f)
}

// riffChunks calls f for each chunk of b.
func riffChunks(b []byte, f func(name string, body []byte) error) error {
	for len(b) >= 8 {
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		if n > int64(len(b)-8) {
			return ErrMalformed
		}
		if err := f(string(b[:4]), b[8:8+n]); err != nil {
			return err
		}
		b = b[min(int64(len(b)), 8+n+n%2):] // The last chunk may lack its padding.
	}
	return nil
}

// AppendRIFF appends a chunk, padded to an even length.
func AppendRIFF(out []byte, name string, body []byte) []byte {
	out = binary.LittleEndian.AppendUint32(append(out, name...), uint32(len(body)))
	out = append(out, body...)
	return append(out, make([]byte, len(body)%2)...)
}

func uint24(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// PutUint24 writes the lower 24 bits of n, little end first.
func PutUint24(b []byte, n int) { b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16) }
