package codec

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/variant"
)

// view is a picture as imgproxy's documentation promises it: its size, the part of it that holds pixels of the
// original, and where in the original each point lies.
type view struct {
	w, h   int
	inner  [4]float64 // left, top, right, bottom
	x, y   [3]float64 // the original's x and y of a point: factors for its x and y, and a constant
	rounds float64    // how far a side is from being rounded the other way
	slack  float64    // pixels by which a place may differ
}

func whole(w, h int) view {
	return view{w: w, h: h, x: [3]float64{1, 0, 0}, y: [3]float64{0, 1, 0}, rounds: 1, slack: 1}
}

// mapped is v seen by points p of a new picture: old x = a*x + b*y + c, old y = d*x + e*y + f.
func (v view) mapped(w, h int, a, b, c, d, e, f float64) view {
	for _, row := range []*[3]float64{&v.x, &v.y} {
		*row = [3]float64{row[0]*a + row[1]*d, row[0]*b + row[1]*e, row[0]*c + row[1]*f + row[2]}
	}
	v.w, v.h = w, h
	v.inner = [4]float64{0, 0, float64(w), float64(h)}
	return v
}

func (v view) cut(left, top, w, h int) view {
	return v.mapped(w, h, 1, 0, float64(left), 0, 1, float64(top))
}

// clockwise turns by a quarter.
func (v view) clockwise() view { return v.mapped(v.h, v.w, 0, 1, 0, -1, 0, float64(v.h)) }

// scaled has the sides w and h, rounded.
func (v view) scaled(w, h float64) view {
	rounds := v.rounds
	for _, side := range []float64{w, h} {
		_, fraction := math.Modf(side)
		rounds = math.Min(rounds, math.Abs(fraction-0.5))
	}
	old := v
	nw, nh := max(1, int(math.Round(w))), max(1, int(math.Round(h)))
	v = v.mapped(nw, nh, float64(v.w)/float64(nw), 0, 0, 0, float64(v.h)/float64(nh), 0)
	v.rounds = rounds
	for i, k := range []float64{float64(nw) / float64(old.w), float64(nh) / float64(old.h)} {
		if old.inner != ([4]float64{}) {
			v.inner[i], v.inner[i+2] = old.inner[i]*k, old.inner[i+2]*k
		}
	}
	return v
}

// on lays v on a larger canvas.
func (v view) on(w, h, left, top int) view {
	old := v
	v = v.mapped(w, h, 1, 0, -float64(left), 0, 1, -float64(top))
	x, y := float64(left), float64(top)
	v.inner = [4]float64{x, y, x + float64(old.w), y + float64(old.h)}
	return v
}

// pull is the place of an inner picture in an outer one, or on it, by a gravity's words.
func pull(gravity string, w, h, innerW, innerH int, dpr float64) (left, top int) {
	var x, y float64
	kind, offsets, _ := strings.Cut(gravity, ":")
	_, _ = fmt.Sscanf(strings.ReplaceAll(offsets, ":", " "), "%g %g", &x, &y)
	if kind == "fp" {
		l, t := x*float64(w)-float64(innerW)/2, y*float64(h)-float64(innerH)/2
		return min(max(int(math.Round(l)), 0), w-innerW), min(max(int(math.Round(t)), 0), h-innerH)
	}
	offset := func(v float64, side int) int {
		if math.Abs(v) >= 1 {
			return int(math.Round(v * dpr))
		}
		return int(math.Round(v * float64(side)))
	}
	dx, dy := offset(x, w), offset(y, h)
	left, top = (w-innerW)/2+dx, (h-innerH)/2+dy
	if strings.HasPrefix(kind, "no") {
		top = dy
	}
	if strings.HasPrefix(kind, "so") {
		top = h - innerH - dy
	}
	if strings.HasSuffix(kind, "we") {
		left = dx
	}
	if strings.HasSuffix(kind, "ea") {
		left = w - innerW - dx
	}
	return min(max(left, 0), w-innerW), min(max(top, 0), h-innerH)
}

