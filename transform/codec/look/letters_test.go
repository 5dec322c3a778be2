package look

import (
	"math/rand/v2"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/vips"
)

// lines draws lines of strokes as high as letters, every fifth of which rises above the line.
func lines(height int, ink, noise byte) []byte {
	const side = 256
	random := rand.New(rand.NewPCG(1, uint64(height)))
	out := make([]byte, side*side)
	for i := range out {
		out[i] = 240 - byte(random.IntN(int(noise)+1))
	}
	for top := height; top+height < side; top += 5 * height / 2 {
		for x := 2; x < side; x += 2 + random.IntN(3) {
			from := top
			if random.IntN(5) == 0 {
				from -= height / 2
			}
			for y := from; y < top+height; y++ {
				out[y*side+x] = ink
			}
		}
	}
	return out
}

func TestSizeOfLetters(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name       string
		height     int
		ink, noise byte
		want       Letters
	}{
		{"4 pixels", 4, 30, 0, LettersTiny},
		{"5 pixels", 5, 30, 0, LettersTiny},
		{"5 pixels, faint", 5, 180, 0, LettersTiny},
		{"5 pixels, on paper", 5, 30, 8, LettersTiny},
		{"6 pixels", 6, 30, 0, LettersSmall},
		{"7 pixels", 7, 30, 0, LettersLarge},
		{"10 pixels", 10, 30, 0, LettersLarge},
		{"rules", 1, 30, 0, LettersLarge},
		{"noise", 5, 240, 60, LettersLarge},
	} {
		im, err := vips.FromPixels(lines(tt.height, tt.ink, tt.noise), 256, 256, 1)
		if err != nil {
			t.Fatal(err)
		}
		s, err := gather(im)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.letters(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
		im.Free()
	}
}

func TestEdges(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		samples []byte
		bands   int
		want    int
	}{
		"plain":       {[]byte{7, 7, 7, 7, 7, 7, 7, 7, 7}, 1, 0},
		"columns":     {[]byte{1, 2, 3, 1, 2, 3, 1, 2, 3}, 1, 0},
		"rows":        {[]byte{1, 1, 1, 2, 2, 2, 3, 3, 3}, 1, 0},
		"a dot":       {[]byte{7, 7, 7, 7, 1, 7, 7, 7, 7}, 1, 1},
		"checks":      {[]byte{1, 2, 1, 2, 1, 2, 1, 2, 1}, 1, 4},
		"blue alone":  {[]byte{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2}, 3, 1},
		"first pixel": {[]byte{9, 1, 1, 1}, 1, 0},
	} {
		side := map[int]int{9: 3, 12: 2, 4: 2}[len(tt.samples)]
		im, err := vips.FromPixels(tt.samples, side, side, tt.bands)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Edges(im); err != nil || got != tt.want {
			t.Errorf("%s: %d (%v), want %d", name, got, err, tt.want)
		}
		im.Free()
	}
}
