package e2e

import (
	"bytes"
	endian "encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// smuggled is the content hidden in the pictures: a page, a location, an archive.
const smuggled = "<html><script>alert(1)</script>GPSLatitude 59.95 N PK\x03\x04\x14\x00"

// hiding is a picture with smuggled in a place that no decoder reads.
type hiding struct {
	place, accept string
	body          []byte
}

// static is a picture for which no encode is smaller than a bad original.
func static(w, h int) *image.NRGBA {
	r := rand.New(rand.NewPCG(1, 2))
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = byte(r.Uint32())
	}
	return m
}

// insert inserts text into b at an offset; a negative offset counts from the end.
func insert(b []byte, at int, text string) []byte {
	if at < 0 {
		at += len(b)
	}
	return slices.Concat(b[:at], []byte(text), b[at:])
}

// hidingJPEGs starts from a JPEG made by the server itself, like hidingWebPs.
func hidingJPEGs(j []byte) (out []hiding) {
	segment := func(marker byte, text string) string {
		return string(endian.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(text)+2))) + text
	}
	scan := bytes.Index(j, []byte{0xff, 0xda})
	for place, body := range map[string][]byte{
		"APP14 tail":      insert(j, 2, segment(0xee, "Adobe\x00d\x00\x00\x00\x00\x01"+smuggled)),
		"EXIF":            insert(j, 2, segment(0xe1, "Exif\x00\x00"+smuggled)),
		"comment":         insert(j, 2, segment(0xfe, smuggled)),
		"DNL":             insert(j, scan, segment(0xdc, smuggled)),
		"unused table":    insert(j, scan, segment(0xdb, ("\x03" + smuggled + strings.Repeat("x", 64))[:65])),
		"before SOI":      insert(j, 0, smuggled),
		"behind the scan": insert(j, -2, smuggled),
		"after EOI":       insert(j, len(j), smuggled),
	} {
		out = append(out, hiding{"JPEG " + place, "image/jpeg", body})
	}
	return out
}

func hidingPNGs(t *testing.T) (out []hiding) {
	t.Helper()
	var b bytes.Buffer
	m := image.NewNRGBA(image.Rect(0, 0, 200, 200))
	for i := range 200 * 200 {
		x, y := i%200, i/200
		m.SetNRGBA(x, y, color.NRGBA{uint8(x), uint8(y), uint8(x + y), uint8(255 - x/2)})
	}
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	p := b.Bytes()
	chunk := func(name, text string) string {
		body := append(endian.BigEndian.AppendUint32(nil, uint32(len(text))), name+text...)
		return string(endian.BigEndian.AppendUint32(body, crc32.ChecksumIEEE(body[4:])))
	}
	data := bytes.Index(p, []byte("IDAT"))
	n := int(endian.BigEndian.Uint32(p[data-4:]))
	idat, end := string(p[data+4:data+4+n]), data+8+n
	for place, body := range map[string][]byte{
		"behind the zlib end": slices.Concat(p[:data-4], []byte(chunk("IDAT", idat+smuggled)), p[end:]),
		"a second IDAT":       insert(p, end, chunk("IDAT", smuggled)),
		"text":                insert(p, 33, chunk("tEXt", "Comment\x00"+smuggled)),
		"unknown chunk":       insert(p, 33, chunk("gcXx", smuggled)),
		"in IEND":             append(bytes.Clone(p[:len(p)-12]), chunk("IEND", smuggled)...),
		"behind IEND":         insert(p, len(p), smuggled),
	} {
		out = append(out, hiding{"PNG " + place, "image/png,image/jpeg", body})
	}
	return out
}

func hidingGIFs(t *testing.T) (out []hiding) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	g := &gif.GIF{}
	for range 2 {
		m := image.NewPaletted(image.Rect(0, 0, 64, 64), color.Palette{color.Black, color.White, color.RGBA{R: 255, A: 255}, color.RGBA{B: 255, A: 255}})
		for i := range m.Pix {
			m.Pix[i] = byte(r.Uint32() & 3)
		}
		g.Image, g.Delay = append(g.Image, m), append(g.Delay, 10)
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	block := string(rune(len(smuggled))) + smuggled
	for place, body := range map[string][]byte{
		"LZW tail":         insert(whole, -2, block),
		"comment":          insert(whole, 13, "\x21\xfe"+block+"\x00"),
		"application":      insert(whole, 13, "\x21\xff\x0bXMP DataXMP"+block+"\x00"),
		"behind the frame": insert(whole, -1, "\x21\xfe"+block+"\x00"),
		"after the end":    insert(whole, len(whole), smuggled),
	} {
		out = append(out, hiding{"GIF " + place, "image/gif", body})
	}
	return out
}

