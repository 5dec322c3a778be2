package codec

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

// parts lists the parts of a container: JPEG markers, PNG and WebP chunks, GIF blocks, AVIF boxes and item types.
func parts(t testing.TB, b []byte) []string {
	t.Helper()
	switch sniff.Format(b) {
	case "jpeg":
		return jpegParts(b)
	case "png":
		var out []string
		for at := 8; at+12 <= len(b); at += 12 + int(binary.BigEndian.Uint32(b[at:])) {
			out = append(out, string(b[at+4:at+8]))
		}
		return out
	case "webp":
		var out []string
		for at := 12; at+8 <= len(b); {
			n := int(binary.LittleEndian.Uint32(b[at+4:]))
			name := string(b[at : at+4])
			if name == "VP8X" && b[at+8]&0x2c != 0 {
				name = "VP8X with metadata flags"
			}
			out = append(out, name)
			at += 8 + n + n%2
		}
		return out
	case "gif":
		return gifParts(t, b)
	case "avif":
		var out []string
		for _, name := range []string{"Exif", "mime", "xml ", "prof", "rICC", "ftyp", "av01"} {
			if bytes.Contains(b, []byte(name)) {
				out = append(out, name)
			}
		}
		return out
	}
	t.Fatalf("no container known in %.12q", b)
	return nil
}

func jpegParts(b []byte) []string {
	var out []string
	for at := 2; at+4 <= len(b) && b[at] == 0xff && b[at+1] != 0xda; {
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		name := string([]byte{"0123456789abcdef"[b[at+1]>>4], "0123456789abcdef"[b[at+1]&15]})
		if name == "e0" {
			name += " " + string(b[at+4:at+8])
			if n != 16 {
				name += " with a thumbnail"
			}
		}
		if name == "ee" {
			name += " " + string(b[at+4:at+9])
		}
		out = append(out, name)
		at += 2 + n
	}
	return out
}

// gifBlocksEnd is the offset after a chain of sub-blocks.
func gifBlocksEnd(b []byte, at int) int {
	for b[at] != 0 {
		at += 1 + int(b[at])
	}
	return at + 1
}

func gifParts(t testing.TB, b []byte) []string {
	var out []string
	for at := 13 + sniff.GIFColours(b[10]); at < len(b) && b[at] != 0x3b; {
		switch b[at] {
		case 0x21:
			name := string([]byte{'0', 'x', "0123456789abcdef"[b[at+1]>>4], "0123456789abcdef"[b[at+1]&15]})
			if b[at+1] == 0xff {
				name += " " + string(b[at+3:at+14])
			}
			out = append(out, name)
			at = gifBlocksEnd(b, at+2)
		case 0x2c:
			out = append(out, "frame")
			at = gifBlocksEnd(b, at+11+sniff.GIFColours(b[at+9]))
		default:
			t.Fatalf("GIF block %#x", b[at])
		}
		if at < 0 {
			t.Fatal("GIF block without end")
		}
	}
	return out
}

// allowed are the parts that are needed to show a picture.
var allowed = map[variant.Format][]string{
	variant.JPEG: {"e0 JFIF", "ee Adobe", "db", "c0", "c2", "c4", "dd"},
	variant.PNG:  {"IHDR", "PLTE", "tRNS", "IDAT", "IEND"},
	variant.WebP: {"VP8X", "VP8 ", "VP8L", "ALPH", "ANIM", "ANMF"},
	variant.GIF:  {"0xf9", "0xff NETSCAPE2.0", "frame"},
	variant.AVIF: {"ftyp", "av01"},
}

func wantBare(t *testing.T, name string, f variant.Format, body []byte) {
	t.Helper()
	for _, p := range parts(t, body) {
		if !slices.Contains(allowed[f], p) {
			t.Errorf("%s as %s holds %q", name, f, p)
		}
	}
}

// TestTrap5MetadataIsGone parses every output of every photo of the corpus, in all formats, as a still and as an
// animation, and passed through.
func TestTrap5MetadataIsGone(t *testing.T) {
	entries, err := os.ReadDir(corpus(t, "photos"))
	if err != nil {
		t.Fatal(err)
	}
	c := mustNew(t, "")
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".tsv") || strings.HasSuffix(e.Name(), ".svg") {
			continue
		}
		original := readCorpus(t, "photos", e.Name())
		specs := []variant.Spec{{Format: variant.PNG, Width: 40, Quality: 50}, {Format: variant.AVIF, Accepts: acceptAll}}
		for _, f := range formats {
			specs = append(specs, variant.Spec{Format: f, Width: 40})
		}
		lim := animationLimits(100)
		lim.ResultPixels, lim.AVIFPixels = 50_000, 50_000 // Full-size encodes of large photos are refused, since they cost too much here.
		err := c.Transform(variant.Original{Body: original}, specs, variant.StageFirst, lim, func(i int, img variant.Image, err error) {
			if err == nil {
				wantBare(t, e.Name(), img.Format, img.Body)
			} else if specs[i].Width > 0 {
				t.Errorf("%s as %s: %v", e.Name(), specs[i].Format, err)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", e.Name(), err)
		}
	}
}

