package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/container"
	"github.com/goldcrest/goldcrest/variant"
)

// flatOf is a picture of one colour.
func flatOf(c color.NRGBA) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 32, 32))
	fill(img, img.Rect, c)
	return img
}

// nclx is a colr box that declares colours by numbers. The matrix is the one of our encoder.
func nclx(primaries, transfer byte) []byte {
	return isoBox("colr", []byte("nclx"), []byte{0, primaries, 0, transfer, 0, 6, 0x80})
}

// pixelOf makes a variant and returns one of its pixels.
func pixelOf(t *testing.T, c *Codec, file []byte, spec variant.Spec) color.NRGBA {
	t.Helper()
	spec.Format = variant.PNG
	img, err := one(t, c, file, spec, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	return decoded(t, img.Body).NRGBAAt(5, 5)
}

// srgbTag is a tag with the curve of sRGB.
func srgbTag(name string) iccTag {
	tag := gammaTag(name, 1)
	tag.data = []byte("curv\x00\x00\x00\x00\x00\x00\x04\x00")
	for i := range 1024 {
		v := uint16(math.Round(65535 * srgbCurve(float64(i)/1023)))
		tag.data = append(tag.data, byte(v>>8), byte(v))
	}
	return tag
}

// matrixICC is a profile with the curve of sRGB and three primaries, adapted to D50.
func matrixICC(r, g, b [3]float64) []byte {
	return icc("mntr", "RGB ", "XYZ ", xyzTag("wtpt", [3]float64{.9642, 1, .8249}), xyzTag("rXYZ", r), xyzTag("gXYZ", g), xyzTag("bXYZ", b),
		srgbTag("rTRC"), srgbTag("gTRC"), srgbTag("bTRC"))
}

// TestColoursByNumberEqualThoseByProfile compares Display P3 and BT.2020 declared by CICP with the colour library's
// result for their profiles.
func TestColoursByNumberEqualThoseByProfile(t *testing.T) {
	c := mustNew(t, "")
	p3 := matrixICC([3]float64{.5151, .2412, -.0011}, [3]float64{.2920, .6922, .0419}, [3]float64{.1571, .0666, .7841})
	rec2020 := matrixICC([3]float64{.6735, .2790, -.0019}, [3]float64{.1657, .6754, .0300}, [3]float64{.1251, .0456, .7968})
	for name, tt := range map[string]struct {
		primaries byte
		profile   []byte
	}{"P3": {12, p3}, "BT.2020": {9, rec2020}} {
		for _, colour := range []color.NRGBA{{150, 120, 100, 255}, {120, 150, 130, 255}, {90, 90, 140, 255}, {128, 128, 128, 255}, {220, 30, 30, 255}} {
			png := pngOf(t, flatOf(colour))
			want := pixelOf(t, c, pngWithICC(t, png, tt.profile), variant.Spec{})
			avif := must(t, c, png, variant.Spec{Format: variant.AVIF, Quality: 98}).Body
			for what, file := range map[string][]byte{
				"png": pngWithChunk(png, "cICP", []byte{tt.primaries, 13, 0, 1}), "avif": avifWith(t, avif, nclx(tt.primaries, 13), nil),
				"avif, curve of television": avifWith(t, avif, nclx(tt.primaries, 1), nil),
				"avif, bitstream alone":     codedAs(t, avif, tt.primaries, 13),
			} {
				for _, width := range []int{0, 16} {
					if got := pixelOf(t, c, file, variant.Spec{Width: width}); !near(got, want, 4) {
						t.Errorf("%v of %s in %s, width %d: %v, by profile %v", colour, name, what, width, got, want)
					}
				}
			}
		}
	}
}

// codedAs removes the colr, if any, from an AVIF of 32 x 32 by our encoder, and declares the colours in the sequence
// header of its bitstream instead.
func codedAs(t *testing.T, avif []byte, primaries, transfer byte) []byte {
	t.Helper()
	b := bytes.Replace(avif, []byte("colr"), []byte("free"), 1)
	before, data, _ := bytes.Cut(b, []byte("mdat\x12\x00\x0a"))
	length := bytes.Index(before, []byte("iloc")) + 4 + 22 // Version 0, fields of 4 bytes, one extent.
	const flag = 35                                        // color_description_present_flag of profile 1, reduced
	if len(data) < 7 || data[1] != 0x38 || length < 26 ||
		int(binary.BigEndian.Uint32(before[length:])) != 3+len(data) || data[1+flag/8]>>(7-flag%8)&1 != 0 {
		t.Fatal("an AVIF of another layout than this test knows")
	}
	old := fmt.Sprintf("%08b", data[1:1+data[0]])
	bits := strings.NewReplacer("[", "", "]", "", " ", "").Replace(old)
	bits = bits[:flag] + fmt.Sprintf("1%08b%08b%08b", primaries, transfer, 6) + bits[flag+1:]
	header := []byte{data[0] + 3}
	for at := 0; at < len(bits); at += 8 {
		v, err := strconv.ParseUint(bits[at:at+8], 2, 8)
		if err != nil {
			t.Fatal(err)
		}
		header = append(header, byte(v))
	}
	before = bytes.Clone(before)
	for _, at := range []int{length, len(before) - 4} {
		binary.BigEndian.PutUint32(before[at:], binary.BigEndian.Uint32(before[at:])+3)
	}
	return slices.Concat(before, []byte("mdat\x12\x00\x0a"), header, data[1+data[0]:])
}

// signal is a PQ or HLG sample of 16 bits, for a grey picture.
func signal(v float64) []byte {
	n := uint16(math.Round(v * 65535))
	return []byte{byte(n >> 8), byte(n)}
}

// TestHDRIsMappedToSDR checks for PQ and HLG that dark values are unchanged, and that highlights stay below white and
// in order. The signals are those of BT.2100 for a brightness.
func TestHDRIsMappedToSDR(t *testing.T) {
	c := mustNew(t, "")
	for _, tt := range []struct {
		what      string
		transfer  byte
		signal    float64
		low, high uint8
	}{
		{"PQ, black", 16, 0, 0, 0},
		{"PQ, 10 cd", 16, 0.3019, 62, 66}, // 10/203 of white, below the knee of the curve.
		{"PQ, 50 cd", 16, 0.4403, 134, 138},
		{"PQ, 203 cd", 16, 0.5807, 222, 238},
		{"PQ, 500 cd", 16, 0.6766, 245, 253},
		{"PQ, 1,000 cd", 16, 0.7518, 254, 255},
		{"PQ, 10,000 cd", 16, 1, 255, 255},
		{"HLG, black", 18, 0, 0, 0},
		{"HLG, 203 cd", 18, 0.75, 222, 238},
		{"HLG, 10 cd", 18, 0.2528, 60, 68},
		{"HLG, white", 18, 1, 254, 255},
	} {
		px := signal(tt.signal)
		p := pngParts{w: 32, h: 32, kind: 2, bits: 16, rows: bytes.Repeat(append([]byte{0}, bytes.Repeat(px, 3*32)...), 32)}
		p.before = container.AppendPNGChunk(nil, "cICP", []byte{9, tt.transfer, 0, 1})
		got := pixelOf(t, c, p.file(t), variant.Spec{})
		if got.R < tt.low || got.R > tt.high || got.G != got.R || got.B != got.R || got.A != 255 {
			t.Errorf("%s: %v, want grey from %d to %d", tt.what, got, tt.low, tt.high)
		}
		level := uint8(math.Round(tt.signal * 255))
		avif := must(t, c, pngOf(t, flatOf(color.NRGBA{level, level, level, 255})), variant.Spec{Format: variant.AVIF, Quality: 98}).Body
		if got := pixelOf(t, c, avifWith(t, avif, nclx(9, tt.transfer), nil), variant.Spec{Width: 16}); int(got.R)+6 < int(tt.low) || int(got.R) > int(tt.high)+6 {
			t.Errorf("%s in AVIF: %v, want grey from %d to %d", tt.what, got, tt.low, tt.high)
		}
	}
}

// TestPNGColoursInTheirOrder gives a PNG several declarations of its colours: cICP, iCCP, sRGB, gAMA with cHRM.
func TestPNGColoursInTheirOrder(t *testing.T) {
	c := mustNew(t, "")
	colour := color.NRGBA{128, 100, 90, 255}
	png := pngOf(t, flatOf(colour))
	gamma := func(b []byte, g uint32) []byte {
		return pngWithChunk(b, "gAMA", []byte{byte(g >> 24), byte(g >> 16), byte(g >> 8), byte(g)})
	}
	primaries := func(b []byte, v ...uint32) []byte {
		var data []byte
		for _, n := range v {
			data = append(data, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		}
		return pngWithChunk(b, "cHRM", data)
	}
	srgb := func(b []byte) []byte { return pngWithChunk(b, "sRGB", []byte{0}) }
	profile := func(b []byte) []byte { return pngWithICC(t, b, displayP3ICC()) }
	cicp := func(b []byte, primaries, transfer byte) []byte {
		return pngWithChunk(b, "cICP", []byte{primaries, transfer, 0, 1})
	}
	linear := color.NRGBA{188, 168, 160, 255} // Each sample taken as linear light.
	byProfile := pixelOf(t, c, profile(png), variant.Spec{})
	adobe := []uint32{31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000}
	if near(byProfile, colour, 3) || near(byProfile, linear, 3) {
		t.Fatalf("the profile makes %v, which tells nothing", byProfile)
	}
	for _, tt := range []struct {
		what string
		b    []byte
		want color.NRGBA
		far  int
	}{
		{"nothing", png, colour, 0},
		{"gAMA", gamma(png, 100_000), linear, 1},
		{"gAMA of sRGB", gamma(png, 45_455), colour, 0},
		{"gAMA and cHRM of sRGB", primaries(gamma(png, 45_455), 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000), colour, 0},
		{"gAMA and cHRM of Adobe RGB", primaries(gamma(png, 45_470), adobe...), color.NRGBA{139, 100, 89, 255}, 1},
		{"gAMA and an impossible cHRM", primaries(gamma(png, 100_000), make([]uint32, 8)...), linear, 1},
		{"cHRM alone", primaries(png, adobe...), colour, 0},
		{"gAMA with a wrong checksum", spoil(t, gamma(png, 100_000), "gAMA"), colour, 0},
		{"sRGB over gAMA", srgb(gamma(png, 100_000)), colour, 0},
		{"iCCP over gAMA", profile(gamma(png, 100_000)), byProfile, 0},
		{"iCCP with a wrong checksum", spoil(t, profile(png), "iCCP"), colour, 0},
		{"cICP over iCCP", cicp(profile(png), 1, 8), linear, 1},
		{"cICP of sRGB over iCCP", cicp(profile(png), 1, 13), colour, 0},
		{"cICP over gAMA", cicp(gamma(png, 100_000), 1, 13), colour, 0},
	} {
		for _, spec := range []variant.Spec{{}, {Width: 16}} {
			if got := pixelOf(t, c, tt.b, spec); !near(got, tt.want, tt.far) {
				t.Errorf("%s, width %d: %v, want %v", tt.what, spec.Width, got, tt.want)
			}
		}
	}
	grey := pngParts{w: 32, h: 32, kind: 4, bits: 8, rows: bytes.Repeat(append([]byte{0}, bytes.Repeat([]byte{128, 77}, 32)...), 32)}
	grey.before = container.AppendPNGChunk(nil, "gAMA", []byte{0, 1, 0x86, 0xa0})
	if got := pixelOf(t, c, grey.file(t), variant.Spec{}); !near(got, color.NRGBA{188, 188, 188, 77}, 1) {
		t.Errorf("grey with alpha: %v, want 188 at 77", got)
	}
	// A picture that needs a conversion is not passed through.
	img, err := one(t, c, gamma(pngOf(t, flatOf(colour)), 100_000), variant.Spec{Format: variant.JPEG, Accepts: variant.AcceptPNG | variant.AcceptJPEG}, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	wantColour(t, decoded(t, img.Body), 5, 5, linear, 3)
}

// TestPremultipliedAlphaIsDividedOut uses an AVIF that declares premultiplied alpha.
func TestPremultipliedAlphaIsDividedOut(t *testing.T) {
	c := mustNew(t, "")
	avif := must(t, c, pngOf(t, flatOf(color.NRGBA{110, 60, 20, 128})), variant.Spec{Format: variant.AVIF, Quality: 98}).Body
	for what, tt := range map[string]struct {
		file []byte
		want color.NRGBA
	}{
		"straight":      {avif, color.NRGBA{110, 60, 20, 128}},
		"premultiplied": {avifWith(t, avif, nil, isoBox("prem", []byte{0, 1, 0, 1, 0, 2})), color.NRGBA{219, 120, 40, 128}},
		"of another":    {avifWith(t, avif, nil, isoBox("prem", []byte{0, 7, 0, 1, 0, 2})), color.NRGBA{110, 60, 20, 128}},
	} {
		for _, width := range []int{0, 16} {
			if got := pixelOf(t, c, tt.file, variant.Spec{Width: width}); !near(got, tt.want, 4) {
				t.Errorf("%s, width %d: %v, want %v", what, width, got, tt.want)
			}
		}
	}
}

// TestLabTIFF resizes a picture that libvips keeps packed.
func TestLabTIFF(t *testing.T) {
	c := mustNew(t, "")
	file := tiffOf(32, 32, 8, bytes.Repeat([]byte{127, 60, 40}, 32*32), nil) // L 49.8, a 60, b 40
	for _, spec := range []variant.Spec{{}, {Width: 16}, {Width: 16, Rotate: 90}, {Width: 20, Height: 20, Resize: variant.Fill}} {
		if got := pixelOf(t, c, file, spec); !near(got, color.NRGBA{217, 60, 54, 255}, 2) {
			t.Errorf("width %d, rotated %d: %v, want 217, 60, 54", spec.Width, spec.Rotate, got)
		}
	}
}
