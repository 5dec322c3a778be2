package codec

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/untouched"
	"github.com/goldcrest/goldcrest/variant"
)

// planted is a picture with a text in a place that decoders do not read for pixels.
type planted struct {
	place   string
	format  variant.Format
	body    []byte
	refused bool // the rewriter must refuse it, so that it is encoded
}

const planting = "<script>alert(document.domain)</script>GPS N 59 57 E 10 45 PK\x03\x04"

// splice inserts text into b at an offset; a negative offset counts from the end.
func splice(b []byte, at int, text string) []byte {
	if at < 0 {
		at += len(b)
	}
	return slices.Concat(b[:at], []byte(text), b[at:])
}

func plantedJPEGs(t testing.TB) []planted {
	segment := func(marker byte, body string) string {
		return string(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(body)+2))) + body
	}
	j := jpegOf(t, quarters(48, 32), 60)
	table := ("\x03" + planting + strings.Repeat("x", 64))[:65]
	sos := bytes.Index(j, []byte{0xff, 0xda})
	var out []planted
	for place, body := range map[string][]byte{
		"APP14 tail":          splice(j, 2, segment(0xee, "Adobe\x00d\x00\x00\x00\x00\x01"+planting)),
		"JFIF thumbnail":      splice(j, 2, segment(0xe0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x08\x03"+planting+planting)),
		"Exif":                splice(j, 2, segment(0xe1, "Exif\x00\x00"+planting)),
		"APP9":                splice(j, 2, segment(0xe9, planting)),
		"comment":             splice(j, 2, segment(0xfe, planting)),
		"DNL":                 splice(j, sos, segment(0xdc, planting)),
		"unused table":        splice(j, sos, segment(0xdb, table)),
		"replaced table":      splice(j, 2, segment(0xdb, "\x00"+table[1:])),
		"unused Huffman code": splice(j, sos, segment(0xc4, "\x13\x00\x00\x00\x00\x00\x00\x00"+string(rune(len(planting)))+"\x00\x00\x00\x00\x00\x00\x00\x00"+planting)),
		"between segments":    splice(j, sos, planting),
		"behind the scan":     splice(j, -2, planting),
		"behind the end":      append(bytes.Clone(j), planting...),
	} {
		out = append(out, planted{place: place, format: variant.JPEG, body: body})
	}
	return out
}

// pngFrom writes a PNG with the given chunks.
func pngFrom(header []byte, chunks ...string) []byte {
	out := container.AppendPNGChunk([]byte(container.PNGSignature), "IHDR", header)
	for _, c := range chunks {
		out = container.AppendPNGChunk(out, c[:4], []byte(c[4:]))
	}
	return out
}

func deflated(rows string) string {
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, zlib.NoCompression)
	_, _ = w.Write([]byte(rows))
	_ = w.Close()
	return b.String()
}

func plantedPNGs() []planted {
	header := func(kind byte) []byte { return []byte{0, 0, 0, 8, 0, 0, 0, 8, 8, kind, 0, 0, 0} }
	rgb := deflated(strings.Repeat("\x00"+strings.Repeat("\x10\x80\xf0", 8), 8))
	grey := deflated(strings.Repeat("\x01\x10\x01\x01\x01\x01\x01\x01\x01", 8))
	indexed := deflated(strings.Repeat("\x00\x00\x01\x02\x03\x00\x01\x02\x03\x02\x00\x01\x01\x01\x01\x01\x01\x01", 4))
	colours := "PLTE\x00\x00\x00\xff\x00\x00\x00\xff\x00\x00\x00\xff"
	return []planted{
		{place: "behind the zlib end", format: variant.PNG, body: pngFrom(header(2), "IDAT"+rgb+planting, "IEND")},
		{place: "a second IDAT", format: variant.PNG, body: pngFrom(header(2), "IDAT"+rgb, "IDAT"+planting, "IEND")},
		{place: "more rows", format: variant.PNG, refused: true, body: pngFrom(header(2), "IDAT"+deflated(strings.Repeat("\x00"+strings.Repeat("\x10\x80\xf0", 8), 8)+planting), "IEND")},
		{place: "IEND", format: variant.PNG, body: pngFrom(header(2), "IDAT"+rgb, "IEND"+planting)},
		{place: "behind IEND", format: variant.PNG, body: append(pngFrom(header(2), "IDAT"+rgb, "IEND"), planting...)},
		{place: "unknown chunks", format: variant.PNG, body: pngFrom(header(2), "gcXx"+planting, "IDAT"+rgb, "gcXx"+planting, "IEND")},
		{place: "overlong tRNS", format: variant.PNG, refused: true, body: pngFrom(header(0), "tRNS\x00\x10"+planting, "IDAT"+grey, "IEND")},
		{place: "suggested palette", format: variant.PNG, body: pngFrom(header(2), "PLTE"+strings.Repeat(planting, 3)[:3*len(planting)], "IDAT"+rgb, "IEND")},
		{place: "unused colours", format: variant.PNG, body: pngFrom(header(3), colours+strings.Repeat(planting, 3), "IDAT"+indexed, "IEND")},
		{place: "unused alpha", format: variant.PNG, body: pngFrom(header(3), colours+strings.Repeat("\x00", 3*len(planting)), "tRNS\xff\xff\x80\xff"+planting, "IDAT"+indexed, "IEND")},
	}
}

