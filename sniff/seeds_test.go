package sniff

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

// seeds are one small picture of every format.
func seeds(tb testing.TB) map[string][]byte {
	tb.Helper()
	return map[string][]byte{
		"jpeg": jpegSeed(tb),
		"png":  pngSeed(tb),
		"gif":  gifSeed(tb),
		"webp": riff(chunk("VP8L", "\x2f\x06\x40\x01\x10\x00")),
		"avif": avif("avif", ispe(7, 6)),
		"heic": avif("heic", ispe(7, 6)),
		"tiff": tiff(binary.LittleEndian),
		"bmp":  bmpSeed(),
	}
}

func picture() image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, 7, 6))
	for i := range m.Pix {
		m.Pix[i] = byte(i * 37)
	}
	return m
}

func jpegSeed(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture(), nil); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func pngSeed(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture()); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func gifSeed(tb testing.TB) []byte {
	tb.Helper()
	m := image.NewPaletted(image.Rect(0, 0, 7, 6), color.Palette{color.Transparent, color.Black})
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{m, m}, Delay: []int{1, 1}}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// chunk is a RIFF chunk, padded to an even length.
func chunk(name, body string) string {
	size := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	if len(body)%2 == 1 {
		return name + string(size) + body + "\x00"
	}
	return name + string(size) + body
}

func riff(chunks ...string) []byte {
	body := "WEBP"
	for _, c := range chunks {
		body += c
	}
	return []byte("RIFF" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(body)))) + body)
}

// box is an ISO base media box.
func box(name, body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))) + name + body
}

func ispe(w, h uint32) string {
	b := binary.BigEndian.AppendUint32(make([]byte, 4), w)
	return box("ispe", string(binary.BigEndian.AppendUint32(b, h)))
}

// avif is a file whose item 1 is primary and has the first and every further property but ispe.
func avif(brand string, properties ...string) []byte {
	all, links := "", ""
	for i, p := range properties {
		all += p
		if i == 0 || p[4:8] != "ispe" {
			links += string([]byte{byte(i + 1)})
		}
	}
	ipma := box("ipma", "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01"+string([]byte{byte(len(links))})+links)
	meta := box("meta", "\x00\x00\x00\x00"+box("pitm", "\x00\x00\x00\x00\x00\x01")+box("iprp", box("ipco", all)+ipma))
	return []byte(box("ftyp", brand+"\x00\x00\x00\x00mif1") + meta + box("mdat", "data"))
}

// tiff is a grey picture of 7 x 6 in one strip, with orientation 3.
func tiff(order binary.AppendByteOrder) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8+42)
	b = append(b, make([]byte, 42)...)
	entries := [][2]uint32{{256, 7}, {257, 6}, {258, 8}, {262, 1}, {273, 8}, {274, 3}, {277, 1}, {279, 42}}
	b = order.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = order.AppendUint16(b, uint16(e[0]))
		b = order.AppendUint16(b, 3)
		b = order.AppendUint32(b, 1)
		b = order.AppendUint16(b, uint16(e[1]))
		b = order.AppendUint16(b, 0)
	}
	return order.AppendUint32(b, 0)
}

func bmpSeed() []byte {
	b := make([]byte, 54+24*6)
	copy(b, "BM")
	binary.LittleEndian.PutUint32(b[10:], 54)
	binary.LittleEndian.PutUint32(b[14:], 40)
	binary.LittleEndian.PutUint32(b[18:], 7)
	binary.LittleEndian.PutUint32(b[22:], 6)
	binary.LittleEndian.PutUint16(b[28:], 24)
	return b
}
