package codec

import (
	"image"
	"image/color"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/geometry"
	"github.com/goldcrest/goldcrest/variant"
)

// TestOptionsOnPixels sets one option at a time and checks pixels that only that option can produce. The source is 80 x
// 60: red, green / blue, yellow.
func TestOptionsOnPixels(t *testing.T) {
	type pixel struct {
		x, y int
		c    color.NRGBA
	}
	grav := func(k variant.GravityKind) variant.Gravity { return variant.Gravity{Kind: k} }
	crop := func(w, h float64, k variant.GravityKind) variant.Crop {
		return variant.Crop{Width: w, Height: h, Gravity: grav(k), GravitySet: true}
	}
	across, down := variant.Flip{FlipH: true}, variant.Flip{FlipV: true}
	upright := []pixel{{2, 2, red}, {-3, 2, green}, {2, -3, blue}, {-3, -3, yellow}}
	tests := []struct {
		name string
		spec variant.Spec
		size geometry.Size
		want []pixel
	}{
		{"nothing", variant.Spec{}, geometry.Size{W: 80, H: 60}, upright},
		{"width", variant.Spec{Width: 40}, geometry.Size{W: 40, H: 30}, upright},
		{"height", variant.Spec{Height: 30}, geometry.Size{W: 40, H: 30}, upright},
		{"force", variant.Spec{Resize: variant.Force, Width: 40, Height: 40}, geometry.Size{W: 40, H: 40}, upright},
		{"fill", variant.Spec{Resize: variant.Fill, Width: 30, Height: 30}, geometry.Size{W: 30, H: 30}, upright},
		{"fill west", variant.Spec{Resize: variant.Fill, Width: 30, Height: 60, Gravity: grav(variant.West)}, geometry.Size{W: 30, H: 60}, []pixel{{-2, 2, red}, {-2, -2, blue}}},
		{"fill east", variant.Spec{Resize: variant.Fill, Width: 30, Height: 60, Gravity: grav(variant.East)}, geometry.Size{W: 30, H: 60}, []pixel{{1, 2, green}, {1, -2, yellow}}},
		{"fill north", variant.Spec{Resize: variant.Fill, Width: 80, Height: 25, Gravity: grav(variant.North)}, geometry.Size{W: 80, H: 25}, []pixel{{2, -2, red}, {-2, -2, green}}},
		{"fill focus point", variant.Spec{Resize: variant.Fill, Width: 30, Height: 60, Gravity: variant.Gravity{Kind: variant.FocusPoint, X: 1, Y: .5}}, geometry.Size{W: 30, H: 60}, []pixel{{1, 2, green}}},
		{"gravity offset", variant.Spec{Resize: variant.Fill, Width: 20, Height: 60, Gravity: variant.Gravity{Kind: variant.West, X: 50}}, geometry.Size{W: 20, H: 60}, []pixel{{1, 2, green}}},
		{"fill-down", variant.Spec{Resize: variant.FillDown, Width: 600, Height: 600}, geometry.Size{W: 60, H: 60}, upright},
		{"auto", variant.Spec{Resize: variant.ResizeAuto, Width: 40, Height: 20}, geometry.Size{W: 40, H: 20}, upright},
		{"enlarge", variant.Spec{Width: 160, Enlarge: true}, geometry.Size{W: 160, H: 120}, upright},
		{"min-width", variant.Spec{MinWidth: 160}, geometry.Size{W: 160, H: 120}, upright},
		{"min-height", variant.Spec{MinHeight: 120}, geometry.Size{W: 160, H: 120}, upright},
		{"zoom", variant.Spec{Width: 20, ZoomX: 2, ZoomY: 2}, geometry.Size{W: 40, H: 30}, upright},
		{"dpr", variant.Spec{Width: 20, DPR: 2}, geometry.Size{W: 40, H: 30}, upright},
		{"crop no", variant.Spec{Crop: crop(0, 20, variant.North)}, geometry.Size{W: 80, H: 20}, []pixel{{2, -1, red}, {-2, -1, green}}},
		{"crop soea", variant.Spec{Crop: crop(30, 20, variant.SouthEast)}, geometry.Size{W: 30, H: 20}, []pixel{{0, 0, yellow}, {-1, -1, yellow}}},
		{"crop share", variant.Spec{Crop: crop(.5, .5, variant.SouthWest)}, geometry.Size{W: 40, H: 30}, []pixel{{0, 0, blue}, {-1, -1, blue}}},
		{"crop by the spec's gravity", variant.Spec{Gravity: grav(variant.NorthEast), Crop: variant.Crop{Width: 30, Height: 20}}, geometry.Size{W: 30, H: 20}, []pixel{{0, 0, green}, {-1, -1, green}}},
		{"crop, then width", variant.Spec{Crop: crop(.5, .5, variant.NorthEast), Width: 20}, geometry.Size{W: 20, H: 15}, []pixel{{0, 0, green}, {-1, -1, green}}},
		{"rotate 90", variant.Spec{Rotate: 90}, geometry.Size{W: 60, H: 80}, []pixel{{2, 2, blue}, {-3, 2, red}, {2, -3, yellow}, {-3, -3, green}}},
		{"rotate 180", variant.Spec{Rotate: 180}, geometry.Size{W: 80, H: 60}, []pixel{{2, 2, yellow}, {-3, 2, blue}, {2, -3, green}, {-3, -3, red}}},
		{"rotate 270", variant.Spec{Rotate: 270}, geometry.Size{W: 60, H: 80}, []pixel{{2, 2, green}, {-3, 2, yellow}, {2, -3, red}, {-3, -3, blue}}},
		{"flip horizontally", variant.Spec{Flip: across}, geometry.Size{W: 80, H: 60},
			[]pixel{{2, 2, green}, {-3, 2, red}, {2, -3, yellow}}},
		{"flip vertically", variant.Spec{Flip: down}, geometry.Size{W: 80, H: 60},
			[]pixel{{2, 2, blue}, {-3, 2, yellow}, {2, -3, red}}},
		{"rotate and flip", variant.Spec{Rotate: 90, Flip: across, Width: 30}, geometry.Size{W: 30, H: 40},
			[]pixel{{2, 2, red}, {-3, 2, blue}, {2, -3, green}, {-3, -3, yellow}}},
		{"rotate, then crop", variant.Spec{Rotate: 90, Crop: crop(20, 20, variant.NorthWest)}, geometry.Size{W: 20, H: 20}, []pixel{{1, 1, blue}, {-2, -2, blue}}},
		{"rotate, then fill", variant.Spec{Rotate: 90, Resize: variant.Fill, Width: 60, Height: 30, Gravity: grav(variant.South)}, geometry.Size{W: 60, H: 30}, []pixel{{1, 1, yellow}, {-2, -2, green}}},
		{"flip, then fill", variant.Spec{Flip: across, Resize: variant.Fill, Width: 30, Height: 60,
			Gravity: grav(variant.West)}, geometry.Size{W: 30, H: 60}, []pixel{{1, 1, green}, {1, -2, yellow}}},
		{"extend", variant.Spec{Width: 80, Height: 80, Extend: true}, geometry.Size{W: 80, H: 80}, []pixel{{2, 2, none}, {2, -3, none}, {2, 12, red}, {-3, -13, yellow}}},
		{"extend to the south", variant.Spec{Width: 80, Height: 80, Extend: true, ExtendGravity: grav(variant.North)}, geometry.Size{W: 80, H: 80}, []pixel{{2, 2, red}, {2, -3, none}}},
		{"extend on a background", variant.Spec{Width: 80, Height: 80, Extend: true, Background: variant.Color{Set: true, B: 255}}, geometry.Size{W: 80, H: 80}, []pixel{{2, 2, color.NRGBA{0, 0, 255, 255}}}},
		{"padding", variant.Spec{Padding: variant.Padding{Top: 5, Right: 6, Bottom: 7, Left: 8}, Background: variant.Color{Set: true}}, geometry.Size{W: 94, H: 72},
			[]pixel{{7, 4, black}, {8, 5, red}, {-6, -7, black}, {-7, -8, yellow}}},
		{"padding and dpr", variant.Spec{Width: 20, DPR: 2, Padding: variant.Padding{Left: 5}}, geometry.Size{W: 50, H: 30}, []pixel{{9, 2, none}, {12, 2, red}}},
	}
	c := mustNew(t, "")
	original := pngOf(t, quarters(80, 60))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Format = variant.PNG
			img := must(t, c, original, tt.spec)
			got := decoded(t, img.Body)
			if s := got.Bounds().Size(); s != image.Pt(tt.size.W, tt.size.H) || img.Width != s.X || img.Height != s.Y {
				t.Fatalf("size %v, reported %dx%d, want %v", s, img.Width, img.Height, tt.size)
			}
			for _, p := range tt.want {
				wantColour(t, got, p.x, p.y, p.c, 12)
			}
		})
	}
}