func plantedGIFs(t testing.TB) []planted {
	g := movie(t, 2)
	head := 13 + sniff.GIFColours(g[10])
	block := func(text string) string { return string(rune(len(text))) + text }
	control := bytes.Index(g, []byte{0x21, 0xf9, 4})
	loop := bytes.Index(g, []byte("NETSCAPE2.0")) + len("NETSCAPE2.0\x03\x01\x00\x00")
	colours := bytes.Clone(g)
	colours[10] = 0x80 | 5 // 64 colours, of which four are used
	colours = append(colours[:head:head], append([]byte((strings.Repeat(planting, 4))[:192-(head-13)]), g[head:]...)...)
	out := []planted{
		{place: "unused colours", body: colours},
		{place: "LZW tail", body: splice(g, -2, block(planting))},
		{place: "comment", body: splice(g, head, "\x21\xfe"+block(planting)+"\x00")},
		{place: "application", body: splice(g, head, "\x21\xff\x0bXMP DataXMP"+block(planting)+"\x00")},
		{place: "plain text", body: splice(g, head, "\x21\x01\x0c"+strings.Repeat("\x00", 12)+block(planting)+"\x00")},
		{place: "unknown extension", body: splice(g, head, "\x21\x77"+block(planting)+"\x00")},
		{place: "behind the loop count", body: splice(g, loop, block(planting))},
		{place: "behind a control", refused: true, body: splice(g, control+7, block(planting))},
		{place: "behind the end", body: append(bytes.Clone(g), planting...)},
	}
	for i := range out {
		out[i].format = variant.GIF
	}
	return out
}

