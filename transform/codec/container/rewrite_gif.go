package container

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"io"
	"slices"

	"github.com/goldcrest/goldcrest/sniff"
)

// gifRewriter reads a GIF's blocks and writes those that affect the display.
type gifRewriter struct {
	in     []byte
	at     int
	out    []byte
	used   [256]bool
	frame  []byte // the graphic control of the next frame
	looped bool
}

// rewriteGIF truncates each frame's compressed indexes after its last pixel. Of extensions it keeps each frame's
// graphic control and the loop count; of colour tables it keeps the colours in use.
func rewriteGIF(b []byte) ([]byte, error) {
	if len(b) < 13 || string(b[:3]) != "GIF" {
		return nil, ErrMalformed
	}
	g := gifRewriter{in: b, at: 13 + sniff.GIFColours(b[10])}
	if g.at > len(b) {
		return nil, ErrMalformed
	}
	g.out = append(make([]byte, 0, len(b)), "GIF89a"...)
	g.out = append(g.out, b[6:12]...)
	g.out = append(append(g.out, 0), b[13:g.at]...) // no aspect ratio
	global := g.at
	g.used[b[11]] = true // the background
	for {
		done, err := g.block()
		if err != nil {
			return nil, err
		}
		if done {
			clearColours(g.out[13:global], &g.used)
			return append(g.out, 0x3b), nil
		}
	}
}

// block reads the next block. done is true at the trailer.
func (g *gifRewriter) block() (done bool, err error) {
	if g.at >= len(g.in) {
		return false, ErrMalformed
	}
	kind := g.in[g.at]
	g.at++
	switch kind {
	case 0x3b:
		return true, nil
	case 0x21:
		return false, g.extension()
	case 0x2c:
		return false, g.image()
	case 0x00: // A stray terminator.
		return false, nil
	}
	return false, ErrMalformed
}

// blocks returns the content of the next sub-blocks and moves past them.
func (g *gifRewriter) blocks() ([]byte, error) {
	var all []byte
	for g.at < len(g.in) {
		n := int(g.in[g.at])
		g.at++
		if n == 0 {
			return all, nil
		}
		if n > len(g.in)-g.at {
			break
		}
		all = append(all, g.in[g.at:g.at+n]...)
		g.at += n
	}
	return nil, ErrMalformed
}

func (g *gifRewriter) extension() error {
	if g.at+2 > len(g.in) {
		return ErrMalformed
	}
	label, first := g.in[g.at], int(g.in[g.at+1])
	g.at++
	body, err := g.blocks()
	if err != nil {
		return err
	}
	switch {
	case label == 0xf9 && (first != 4 || len(body) != 4 || g.frame != nil):
		return ErrMalformed // Decoders differ in which of two graphic controls they use.
	case label == 0xf9:
		g.frame = []byte{0x21, 0xf9, 4, body[0] & 0x1d, body[1], body[2], body[3], 0}
	case label == 0xff && first == 11 && len(body) >= 14 && body[11] == 1 && !g.looped &&
		(bytes.HasPrefix(body, []byte("NETSCAPE2.0")) || bytes.HasPrefix(body, []byte("ANIMEXTS1.0"))):
		g.looped = true
		g.out = append(g.out, "\x21\xff\x0bNETSCAPE2.0\x03\x01"...)
		g.out = append(g.out, body[12], body[13], 0)
	}
	return nil
}

func (g *gifRewriter) image() error {
	if g.at+10 > len(g.in) {
		return ErrMalformed
	}
	head := g.in[g.at : g.at+9]
	table := sniff.GIFColours(head[8])
	g.at += 9
	if g.at+table+1 > len(g.in) {
		return ErrMalformed
	}
	colours := bytes.Clone(g.in[g.at : g.at+table])
	bits := int(g.in[g.at+table])
	g.at += table + 1
	packed, err := g.blocks()
	if err != nil || bits < 2 || bits > 8 {
		return ErrMalformed
	}
	pixels := make([]byte, int(binary.LittleEndian.Uint16(head[4:]))*int(binary.LittleEndian.Uint16(head[6:])))
	rest := bytes.NewReader(packed)
	r := lzw.NewReader(rest, lzw.LSB, bits) // does not read ahead of a ByteReader
	if _, err := io.ReadFull(r, pixels); err != nil {
		return ErrMalformed
	}
	if n, err := r.Read(make([]byte, 1)); n == 0 && err == io.EOF {
		packed = packed[:len(packed)-rest.Len()]
	} else if packed, err = repack(pixels, bits); err != nil { // No end code, or more than the pixels.
		return ErrMalformed
	}
	var used [256]bool
	named := &g.used
	if table > 0 {
		named = &used
	}
	for _, p := range pixels {
		named[p] = true
	}
	clearColours(colours, &used)
	g.out = append(g.out, g.frame...)
	g.frame = nil
	g.out = append(append(append(g.out, 0x2c), head[:8]...), head[8]&^0x18)
	g.out = append(append(g.out, colours...), byte(bits))
	for part := range slices.Chunk(packed, 255) {
		g.out = append(append(g.out, byte(len(part))), part...)
	}
	g.out = append(g.out, 0)
	return nil
}

// repack compresses the indexes of a frame.
func repack(pixels []byte, bits int) ([]byte, error) {
	var packed bytes.Buffer
	w := lzw.NewWriter(&packed, lzw.LSB, bits)
	if _, err := w.Write(pixels); err != nil {
		return nil, err
	}
	err := w.Close()
	return packed.Bytes(), err
}

// clearColours sets unused colours of a table to black.
func clearColours(table []byte, used *[256]bool) {
	for i := 0; 3*i < len(table); i++ {
		if !used[i] {
			clear(table[3*i : 3*i+3])
		}
	}
}