// hidingWebPs starts from a WebP made by the server itself.
func hidingWebPs(t *testing.T, w []byte) (out []hiding) {
	t.Helper()
	riff := func(name, body string) string {
		if len(body)%2 == 1 {
			body += "\x00"
		}
		return name + string(endian.LittleEndian.AppendUint32(nil, uint32(len(body)))) + body
	}
	if string(w[12:16]) != "VP8 " {
		t.Fatalf("the server wrote a WebP of %q", w[12:16])
	}
	lossy := string(w[20 : 20+endian.LittleEndian.Uint32(w[16:])])
	for place, chunks := range map[string]string{
		"VP8 tail":      riff("VP8 ", lossy+smuggled),
		"unknown chunk": riff("VP8 ", lossy) + riff("GCXX", smuggled),
	} {
		out = append(out, hiding{"WebP " + place, "image/webp,image/jpeg", []byte(riff("RIFF", "WEBP"+chunks))})
	}
	return append(out, hiding{"WebP behind RIFF", "image/webp,image/jpeg", append(bytes.Clone(w), smuggled...)})
}

// TestAttackSmuggledBytes is attack 4.1: pictures hide a page, a location or an archive where no decoder reads. They
// are requested in every way in which an original's own bytes may be served, and kept as masters. None of the hidden
// content is in a response or in the store, and a picture of each format is still passed through.
func TestAttackSmuggledBytes(t *testing.T) {
	o, dir := startOrigin(t), t.TempDir()
	serve := func(path string, body []byte) string {
		o.on(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
		return o.URL + path
	}
	s := startIn(t, dir, append(masterEnv, "GOLDCREST_TRANSFORM_MAX_FRAMES=10")...)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, static(300, 200), nil); err != nil {
		t.Fatal(err)
	}
	made := func(options string) []byte {
		a := s.get(signed(options, serve("/seed.jpg", b.Bytes())))
		if a.StatusCode != 200 {
			t.Fatalf("%s: %d %s", options, a.StatusCode, a.body)
		}
		return a.body
	}
	passed := map[string]int{}
	hidden := slices.Concat(hidingJPEGs(made("f:jpg/q:20")), hidingPNGs(t), hidingGIFs(t), hidingWebPs(t, made("f:webp/q:1")))
	for i, h := range hidden {
		source := serve(fmt.Sprintf("/hiding-%d", i), h.body)
		for _, options := range []string{"", "w:500", "rs:fit:500:500", "net:wifi", "maf:10", "f:jpg", "f:png", "f:webp", "f:gif", "mb:100000"} {
			path := signed(options, source)
			a := s.get(path, "Accept", h.accept)
			if bytes.Contains(a.body, []byte(smuggled)) || bytes.Contains(a.body, []byte(smuggled[:20])) || bytes.Contains(a.body, []byte("PK\x03\x04")) {
				t.Errorf("%s, %q: %d with %d bytes holds what was hidden", h.place, options, a.StatusCode, len(a.body))
			}
			if a.StatusCode == 200 && strings.Contains(string(s.call("GET", "/v1/explain"+path, "", "Accept", h.accept).body), "passed through") {
				passed[strings.Fields(h.place)[0]]++
			}
		}
	}
	t.Logf("of %d pictures, answers that were passed through: %v", len(hidden), passed)
	for _, format := range []string{"JPEG", "PNG", "GIF", "WebP"} {
		if passed[format] == 0 {
			t.Errorf("no %s passed through: the test shows nothing of it", format)
		}
	}
	s.stop()
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(file)
		if bytes.Contains(body, []byte(smuggled[:20])) {
			t.Errorf("%s keeps what was hidden", file)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