func plantedWebPs(t testing.TB) []planted {
	c := mustNew(t, "")
	riff := func(name, body string) string { return string(container.AppendRIFF(nil, name, []byte(body))) }
	file := func(chunks ...string) []byte {
		return container.AppendRIFF(nil, "RIFF", []byte("WEBP"+strings.Join(chunks, "")))
	}
	content := func(b []byte, name string) string {
		body := ""
		for n, data := range riffChunks(b) {
			if n == name {
				body = data
			}
		}
		if body == "" {
			t.Fatalf("the encoder wrote no %s", name)
		}
		return body
	}
	still, err := one(t, c, readCorpus(t, "photos", corpusPhoto(t)), variant.Spec{Format: variant.WebP, Width: 64, Quality: 60}, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	lossy := content(still.Body, "VP8 ")
	tag := int(lossy[0]) | int(lossy[1])<<8 | int(lossy[2])<<16
	size := tag >> 5
	first := three(tag&31|(size+len(planting))<<5) + lossy[3:10+size] + planting + lossy[10+size:]
	glass := image.NewNRGBA(image.Rect(0, 0, 64, 48))
	for i := range glass.Pix {
		glass.Pix[i] = byte(i * i >> 3)
	}
	soft := must(t, c, pngOf(t, glass), variant.Spec{Format: variant.WebP, Quality: 40}).Body
	moving, err := one(t, c, movie(t, 2), variant.Spec{Format: variant.WebP}, animationLimits(10))
	if err != nil {
		t.Fatal(err)
	}
	frames := func(tail string) string {
		out := ""
		for n, data := range riffChunks(moving.Body) {
			if n == "ANMF" {
				out += riff(n, data+tail)
			}
		}
		return out
	}
	raster, err := judge.NewRaster(pngOf(t, quarters(64, 48)), variant.Spec{}, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	defer raster.Free()
	exact, err := raster.Encode(judge.Encoding{Format: variant.WebP, Lossless: true})
	if err != nil {
		t.Fatal(err)
	}
	lossless := content(exact, "VP8L")
	x, anim := content(moving.Body, "VP8X"), content(moving.Body, "ANIM")
	plain := riff("VP8 ", lossy)
	sx := content(soft, "VP8X")
	out := []planted{
		{place: "VP8 tail", body: file(riff("VP8 ", lossy+planting))},
		{place: "VP8 first partition", body: file(riff("VP8 ", first))},
		{place: "VP8L tail", body: file(riff("VP8L", lossless+planting))},
		{place: "ALPH tail", body: file(riff("VP8X", sx), riff("ALPH", content(soft, "ALPH")+planting), riff("VP8 ", content(soft, "VP8 ")))},
		{place: "unknown chunk", body: file(plain, riff("GCXX", planting))},
		{place: "Exif", body: file(riff("VP8X", "\x08\x00\x00\x00\x3f\x00\x00"+three(still.Height-1)), plain, riff("EXIF", planting))},
		{place: "behind RIFF", body: append(file(plain), planting...)},
		{place: "VP8X tail", body: file(riff("VP8X", sx+planting), riff("ALPH", content(soft, "ALPH")), riff("VP8 ", content(soft, "VP8 ")))},
		{place: "ANIM tail", body: file(riff("VP8X", x), riff("ANIM", anim+planting), frames(""))},
		{place: "inside a frame", body: file(riff("VP8X", x), riff("ANIM", anim), frames(riff("GCXX", planting)))},
		{place: "behind the frames", body: file(riff("VP8X", x), riff("ANIM", anim), frames(""), riff("GCXX", planting))},
	}
	for i := range out {
		out[i].format = variant.WebP
	}
	return out
}

// riffChunks iterates over the chunks of a WebP by our encoder.
func riffChunks(b []byte) iter.Seq2[string, string] {
	return func(yield func(name, body string) bool) {
		for at := 12; at < len(b); {
			n := int(binary.LittleEndian.Uint32(b[at+4:]))
			if !yield(string(b[at:at+4]), string(b[at+8:at+8+n])) {
				return
			}
			at += 8 + n + n%2
		}
	}
}

func three(n int) string { return string([]byte{byte(n), byte(n >> 8), byte(n >> 16)}) }

// corpusPhoto is the name of a photo of the corpus.
func corpusPhoto(t testing.TB) string {
	entries, err := os.ReadDir(corpus(t, "photos"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".jpg") {
			return e.Name()
		}
	}
	t.Skip("the corpus has no JPEG")
	return ""
}

func allPlanted(t testing.TB) []planted {
	return slices.Concat(plantedJPEGs(t), plantedPNGs(), plantedGIFs(t), plantedWebPs(t))
}

// traces reports whether b contains eight consecutive bytes of the planted text.
func traces(b []byte) bool {
	for i := 0; i+8 <= len(planting); i++ {
		if bytes.Contains(b, []byte(planting[i:i+8])) {
			return true
		}
	}
	return false
}

// drawnPixels returns a file with exactly the picture's pixels, of all frames.
func drawnPixels(t testing.TB, c *Codec, b []byte) []byte {
	t.Helper()
	info, err := sniff.Inspect(b)
	if err != nil {
		t.Fatal(err)
	}
	format := variant.PNG
	if info.Frames > 1 {
		format = variant.GIF
	}
	img, err := one(t, c, b, variant.Spec{Format: format}, animationLimits(100))
	if err != nil {
		t.Fatal(err)
	}
	return img.Body
}

// TestPassThroughHasNoBytesBesidesPixels plants a text wherever a file has room besides its pixels, and searches for it
// in everything that may be passed through or stored unchanged.
func TestPassThroughHasNoBytesBesidesPixels(t *testing.T) {
	c := mustNew(t, "")
	for _, p := range allPlanted(t) {
		t.Run(string(p.format)+"/"+p.place, func(t *testing.T) {
			if !traces(p.body) {
				t.Fatal("nothing is planted")
			}
			info, err := sniff.Inspect(p.body)
			if err != nil {
				t.Fatal(err)
			}
			got, err := untouched.Rewrite(p.format, p.body[:info.End])
			if (err != nil) != p.refused {
				t.Fatalf("refused: %v, want %v", err, p.refused)
			}
			if err == nil {
				if traces(got) {
					t.Error("it is still there")
				}
				if !bytes.Equal(drawnPixels(t, c, got), drawnPixels(t, c, p.body)) {
					t.Error("the pixels changed")
				}
				if again, err := untouched.Rewrite(p.format, got); err != nil || !bytes.Equal(again, got) {
					t.Errorf("rewritten twice it differs: %v", err)
				}
			}
			if info.Frames > 1 {
				return
			}
			img, err := one(t, c, p.body, variant.Spec{Master: true, Width: 640, Height: 640}, testLimits)
			if err == nil && (traces(img.Body) || img.Exact == p.refused) {
				t.Errorf("its master: exact %v, holds it %v", img.Exact, traces(img.Body))
			}
			if err != nil && !p.refused {
				t.Error(err)
			}
		})
	}
}

// TestRewriteKeepsPixels uses every file of the corpus that may be passed through.
func TestRewriteKeepsPixels(t *testing.T) {
	entries, err := os.ReadDir(corpus(t, "photos"))
	if err != nil {
		t.Fatal(err)
	}
	c := mustNew(t, "")
	taken := map[variant.Format]int{}
	for _, e := range entries {
		original := readCorpus(t, "photos", e.Name())
		info, err := sniff.Inspect(original)
		if err != nil || untouched.Format(info.Format) == variant.Open || info.Pixels() > 1<<20 || info.CMYK || info.Profile || info.Orientation > 1 {
			continue
		}
		format := untouched.Format(info.Format)
		body, err := untouched.Rewrite(format, original[:info.End])
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
			continue
		}
		taken[format]++
		if len(body) > len(original) {
			t.Errorf("%s: %d bytes became %d", e.Name(), len(original), len(body))
		}
		if !bytes.Equal(drawnPixels(t, c, body), drawnPixels(t, c, original)) {
			t.Errorf("%s: the pixels changed", e.Name())
		}
	}
	t.Log(taken)
	if len(taken) < 2 {
		t.Errorf("only %v were tried", taken)
	}
}

// TestRewriteFrameWithMorePixels continues a frame's compressed data after its last row.
func TestRewriteFrameWithMorePixels(t *testing.T) {
	c := mustNew(t, "")
	g := movie(t, 1)
	frame := bytes.LastIndex(g, []byte{0x2c, 0, 0, 0, 0, 60, 0, 40, 0})
	if frame < 0 {
		t.Fatal("no frame")
	}
	g[frame+7] = 30
	got, err := container.Rewrite(variant.GIF, g)
	if err != nil || len(got) >= len(g) {
		t.Fatalf("%d bytes became %d, %v", len(g), len(got), err)
	}
	if !bytes.Equal(drawnPixels(t, c, got), drawnPixels(t, c, g)) {
		t.Error("the pixels changed")
	}
}

// TestRewriteInterlaced draws pictures of every kind of PNG, of odd sizes.
func TestRewriteInterlaced(t *testing.T) {
	c := mustNew(t, "")
	for _, size := range []image.Rectangle{image.Rect(0, 0, 1, 1), image.Rect(0, 0, 13, 7), image.Rect(0, 0, 64, 3)} {
		palette := color.Palette{color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 255, 0, 128}, color.NRGBA{0, 0, 255, 0}}
		indexed, grey := image.NewPaletted(size, palette), image.NewGray(size)
		for i := range indexed.Pix {
			indexed.Pix[i], grey.Pix[i] = byte(i%3), byte(i*37)
		}
		for _, img := range []image.Image{indexed, grey, noise(size.Dx(), size.Dy(), 3)} {
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			got, err := container.Rewrite(variant.PNG, b.Bytes())
			if err != nil || !bytes.Equal(drawnPixels(t, c, got), drawnPixels(t, c, b.Bytes())) {
				t.Errorf("%T of %v: %v, or other pixels", img, size, err)
			}
		}
	}
}
