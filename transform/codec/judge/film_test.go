package judge

import (
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/sequence"
)

// film is an animation of some frames, in which a bright square moves over stripes.
func film(frames, bands int) sequence.Frames {
	const side = 64
	f := sequence.Frames{Width: side, Height: side, Bands: bands}
	for n := range frames {
		f.Delays = append(f.Delays, 40)
		for i := range side * side {
			v := byte(i % side / 8 * 30)
			if x, y := i%side-4*n, i/side-10; x >= 0 && x < 12 && y >= 0 && y < 12 {
				v = 255
			}
			pixel := []byte{v, v / 2, 255 - v, 255}
			if bands < 3 {
				pixel = []byte{v, 255}
			}
			f.Samples = append(f.Samples, pixel[:bands]...)
		}
	}
	return f
}

// The score of an animation falls with its q, and that of the worst frame is no higher than the mean. Animations of
// two frames, in grey and with alpha, have one, and tiny ones have none.
func TestFilmsAreScored(t *testing.T) {
	if !sequence.Supported() {
		t.Skip("this libheif writes no sequences")
	}
	for _, bands := range []int{1, 2, 3, 4} {
		for _, frames := range []int{2, 7} {
			f := film(frames, bands)
			j, err := NewFilm(f)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			var means [2]float64
			for i, q := range []int{95, 5} {
				body, err := sequence.Encode(f, q, true)
				if err != nil {
					t.Fatal(err)
				}
				mean, worst, err := j.Score(body)
				if err != nil || worst > mean+1e-9 {
					t.Errorf("%d bands, %d frames, q %d: %.1f, worst %.1f, %v", bands, frames, q, mean, worst, err)
				}
				means[i] = mean
			}
			if means[0] < 60 || means[1] > means[0]-10 {
				t.Errorf("%d bands, %d frames: %v", bands, frames, means)
			}
			if _, _, err := j.Score([]byte("no AVIF at all")); err == nil {
				t.Error("no AVIF at all has a score")
			}
		}
	}
	tiny := sequence.Frames{Samples: make([]byte, 48), Width: 4, Height: 4, Bands: 3, Delays: []int{1}}
	if j, err := NewFilm(tiny); j != nil || err != nil {
		t.Errorf("a tiny one: %v, %v", j, err)
	}
}

// One spoilt frame is the worst one.
func TestTheWorstFrameCounts(t *testing.T) {
	if !sequence.Supported() {
		t.Skip("this libheif writes no sequences")
	}
	f := film(5, 3)
	j, err := NewFilm(f)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	spoilt := film(5, 3)
	for i := range spoilt.Width * spoilt.Height * 3 {
		spoilt.Samples[2*spoilt.Width*spoilt.Height*3+i] ^= 0x55
	}
	body, err := sequence.Encode(spoilt, 95, true)
	if err != nil {
		t.Fatal(err)
	}
	if mean, worst, err := j.Score(body); err != nil || worst > 20 || mean < worst+15 {
		t.Errorf("mean %.1f, worst %.1f, %v", mean, worst, err)
	}
}
