package codec

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// dots is a GIF of random dots in n grey levels. None of its encodes is small, so most kinds of search are started.
func dots(t *testing.T, n int) []byte {
	t.Helper()
	var levels color.Palette
	for i := range n {
		levels = append(levels, color.Gray{uint8(i * 255 / (n - 1))})
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	img := image.NewPaletted(image.Rect(0, 0, 512, 384), levels)
	for i := range img.Pix {
		img.Pix[i] = uint8(random.IntN(n))
	}
	var b bytes.Buffer
	if err := gif.Encode(&b, img, &gif.Options{NumColors: n}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestSearchWithoutTimeStillMakesThePicture makes variants that need many encodes with no time for more than one. The
// picture is still made, with one encode and one more that may be smaller than the original.
func TestSearchWithoutTimeStillMakesThePicture(t *testing.T) {
	c := mustNew(t, "")
	longest := 0
	for _, n := range []int{2, 16, 256} {
		original := dots(t, n)
		noAVIF := variant.AcceptWebP | variant.AcceptJPEG | variant.AcceptPNG
		for _, accepts := range []variant.FormatSet{acceptAny, noAVIF, variant.AcceptJPEG} {
			for _, stage := range []variant.Stage{variant.StageFirst, variant.StageFinal} {
				spec := variant.Spec{Format: variant.JPEG, Accepts: accepts}
				switch {
				case accepts&variant.AcceptAVIF != 0:
					spec.Format = variant.AVIF
				case accepts&variant.AcceptWebP != 0:
					spec.Format = variant.WebP
				}
				tries := func(lim Limits) (n int) {
					t.Helper()
					var img variant.Image
					var fail error
					emit := func(_ int, made variant.Image, err error) { img, fail = made, err }
					err := c.Transform(variant.Original{Body: original}, []variant.Spec{spec}, stage, lim, emit)
					if err != nil || fail != nil || len(img.Body) == 0 {
						t.Fatalf("%d levels, %s: %v, %v", n, spec.Format, err, fail)
					}
					return strings.Count(img.Choice.Tried, ";") + 1
				}
				longest = max(longest, tries(testLimits))
				short := testLimits
				short.Wall = time.Nanosecond
				if n := tries(short); n > 2 {
					t.Errorf("%s with all time spent: %d encodes", spec.Format, n)
				}
				short.Wall, short.CPU = time.Hour, time.Nanosecond
				if n := tries(short); n > 2 {
					t.Errorf("%s with all processor time spent: %d encodes", spec.Format, n)
				}
			}
		}
	}
	if longest < 6 {
		t.Errorf("no search takes more than %d encodes: these pictures test nothing", longest)
	}
}