// ask are the options of a URL, each as its document describes it.
type ask struct {
	mode                string
	w, h, minW, minH    int
	zoom, dpr           float64
	enlarge             bool
	extend, extendRatio string // gravity; "" = off
	gravity, cropBy     string // "" = the default
	cropW, cropH        float64
	rotate, side        int
	padding             [4]int
	flip                bool
}

// options is the ask as a URL says it.
func (a ask) options() string {
	text := fmt.Sprintf("f:png/rs:%s:%d:%d/el:%t/z:%g/dpr:%g", a.mode, a.w, a.h, a.enlarge, a.zoom, a.dpr)
	add := func(when bool, format string, args ...any) {
		if when {
			text += "/" + fmt.Sprintf(format, args...)
		}
	}
	add(a.rotate > 0, "rot:%d", a.rotate)
	add(a.minW > 0, "mw:%d", a.minW)
	add(a.minH > 0, "mh:%d", a.minH)
	add(a.gravity != "", "g:%s", a.gravity)
	add(a.extend != "", "ex:1:%s", a.extend)
	add(a.extendRatio != "", "exar:1:%s", a.extendRatio)
	by := ""
	if a.cropBy != "" {
		by = ":" + a.cropBy
	}
	add(a.cropW > 0 || a.cropH > 0, "c:%g:%g%s", a.cropW, a.cropH, by)
	add(a.padding != [4]int{}, "pd:%d:%d:%d:%d", a.padding[0], a.padding[1], a.padding[2], a.padding[3])
	add(a.side > 0, "mrd:%d", a.side)
	add(a.flip, "fl:1:0")
	return text
}

// promised is the result according to the documentation. ok is false where that says nothing: what becomes of ratios,
// zooms and paddings if the original is too small for its box and may not be enlarged. There imgproxy's own results
// count (TestGeometryVectors).
func (a ask) promised(v view) (_ view, ok bool) {
	for range a.rotate / 90 {
		v = v.clockwise()
	}
	v = a.cropped(v)
	if a.flip {
		v = v.mapped(v.w, v.h, -1, 0, float64(v.w), 0, 1, 0)
	}
	boxW, boxH := float64(a.w)*a.dpr*a.zoom, float64(a.h)*a.dpr*a.zoom
	sx, sy := a.scales(v, boxW, boxH)
	if bare := math.Max(sx, sy) / math.Min(a.dpr, 1); bare > 1 && !a.enlarge {
		if a.dpr != 1 || a.zoom != 1 || a.mode == "force" {
			return v, false
		}
		sx, sy = 1, 1
	}
	w, h := float64(v.w)*sx, float64(v.h)*sy
	if more := math.Max(float64(a.minW)/w, float64(a.minH)/h); more > 1 {
		w, h = w*more, h*more
	}
	v = v.scaled(w, h)
	v = a.filled(v, int(math.Round(boxW)), int(math.Round(boxH)))
	var pad [4]int
	for i, css := range a.padding {
		pad[i] = int(math.Round(float64(css) * a.dpr))
	}
	if pad != ([4]int{}) {
		left, top := v.inner[0]+float64(pad[3]), v.inner[1]+float64(pad[0])
		right, bottom := v.inner[2]+float64(pad[3]), v.inner[3]+float64(pad[0])
		v = v.on(v.w+pad[1]+pad[3], v.h+pad[0]+pad[2], pad[3], pad[0])
		v.inner = [4]float64{left, top, right, bottom}
	}
	if longest := max(v.w, v.h); a.side > 0 && longest > a.side {
		k := float64(a.side) / float64(longest)
		v = v.scaled(float64(v.w)*k, float64(v.h)*k)
		v.rounds, v.slack = 0, 3
	}
	return v, true
}

// cropped cuts the area of the option crop out.
func (a ask) cropped(v view) view {
	side := func(whole int, of float64) int {
		switch {
		case of == 0:
			return whole
		case of < 1:
			return int(math.Round(float64(whole) * of))
		}
		return min(whole, int(of))
	}
	w, h := side(v.w, a.cropW), side(v.h, a.cropH)
	by := a.cropBy
	if by == "" {
		by = a.gravity
	}
	left, top := pull(by, v.w, v.h, w, h, 1)
	return v.cut(left, top, w, h)
}

