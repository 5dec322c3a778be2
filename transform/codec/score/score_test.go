package score

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// pixels returns the pixels of img, with alpha if it is not opaque.
func pixels(img image.Image) Pixels {
	b := img.Bounds()
	n := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(n, n.Bounds(), img, b.Min, draw.Src)
	p := Pixels{Data: n.Pix, Width: b.Dx(), Height: b.Dy(), Bands: 4}
	if n.Opaque() {
		p.Bands, p.Data = 3, make([]byte, 0, 3*b.Dx()*b.Dy())
		for i := 0; i < len(n.Pix); i += 4 {
			p.Data = append(p.Data, n.Pix[i:i+3]...)
		}
	}
	return p
}

func scoreOf(t testing.TB, a, b Pixels) float64 {
	t.Helper()
	s, err := New(a.Width, a.Height)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v, err := s.Score(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAgreesWithTheReference compares with the reference tool on the photos of the corpus, at several sizes and
// qualities. Near 95 the tool deviates from the definition (see exact), so the definition is used there.
func TestAgreesWithTheReference(t *testing.T) {
	tool, err := exec.LookPath("ssimulacra2")
	if err != nil {
		t.Skip("there is no ssimulacra2 (Debian 13: libjxl-devtools)")
	}
	corpus := os.Getenv("GOLDCREST_CORPUS")
	if corpus == "" {
		corpus = "../../../../shared/corpus"
	}
	files, _ := filepath.Glob(filepath.Join(corpus, "photos", "*.jpg"))
	if len(files) == 0 {
		t.Skip("there is no corpus")
	}
	dir, n, rounded, worst := t.TempDir(), 0, 0, 0.0
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		full, err := jpeg.Decode(f)
		f.Close()
		if err != nil {
			continue // CMYK and the like; enough others are left.
		}
		for _, size := range []int{11, 120, 437} {
			ref := crop(full, size*4/3, size)
			a := writePNG(t, dir, "a", ref)
			for _, q := range []int{25, 80, 95} {
				var coded bytes.Buffer
				if err := jpeg.Encode(&coded, ref, &jpeg.Options{Quality: q}); err != nil {
					t.Fatal(err)
				}
				lossy, err := jpeg.Decode(&coded)
				if err != nil {
					t.Fatal(err)
				}
				img := crop(lossy, lossy.Bounds().Dx(), lossy.Bounds().Dy()) // 8 bits per band.
				b := writePNG(t, dir, "b", img)
				out, err := exec.Command(tool, a, b).Output()
				if err != nil {
					t.Fatal(err)
				}
				want, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
				if err != nil {
					t.Fatal(err)
				}
				got := scoreOf(t, readPNG(t, a), readPNG(t, b))
				n++
				if want < 30 || want > 95 {
					continue
				}
				if math.Abs(got-want) > 0.3 { // Rounding in the tool, or our fault?
					if off := math.Abs(got - exact(readPNG(t, a), readPNG(t, b))); off <= 0.1 && want > 75 {
						rounded++
						continue
					}
				}
				worst = max(worst, math.Abs(got-want))
				if math.Abs(got-want) > 0.3 {
					t.Errorf("%s, %d px, q %d: %.3f, the reference says %.3f", filepath.Base(file), size, q, got, want)
				}
			}
		}
	}
	t.Logf("%d pairs, at most %.3f apart but for %d above 75 in which the tool's rounding shows", n, worst, rounded)
}

// crop shrinks by dropping pixels and cuts: the result only needs detail.
func crop(img image.Image, w, h int) image.Image {
	b := img.Bounds()
	step := max(min(b.Dx()/w, b.Dy()/h), 1)
	w, h = min(w, b.Dx()), min(h, b.Dy())
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			out.Set(x, y, img.At(b.Min.X+x*step, b.Min.Y+y*step))
		}
	}
	return out
}

func writePNG(t testing.TB, dir, name string, img image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name+".png")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readPNG(t testing.TB, path string) Pixels {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return pixels(img)
}

