package geometry

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

const noLimit = int64(1) << 40

// vectorModes maps the names in the test vectors to resize modes.
var vectorModes = map[string]variant.ResizeMode{"fit": variant.Fit, "fill": variant.Fill, "fill-down": variant.FillDown, "force": variant.Force}

func TestGeometryVectors(t *testing.T) {
	root := cmp.Or(os.Getenv("GOLDCREST_CORPUS"), filepath.Join("..", "..", "..", "..", "shared", "corpus"))
	text, err := os.ReadFile(filepath.Join(root, "vectors", "geometry.tsv"))
	if err != nil {
		t.Skipf("no corpus: %v", err)
	}
	rows := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
	for _, row := range rows {
		f := strings.Split(row, "\t")
		n := func(i int) int {
			v, err := strconv.Atoi(f[i])
			if err != nil {
				t.Fatalf("%s: %v", row, err)
			}
			return v
		}
		mode, ok := vectorModes[f[3]]
		if !ok {
			t.Logf("%s: no URL asks for mode %s", f[0], f[3])
			continue
		}
		p, err := NewPlan(variant.Spec{Resize: mode, Width: n(4), Height: n(5), Enlarge: f[6] == "yes"}, Size{n(1), n(2)}, Orientation{}, noLimit)
		if err != nil {
			t.Errorf("%s: %v", f[0], err)
			continue
		}
		tolerance := n(9)
		if abs(p.Out.W-n(7)) > tolerance || abs(p.Out.H-n(8)) > tolerance {
			t.Errorf("%s: %s %sx%s of %sx%s = %v, want %sx%s", f[0], f[3], f[4], f[5], f[1], f[2], p.Out, f[7], f[8])
		}
	}
}

func abs(v int) int { return max(v, -v) }

