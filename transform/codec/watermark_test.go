package codec

import (
	"image"
	"image/color"
	"image/draw"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/variant"
)

// painted is a PNG of one colour.
func painted(t testing.TB, width, height int, c color.Color) []byte {
	im := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.Draw(im, im.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
	return pngOf(t, im)
}

// laid is a PNG of an original with a mark.
func laid(t testing.TB, c *Codec, original, mark []byte, w variant.Watermark) *image.NRGBA {
	t.Helper()
	w.Mark = "m"
	spec := variant.Spec{Format: variant.PNG, DPR: 1, Watermark: w}
	o := variant.Original{Body: original, Marks: map[string][]byte{"m": mark}}
	img, err := oneOf(t, c, o, spec, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	return decoded(t, img.Body)
}

// A watermark is at the position of the option, with its opacity, in its own size or a share of the result's.
func TestWatermark(t *testing.T) {
	c := mustNew(t, "")
	white := painted(t, 100, 60, color.White)
	spec := variant.Spec{Format: variant.PNG, Watermark: variant.Watermark{Opacity: 1, Mark: "m"}}
	_, err := one(t, c, white, spec, testLimits)
	if fault.KindOf(err) != fault.UnsupportedOption {
		t.Errorf("without a mark: %v", err)
	}
	long := variant.Watermark{Opacity: 1, Mark: "m", Width: 1}
	o := variant.Original{Body: white, Marks: map[string][]byte{"m": painted(t, 1, 2000, color.White)}}
	_, err = oneOf(t, c, o, variant.Spec{Format: variant.PNG, Watermark: long}, testLimits)
	if fault.KindOf(err) != fault.BadOption {
		t.Errorf("a mark that would be 200,000 pixels long: %v", err)
	}
	cut := painted(t, 200, 200, color.White)
	for _, mark := range []string{"<html>", string(cut[:len(cut)/2])} {
		o := variant.Original{Body: white, Marks: map[string][]byte{"m": []byte(mark)}}
		if _, err := oneOf(t, c, o, spec, testLimits); fault.KindOf(err) != fault.BadOption {
			t.Errorf("%.6q as a mark: %v", mark, err)
		}
	}
	mark := painted(t, 10, 6, color.NRGBA{R: 255, A: 255})
	red, half := color.NRGBA{255, 0, 0, 255}, color.NRGBA{255, 127, 127, 255}
	blank := color.NRGBA{255, 255, 255, 255}
	at := func(k variant.GravityKind, x, y float64) variant.Gravity { return variant.Gravity{Kind: k, X: x, Y: y} }
	for name, tt := range map[string]struct {
		mark variant.Watermark
		in   image.Rectangle // the area of the watermark
		want color.NRGBA
	}{
		"centre":    {variant.Watermark{Opacity: 1}, image.Rect(45, 27, 55, 33), red},
		"half":      {variant.Watermark{Opacity: 0.5}, image.Rect(45, 27, 55, 33), half},
		"corner":    {variant.Watermark{Opacity: 1, Place: at(variant.SouthEast, 5, .1)}, image.Rect(85, 48, 95, 54), red},
		"north":     {variant.Watermark{Opacity: 1, Place: at(variant.North, 0, 0)}, image.Rect(45, 0, 55, 6), red},
		"scaled":    {variant.Watermark{Opacity: 1, Width: 0.5, Height: 0.5}, image.Rect(25, 15, 75, 45), red},
		"over all":  {variant.Watermark{Opacity: 1, Width: 1, Height: 1}, image.Rect(0, 0, 100, 60), red},
		"of width":  {variant.Watermark{Opacity: 1, Width: 0.8}, image.Rect(10, 6, 90, 54), red},
		"of height": {variant.Watermark{Opacity: 1, Height: 0.2}, image.Rect(40, 24, 60, 36), red},
		"past both": {variant.Watermark{Opacity: 1, Height: 0.9, Width: 0.5}, image.Rect(25, 15, 75, 45), red},
		"no spaces": {variant.Watermark{Opacity: 1, Tiled: true}, image.Rect(0, 0, 100, 60), red},
	} {
		got := laid(t, c, white, mark, tt.mark)
		for y := range 60 {
			for x := range 100 {
				want, in := blank, image.Pt(x, y).In(tt.in)
				if in {
					want = tt.want
				}
				if inner := image.Pt(x, y).In(tt.in.Inset(2)); inner || !image.Pt(x, y).In(tt.in.Inset(-2)) {
					wantColour(t, got, x, y, want, 1)
				}
			}
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	tiled := func(x, y float64) *image.NRGBA {
		return laid(t, c, white, mark, variant.Watermark{Opacity: 1, Tiled: true, Place: at(variant.Centre, x, y)})
	}
	tiles := tiled(10, 6)
	for _, p := range []image.Point{{5, 3}, {25, 3}, {5, 15}, {85, 51}} {
		wantColour(t, tiles, p.X, p.Y, red, 1)
		wantColour(t, tiles, p.X-1, p.Y, blank, 1)
		wantColour(t, tiles, p.X, p.Y-1, blank, 1)
		wantColour(t, tiles, p.X+10, p.Y, blank, 1)
		wantColour(t, tiles, p.X, p.Y+6, blank, 1)
	}
	many := tiled(20, 0)
	wantColour(t, many, 50, 30, red, 1) // There is always one in the middle.
	wantColour(t, many, 35, 30, blank, 1)
}

// A watermark that extends beyond an edge is cut there; one completely outside is invisible.
func TestWatermarkBeyondTheEdge(t *testing.T) {
	c := mustNew(t, "")
	m := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	red, blue, blank := color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}, color.NRGBA{255, 255, 255, 255}
	draw.Draw(m, image.Rect(0, 0, 20, 40), image.NewUniform(red), image.Point{}, draw.Src)
	draw.Draw(m, image.Rect(20, 0, 40, 40), image.NewUniform(blue), image.Point{}, draw.Src)
	for _, tt := range []struct {
		name        string
		side        int
		place       variant.Gravity
		left, right color.NRGBA // of the result
	}{
		{"larger, west", 10, variant.Gravity{Kind: variant.West}, red, red},
		{"larger, east", 10, variant.Gravity{Kind: variant.East}, blue, blue},
		{"larger, centre", 10, variant.Gravity{}, red, blue},
		{"over the left edge", 60, variant.Gravity{Kind: variant.West, X: -25}, blue, blank},
		{"over the right edge", 60, variant.Gravity{Kind: variant.East, X: -25}, blank, red},
		{"outside", 60, variant.Gravity{Kind: variant.East, X: 100}, blank, blank},
		{"far outside", 60, variant.Gravity{Kind: variant.South, Y: -100_000}, blank, blank},
	} {
		original := painted(t, tt.side, tt.side, color.White)
		got := laid(t, c, original, pngOf(t, m), variant.Watermark{Opacity: 1, Place: tt.place})
		wantColour(t, got, 1, tt.side/2, tt.left, 1)
		wantColour(t, got, tt.side-2, tt.side/2, tt.right, 1)
		if t.Failed() {
			t.Fatal(tt.name)
		}
	}
}

// A watermark gives a grey picture colour, adds no alpha, and is cut if it does not fit. Other variants of the same
// call have no watermark.
func TestWatermarkOnOtherPictures(t *testing.T) {
	c := mustNew(t, "")
	red := painted(t, 30, 30, color.NRGBA{R: 255, A: 255})
	mark := variant.Watermark{Opacity: 1, Place: variant.Gravity{Kind: variant.NorthWest}}
	grey := image.NewGray(image.Rect(0, 0, 100, 60))
	marked := func(original []byte) *image.NRGBA { return laid(t, c, original, red, mark) }
	got := marked(pngOf(t, grey))
	wantColour(t, got, 5, 5, color.NRGBA{255, 0, 0, 255}, 1)
	wantColour(t, got, 50, 50, color.NRGBA{0, 0, 0, 255}, 1)
	got = marked(painted(t, 100, 60, color.Transparent))
	wantColour(t, got, 5, 5, color.NRGBA{255, 0, 0, 255}, 1)
	if a := got.NRGBAAt(50, 50).A; a != 0 {
		t.Errorf("alpha beside the mark is %d", a)
	}
	got = marked(painted(t, 20, 10, color.White))
	wantColour(t, got, 10, 5, color.NRGBA{255, 0, 0, 255}, 1)
	black := laid(t, c, painted(t, 100, 60, color.White), pngOf(t, image.NewGray(image.Rect(0, 0, 30, 30))), mark)
	wantColour(t, black, 5, 5, color.NRGBA{0, 0, 0, 255}, 1)
	mark.Mark = "red"
	specs := []variant.Spec{{Width: 80, Format: variant.PNG, Watermark: mark}, {Width: 40, Format: variant.PNG}}
	err := c.Transform(variant.Original{Body: painted(t, 100, 60, color.White), Marks: map[string][]byte{"red": red}},
		specs, variant.StageFinal, testLimits,
		func(i int, img variant.Image, err error) {
			if err != nil {
				t.Fatal(err)
			}
			want := color.NRGBA{255, 0, 0, 255}
			if i == 1 {
				want.G, want.B = 255, 255
			}
			wantColour(t, decoded(t, img.Body), 3, 3, want, 1)
		})
	if err != nil {
		t.Fatal(err)
	}
}

// An extension to a ratio keeps the picture's size and adds to one side. The limit of the longest side includes padding
// and extension.
func TestRatioAndLongestSide(t *testing.T) {
	c := mustShare(t, "")
	white := painted(t, 100, 60, color.White)
	for name, tt := range map[string]struct {
		spec variant.Spec
		want geometry.Size
	}{
		"wide box":     {variant.Spec{Width: 400, Height: 100, ExtendRatio: true}, geometry.Size{W: 240, H: 60}},
		"high box":     {variant.Spec{Width: 100, Height: 400, ExtendRatio: true}, geometry.Size{W: 100, H: 400}},
		"smaller box":  {variant.Spec{Width: 50, Height: 50, ExtendRatio: true}, geometry.Size{W: 50, H: 50}},
		"no box":       {variant.Spec{Width: 50, ExtendRatio: true}, geometry.Size{W: 50, H: 30}},
		"side":         {variant.Spec{Limits: variant.Limits{Side: 40}}, geometry.Size{W: 40, H: 24}},
		"short enough": {variant.Spec{Limits: variant.Limits{Side: 200}}, geometry.Size{W: 100, H: 60}},
		"side of a cut": {variant.Spec{Width: 50, Height: 50, Resize: variant.Fill, Limits: variant.Limits{Side: 40}},
			geometry.Size{W: 40, H: 40}},
		"with padding": {variant.Spec{Padding: variant.Padding{Left: 50, Right: 50}, Limits: variant.Limits{Side: 100}},
			geometry.Size{W: 100, H: 30}},
		"enlarged": {variant.Spec{Width: 300, Enlarge: true, Limits: variant.Limits{Side: 150}}, geometry.Size{W: 150, H: 90}},
	} {
		tt.spec.Format = variant.PNG
		img := must(t, c, white, tt.spec)
		if got := (geometry.Size{W: img.Width, H: img.Height}); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
