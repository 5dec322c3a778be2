package codec

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/container"
)

// iccTag is one tag of a profile.
type iccTag struct {
	name string
	data []byte
}

// icc builds a profile that colour libraries accept. space is the pictures' colour space, pcs the profile connection
// space.
func icc(class, space, pcs string, tags ...iccTag) []byte {
	p := make([]byte, 128)
	copy(p[8:], "\x02\x10\x00\x00"+class+space+pcs)
	copy(p[36:], "acsp")
	copy(p[68:], "\x00\x00\xf6\xd6\x00\x01\x00\x00\x00\x00\xd3\x2d") // D50
	p = binary.BigEndian.AppendUint32(p, uint32(len(tags)))
	at := len(p) + 12*len(tags)
	var data []byte
	for _, tag := range tags {
		p = append(p, tag.name...)
		p = binary.BigEndian.AppendUint32(p, uint32(at+len(data)))
		p = binary.BigEndian.AppendUint32(p, uint32(len(tag.data)))
		data = append(data, tag.data...)
		data = append(data, make([]byte, (4-len(data)%4)%4)...)
	}
	p = append(p, data...)
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	return p
}

// gammaTag is a tone curve with one exponent.
func gammaTag(name string, gamma float64) iccTag {
	data := binary.BigEndian.AppendUint32([]byte("curv\x00\x00\x00\x00"), 1)
	return iccTag{name, binary.BigEndian.AppendUint16(data, uint16(gamma*256))}
}

// xyzTag is a colour in the profile's connection space.
func xyzTag(name string, xyz [3]float64) iccTag {
	data := []byte("XYZ \x00\x00\x00\x00")
	for _, v := range xyz {
		data = binary.BigEndian.AppendUint32(data, uint32(int32(v*65536)))
	}
	return iccTag{name, data}
}

// greyICC is a profile for grey pictures.
func greyICC(gamma float64) []byte {
	return icc("mntr", "GRAY", "XYZ ", xyzTag("wtpt", [3]float64{.9642, 1, .8249}), gammaTag("kTRC", gamma))
}

// displayP3ICC is Display P3 with a plain exponent as its tone curve.
func displayP3ICC() []byte {
	return icc("mntr", "RGB ", "XYZ ", xyzTag("wtpt", [3]float64{.9642, 1, .8249}), xyzTag("rXYZ", [3]float64{.5151, .2412, -.0011}),
		xyzTag("gXYZ", [3]float64{.2920, .6922, .0419}), xyzTag("bXYZ", [3]float64{.1571, .0666, .7841}),
		gammaTag("rTRC", 2.2), gammaTag("gTRC", 2.2), gammaTag("bTRC", 2.2))
}

// cmykICC is a profile in which only black ink has an effect.
func cmykICC() []byte {
	lut := append([]byte("mft1\x00\x00\x00\x00"), 4, 3, 2, 0)
	for i := range 9 {
		lut = binary.BigEndian.AppendUint32(lut, map[bool]uint32{true: 1 << 16}[i%4 == 0])
	}
	ramp := make([]byte, 256)
	for i := range ramp {
		ramp[i] = byte(i)
	}
	lut = append(lut, bytes.Repeat(ramp, 4)...)
	for i := range 16 { // Lab of the corners of the ink cube; black is the last ink, and changes fastest.
		lut = append(lut, map[bool]byte{true: 255}[i%2 == 0], 128, 128)
	}
	lut = append(lut, bytes.Repeat(ramp, 3)...)
	return icc("prtr", "CMYK", "Lab ", xyzTag("wtpt", [3]float64{.9642, 1, .8249}), iccTag{"A2B0", lut}, iccTag{"A2B1", lut})
}

// jpegWithICC adds a profile to a JPEG.
func jpegWithICC(b, profile []byte) []byte {
	segment := append([]byte("ICC_PROFILE\x00\x01\x01"), profile...)
	out := binary.BigEndian.AppendUint16([]byte("\xff\xd8\xff\xe2"), uint16(len(segment)+2))
	return append(append(out, segment...), b[2:]...)
}

// pngWithChunk inserts a chunk after a PNG's header.
func pngWithChunk(b []byte, name string, data []byte) []byte {
	const header = 8 + 25
	return append(container.AppendPNGChunk(bytes.Clone(b[:header]), name, data), b[header:]...)
}

// pngWithICC adds a profile to a PNG.
func pngWithICC(t testing.TB, b, profile []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	z.WriteString("icc\x00\x00")
	w := zlib.NewWriter(&z)
	if _, err := w.Write(profile); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return pngWithChunk(b, "iCCP", z.Bytes())
}