func TestPlanSizes(t *testing.T) {
	landscape, portrait := Size{4000, 3000}, Size{3000, 4000}
	crop := func(w, h float64) variant.Crop { return variant.Crop{Width: w, Height: h} }
	tests := []struct {
		name string
		src  Size
		exif int
		spec variant.Spec
		want Size
	}{
		{"nothing asked", landscape, 1, variant.Spec{}, Size{4000, 3000}},
		{"exif 6 is upright first", landscape, 6, variant.Spec{Width: 300}, Size{300, 400}},
		{"exif 3 keeps the sides", landscape, 3, variant.Spec{Width: 400}, Size{400, 300}},
		{"rotate 90", landscape, 1, variant.Spec{Width: 300, Rotate: 90}, Size{300, 400}},
		{"exif 6 and rotate 90", landscape, 6, variant.Spec{Width: 400, Rotate: 90}, Size{400, 300}},
		{"dpr", landscape, 1, variant.Spec{Width: 400, DPR: 2}, Size{800, 600}},
		{"dpr never enlarges", Size{500, 500}, 1, variant.Spec{Width: 400, DPR: 2}, Size{500, 500}},
		{"zoom", landscape, 1, variant.Spec{Width: 400, ZoomX: 2, ZoomY: 2}, Size{800, 600}},
		{"zoom alone does not enlarge", landscape, 1, variant.Spec{ZoomX: 2, ZoomY: 2}, Size{4000, 3000}},
		{"zoom alone shrinks", landscape, 1, variant.Spec{ZoomX: .5, ZoomY: .5}, Size{2000, 1500}},
		{"zoom enlarges when allowed", Size{100, 50}, 1, variant.Spec{ZoomX: 2, ZoomY: 2, Enlarge: true}, Size{200, 100}},
		{"enlarge", Size{100, 50}, 1, variant.Spec{Width: 400, Enlarge: true}, Size{400, 200}},
		{"auto fills alike", landscape, 1, variant.Spec{Resize: variant.ResizeAuto, Width: 400, Height: 200}, Size{400, 200}},
		{"auto fits unlike", portrait, 1, variant.Spec{Resize: variant.ResizeAuto, Width: 400, Height: 200}, Size{150, 200}},
		{"force", landscape, 1, variant.Spec{Resize: variant.Force, Width: 400, Height: 400}, Size{400, 400}},
		{"force one side", landscape, 1, variant.Spec{Resize: variant.Force, Width: 400}, Size{400, 3000}},
		{"fill-down keeps the shape", Size{300, 200}, 1, variant.Spec{Resize: variant.FillDown, Width: 600, Height: 600}, Size{200, 200}},
		{"fill-down wide", Size{300, 200}, 1, variant.Spec{Resize: variant.FillDown, Width: 600, Height: 200}, Size{300, 100}},
		{"min-width", landscape, 1, variant.Spec{Width: 400, MinWidth: 800}, Size{400, 600}},
		{"min-height", landscape, 1, variant.Spec{Height: 300, MinHeight: 600}, Size{800, 300}},
		{"min-width alone enlarges", Size{100, 50}, 1, variant.Spec{MinWidth: 200}, Size{200, 100}},
		{"crop pixels", landscape, 1, variant.Spec{Crop: crop(1000, 500)}, Size{1000, 500}},
		{"crop share", landscape, 1, variant.Spec{Crop: crop(.5, .25)}, Size{2000, 750}},
		{"crop one side", landscape, 1, variant.Spec{Crop: crop(1000, 0)}, Size{1000, 3000}},
		{"crop beyond the picture", landscape, 1, variant.Spec{Crop: crop(1e9, 9999)}, Size{4000, 3000}},
		{"crop, then fit", landscape, 1, variant.Spec{Crop: crop(1000, 500), Width: 100, Height: 100}, Size{100, 50}},
		{"crop is upright", landscape, 6, variant.Spec{Crop: crop(1000, 500)}, Size{1000, 500}},
		{"extend", landscape, 1, variant.Spec{Width: 400, Height: 400, Extend: true}, Size{400, 400}},
		{"extend a small source", Size{100, 50}, 1, variant.Spec{Width: 400, Height: 400, Extend: true}, Size{400, 400}},
		{"extend without a box", landscape, 1, variant.Spec{Width: 400, Extend: true}, Size{400, 300}},
		{"padding", landscape, 1, variant.Spec{Width: 400, Padding: variant.Padding{Top: 1, Right: 2, Bottom: 3, Left: 4}}, Size{406, 304}},
		{"padding and dpr", landscape, 1, variant.Spec{Width: 400, DPR: 2, Padding: variant.Padding{Left: 10}}, Size{820, 600}},
		{"never below one pixel", Size{10000, 10}, 1, variant.Spec{Width: 20}, Size{20, 1}},
	}
	for _, tt := range tests {
		p, err := NewPlan(tt.spec, tt.src, EXIF(tt.exif), noLimit)
		if err != nil || p.Out != tt.want {
			t.Errorf("%s: got %v, %v, want %v", tt.name, p.Out, err, tt.want)
		}
	}
}

// TestFitReducesWhatIsTooLong checks that a long strip is reduced to the largest possible size, and that Asked is set.
func TestFitReducesWhatIsTooLong(t *testing.T) {
	tests := []struct {
		name        string
		spec        variant.Spec
		src         Size
		want, asked Size
	}{
		{"side", variant.Spec{Width: 800}, Size{800, 20_000}, Size{655, 16_383}, Size{800, 20_000}},
		{"side of a wide one", variant.Spec{Height: 300}, Size{20_000, 300}, Size{16_383, 246}, Size{20_000, 300}},
		{"side, nothing named", variant.Spec{}, Size{800, 20_000}, Size{655, 16_383}, Size{800, 20_000}},
		{"side within a box", variant.Spec{Width: 900, Height: 30_000}, Size{800, 20_000}, Size{655, 16_383}, Size{800, 20_000}},
		{"side, turned", variant.Spec{Width: 800, Rotate: 90}, Size{20_000, 800}, Size{655, 16_383}, Size{800, 20_000}},
		{"side, auto", variant.Spec{Width: 800, Height: 700, Resize: variant.ResizeAuto}, Size{600, 20_000}, Size{21, 700}, Size{}},
		{"area", variant.Spec{Width: 2000}, Size{2000, 12_000}, Size{1633, 9797}, Size{2000, 12_000}},
		{"both", variant.Spec{Width: 1200}, Size{1200, 40_000}, Size{491, 16_383}, Size{1200, 40_000}},
		{"padding", variant.Spec{Width: 800, Padding: variant.Padding{Top: 100}}, Size{800, 20_000}, Size{651, 16_383}, Size{800, 20_100}},
		{"what fits", variant.Spec{Width: 400}, Size{800, 20_000}, Size{400, 10_000}, Size{}},
	}
	for _, tt := range tests {
		p, err := NewPlan(tt.spec, tt.src, Orientation{}, 16_000_000)
		if err != nil || abs(p.Out.W-tt.want.W) > 1 || abs(p.Out.H-tt.want.H) > 2 || p.Asked != tt.asked {
			t.Errorf("%s: %v for %v, %v; want %v for %v", tt.name, p.Out, p.Asked, err, tt.want, tt.asked)
		}
		if p.Out.W > maxSide || p.Out.H > maxSide || p.Out.Area() > 16_000_000 {
			t.Errorf("%s: %v is too large still", tt.name, p.Out)
		}
	}
}

