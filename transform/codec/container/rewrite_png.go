package container

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/adler32"
	"io"
	"math"
)

// pngFile holds the parts of a PNG that are kept when it is rewritten.
type pngFile struct {
	header, palette, alpha []byte
	data                   []byte // the zlib stream
	broken                 bool
}

func (f *pngFile) take(c PNGChunk) bool {
	once := func(to *[]byte) {
		f.broken = f.broken || *to != nil
		*to = c.Data
	}
	switch c.Name {
	case "IHDR":
		once(&f.header)
	case "PLTE":
		once(&f.palette)
	case "tRNS":
		once(&f.alpha)
	case "IDAT":
		f.data = append(f.data, c.Data...)
	default:
		return true
	}
	f.broken = f.broken || c.Cut || !c.Sound()
	return !f.broken
}

// rewritePNG keeps the header, the pixels up to the end of their compressed stream, and the colours and transparency
// that the pixels use.
func rewritePNG(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte(PNGSignature)) {
		return nil, ErrMalformed
	}
	var f pngFile
	PNGChunks(b, f.take)
	if h := f.header; f.broken || len(h) != 13 || h[10] != 0 || h[11] != 0 || h[12] > 1 || len(f.data) < 6 {
		return nil, ErrMalformed
	}
	used := new([256]bool)
	stream, ok := f.pixels(used)
	if !ok || !f.colours(used) {
		return nil, ErrMalformed
	}
	out := append(make([]byte, 0, len(stream)+1024), PNGSignature...)
	out = AppendPNGChunk(out, "IHDR", f.header)
	if f.palette != nil {
		out = AppendPNGChunk(out, "PLTE", f.palette)
	}
	if f.alpha != nil {
		out = AppendPNGChunk(out, "tRNS", f.alpha)
	}
	out = AppendPNGChunk(out, "IDAT", stream)
	return AppendPNGChunk(out, "IEND", nil), nil
}

// pixels reads all rows and marks the palette colours that they use. It returns their compressed stream with a correct
// checksum.
func (f *pngFile) pixels(used *[256]bool) (stream []byte, ok bool) {
	head := f.data[:2]
	if head[0]&15 != 8 || head[0]>>4 > 7 || head[1]&0x20 != 0 || binary.BigEndian.Uint16(head)%31 != 0 {
		return nil, false
	}
	rest := bytes.NewReader(f.data[2:])
	inflated := flate.NewReader(rest) // does not read ahead of a ByteReader
	sum := adler32.New()
	rows := io.TeeReader(inflated, sum)
	for _, p := range pngPasses(f.header) {
		if p.rows == 0 {
			continue
		}
		row, above := make([]byte, p.bytes), make([]byte, p.bytes)
		for range p.rows {
			if _, err := io.ReadFull(rows, row); err != nil || row[0] > 4 {
				return nil, false
			}
			if f.header[9] == 3 {
				unfilter(row, above)
				noteColours(used, row[1:], f.header[8])
				row, above = above, row
			}
		}
	}
	if n, err := inflated.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, false // More data than the rows.
	}
	end := len(f.data) - rest.Len()
	return binary.BigEndian.AppendUint32(bytes.Clone(f.data[:end]), sum.Sum32()), true
}

// unfilter reverses the filter of a row with at most one byte per pixel. The first byte is the filter.
func unfilter(row, above []byte) {
	for i := 1; i < len(row); i++ {
		left, corner := 0, 0
		if i > 1 {
			left, corner = int(row[i-1]), int(above[i-1])
		}
		up := int(above[i])
		switch row[0] {
		case 1:
			row[i] += byte(left)
		case 2:
			row[i] += byte(up)
		case 3:
			row[i] += byte((left + up) / 2)
		case 4:
			row[i] += byte(paeth(left, up, corner))
		}
	}
}

func paeth(left, up, corner int) int {
	p := left + up - corner
	dl, du, dc := distance(p, left), distance(p, up), distance(p, corner)
	switch {
	case dl <= du && dl <= dc:
		return left
	case du <= dc:
		return up
	}
	return corner
}

func distance(a, b int) int { return int(math.Abs(float64(a - b))) }

// noteColours marks the colours in a row of 1, 2, 4 or 8 bits per pixel. The padding bits after the last pixel may mark
// one too many.
func noteColours(used *[256]bool, row []byte, bits byte) {
	for _, b := range row {
		for shift := 0; shift < 8; shift += int(max(bits, 1)) {
			used[int(b>>shift)&(1<<bits-1)] = true
		}
	}
}

// colours reduces palette and transparency to what the pixels use, and reports whether they are valid for the colour
// type.
func (f *pngFile) colours(used *[256]bool) bool {
	switch kind := f.header[9]; kind {
	case 0:
		return f.palette == nil && (f.alpha == nil || len(f.alpha) == 2)
	case 2:
		f.palette = nil // A suggested palette only.
		return f.alpha == nil || len(f.alpha) == 6
	case 4, 6:
		f.palette = nil
		return f.alpha == nil
	case 3:
	default:
		return false
	}
	n := len(f.palette) / 3
	if n == 0 || len(f.palette)%3 != 0 || n > 256 || len(f.alpha) > n || f.alpha != nil && len(f.alpha) == 0 {
		return false
	}
	last := 0
	f.palette, f.alpha = bytes.Clone(f.palette), bytes.Clone(f.alpha)
	for i, u := range used {
		switch {
		case u && i >= n:
			return false
		case u:
			last = i
		case i < n:
			clear(f.palette[3*i : 3*i+3])
			if i < len(f.alpha) {
				f.alpha[i] = 0xff
			}
		}
	}
	f.palette, f.alpha = f.palette[:3*(last+1)], f.alpha[:min(len(f.alpha), last+1)]
	return true
}