// TestAutoRotate draws the stored picture of each orientation and expects the same upright result for all;
// auto_rotate:0 shows it as stored.
func TestAutoRotate(t *testing.T) {
	c := mustNew(t, "")
	stored := jpegOf(t, quarters(160, 120), 95)
	corners := map[int][4]color.NRGBA{ // top left, top right, bottom left, bottom right once upright
		1: {red, green, blue, yellow}, 2: {green, red, yellow, blue}, 3: {yellow, blue, green, red}, 4: {blue, yellow, red, green},
		5: {red, blue, green, yellow}, 6: {blue, red, yellow, green}, 7: {yellow, green, blue, red}, 8: {green, yellow, red, blue},
	}
	for exif, want := range corners {
		for _, width := range []int{0, 40} { // At full size, and with shrink-on-load.
			img := must(t, c, withOrientation(stored, byte(exif)), variant.Spec{Width: width, Format: variant.PNG})
			got := decoded(t, img.Body)
			if turned := got.Bounds().Dx() < got.Bounds().Dy(); turned != (exif >= 5) {
				t.Errorf("exif %d width %d: size %v", exif, width, got.Bounds().Size())
			}
			wantColour(t, got, 3, 3, want[0], 25)
			wantColour(t, got, -4, 3, want[1], 25)
			wantColour(t, got, 3, -4, want[2], 25)
			wantColour(t, got, -4, -4, want[3], 25)
			if w, h := 160, 120; (exif >= 5 && (img.SourceWidth != h || img.SourceHeight != w)) || (exif < 5 && (img.SourceWidth != w || img.SourceHeight != h)) {
				t.Errorf("exif %d: source %dx%d", exif, img.SourceWidth, img.SourceHeight)
			}
		}
	}
	asStored := variant.Spec{Keep: variant.Keep{KeepOrientation: true}, Format: variant.PNG}
	kept := decoded(t, must(t, c, withOrientation(stored, 6), asStored).Body)
	wantColour(t, kept, 3, 3, red, 25)
	wantColour(t, kept, -4, 3, green, 25)
}

