package vips

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/variant"
)

// blocks returns samples of squares of one colour, so that halving chroma does not change their centres.
func blocks(w, h, side int, grey bool) []byte {
	random := rand.New(rand.NewPCG(uint64(w), uint64(h)))
	across := (w + side - 1) / side
	colours := make([][3]byte, across*((h+side-1)/side))
	for i := range colours {
		for b := range 3 {
			colours[i][b] = byte(min(max(random.IntN(768)-256, 0), 255)) // Pure colours overflow if nothing clamps them.
		}
		if grey {
			colours[i][1], colours[i][2] = colours[i][0], colours[i][0]
		}
	}
	samples := make([]byte, 0, w*h*3)
	for y := range h {
		for x := range w {
			c := colours[y/side*across+x/side]
			samples = append(samples, c[:]...)
		}
	}
	return samples
}

// asAVIF returns the samples after a round trip through AVIF at the highest quality, which keeps its planes unchanged.
func asAVIF(t *testing.T, samples []byte, w, h int, full bool) []byte {
	t.Helper()
	im, err := FromPixels(samples, w, h, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Free()
	body, err := im.Save(Saving{Format: variant.AVIF, Q: 100, FullChroma: full})
	if err != nil {
		t.Fatal(err)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	back, err := Load(&pin, body, Loading{Format: "avif"})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Free()
	if back.Size() != (geometry.Size{W: w, H: h}) || back.Facts().Bands != 3 {
		t.Fatalf("a picture of %dx%d came back as %+v", w, h, back.Facts())
	}
	return raw(t, back)
}

// Ensure AVIF has each colour in the right place: full chroma and luma at every pixel, halved chroma in the middle of
// squares, also in the odd last line and column. Coefficients that are off by a hundredth would fail.
func TestColoursOfAVIF(t *testing.T) {
	if err := Boot(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []geometry.Size{{W: 1, H: 1}, {W: 2, H: 3}, {W: 5, H: 4}, {W: 7, H: 17}, {W: 16, H: 16}, {W: 33, H: 31}, {W: 41, H: 49}, {W: 105, H: 57}} {
		for name, c := range map[string]struct {
			side       int
			grey, full bool
		}{"full colours": {1, false, true}, "brightness": {1, true, false}, "halved colours": {8, false, false}} {
			samples := blocks(s.W, s.H, c.side, c.grey)
			got := asAVIF(t, samples, s.W, s.H, c.full)
			for i := range samples {
				x, y := i/3%s.W, i/3/s.W
				edge := func(at, end int) bool {
					return at%c.side < 2 && at >= 2 || at%c.side >= c.side-2 && at/c.side < (end-1)/c.side
				}
				if c.side > 1 && (edge(x, s.W) || edge(y, s.H)) {
					continue
				}
				if d := int(got[i]) - int(samples[i]); d > 2 || d < -2 {
					t.Fatalf("%s of %v: sample %d at %d,%d is %d, want %d", name, s, i%3, x, y, got[i], samples[i])
				}
			}
		}
	}
}

// Ensure halved chroma is the mean of four pixels. Each square has the same four, so only luma distinguishes a pixel
// from its neighbours.
func TestHalvedColoursOfAVIF(t *testing.T) {
	if err := Boot(); err != nil {
		t.Fatal(err)
	}
	const side = 46
	four := [4][3]float64{{90, 120, 160}, {150, 120, 100}, {120, 160, 110}, {140, 90, 120}}
	luma := func(c [3]float64) float64 { return 0.299*c[0] + 0.587*c[1] + 0.114*c[2] }
	var samples []byte
	for y := range side {
		for x := range side {
			for _, v := range four[y%2*2+x%2] {
				samples = append(samples, byte(v))
			}
		}
	}
	var mean [3]float64
	for _, c := range four {
		for b := range mean {
			mean[b] += c[b] / 4
		}
	}
	for i, got := range asAVIF(t, samples, side, side, false) {
		x, y, b := i/3%side, i/3/side, i%3
		if want := luma(four[y%2*2+x%2]) + mean[b] - luma(mean); math.Abs(float64(got)-want) > 2 {
			t.Fatalf("sample %d at %d,%d is %d, want %.1f", b, x, y, got, want)
		}
	}
}

// TestDecodeAVIF expects the same pixels as from libvips' loader, with and without alpha.
func TestDecodeAVIF(t *testing.T) {
	if err := Boot(); err != nil {
		t.Fatal(err)
	}
	const w, h = 61, 45
	for bands := 3; bands <= 4; bands++ {
		samples := make([]byte, w*h*bands)
		for i := range samples {
			samples[i] = byte(i*i/97 + i%bands*40)
		}
		im, err := FromPixels(samples, w, h, bands)
		if err != nil {
			t.Fatal(err)
		}
		defer im.Free()
		for _, full := range []bool{false, true} {
			body, err := im.Save(Saving{Format: variant.AVIF, Q: 60, FullChroma: full})
			if err != nil {
				t.Fatal(err)
			}
			var pin runtime.Pinner
			defer pin.Unpin()
			want, err := Load(&pin, body, Loading{Format: "avif"})
			if err != nil {
				t.Fatal(err)
			}
			defer want.Free()
			got, err := DecodeAVIF(body)
			if err != nil {
				t.Fatal(err)
			}
			defer got.Free()
			if got.Facts() != want.Facts() || !bytes.Equal(raw(t, got), raw(t, want)) {
				t.Errorf("%d bands, full chroma %v: %+v and other pixels than %+v", bands, full, got.Facts(), want.Facts())
			}
			if _, err := DecodeAVIF(body[:len(body)/2]); err == nil {
				t.Error("half a file was decoded")
			}
		}
	}
}
