package judge

import (
	"image"
	"image/draw"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/codectest"
	"github.com/goldcrest/goldcrest/transform/codec/render"
	"github.com/goldcrest/goldcrest/transform/codec/score"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// TestJudgeTakesEveryKindOfPixels scores grey and colour, each with and without alpha, against themselves.
func TestJudgeTakesEveryKindOfPixels(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	transparent := codectest.Meadow(64, 48)
	for i := 3; i < len(transparent.Pix); i += 12 {
		transparent.Pix[i] = 90
	}
	shades := image.NewGray(image.Rect(0, 0, 64, 48))
	draw.Draw(shades, shades.Bounds(), codectest.Meadow(64, 48), image.Point{}, draw.Src)
	for name, img := range map[string]image.Image{
		"colour": codectest.Meadow(64, 48), "alpha": transparent, "grey": shades,
	} {
		body := codectest.PNG(t, img)
		pic, err := render.Alone(body, variant.Spec{Format: variant.PNG}, codectest.Limits)
		if err != nil {
			t.Fatal(err)
		}
		j, err := New(pic.Im, false)
		if err != nil {
			t.Fatal(err)
		}
		if all, _, err := j.Score(body); err != nil || all != 100 {
			t.Errorf("%s: %v, %v", name, all, err)
		}
		j.Close()
		pic.Free()
	}
	if _, err := score.New(4, 4); err != score.ErrSize {
		t.Error(err)
	}
}