func TestPlanTooLarge(t *testing.T) {
	tests := []struct {
		name string
		spec variant.Spec
		src  Size
	}{
		{"area", variant.Spec{Width: 4001, Height: 4001, Resize: variant.Force, Enlarge: true}, Size{10, 10}},
		{"side", variant.Spec{Width: 16_384, Height: 1, Resize: variant.Force, Enlarge: true}, Size{10, 10}},
		{"full size of a large source", variant.Spec{}, Size{6000, 4000}},
		{"dpr", variant.Spec{Width: 3000, DPR: 8, Enlarge: true}, Size{10, 10}},
		{"a square of a side", variant.Spec{Width: 5000}, Size{5000, 5000}},
		{"a strip that is filled", variant.Spec{Width: 5000, Height: 12_000, Resize: variant.Fill}, Size{5000, 12_000}},
		{"a strip by force", variant.Spec{Width: 800, Resize: variant.Force}, Size{800, 20_000}},
		{"a strip that is enlarged", variant.Spec{Width: 800, Enlarge: true}, Size{400, 10_000}},
		{"zoom overflows", variant.Spec{Width: 1 << 30, ZoomX: 1e300, ZoomY: 1e300, Enlarge: true}, Size{10, 10}},
		{"extend", variant.Spec{Width: 1 << 30, Height: 10, Extend: true}, Size{10, 10}},
		{"padding", variant.Spec{Padding: variant.Padding{Left: 1 << 30, Right: 1 << 30}}, Size{10, 10}},
		{"before the crop", variant.Spec{Width: 4000, Height: 4000, Resize: variant.Fill, Enlarge: true}, Size{1, 10000}},
		{"before attention crops", variant.Spec{Width: 400, Height: 4000, Resize: variant.Fill, Enlarge: true, Gravity: variant.Gravity{Kind: variant.Smart}}, Size{1000, 10}},
	}
	for _, tt := range tests {
		if _, err := NewPlan(tt.spec, tt.src, Orientation{}, 16_000_000); fault.KindOf(err) != fault.ResultTooLarge {
			t.Errorf("%s: got %v, want result_too_large", tt.name, err)
		}
	}
}

// TestOrientation checks the algebra on a picture of six numbered pixels: the result of EXIF, rotation and flips, and
// that an area in the turned picture maps to the same pixels in the stored one.
func TestOrientation(t *testing.T) {
	for exif := 1; exif <= 8; exif++ {
		for _, degrees := range []int{0, 90, 180, 270} {
			for _, flips := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
				want := grid{{1, 2, 3}, {4, 5, 6}}.upright(exif).turn(degrees / 90)
				if flips[0] {
					want = want.mirror()
				}
				if flips[1] {
					want = want.turn(2).mirror()
				}
				o := EXIF(exif).rotated(degrees).flipped(flips[0], flips[1])
				src := grid{{1, 2, 3}, {4, 5, 6}}
				got := src.turn(o.Turns)
				if o.Mirror {
					got = got.mirror()
				}
				if !got.equal(want) {
					t.Fatalf("exif %d rotate %d flips %v: got %v, want %v", exif, degrees, flips, got, want)
				}
				s := o.Of(Size{3, 2})
				for y := range s.H {
					for x := range s.W {
						r := o.Stored(Rect{x, y, 1, 1}, s)
						if src[r.Y][r.X] != got[y][x] || r.W != 1 || r.H != 1 {
							t.Fatalf("exif %d rotate %d flips %v: pixel %d,%d maps to %v", exif, degrees, flips, x, y, r)
						}
					}
				}
			}
		}
	}
}