// TestStripComesOutInEveryFormat makes a strip that is longer than any variant may be.
func TestStripComesOutInEveryFormat(t *testing.T) {
	c := mustNew(t, "")
	strip := image.NewNRGBA(image.Rect(0, 0, 40, 20_000))
	fill(strip, image.Rect(0, 0, 40, 10_000), red)
	fill(strip, image.Rect(0, 10_000, 40, 20_000), blue)
	original := pngOf(t, strip)
	for _, f := range formats {
		img := must(t, c, original, variant.Spec{Width: 800, Format: f, Quality: 90})
		if img.Width != 33 || img.Height != 16_383 || img.AskedWidth != 40 || img.AskedHeight != 20_000 {
			t.Errorf("%s: %d x %d of %d x %d, want 33 x 16383 of 40 x 20000", f, img.Width, img.Height, img.AskedWidth, img.AskedHeight)
		}
		got := decoded(t, img.Body)
		wantColour(t, got, 16, 100, red, 12)
		wantColour(t, got, 16, -100, blue, 12)
	}
	if img := must(t, c, original, variant.Spec{Width: 20, Format: variant.JPEG}); img.AskedWidth != 0 || img.Height != 10_000 {
		t.Errorf("what fits: %d x %d, asked %d", img.Width, img.Height, img.AskedWidth)
	}
}
