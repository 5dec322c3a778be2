package codec

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

// pngParts is a hand-made PNG, so that any part of it can be corrupted.
type pngParts struct {
	w, h    int
	kind    byte // colour type
	bits    byte
	laced   bool
	rows    []byte
	before  []byte // chunks between IHDR and IDAT
	stretch func(z []byte) []byte
}

func (p pngParts) zlib(t testing.TB) []byte {
	t.Helper()
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	if _, err := w.Write(p.rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if p.stretch != nil {
		return p.stretch(z.Bytes())
	}
	return z.Bytes()
}

func (p pngParts) header() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(p.w))
	b = append(binary.BigEndian.AppendUint32(b, uint32(p.h)), p.bits, p.kind, 0, 0, 0)
	if p.laced {
		b[12] = 1
	}
	return b
}

func (p pngParts) file(t testing.TB) []byte {
	t.Helper()
	b := container.AppendPNGChunk([]byte(container.PNGSignature), "IHDR", p.header())
	b = append(b, p.before...)
	b = container.AppendPNGChunk(b, "IDAT", p.zlib(t))
	return container.AppendPNGChunk(b, "IEND", nil)
}

// rgbRows returns the rows of a picture without filters.
func rgbRows(img *image.NRGBA) []byte {
	var rows []byte
	for y := range img.Bounds().Dy() {
		rows = append(rows, 0)
		for x := range img.Bounds().Dx() {
			c := img.NRGBAAt(x, y)
			rows = append(rows, c.R, c.G, c.B)
		}
	}
	return rows
}

// spoil flips a bit of a chunk's checksum.
func spoil(t testing.TB, b []byte, name string) []byte {
	t.Helper()
	out := bytes.Clone(b)
	found := false
	container.PNGChunks(out, func(c container.PNGChunk) bool {
		if c.Name == name {
			c.Raw[len(c.Raw)-1] ^= 1
			found = true
		}
		return !found
	})
	if !found {
		t.Fatalf("no chunk %s", name)
	}
	return out
}

// TestPNGChecksumHasOneVerdict expects the same result with every decoder: libpng refuses wrong chunk checksums and
// ignores that of zlib, libspng does the opposite.
func TestPNGChecksumHasOneVerdict(t *testing.T) {
	c := mustNew(t, "")
	const w, h = 60, 40
	img := noise(w, h, 3)
	p := pngParts{w: w, h: h, kind: 2, bits: 8, rows: rgbRows(img)}
	good := p.file(t)
	zlibAs := func(f func(z []byte) []byte) []byte { q := p; q.stretch = f; return q.file(t) }
	withChunk := func(name, data string) []byte {
		q := p
		q.before = container.AppendPNGChunk(nil, name, []byte(data))
		return spoil(t, q.file(t), name)
	}
	for _, tt := range []struct {
		what string
		b    []byte
		want fault.Kind // "" = the picture
	}{
		{"all right", good, ""},
		{"IHDR", spoil(t, good, "IHDR"), fault.DecodeFailed},
		{"IDAT", spoil(t, good, "IDAT"), fault.DecodeFailed},
		{"transparency", withChunk("tRNS", "\x00\x01\x00\x02\x00\x03"), fault.DecodeFailed},
		{"IEND", spoil(t, good, "IEND"), ""},
		{"a text", withChunk("tEXt", "Title\x00x"), ""},
		{"zlib", zlibAs(func(z []byte) []byte { z[len(z)-1] ^= 1; return z }), ""},
		{"zlib's is missing", zlibAs(func(z []byte) []byte { return z[:len(z)-4] }), ""},
		{"bytes after zlib's", zlibAs(func(z []byte) []byte { return append(z, 1, 2, 3) }), ""},
		{"the data are wrong though their checksum is right", zlibAs(func(z []byte) []byte {
			return append(append(z[:len(z)/2:len(z)/2], bytes.Repeat([]byte{0xff}, 600)...), z[len(z)/2:]...)
		}), fault.DecodeFailed},
		{"rows are missing", pngParts{w: w, h: h, kind: 2, bits: 8, rows: p.rows[:len(p.rows)-200]}.file(t), fault.DecodeFailed},
		{"more rows than there should be", pngParts{w: w, h: h, kind: 2, bits: 8, rows: append(bytes.Clone(p.rows), make([]byte, 500)...)}.file(t), ""},
	} {
		for _, spec := range []variant.Spec{{Format: variant.PNG}, {Format: variant.JPEG, Quality: 80}} {
			got, err := one(t, c, tt.b, spec, testLimits)
			if k := fault.KindOf(err); err != nil && k != tt.want || err == nil && tt.want != "" {
				t.Errorf("%s, to %s: got %v, want %q", tt.what, spec.Format, err, tt.want)
			}
			if err == nil && tt.want == "" && spec.Format == variant.PNG && !bytes.Equal(decoded(t, got.Body).Pix, img.Pix) {
				t.Errorf("%s: other pixels than the picture's", tt.what)
			}
		}
	}
}

// TestPNGWithoutItsEndIsServed expects the picture if all of its rows are there, however much is missing after them.
func TestPNGWithoutItsEndIsServed(t *testing.T) {
	c := mustNew(t, "")
	img := noise(61, 43, 9)
	plain := pngParts{w: 61, h: 43, kind: 2, bits: 8, rows: rgbRows(img)}
	// Interlaced, of one colour: the rows of all passes differ only in length.
	laced := pngParts{w: 61, h: 43, kind: 2, bits: 8, laced: true}
	grey := image.NewNRGBA(image.Rect(0, 0, 61, 43))
	fill(grey, grey.Rect, color.NRGBA{90, 90, 90, 255})
	for _, p := range [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}} {
		for y := p[1]; y < 43; y += p[3] {
			laced.rows = append(laced.rows, 0)
			for x := p[0]; x < 61; x += p[2] {
				laced.rows = append(laced.rows, 90, 90, 90)
			}
		}
	}
	for name, tt := range map[string]struct {
		b    []byte
		want *image.NRGBA
	}{"plain": {plain.file(t), img}, "interlaced": {laced.file(t), grey}} {
		// The last 24 bytes are 12 of IEND, 4 of the IDAT checksum, 4 of the zlib checksum, and the end of the
		// compressed data, which takes 2 bytes or more.
		for cut := 1; cut <= 20; cut++ {
			got, err := one(t, c, tt.b[:len(tt.b)-cut], variant.Spec{Format: variant.PNG}, testLimits)
			if err != nil {
				t.Errorf("%s without its last %d bytes: %v", name, cut, err)
			} else if !bytes.Equal(decoded(t, got.Body).Pix, tt.want.Pix) {
				t.Errorf("%s without its last %d bytes: other pixels", name, cut)
			}
		}
	}
	b := plain.file(t)
	for _, cut := range []int{29, 200, len(b) / 2} {
		if _, err := one(t, c, b[:len(b)-cut], variant.Spec{Format: variant.PNG}, testLimits); fault.KindOf(err) != fault.TruncatedSource {
			t.Errorf("without its last %d bytes: %v, want truncated_source", cut, err)
		}
	}
	short := plain
	short.rows = plain.rows[:len(plain.rows)-184] // Without its last row; IDAT itself is complete.
	b = short.file(t)
	if _, err := one(t, c, b[:len(b)-12], variant.Spec{Format: variant.PNG}, testLimits); fault.KindOf(err) != fault.TruncatedSource {
		t.Errorf("without its last row and its end: %v, want truncated_source", err)
	}
}
