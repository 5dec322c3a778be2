package vips

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/geometry"
)

func lanczos3(x float64) float64 {
	if x == 0 {
		return 1
	}
	if math.Abs(x) >= 3 {
		return 0
	}
	x *= math.Pi
	return 3 * math.Sin(x) * math.Sin(x/3) / (x * x)
}

// shorter reduces a line of samples of one band by the plain formula.
func shorter(line []byte, to int) []float64 {
	scale := float64(len(line)) / float64(to)
	out := make([]float64, to)
	for x := range out {
		centre := (float64(x)+0.5)*scale - 0.5
		var sum, weights float64
		for i := int(math.Ceil(centre - 3*scale)); float64(i) <= centre+3*scale; i++ {
			w := lanczos3((float64(i) - centre) / scale)
			weights += w
			sum += w * float64(line[min(max(i, 0), len(line)-1)])
		}
		out[x] = min(max(sum/weights, 0), 255)
	}
	return out
}

// raw returns the samples of an image.
func raw(t *testing.T, im *Image) []byte {
	t.Helper()
	out, err := im.Samples()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Reduced lines equal the formula up to the last bit, wherever they begin and end.
func TestLinesAreReducedByTheFormula(t *testing.T) {
	if err := Boot(); err != nil {
		t.Fatal(err)
	}
	const height = 5
	random := rand.New(rand.NewPCG(5, 6))
	for _, bands := range []int{1, 3} {
		for _, w := range [][2]int{{2, 1}, {3, 2}, {9, 1}, {17, 16}, {64, 33}, {301, 97}, {1000, 999}, {800, 401}, {1999, 40}, {5000, 7}} {
			samples := make([]byte, w[0]*height*bands)
			for i := range samples {
				samples[i] = byte(random.IntN(2) * 255) // The hardest case: overshoot everywhere.
			}
			im, err := FromPixels(samples, w[0], height, bands)
			if err != nil {
				t.Fatal(err)
			}
			if err := im.Resize(geometry.Size{W: w[1], H: height}); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%d to %d pixels, %d bands", w[0], w[1], bands)
			if s := im.Size(); s != (geometry.Size{W: w[1], H: height}) {
				t.Fatalf("%s: %v", name, s)
			}
			part := im.Clone()
			if w[1] > 4 { // A part alone equals the same part of the whole.
				if err := part.Extract(geometry.Rect{X: w[1] / 3, Y: 1, W: w[1] / 2, H: height - 2}); err != nil {
					t.Fatal(err)
				}
			}
			small, all := raw(t, part), raw(t, im)
			ps := part.Size()
			for y := 0; y < ps.H && w[1] > 4; y++ {
				at := ((y+1)*w[1] + w[1]/3) * bands
				if string(small[y*ps.W*bands:(y+1)*ps.W*bands]) != string(all[at:at+ps.W*bands]) {
					t.Errorf("%s: line %d of a part differs", name, y)
				}
			}
			part.Free()
			im.Free()
			for y := range height {
				for b := range bands {
					line := make([]byte, w[0])
					for x := range line {
						line[x] = samples[(y*w[0]+x)*bands+b]
					}
					for x, want := range shorter(line, w[1]) {
						if got := all[(y*w[1]+x)*bands+b]; math.Abs(float64(got)-want) > 1 {
							t.Fatalf("%s: sample %d, %d of band %d is %d, want %.2f", name, x, y, b, got, want)
						}
					}
				}
			}
		}
	}
}