// stuffed returns hand-made files with every kind of metadata.
func stuffed(t testing.TB) map[variant.Format][]byte {
	t.Helper()
	small := quarters(16, 16)
	segment := func(marker byte, body string) string {
		return string([]byte{0xff, marker, byte((len(body) + 2) >> 8), byte(len(body) + 2)}) + body
	}
	j := jpegOf(t, small, 60)
	jpegFile := "\xff\xd8" + segment(0xe0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x01\x01SECRET") + segment(0xe1, "Exif\x00\x00SECRET") + segment(0xe2, "ICC_PROFILE\x00SECRET") +
		segment(0xed, "Photoshop SECRET") + segment(0xfe, "SECRET") + segment(0xee, "Adobe\x00d\x00\x00\x00\x00\x01") + "\xff" + string(j[2:]) + "SECRET"
	chunk := func(name, body string) string {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
		b = append(append(b, name...), body...)
		return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(name+body))))
	}
	p := string(pngOf(t, small))
	pngFile := p[:33] + chunk("tEXt", "Comment\x00SECRET") + chunk("eXIf", "SECRET") + chunk("iCCP", "SECRET") + chunk("pHYs", "SECRETSEC") + p[33:] + "SECRET"
	w := must(t, mustNew(t, ""), []byte(p), variant.Spec{Format: variant.WebP}).Body
	riff := func(name, body string) string {
		if len(body)%2 == 1 {
			body += "\x00"
		}
		return name + string(binary.LittleEndian.AppendUint32(nil, uint32(len(body)))) + body
	}
	webpBody := "WEBP" + riff("VP8X", "\x2c\x00\x00\x00\x0f\x00\x00\x0f\x00\x00") + riff("ICCP", "SECRET") + string(w[12:]) + riff("EXIF", "SECRET") + riff("XMP ", "SECRET!")
	webpFile := "RIFF" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(webpBody)))) + webpBody + "SECRET"
	g := string(movie(t, 2))
	head := 13 + sniff.GIFColours(g[10])
	gifFile := g[:head] + "\x21\xfe\x06SECRET\x00" + "\x21\xff\x0bXMP DataXMP\x06SECRET\x00" + "\x21\x01\x0cSECRETSECRET\x06SECRET\x00" + g[head:] + "SECRET"
	return map[variant.Format][]byte{variant.JPEG: []byte(jpegFile), variant.PNG: []byte(pngFile), variant.WebP: []byte(webpFile), variant.GIF: []byte(gifFile)}
}

func TestStripContainer(t *testing.T) {
	c := mustNew(t, "")
	pixels := func(b []byte) []byte { return must(t, c, b, variant.Spec{Format: variant.PNG}).Body }
	for f, file := range stuffed(t) {
		in, err := sniff.Inspect(file)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		got, err := container.Strip(f, file[:in.End])
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if bytes.Contains(got, []byte("SECRET")) {
			t.Errorf("%s keeps a secret: %q", f, parts(t, got))
		}
		wantBare(t, "stuffed", f, got)
		if !bytes.Equal(pixels(got), pixels(file)) {
			t.Errorf("%s: stripping changed pixels", f)
		}
		again, err := container.Strip(f, got)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s: stripping twice differs, %v", f, err)
		}
	}
}

func FuzzStripContainer(f *testing.F) {
	names := []variant.Format{variant.JPEG, variant.PNG, variant.WebP, variant.GIF}
	for format, file := range stuffed(f) {
		f.Add(slices.Index(names, format), file)
	}
	f.Fuzz(func(t *testing.T, n int, b []byte) {
		format := names[max(n%len(names), 0)]
		got, err := container.Strip(format, b)
		if err != nil {
			return
		}
		if len(got) > len(b)+64 {
			t.Fatalf("%d bytes became %d", len(b), len(got))
		}
		again, err := container.Strip(format, got)
		if err != nil || !bytes.Equal(got, again) {
			t.Fatalf("stripping twice differs: %v", err)
		}
	})
}

// A format that is not stripped is refused: its metadata would be sent.
func TestStripRefusesOtherFormats(t *testing.T) {
	for _, f := range []variant.Format{variant.Info, ""} {
		if out, err := container.Strip(f, []byte("x")); err == nil {
			t.Errorf("%q: got %q", f, out)
		}
	}
}