// scales are the factors of the resizing type.
func (a ask) scales(v view, boxW, boxH float64) (sx, sy float64) {
	none := a.dpr * a.zoom // of a side that is not given
	sx, sy = none, none
	if a.w > 0 {
		sx = boxW / float64(v.w)
	}
	if a.h > 0 {
		sy = boxH / float64(v.h)
	}
	mode := a.mode
	if mode == "auto" {
		mode = "fit"
		w, h := a.w, a.h
		if w == 0 {
			w = v.w
		}
		if h == 0 {
			h = v.h
		}
		if (v.w >= v.h) == (w >= h) {
			mode = "fill"
		}
	}
	switch {
	case mode == "force" || a.w == 0 && a.h == 0:
		return sx, sy
	case a.w == 0:
		return sy, sy
	case a.h == 0:
		return sx, sx
	case mode == "fit":
		return math.Min(sx, sy), math.Min(sx, sy)
	}
	return math.Max(sx, sy), math.Max(sx, sy)
}

// filled cuts what projects beyond the box, and extends what is smaller.
func (a ask) filled(v view, boxW, boxH int) view {
	w, h := v.w, v.h
	if boxW > 0 {
		w = min(w, boxW)
	}
	if boxH > 0 {
		h = min(h, boxH)
	}
	if a.mode == "fill-down" && !a.enlarge && boxW > 0 && boxH > 0 && (v.w < boxW || v.h < boxH) {
		k := math.Min(float64(v.w)/float64(boxW), float64(v.h)/float64(boxH))
		w, h = int(math.Round(float64(boxW)*k)), int(math.Round(float64(boxH)*k))
	}
	left, top := pull(a.gravity, v.w, v.h, w, h, a.dpr)
	v = v.cut(left, top, w, h)
	switch {
	case a.extend != "":
		w, h = max(w, boxW), max(h, boxH)
		left, top = pull(a.extend, w, h, v.w, v.h, a.dpr)
		return v.on(w, h, left, top)
	case a.extendRatio != "" && boxW > 0 && boxH > 0:
		ratio := float64(boxW) / float64(boxH)
		w = max(w, int(math.Round(float64(v.h)*ratio)))
		h = max(h, int(math.Round(float64(v.w)/ratio)))
		left, top = pull(a.extendRatio, w, h, v.w, v.h, a.dpr)
		return v.on(w, h, left, top)
	}
	return v
}

// check compares a result with what was promised: its size, and where in the original its pixels were.
func (v view) check(got *image.NRGBA) error {
	size := got.Bounds().Size()
	off := max(size.X-v.w, v.w-size.X, size.Y-v.h, v.h-size.Y)
	if off > 1 || off > 0 && v.rounds > 0.01 {
		return fmt.Errorf("it is %d x %d, want %d x %d", size.X, size.Y, v.w, v.h)
	}
	perX, perY := math.Abs(v.x[0])+math.Abs(v.x[1]), math.Abs(v.y[0])+math.Abs(v.y[1])
	for _, fy := range []float64{0.03, 0.2, 0.5, 0.8, 0.97} {
		for _, fx := range []float64{0.03, 0.2, 0.5, 0.8, 0.97} {
			px, py := int(fx*float64(size.X)), int(fy*float64(size.Y))
			x, y := float64(px)+0.5, float64(py)+0.5
			at := got.NRGBAAt(px, py)
			depth := min(x-v.inner[0], v.inner[2]-x, y-v.inner[1], v.inner[3]-y) // negative = outside
			switch edge := v.slack + 3; {
			case depth < -edge && at.A != 0:
				return fmt.Errorf("at %d, %d there is a pixel, want none: it is %v of the picture", px, py, depth)
			case depth < edge:
				continue
			case at.A != 255:
				return fmt.Errorf("at %d, %d there is no pixel, %v inside the picture", px, py, depth)
			}
			wantX := v.x[0]*x + v.x[1]*y + v.x[2]
			wantY := v.y[0]*x + v.y[1]*y + v.y[2]
			if dx, dy := float64(at.R)+0.5-wantX, float64(at.G)+0.5-wantY; math.Abs(dx) > 2+v.slack*perX ||
				math.Abs(dy) > 2+v.slack*perY {
				return fmt.Errorf("at %d, %d is the original's %d, %d, want %.1f, %.1f",
					px, py, at.R, at.G, wantX-0.5, wantY-0.5)
			}
		}
	}
	return nil
}

