package container

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
)

// PNGSignature is at the start of every PNG.
const PNGSignature = "\x89PNG\r\n\x1a\n"

// pngPixelChunks lists the chunks that decide the pixels.
var pngPixelChunks = []string{"IHDR", "PLTE", "tRNS", "IDAT"}

// PNGChunk is one chunk of a PNG. Cut is set if the file ends inside it.
type PNGChunk struct {
	Name string
	Data []byte
	Raw  []byte // with length, name and checksum
	Cut  bool
}

// Sound reports whether the checksum is correct. It is true for a cut chunk, whose checksum is unknown.
func (c PNGChunk) Sound() bool {
	if c.Cut {
		return true
	}
	n := len(c.Raw)
	return crc32.ChecksumIEEE(c.Raw[4:n-4]) == binary.BigEndian.Uint32(c.Raw[n-4:])
}

// PNGChunks calls f for each chunk of a PNG up to IEND, as long as f returns true.
func PNGChunks(b []byte, f func(PNGChunk) bool) {
	for at := len(PNGSignature); at+8 <= len(b); {
		n := int64(binary.BigEndian.Uint32(b[at:]))
		c := PNGChunk{Name: string(b[at+4 : at+8]), Cut: n > int64(len(b)-at-12)}
		if c.Cut {
			c.Raw = b[at:]
			c.Data = c.Raw[8:min(int64(len(c.Raw)), 8+n)]
		} else {
			c.Raw = b[at : at+12+int(n)]
			c.Data = c.Raw[8 : 8+n]
		}
		if !f(c) || c.Cut || c.Name == "IEND" {
			return
		}
		at += len(c.Raw)
	}
}

// SpoiledPNG is the name of the first pixel chunk with a wrong checksum; "" = none. Decoders differ in how they treat
// one: libpng refuses the picture, libspng shows it.
func SpoiledPNG(b []byte) (spoiled string) {
	PNGChunks(b, func(c PNGChunk) bool {
		if slices.Contains(pngPixelChunks, c.Name) && !c.Sound() {
			spoiled = c.Name
		}
		return spoiled == ""
	})
	return spoiled
}

// PNGComplete inflates the pixels and reports whether all rows are there. It ignores the zlib checksum after them: if
// the chunk checksums are correct, the zlib checksum was wrong when the file was written, and browsers show the
// picture.
func PNGComplete(b []byte) bool {
	var header []byte
	var parts []io.Reader
	PNGChunks(b, func(c PNGChunk) bool {
		switch c.Name {
		case "IHDR":
			header = c.Data
		case "IDAT":
			parts = append(parts, bytes.NewReader(c.Data))
		}
		return true
	})
	if len(header) < 13 {
		return false
	}
	pixels, err := zlib.NewReader(io.MultiReader(parts...))
	if err != nil {
		return false
	}
	for _, p := range pngPasses(header) {
		row := make([]byte, p.bytes)
		for range p.rows {
			if _, err := io.ReadFull(pixels, row); err != nil || row[0] > 4 { // The first byte is one of five filters.
				return false
			}
		}
	}
	return true
}

// pngPass is one pass over a PNG's rows: all of them, or an eighth to a half of an interlaced picture.
type pngPass struct{ rows, bytes int }

func pngPasses(header []byte) []pngPass {
	width, height := int(binary.BigEndian.Uint32(header)), int(binary.BigEndian.Uint32(header[4:]))
	channels := map[byte]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[header[9]]
	bits := channels * int(header[8])
	pass := func(x, y, dx, dy int) pngPass {
		w, h := (width-x+dx-1)/dx, (height-y+dy-1)/dy
		if w <= 0 || h <= 0 {
			return pngPass{}
		}
		return pngPass{h, 1 + (w*bits+7)/8}
	}
	if header[12] == 0 {
		return []pngPass{pass(0, 0, 1, 1)}
	}
	return []pngPass{
		pass(0, 0, 8, 8), pass(4, 0, 8, 8), pass(0, 4, 4, 8), pass(2, 0, 4, 4), pass(0, 2, 2, 4), pass(1, 0, 2, 2), pass(0, 1, 1, 2),
	}
}

// MendPNG completes a PNG that is truncated after the last row; ok is false if rows are missing.
func MendPNG(b []byte) (mended []byte, ok bool) {
	if !PNGComplete(b) {
		return nil, false
	}
	out := append(make([]byte, 0, len(b)+64), PNGSignature...)
	PNGChunks(b, func(c PNGChunk) bool {
		switch {
		case !c.Cut:
			out = append(out, c.Raw...)
		case c.Name == "IDAT":
			out = AppendPNGChunk(out, "IDAT", append(bytes.Clone(c.Data), 0, 0, 0, 0))
		}
		return true
	})
	return AppendPNGChunk(out, "IEND", nil), true
}

// AppendPNGChunk writes a chunk with its checksum.
func AppendPNGChunk(out []byte, name string, data []byte) []byte {
	at := len(out)
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	out = append(append(out, name...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[at+4:]))
}