// grid is a picture of numbers. It implements EXIF's eight cases by their definition.
type grid [][]int

func (g grid) turn(quarters int) grid {
	for range quarters {
		out := make(grid, len(g[0]))
		for y := range out {
			for x := range g {
				out[y] = append(out[y], g[len(g)-1-x][y])
			}
		}
		g = out
	}
	return g
}

func (g grid) mirror() grid {
	out := make(grid, len(g))
	for y, row := range g {
		for x := range row {
			out[y] = append(out[y], row[len(row)-1-x])
		}
	}
	return out
}

func (g grid) equal(h grid) bool {
	if len(g) != len(h) {
		return false
	}
	for y := range g {
		for x := range g[y] {
			if len(g[y]) != len(h[y]) || g[y][x] != h[y][x] {
				return false
			}
		}
	}
	return true
}

// upright shows a stored grid by its EXIF value. Row 0 and column 0 of the stored picture are, in order of the values:
// top left, top right, bottom right, bottom left, left top, right top, right bottom, left bottom.
func (g grid) upright(exif int) grid {
	h, w := len(g), len(g[0])
	at := map[int]func(x, y int) (int, int){
		1: func(x, y int) (int, int) { return x, y }, 2: func(x, y int) (int, int) { return w - 1 - x, y },
		3: func(x, y int) (int, int) { return w - 1 - x, h - 1 - y }, 4: func(x, y int) (int, int) { return x, h - 1 - y },
		5: func(x, y int) (int, int) { return y, x }, 6: func(x, y int) (int, int) { return h - 1 - y, x },
		7: func(x, y int) (int, int) { return h - 1 - y, w - 1 - x }, 8: func(x, y int) (int, int) { return y, w - 1 - x },
	}[exif]
	rows, cols := h, w
	if exif >= 5 {
		rows, cols = w, h
	}
	out := make(grid, rows)
	for y := range out {
		out[y] = make([]int, cols)
	}
	for y := range g {
		for x := range g[y] {
			nx, ny := at(x, y)
			out[ny][nx] = g[y][x]
		}
	}
	return out
}

func TestPlace(t *testing.T) {
	outer, inner := Size{100, 60}, Size{20, 10}
	g := func(k variant.GravityKind, x, y float64) variant.Gravity { return variant.Gravity{Kind: k, X: x, Y: y} }
	tests := []struct {
		g    variant.Gravity
		x, y int
	}{
		{g(variant.Centre, 0, 0), 40, 25}, {g(variant.North, 0, 0), 40, 0}, {g(variant.South, 0, 0), 40, 50},
		{g(variant.East, 0, 0), 80, 25}, {g(variant.West, 0, 0), 0, 25}, {g(variant.NorthWest, 0, 0), 0, 0},
		{g(variant.NorthEast, 0, 0), 80, 0}, {g(variant.SouthWest, 0, 0), 0, 50}, {g(variant.SouthEast, 0, 0), 80, 50},
		{g(variant.Centre, 5, -3), 45, 22}, {g(variant.North, 5, 3), 45, 3}, {g(variant.South, 0, 3), 40, 47},
		{g(variant.East, 5, 0), 75, 25}, {g(variant.West, 5, 0), 5, 25}, {g(variant.SouthEast, .1, .1), 70, 44},
		{g(variant.Centre, 1000, 1000), 80, 50}, {g(variant.Centre, -1000, -1000), 0, 0},
		{g(variant.FocusPoint, .5, .5), 40, 25}, {g(variant.FocusPoint, 0, 0), 0, 0}, {g(variant.FocusPoint, 1, 1), 80, 50},
		{g(variant.FocusPoint, .25, .75), 15, 40},
	}
	for _, tt := range tests {
		if got := place(outer, inner, tt.g, 1); got.X != tt.x || got.Y != tt.y || got.Size() != inner {
			t.Errorf("place(%+v) = %+v, want %d,%d", tt.g, got, tt.x, tt.y)
		}
	}
	if got := place(outer, inner, g(variant.West, 5, 0), 2); got.X != 10 {
		t.Errorf("an offset of 5 at dpr 2 = %d, want 10", got.X)
	}
}
