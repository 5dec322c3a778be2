package codec

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"

	"github.com/goldcrest/goldcrest/fault"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// pngPixelChunks are the chunks that the pixels are made of.
var pngPixelChunks = []string{"IHDR", "PLTE", "tRNS", "IDAT"}

// pngChunk is one chunk of a PNG. Its data and sum are cut where the file ends inside.
type pngChunk struct {
	name string
	data []byte
	raw  []byte // with length, name and checksum
	cut  bool
}

// sound reports whether the checksum is right. That of a chunk that is cut is not known to be wrong.
func (c pngChunk) sound() bool {
	if c.cut {
		return true
	}
	n := len(c.raw)
	return crc32.ChecksumIEEE(c.raw[4:n-4]) == binary.BigEndian.Uint32(c.raw[n-4:])
}

// pngChunks calls f for each chunk of a PNG up to IEND, as long as f returns true.
func pngChunks(b []byte, f func(pngChunk) bool) {
	for at := len(pngSignature); at+8 <= len(b); {
		n := int64(binary.BigEndian.Uint32(b[at:]))
		c := pngChunk{name: string(b[at+4 : at+8]), cut: n > int64(len(b)-at-12)}
		if c.cut {
			c.raw = b[at:]
			c.data = c.raw[8:min(int64(len(c.raw)), 8+n)]
		} else {
			c.raw = b[at : at+12+int(n)]
			c.data = c.raw[8 : 8+n]
		}
		if !f(c) || c.cut || c.name == "IEND" {
			return
		}
		at += len(c.raw)
	}
}

// checkPNG refuses a PNG whose pixels have a wrong checksum. Decoders differ in what they do about one: libpng refuses
// the picture, libspng shows it.
func checkPNG(b []byte) error {
	spoiled := ""
	pngChunks(b, func(c pngChunk) bool {
		if slices.Contains(pngPixelChunks, c.name) && !c.sound() {
			spoiled = c.name
		}
		return spoiled == ""
	})
	if spoiled != "" {
		return fault.New(fault.DecodeFailed, "codec.checkPNG", "the picture is damaged: the checksum of its "+spoiled+" chunk is wrong", nil)
	}
	return nil
}

// pngComplete inflates the pixels and reports whether all rows are there. The checksum of zlib behind them is not
// looked at: where those of the chunks are right, it was wrong from the beginning, and browsers show the picture.
func pngComplete(b []byte) bool {
	var header []byte
	var parts []io.Reader
	pngChunks(b, func(c pngChunk) bool {
		switch c.name {
		case "IHDR":
			header = c.data
		case "IDAT":
			parts = append(parts, bytes.NewReader(c.data))
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
			if _, err := io.ReadFull(pixels, row); err != nil || row[0] > 4 { // The first byte names one of five filters.
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

// mendPNG accepts a PNG whose end is missing behind the last row, and gives it one.
func (s *source) mendPNG() error {
	if !pngComplete(s.original) {
		return fault.New(fault.TruncatedSource, "codec.mendPNG", "the picture is cut off", nil)
	}
	out := append(make([]byte, 0, len(s.original)+64), pngSignature...)
	pngChunks(s.original, func(c pngChunk) bool {
		switch {
		case !c.cut:
			out = append(out, c.raw...)
		case c.name == "IDAT":
			out = appendPNGChunk(out, "IDAT", append(bytes.Clone(c.data), 0, 0, 0, 0))
		}
		return true
	})
	s.body = appendPNGChunk(out, "IEND", nil)
	s.strict = forgiving // All rows are known to be there.
	return nil
}

func appendPNGChunk(out []byte, name string, data []byte) []byte {
	at := len(out)
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	out = append(append(out, name...), data...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[at+4:]))
}

// vouch has a picture that a decoder refused decoded once more without complaints, where all of its pixels are known to
// be there: decoders differ in what they forgive behind the last row.
func (s *source) vouch() bool {
	if s.info.Format != "png" || s.strict == forgiving || !pngComplete(s.body) {
		return false
	}
	for k, im := range s.shared {
		im.free()
		delete(s.shared, k)
	}
	clear(s.uses)
	s.strict = forgiving
	return true
}