// webpWithICC converts a simple file to an extended one with a profile.
func webpWithICC(b, profile []byte, w, h int, alpha bool) []byte {
	flags := byte(0x20)
	if alpha {
		flags |= 0x10
	}
	chunk := func(name string, data []byte) []byte {
		out := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(data)))
		return append(append(out, data...), make([]byte, len(data)%2)...)
	}
	body := append([]byte("WEBP"), chunk("VP8X", []byte{flags, 0, 0, 0, byte(w - 1), 0, 0, byte(h - 1), 0, 0})...)
	body = append(append(body, chunk("ICCP", profile)...), b[12:]...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// tiffOf is an uncompressed TIFF of 8-bit samples, with a profile unless it is nil.
func tiffOf(w, h, photometric int, samples, profile []byte) []byte {
	bands := len(samples) / w / h
	b := []byte("II*\x00\x00\x00\x00\x00")
	at := len(b)
	b = append(b, samples...)
	bitsAt := len(b)
	for range bands {
		b = binary.LittleEndian.AppendUint16(b, 8)
	}
	profileAt := len(b)
	b = append(b, profile...)
	b = append(b, make([]byte, len(b)%2)...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	bits := [4]int{258, 3, bands, bitsAt}
	if bands < 3 {
		bits[3] = 8 * (1 + 1<<16*(bands-1))
	}
	entries := [][4]int{
		{256, 4, 1, w}, {257, 4, 1, h}, bits, {259, 3, 1, 1}, {262, 3, 1, photometric}, {273, 4, 1, at}, {277, 3, 1, bands}, {278, 4, 1, h},
		{279, 4, 1, len(samples)},
	}
	if colours := map[int]int{1: 1, 2: 3, 5: 4, 8: 3}[photometric]; bands > colours {
		entries = append(entries, [4]int{338, 3, 1, 2})
	}
	if len(profile) > 0 {
		entries = append(entries, [4]int{34675, 7, len(profile), profileAt})
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, uint32(e[2]))
		b = binary.LittleEndian.AppendUint32(b, uint32(e[3]))
	}
	return binary.LittleEndian.AppendUint32(b, 0)
}

// isoBox is a box of an AVIF.
func isoBox(name string, body ...[]byte) []byte {
	all := slices.Concat(body...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(8+len(all))), append([]byte(name), all...)...)
}

// editBoxes replaces the body of each box by the result of f.
func editBoxes(b []byte, f func(name string, body []byte) []byte) []byte {
	var out []byte
	for len(b) >= 8 {
		n := int(binary.BigEndian.Uint32(b))
		out = append(out, isoBox(string(b[4:8]), f(string(b[4:8]), b[8:n]))...)
		b = b[n:]
	}
	return out
}

// avifWith adds a property to the primary item of a small AVIF by our encoder, or replaces its colr. reference is a box
// to add to the references between its items.
func avifWith(t testing.TB, b, property, reference []byte) []byte {
	t.Helper()
	count, has, known := 0, false, false
	edited := func(moved int) []byte {
		return editBoxes(b, func(name string, body []byte) []byte {
			if name != "meta" {
				return body
			}
			return append(bytes.Clone(body[:4]), editBoxes(body[4:], func(name string, body []byte) []byte {
				switch name {
				case "iloc":
					body = bytes.Clone(body)
					for at := 8; at < len(body); at += 18 { // Version 0, 4 bytes each for base, offset and length, one extent.
						binary.BigEndian.PutUint32(body[at+4:], binary.BigEndian.Uint32(body[at+4:])+uint32(moved))
					}
					known = binary.BigEndian.Uint32(body) == 0 && body[4] == 0x44 && body[5] == 0x40
				case "iref":
					if reference != nil {
						return append(bytes.Clone(body), reference...)
					}
				case "iprp":
					return editBoxes(body, func(name string, body []byte) []byte {
						switch {
						case name == "ipco":
							count, has = 0, false
							body = editBoxes(body, func(name string, body []byte) []byte {
								count++
								if name == "colr" && property != nil {
									has = true
									return property[8:]
								}
								return body
							})
							if !has {
								body = append(body, property...)
							}
						case name == "ipma" && !has && property != nil:
							// Flags, number of items, id of the first, number of its properties.
							body = bytes.Clone(body)
							body[10]++
							n := int(body[10])
							return slices.Insert(body, 10+n, byte(count+1))
						}
						return body
					})
				}
				return body
			})...)
		})
	}
	out := edited(len(edited(0)) - len(b))
	if !known {
		t.Fatal("an AVIF of another layout than this test knows")
	}
	return out
}
