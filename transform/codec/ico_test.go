package codec

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/transform/codec/bmp"
	"github.com/goldcrest/goldcrest/variant"
)

// iconFile is an icon with these pictures. Its entries do not contain their sizes.
func iconFile(pictures ...[]byte) []byte {
	b := []byte{0, 0, 1, 0, byte(len(pictures)), 0}
	at := 6 + 16*len(pictures)
	for _, p := range pictures {
		b = append(b, make([]byte, 8)...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
		at += len(p)
	}
	return append(b, bytes.Join(pictures, nil)...)
}

// iconBMP is a picture of an icon in the colours of the test BMP, with rows for a mask. The two left pixels of the top
// row are transparent, by the mask or by alpha.
func iconBMP(depth int, palette []byte, alpha func(x, y int) byte) []byte {
	h := make([]byte, 40)
	h[0], h[4], h[8], h[12], h[14], h[32] = 40, bmpWidth, 2*5, 1, byte(depth), byte(len(palette)/4)
	rows := bmpRows(depth, false, func(n int) uint64 {
		if depth <= 8 {
			return uint64(n) & (1<<depth - 1)
		}
		c := bmpColours[n]
		return uint64(c.R)<<16 | uint64(c.G)<<8 | uint64(c.B)
	})
	if depth == 32 {
		for y := range 5 {
			for x := range bmpWidth {
				rows[4*((4-y)*bmpWidth+x)+3] = alpha(x, y)
			}
		}
	}
	mask := make([]byte, 4*5)
	mask[4*4] = 0xc0
	return slices.Concat(h, palette, rows, mask)
}

func iconPNG(t testing.TB, width, height int, c color.NRGBA) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		m.SetNRGBA(i%width, i/width, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every kind of BMP in an icon gives its colours, and its alpha from the mask or its own.
func TestIconsOfBMP(t *testing.T) {
	byMask := func(x, y int) byte {
		if y == 0 && x < 2 {
			return 0
		}
		return 255
	}
	half := func(int, int) byte { return 128 }
	none := func(int, int) byte { return 0 }
	palette := bmpPalette(4)
	c := mustNew(t, "")
	for name, x := range map[string]struct {
		depth   int
		palette []byte
		alpha   func(x, y int) byte // in the file
		want    func(x, y int) byte
	}{
		"1 bit": {1, palette[:8], none, byMask}, "4 bits": {4, palette, none, byMask},
		"8 bits":  {8, palette, none, byMask},
		"24 bits": {24, nil, none, byMask}, "32 bits": {32, nil, half, half},
		"32 bits without alpha": {32, nil, none, byMask},
	} {
		file := iconFile(iconBMP(x.depth, x.palette, x.alpha))
		got := decoded(t, must(t, c, file, variant.Spec{Format: variant.PNG}).Body)
		if got.Bounds() != image.Rect(0, 0, bmpWidth, 5) {
			t.Errorf("%s: %v", name, got.Bounds())
			continue
		}
		for i := range bmpWidth * 5 {
			at := image.Pt(i%bmpWidth, i/bmpWidth)
			n := (at.X + at.Y) % 4
			if x.depth == 1 {
				n &= 1
			}
			want := bmpColours[n]
			want.A = x.want(at.X, at.Y)
			is := color.NRGBAModel.Convert(got.At(at.X, at.Y)).(color.NRGBA)
			if is.A != want.A || want.A == 255 && is != want {
				t.Errorf("%s: %v is %v, want %v", name, at, is, want)
			}
		}
	}
}

// The picture with the most pixels is selected, then the one with the most bits. Truncated ones are ignored.
func TestIconsOfSeveralPictures(t *testing.T) {
	c := mustNew(t, "")
	flat := iconBMP(1, bmpPalette(4)[:8], nil)
	small, large := iconPNG(t, 16, 16, red), iconPNG(t, 256, 256, green)
	opaque := iconBMP(32, nil, func(int, int) byte { return 255 })
	for name, x := range map[string]struct {
		file  []byte
		width int
		want  color.NRGBA // at the centre
	}{
		"the larger PNG":          {iconFile(small, opaque, large), 256, green},
		"the larger, first":       {iconFile(large, small), 256, green},
		"the one that is whole":   {iconFile(small, large[:len(large)-20]), 16, red},
		"a PNG before a BMP":      {iconFile(opaque, small), 16, red},
		"more bits for the pixel": {iconFile(flat, opaque), bmpWidth, bmpColours[(3+2)%4]},
	} {
		m := decoded(t, must(t, c, x.file, variant.Spec{Format: variant.PNG}).Body)
		if m.Bounds().Dx() != x.width {
			t.Errorf("%s: %v", name, m.Bounds())
			continue
		}
		wantColour(t, m, x.width/2, m.Bounds().Dy()/2, x.want, 2)
	}
	scaled := must(t, c, iconFile(large), variant.Spec{Format: variant.WebP, Width: 32})
	if scaled.Width != 32 || scaled.SourceFormat != "ico" || scaled.SourceWidth != 256 {
		t.Errorf("%+v", scaled)
	}
}

func TestHostileIcons(t *testing.T) {
	c := mustNew(t, "")
	huge := iconBMP(32, nil, func(int, int) byte { return 255 })
	binary.LittleEndian.PutUint32(huge[4:], 1<<30)
	packed := iconBMP(8, bmpPalette(4), nil)
	packed[16] = 1
	bad := iconPNG(t, 8, 8, red)
	bad[len(bad)-20] ^= 0xff
	file := iconFile(iconPNG(t, 8, 8, red))
	outside := slices.Clone(file)
	binary.LittleEndian.PutUint32(outside[18:], 1<<31)
	for name, b := range map[string][]byte{
		"no pictures": iconFile(), "a huge BMP": iconFile(huge), "runs": iconFile(packed),
		"a broken PNG":         iconFile(bad),
		"cut in the directory": file[:10], "a picture outside the file": outside,
		"an icon in an icon": iconFile(file),
	} {
		_, err := one(t, c, b, variant.Spec{Format: variant.PNG}, testLimits)
		if fault.KindOf(err) != fault.DecodeFailed {
			t.Errorf("%s: %v, want %s", name, err, fault.DecodeFailed)
		}
	}
	small := testLimits
	small.Pixels = 100
	_, err := one(t, c, iconFile(iconPNG(t, 16, 16, red)), variant.Spec{Format: variant.PNG}, small)
	if fault.KindOf(err) != fault.TooManyPixels {
		t.Errorf("more pixels than allowed: %v", err)
	}
}

func FuzzIcon(f *testing.F) {
	for _, depth := range []int{1, 4, 8, 24, 32} {
		palette := bmpPalette(4)
		if depth > 8 {
			palette = nil
		}
		f.Add(iconFile(iconBMP(depth, palette, func(int, int) byte { return 7 })))
	}
	f.Add(iconFile(iconPNG(f, 8, 8, red), iconPNG(f, 9, 9, blue)))
	f.Fuzz(func(t *testing.T, b []byte) {
		icon, ok := sniff.LargestIcon(b)
		if !ok || icon.PNG || icon.Width*icon.Height > 1<<16 {
			return
		}
		p, err := bmp.ParseIcon(icon.Body, icon.Width, icon.Height)
		if err != nil {
			t.Fatalf("the header reader took it for whole: %v", err)
		}
		if err := p.Draw(make([]byte, 4*icon.Width*icon.Height)); err != nil {
			t.Fatalf("the header reader took it for whole: %v", err)
		}
	})
}