// atlas is a picture whose pixels tell where they are.
func atlas(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetNRGBA(x, y, color.NRGBA{uint8(x), uint8(y), 160, 255})
		}
	}
	return img
}

// drawAsk draws options at random.
func drawAsk(r *rand.Rand) ask {
	onto := strings.Fields(`ce no so ea we noea nowe soea sowe ce:9:-7 no:5:6 so:-8:9 ea:7:3 we:4:-5 noea:6:0.1
		nowe:0.1:3 soea:3:4 sowe:9:9 fp:0.2:0.7 fp:0:1 fp:0.5:0.5`)
	gravities := append(onto, "")
	one := func(list []string) string { return list[r.IntN(len(list))] }
	rare := func(n int) bool { return r.IntN(n) == 0 }
	sides := []int{0, 37, 60, 100, 150, 200, 333}
	a := ask{
		mode: one([]string{"fit", "fill", "fill-down", "force", "auto"}),
		w:    sides[r.IntN(len(sides))], h: sides[r.IntN(len(sides))], zoom: 1, dpr: 1,
		enlarge: rare(2), gravity: one(gravities), rotate: 90 * r.IntN(4),
	}
	if rare(3) {
		a.dpr = []float64{0.5, 1.5, 2, 3}[r.IntN(4)]
	}
	if rare(5) {
		a.zoom = []float64{0.5, 1.3, 2}[r.IntN(3)]
	}
	if rare(6) && a.mode == "fit" && a.dpr == 1 && a.zoom == 1 {
		a.minW, a.minH = r.IntN(300), r.IntN(300)
	}
	if rare(3) {
		a.extend = one(onto)
	} else if rare(3) {
		a.extendRatio = one(onto)
	}
	if rare(3) {
		crops := []float64{0, 50, 120, 500, 0.25, 0.8}
		a.cropW, a.cropH, a.cropBy = crops[r.IntN(6)], crops[r.IntN(6)], one(gravities)
	}
	if rare(3) {
		a.padding = [4]int{r.IntN(20), r.IntN(20), r.IntN(20), 1 + r.IntN(20)}
	}
	if rare(6) {
		a.side = 40 + r.IntN(200)
	}
	a.flip = rare(5) && a.cropW == 0 && a.cropH == 0
	return a
}

// Size and position of results are what imgproxy's documentation promises, for options in all combinations. An
// independent calculation says what that is, and a picture whose pixels tell where they are shows what it became.
func TestResultsAreAsDocumented(t *testing.T) {
	c := mustNew(t, "")
	parser, err := variant.NewParser(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 14))
	checked := map[string]int{}
	for checked["all"] < 500 {
		w, h := 40+r.IntN(210), 40+r.IntN(210)
		a := drawAsk(r)
		want, ok := a.promised(whole(w, h))
		if !ok {
			continue
		}
		spec, _, err := parser.ParseOptions(a.options())
		if err != nil {
			t.Fatal(a.options(), err)
		}
		img, err := one(t, c, pngOf(t, atlas(w, h)), spec.Resolve(variant.Accept{}), testLimits)
		if err == nil {
			err = want.check(decoded(t, img.Body))
		}
		if err != nil {
			t.Errorf("%s of %d x %d: %v", a.options(), w, h, err)
		}
		checked["all"]++
		checked[a.mode]++
	}
	for _, mode := range []string{"fit", "fill", "fill-down", "force", "auto"} {
		if checked[mode] < 50 {
			t.Errorf("%s was checked %d times", mode, checked[mode])
		}
	}
}