// drawn is a picture with edges, gradients and noise.
func drawn(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	seed := uint32(1)
	for y := range h {
		for x := range w {
			seed = seed*1664525 + 1013904223
			v := uint8(x*255/w)/2 + uint8(seed>>28)
			c := color.NRGBA{v + uint8(y&31), 200 - v, uint8(y * 255 / h), 255}
			if (x/16+y/16)%5 == 0 {
				c = color.NRGBA{250, 250, 240, 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func TestScoreLaws(t *testing.T) {
	ref := pixels(drawn(203, 117))
	if got := scoreOf(t, ref, ref); got != 100 {
		t.Errorf("the same picture scores %v", got)
	}
	before := 101.0
	for _, step := range []int{1, 4, 16, 64} { // Increasingly coarse.
		b := Pixels{Data: bytes.Clone(ref.Data), Width: ref.Width, Height: ref.Height, Bands: 3}
		for i, v := range b.Data {
			b.Data[i] = v / byte(step) * byte(step)
		}
		got := scoreOf(t, ref, b)
		if got >= before && step > 1 {
			t.Errorf("in steps of %d: %v, before %v", step, got, before)
		}
		before = got
	}
	for _, bad := range []Pixels{{}, {Data: ref.Data[1:], Width: 203, Height: 117, Bands: 3}, {Data: ref.Data, Width: 203, Height: 116, Bands: 3}, {Data: ref.Data, Width: 203, Height: 117, Bands: 1}} {
		s, _ := New(203, 117)
		if _, err := s.Score(ref, bad); err != ErrSize {
			t.Errorf("%dx%dx%d: %v", bad.Width, bad.Height, bad.Bands, err)
		}
		s.Close()
	}
	if _, err := New(7, 100); err != ErrSize {
		t.Errorf("7 pixels wide: %v", err)
	}
}

// A reused scorer gives the same score, and so do pictures whose rows have a larger pitch.
func TestScoreIsOfThePixelsAlone(t *testing.T) {
	a, b := pixels(drawn(97, 64)), pixels(drawn(97, 64))
	for i := range b.Data {
		b.Data[i] ^= byte(i % 7)
	}
	want := scoreOf(t, a, b)
	s, err := New(97, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	apart := Pixels{Width: 97, Height: 64, Bands: 3, Pitch: 97*3 + 5}
	for y := range 64 {
		apart.Data = append(append(apart.Data, b.Data[y*97*3:][:97*3]...), 1, 2, 3, 4, 5)
	}
	for _, p := range []Pixels{a, b, apart, b} {
		got, err := s.Score(a, p)
		if err != nil {
			t.Fatal(err)
		}
		if &p.Data[0] != &a.Data[0] && got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// Transparent pixels are scored on a dark and on a light background.
func TestScoreOfTransparency(t *testing.T) {
	a, b := drawn(64, 64), drawn(64, 64)
	for i := 3; i < len(a.Pix); i += 4 {
		a.Pix[i], b.Pix[i] = 0, 0
		b.Pix[i-1] ^= 0xff // Invisible.
	}
	a.Pix[3], b.Pix[3] = 255, 255
	b.Pix[2] = a.Pix[2]
	if got := scoreOf(t, pixels(a), pixels(b)); got != 100 {
		t.Errorf("colours that nobody sees: %v", got)
	}
	for i := 3; i < len(b.Pix); i += 40 {
		b.Pix[i] = 255
	}
	if got := scoreOf(t, pixels(a), pixels(b)); got > 50 {
		t.Errorf("pixels that show: %v", got)
	}
}

func BenchmarkScore(b *testing.B) {
	for _, size := range [][2]int{{800, 625}, {480, 320}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			p, q := pixels(drawn(size[0], size[1])), pixels(drawn(size[0], size[1]))
			s, err := New(size[0], size[1])
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			for b.Loop() {
				if _, err := s.Score(p, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
