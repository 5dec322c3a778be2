package judge

import (
	"image"
	"image/color"
	"image/draw"
	"slices"
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

// TestJudgeSeesEveryPart damages one part of a page: an edge that whole tiles of 256 pixels leave over, a page lower
// than a tile, and letters that differ from the paper in one colour alone. The worst tile tells it in each.
func TestJudgeSeesEveryPart(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	white, red := color.NRGBA{255, 255, 255, 255}, color.NRGBA{255, 0, 0, 255}
	for _, tt := range []struct {
		name    string
		w, h    int
		ink     color.NRGBA
		damaged image.Rectangle
	}{
		{"right edge", 900, 512, codectest.Blue, image.Rect(800, 0, 900, 100)},
		{"bottom edge", 768, 620, codectest.Blue, image.Rect(0, 520, 100, 620)},
		{"banner", 1024, 100, codectest.Blue, image.Rect(800, 0, 900, 100)},
		{"column", 100, 1024, codectest.Blue, image.Rect(0, 800, 100, 900)},
		{"red letters", 768, 512, red, image.Rect(300, 0, 400, 100)},
	} {
		page, poor := image.NewNRGBA(image.Rect(0, 0, tt.w, tt.h)), image.NewNRGBA(image.Rect(0, 0, tt.w, tt.h))
		codectest.Fill(page, page.Rect, white)
		for y := 4; y < tt.h-8; y += 16 {
			for x := 4; x < tt.w-3; x += 6 {
				codectest.Fill(page, image.Rect(x, y, x+2, y+8), tt.ink)
			}
		}
		copy(poor.Pix, page.Pix)
		for y := tt.damaged.Min.Y; y < tt.damaged.Max.Y; y++ {
			for x := tt.damaged.Min.X; x < tt.damaged.Max.X; x++ {
				c := page.NRGBAAt(x, y)
				poor.SetNRGBA(x, y, color.NRGBA{c.R - c.R/8 + 16, c.G - c.G/8 + 16, c.B - c.B/8 + 16, 255})
			}
		}
		pic, err := render.Alone(codectest.PNG(t, page), variant.Spec{Format: variant.PNG}, codectest.Limits)
		if err != nil {
			t.Fatal(err)
		}
		j, err := New(pic.Im, true)
		if err != nil {
			t.Fatal(err)
		}
		all, worst, err := j.Score(codectest.PNG(t, poor))
		if err != nil || worst > all-8 {
			t.Errorf("%s: the worst tile scores %.1f, all %.1f; %v", tt.name, worst, all, err)
		}
		whole := j.whole
		j.whole = nil // Its score does not decide any more.
		if again, err := j.Worst(codectest.PNG(t, poor)); err != nil || again != worst {
			t.Errorf("%s: the worst tile scores %.1f, then %.1f; %v", tt.name, worst, again, err)
		}
		j.whole = whole
		j.Close()
		pic.Free()
	}
}

// TestJudgeStopsWhereATileFails asks for a score that the first tile does not reach, and one that every tile reaches.
func TestJudgeStopsWhereATileFails(t *testing.T) {
	if err := vips.Boot(); err != nil {
		t.Fatal(err)
	}
	page := codectest.Scan(800, 600)
	pic, err := render.Alone(codectest.PNG(t, page), variant.Spec{Format: variant.PNG}, codectest.Limits)
	if err != nil {
		t.Fatal(err)
	}
	defer pic.Free()
	j, err := New(pic.Im, true)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for i := range page.Pix {
		page.Pix[i] = page.Pix[i] &^ 31
	}
	poor := codectest.PNG(t, page)
	_, worst, err := j.Score(poor)
	if err != nil {
		t.Fatal(err)
	}
	few, err := decoded(poor)
	if err != nil {
		t.Fatal(err)
	}
	defer few.Free()
	if all, err := j.Least(few, worst-1); err != nil || all != worst {
		t.Errorf("%.2f of the worst tile, want %.2f; %v", all, worst, err)
	}
	whole := j.whole
	j.whole = nil // It is not scored where a tile fails.
	if one, err := j.Least(few, 101); err != nil || one > 100 {
		t.Errorf("%.2f of the first tile; %v", one, err)
	}
	j.whole = whole
}

// TestTilesCoverThePicture has sizes with and without a remainder. Each pixel lies in a tile, and few lie in two.
func TestTilesCoverThePicture(t *testing.T) {
	for _, size := range [][2]int{{8, 2000}, {256, 256}, {384, 300}, {512, 256}, {639, 383}, {800, 601}, {1021, 1447}} {
		w, h := size[0], size[1]
		seen, twice := make([]int, w*h), 0
		tiles := tiling(w, h)
		for _, r := range tiles {
			for y := r.Y; y < r.Y+r.H; y++ {
				for x := r.X; x < r.X+r.W; x++ {
					if seen[y*w+x]++; seen[y*w+x] > 1 {
						twice++
					}
				}
			}
		}
		if missed := slices.Index(seen, 0); missed >= 0 && len(tiles) > 0 {
			t.Errorf("%d x %d: no tile has pixel %d, %d", w, h, missed%w, missed/w)
		}
		if twice > w*h/50 || len(tiles) != 0 && (tiles[0].W > 384 || tiles[0].H > 384) {
			t.Errorf("%d x %d: %d pixels in two tiles of %v", w, h, twice, tiles[0])
		}
	}
}
