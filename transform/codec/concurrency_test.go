package codec

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"

	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
	"github.com/h2non/bimg"
)

// manySpecs returns variants that share no, some or all steps with each other. None is small enough to be made from
// another.
func manySpecs() []variant.Spec {
	var specs []variant.Spec
	for _, f := range []variant.Format{variant.JPEG, variant.WebP, variant.AVIF, variant.PNG} {
		specs = append(specs, variant.Spec{Width: 90, Format: f}, variant.Spec{Width: 110, Format: f}, variant.Spec{Width: 85, Height: 85, Resize: variant.Fill, Format: f})
	}
	return append(specs, variant.Spec{Width: 90, Format: variant.JPEG, Quality: 30}, variant.Spec{Width: 90, Blur: 2, Format: variant.JPEG},
		variant.Spec{Format: variant.AVIF, Width: 100, Accepts: acceptAll}, variant.Spec{Format: variant.JPEG, Width: 100, Accepts: acceptAny})
}

// TestSameBytesAloneAndTogether makes each variant alone, all in one call, and all with little memory to share.
func TestSameBytesAloneAndTogether(t *testing.T) {
	for _, engine := range []string{EngineVips, EngineBimg} {
		c := mustNew(t, engine)
		for name, original := range map[string][]byte{
			"jpeg": withOrientation(jpegOf(t, scene(420, 300), 90), 6), "png": pngOf(t, clearScene(350, 250)),
			"webp": must(t, c, pngOf(t, scene(430, 320)), variant.Spec{Format: variant.WebP}).Body,
		} {
			specs := manySpecs()
			alone := make([]variant.Image, len(specs))
			for i, s := range specs {
				alone[i] = must(t, c, original, s)
			}
			for _, memory := range []int64{0, 1} {
				lim := testLimits
				lim.Memory = memory
				err := c.Transform(variant.Original{Body: original}, specs, variant.StageFirst, lim, func(i int, img variant.Image, err error) {
					if err != nil || !bytes.Equal(img.Body, alone[i].Body) {
						t.Errorf("%s %s: spec %d differs when made with others (%v)", engine, name, i, err)
					}
				})
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// TestTrap1RotatedFilesUnderConcurrency shrinks EXIF-rotated JPEGs on several goroutines with a busy garbage collector,
// in both engines. The bytes must equal those of a single goroutine.
func TestTrap1RotatedFilesUnderConcurrency(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	for _, engine := range []string{EngineVips, EngineBimg} {
		c := mustShare(t, engine)
		var originals [][]byte
		for i := range 8 {
			originals = append(originals, withOrientation(jpegOf(t, scene(600+10*i, 400), 88), byte(1+i)))
		}
		spec := variant.Spec{Width: 90, Format: variant.JPEG}
		var want []variant.Image
		for _, o := range originals {
			want = append(want, must(t, c, o, spec))
		}
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for n := range 40 {
					i := (g + n) % len(originals)
					img, err := one(t, c, originals[i], spec, testLimits)
					if err != nil || !bytes.Equal(img.Body, want[i].Body) {
						t.Errorf("%s: orientation %d: other bytes (%v)", engine, i+1, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// Vector code is only for processes that make one picture at a time: concurrent pictures crash in liborc, once in some
// hundred thousand pictures.
func TestVectorCodeIsOffForConcurrentPictures(t *testing.T) {
	if mustNew(t, ""); !vips.UsesVectors() {
		t.Skip("libvips has no vector code here")
	}
	c := mustShare(t, "")
	if vips.UsesVectors() {
		t.Error("several goroutines may use vector code")
	}
	if c.Alone(); !vips.UsesVectors() {
		t.Error("a worker does without vector code")
	}
}

// TestNothingLeaks runs calls that succeed and calls that fail. Afterwards libvips' count of allocations must be back
// at its start.
func TestNothingLeaks(t *testing.T) {
	c := mustNew(t, "")
	jpg := withOrientation(jpegOf(t, scene(400, 300), 90), 6)
	files := [][]byte{jpg, pngOf(t, clearScene(200, 100)), movie(t, 4), jpg[:len(jpg)/2], jpg[:len(jpg)-2], append(jpg[:200:200], 0xff, 0xd9)}
	round := func() {
		for _, b := range files {
			specs := append(manySpecs(), variant.Spec{Format: variant.WebP, Width: 190}, variant.Spec{Format: variant.GIF, Width: 20}, variant.Spec{Trim: variant.Trim{On: true, Threshold: 10}},
				variant.Spec{Width: 99999, Enlarge: true}, variant.Spec{Crop: variant.Crop{Width: 50, Height: 50, Gravity: variant.Gravity{Kind: variant.Smart}, GravitySet: true}})
			_ = c.Transform(variant.Original{Body: b}, specs, variant.StageFirst, animationLimits(10), func(int, variant.Image, error) {})
		}
	}
	round()
	before := bimg.VipsMemory()
	for range 3 {
		round()
	}
	runtime.GC()
	if after := bimg.VipsMemory(); after.Allocations > before.Allocations+4 || after.Memory > before.Memory+1<<20 {
		t.Errorf("after three rounds %d allocations and %d bytes, before %d and %d", after.Allocations, after.Memory, before.Allocations, before.Memory)
	}
}

// TestBimgAgrees compares the second engine with the first: same size, similar pixels.
func TestBimgAgrees(t *testing.T) {
	vips, second := mustNew(t, EngineVips), mustNew(t, EngineBimg)
	used := 0
	for _, file := range []string{"product-saw.jpg", "truck-street.jpg", "cardinal.jpg", "flower-grey.jpg", "faces-progressive.jpg", "tree.webp", "exif-portrait-6.jpg", "weld-16bit.png", "portrait-adobergb.jpg"} {
		original := readCorpus(t, "photos", file)
		for _, f := range []variant.Format{variant.JPEG, variant.WebP, variant.PNG} {
			for _, width := range []int{120, 333} {
				spec := variant.Spec{Width: width, Format: f}
				if f != variant.PNG {
					spec.Quality = 70
				}
				a, b := must(t, vips, original, spec), must(t, second, original, spec)
				name := fmt.Sprintf("%s as %s at %d", file, f, width)
				if a.Width != b.Width || a.Height != b.Height || a.Format != b.Format || a.Quality != b.Quality {
					t.Errorf("%s: vips %dx%d %s q%d, bimg %dx%d %s q%d", name, a.Width, a.Height, a.Format, a.Quality, b.Width, b.Height, b.Format, b.Quality)
					continue
				}
				pa, pb := decoded(t, a.Body), decoded(t, b.Body)
				if pa.Bounds() != pb.Bounds() || pa.Bounds().Dx() != b.Width {
					t.Errorf("%s: sizes %v and %v", name, pa.Bounds().Size(), pb.Bounds().Size())
				}
				limit := 12.0
				if f == variant.JPEG { // each engine has its own JPEG encoder
					limit = 16
				}
				if worst, mean := unlike(pa, pb, 10); worst > limit || mean > 1.8 {
					t.Errorf("%s: unlike by %.1f at worst, %.2f on average", name, worst, mean)
				}
				wantBare(t, name, f, b.Body)
				if bytes.HasSuffix([]byte(b.Note), []byte("bimg")) {
					used++
				}
			}
		}
	}
	if used < 24 {
		t.Errorf("bimg made %d of the variants, want the plain ones", used)
	}
	for _, file := range []string{"exif-portrait-6.jpg", "weld-16bit.png", "portrait-adobergb.jpg", "cmyk-icc.jpg", "diagram-alpha.png"} {
		if img := must(t, second, readCorpus(t, "photos", file), variant.Spec{Width: 100, Format: variant.JPEG}); bytes.Contains([]byte(img.Note), []byte("bimg")) {
			t.Errorf("bimg made %s, which it must not", file)
		}
	}
}
