package codec

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/judge"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// gradient is a soft picture with colours and the given amount of grain.
func gradient(w, h, grain int, seed uint64) *image.NRGBA {
	r := rand.New(rand.NewPCG(seed, 1))
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			n := r.IntN(2*grain+1) - grain
			img.SetNRGBA(x, y, color.NRGBA{clip(float64(40 + x*3%180 + n)), clip(float64(60 + y*2%160 + n)), clip(float64(200 - (x+y)%170 + n)), 255})
		}
	}
	return img
}

// raster is a picture as input for encoders.
func raster(t testing.TB, c *Codec, img image.Image) *judge.Raster {
	t.Helper()
	r, err := judge.NewRaster(pngOf(t, img), variant.Spec{Format: variant.PNG}, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Free)
	return r
}

// TestJPEGOfEverySize checks pictures of all sizes, above all at the edges of blocks. Their colours must be right, and
// two decoders must agree.
func TestJPEGOfEverySize(t *testing.T) {
	c := mustNew(t, "")
	for _, side := range [][2]int{{1, 1}, {1, 40}, {40, 1}, {2, 2}, {7, 9}, {8, 8}, {9, 8}, {8, 9}, {15, 16}, {16, 16}, {17, 17}, {33, 16}, {16, 33}, {31, 65}, {64, 250}} {
		for _, grey := range []bool{false, true} {
			for _, full := range []bool{false, true} {
				var img image.Image = gradient(side[0], side[1], 0, 1)
				if grey {
					g := image.NewGray(img.Bounds())
					for i := range g.Pix {
						g.Pix[i] = uint8(i * 3 % 200)
					}
					img = g
				}
				name := fmt.Sprintf("%v grey %v full %v", side, grey, full)
				body, err := raster(t, c, img).Encode(judge.Encoding{Format: variant.JPEG, Q: 95, FullChroma: full})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				got, err := jpeg.Decode(bytes.NewReader(body))
				if err != nil || got.Bounds() != img.Bounds() {
					t.Fatalf("%s: %v, %v", name, got, err)
				}
				if _, isGrey := got.(*image.Gray); isGrey != grey {
					t.Errorf("%s: came out as %T", name, got)
				}
				ours := decoded(t, pngOfJPEG(t, c, body))
				if d := apart(got, ours); d > 3 && full {
					t.Errorf("%s: two decoders differ by %.1f on average", name, d)
				}
				if d := apart(img, ours); d > 12 || full && d > 5 {
					t.Errorf("%s: %.1f off on average", name, d)
				}
			}
		}
	}
}

// pngOfJPEG decodes with the codec.
func pngOfJPEG(t *testing.T, c *Codec, body []byte) []byte {
	t.Helper()
	return must(t, c, body, variant.Spec{Format: variant.PNG}).Body
}

// apart is the mean difference between the samples of two pictures.
func apart(a, b image.Image) float64 {
	sum, n := 0.0, 0
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y++ {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x++ {
			r1, g1, b1, _ := a.At(x, y).RGBA()
			r2, g2, b2, _ := b.At(x, y).RGBA()
			for _, d := range [][2]uint32{{r1, r2}, {g1, g2}, {b1, b2}} {
				sum += math.Abs(float64(d[0]>>8) - float64(d[1]>>8))
				n++
			}
		}
	}
	return sum / float64(n)
}

// TestJPEGOfNoise encodes noise at every q. Two decoders must agree, and a higher q must be closer to the original.
func TestJPEGOfNoise(t *testing.T) {
	c := mustNew(t, "")
	r := rand.New(rand.NewPCG(7, 7))
	for range 6 {
		img := gradient(1+r.IntN(90), 1+r.IntN(90), 127, r.Uint64())
		im := raster(t, c, img)
		before := math.Inf(1)
		for _, q := range []int{1, 10, 40, 70, 90, 100} {
			body, err := im.Encode(judge.Encoding{Format: variant.JPEG, Q: q, FullChroma: true})
			if err != nil {
				t.Fatal(err)
			}
			got, err := jpeg.Decode(bytes.NewReader(body))
			if err != nil {
				t.Fatalf("q%d: %v", q, err)
			}
			ours := decoded(t, pngOfJPEG(t, c, body))
			if d := apart(got, ours); d > 2 {
				t.Errorf("%v q%d: two decoders differ by %.1f on average", img.Rect.Max, q, d)
			}
			d := apart(img, ours)
			if d > before+0.5 {
				t.Errorf("%v q%d: %.1f off, %.1f with the q before", img.Rect.Max, q, d, before)
			}
			before = d
		}
		if before > 1.5 {
			t.Errorf("%v q100: %.1f off", img.Rect.Max, before)
		}
	}
}

// TestJPEGTakesFewerBytes checks the encoder's promise: at most 0.86 of libjpeg's bytes for the same score.
func TestJPEGTakesFewerBytes(t *testing.T) {
	mustNew(t, "")
	sum, n := 0.0, 0.0
	for _, file := range []string{"cardinal.jpg", "product-saw.jpg", "pigeon.avif", "flower-grey.jpg"} {
		im, err := judge.NewRaster(readCorpus(t, "photos", file), variant.Spec{Width: 400, Format: variant.PNG}, testLimits)
		if err != nil {
			t.Fatal(err)
		}
		j, err := im.Judge(false)
		if err != nil {
			t.Fatal(err)
		}
		ratio := bytesAt(t, im, j, false) / bytesAt(t, im, j, true)
		t.Logf("%s: %.3f of libjpeg's bytes", file, ratio)
		sum, n = sum+math.Log(ratio), n+1
		j.Close()
		im.Free()
	}
	if mean := math.Exp(sum / n); mean > 0.86 {
		t.Errorf("%.3f of libjpeg's bytes at a score of 70, want 0.86", mean)
	}
}

// bytesAt interpolates the bytes of an encode at a score of 70.
func bytesAt(t *testing.T, im *judge.Raster, j *judge.Judge, plain bool) float64 {
	t.Helper()
	low, high := [3]float64{1}, [3]float64{100} // q, bytes, score
	for high[0]-low[0] > 1 || low[1] == 0 || high[1] == 0 {
		q := math.Floor((low[0] + high[0]) / 2)
		if high[0]-low[0] <= 1 {
			t.Fatalf("no score of 70 between q1 and q100")
		}
		body, err := im.Encode(judge.Encoding{Format: variant.JPEG, Q: int(q), Plain: plain})
		if err != nil {
			t.Fatal(err)
		}
		score, _, err := j.Score(body)
		if err != nil {
			t.Fatal(err)
		}
		if at := [3]float64{q, float64(len(body)), score}; score < 70 {
			low = at
		} else {
			high = at
		}
	}
	return low[1] + (high[1]-low[1])*(70-low[2])/(high[2]-low[2])
}

// TestJPEGRefusesWhatItCannotHold checks that CMYK and alpha give an error and no crash.
func TestJPEGRefusesWhatItCannotHold(t *testing.T) {
	mustNew(t, "")
	for _, bands := range []int{2, 4} {
		im, err := vips.FromPixels(make([]byte, 64*bands), 8, 8, bands)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := im.Save(vips.Saving{Format: variant.JPEG, Q: 70}); err == nil {
			t.Errorf("%d bands made a JPEG", bands)
		}
		im.Free()
	}
}
