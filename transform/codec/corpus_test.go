package codec

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/sniff"
	"github.com/goldcrest/goldcrest/variant"
)

// reference is the result of libvips' own command line for a photo: upright, in sRGB by the profile at 800 px (CMYK at
// full size, which the tool would convert differently), then 200 px wide. It converts only where necessary, since the
// tool changes the colours of a picture without a profile.
func reference(t *testing.T, path string, in sniff.Info) *image.NRGBA {
	t.Helper()
	dir := t.TempDir()
	run := func(name string, args ...string) {
		tool, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("no %s (package libvips-tools) to compare with", name)
		}
		cmd := exec.Command(tool, args...)
		cmd.Env = append(os.Environ(), "VIPS_WARNING=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, text)
		}
	}
	convert := in.Profile || in.CMYK
	if convert {
		if !in.CMYK {
			run("vipsthumbnail", path, "--size", "800x>", "-o", filepath.Join(dir, "upright.v"))
			path = filepath.Join(dir, "upright.v")
		}
		run("vips", "icc_transform", path, filepath.Join(dir, "srgb.tif[strip]"), "srgb", "--embedded", "--input-profile", "cmyk")
		path = filepath.Join(dir, "srgb.tif")
	}
	out := filepath.Join(dir, "reference.png")
	args := []string{path, "--size", "200x>", "-o", out + "[strip]"}
	if convert {
		args = append(args, "--no-rotate")
	}
	run("vipsthumbnail", args...)
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	n := image.NewNRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(n, n.Bounds(), img, image.Point{}, draw.Src)
	return n
}

// tolerances are the largest allowed differences from the reference on a 10 x 10 grid: of the worst cell, and the mean,
// in steps of 255. Lossless formats differ by resampling and, for colours out of gamut, by converting after the resize.
// Lossy formats differ by their quality, GIF by its 256 colours and its 1-bit alpha.
var tolerances = map[variant.Format][2]float64{
	variant.PNG: {12, 1.5}, variant.JPEG: {12, 1.8}, variant.WebP: {15, 2.2}, variant.AVIF: {14, 2.5}, variant.GIF: {34, 3},
}

// onWhite lays a picture on white, as in a JPEG.
func onWhite(img *image.NRGBA) *image.NRGBA {
	out := image.NewNRGBA(img.Bounds())
	fill(out, out.Bounds(), white)
	draw.Draw(out, out.Bounds(), img, image.Point{}, draw.Over)
	return out
}

// TestCorpusPhotos makes every photo in every format and compares size and colours with libvips' own tool.
func TestCorpusPhotos(t *testing.T) {
	manifest := strings.Split(strings.TrimSpace(string(readCorpus(t, "photos", "MANIFEST.tsv"))), "\n")[1:]
	c := mustNew(t, "")
	for _, row := range manifest {
		f := strings.Split(row, "\t")
		name := f[0]
		t.Run(name, func(t *testing.T) {
			original := readCorpus(t, "photos", name)
			if name == "struct.svg" {
				if _, err := one(t, c, original, variant.Spec{Format: variant.PNG}, testLimits); fault.KindOf(err) != fault.UnsupportedFormat {
					t.Fatalf("got %v, want unsupported_format", err)
				}
				return
			}
			in, err := sniff.Inspect(original)
			if err != nil {
				t.Fatal(err)
			}
			ref := reference(t, corpus(t, "photos", name), in)
			width := ref.Bounds().Dx()
			specs := make([]variant.Spec, len(formats))
			for i, f := range formats {
				specs[i] = variant.Spec{Width: 200, Format: f, Class: variant.ClassHigh}
			}
			err = c.Transform(variant.Original{Body: original}, specs, variant.StageFirst, testLimits, func(i int, img variant.Image, err error) {
				if err != nil {
					t.Errorf("%s: %v", specs[i].Format, err)
					return
				}
				wantLike(t, specs[i].Format, img, ref, width)
				wantSource(t, img, f[2], f[3])
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func wantLike(t *testing.T, f variant.Format, img variant.Image, ref *image.NRGBA, width int) {
	t.Helper()
	got, want := decoded(t, img.Body), ref
	if f == variant.JPEG {
		want = onWhite(ref)
	}
	if s := got.Bounds().Size(); s.X != img.Width || s.Y != img.Height || s.X != min(width, img.SourceWidth) || abs(s.Y-want.Bounds().Dy()) > 1 {
		t.Fatalf("%s: size %v, reported %dx%d, want %v", f, s, img.Width, img.Height, want.Bounds().Size())
	}
	worst, mean := unlike(got, want, 10)
	if limit := tolerances[f]; worst > limit[0] || mean > limit[1] {
		t.Errorf("%s: unlike the reference by %.1f at worst and %.2f on average, want at most %v", f, worst, mean, limit)
	}
}

// wantSource compares the reported source with the manifest. The manifest has stored sizes, so width and height may be
// swapped.
func wantSource(t *testing.T, img variant.Image, width, height string) {
	t.Helper()
	w, _ := strconv.Atoi(width)
	h, _ := strconv.Atoi(height)
	if !(img.SourceWidth == w && img.SourceHeight == h) && !(img.SourceWidth == h && img.SourceHeight == w) {
		t.Errorf("source %dx%d, want %sx%s", img.SourceWidth, img.SourceHeight, width, height)
	}
}

// TestCorpusOrientations checks that all eight EXIF orientations of one photo look like the first, except for the digit
// in the middle and the re-encoding.
func TestCorpusOrientations(t *testing.T) {
	c := mustNew(t, "")
	look := func(n int) *image.NRGBA {
		original := readCorpus(t, "photos", fmt.Sprintf("exif-portrait-%d.jpg", n))
		img := must(t, c, original, variant.Spec{Width: 300, Format: variant.PNG})
		if img.Width != 300 || img.Height != 450 || img.SourceWidth != 1200 || img.SourceHeight != 1800 {
			t.Errorf("exif %d: %dx%d of %dx%d, want 300x450 of 1200x1800", n, img.Width, img.Height, img.SourceWidth, img.SourceHeight)
		}
		return decoded(t, img.Body)
	}
	first := look(1)
	for n := 2; n <= 8; n++ {
		if worst, mean := unlike(look(n), first, 10); worst > 8 || mean > 1 {
			t.Errorf("exif %d is unlike exif 1 by %.1f at worst, %.2f on average", n, worst, mean)
		}
	}
	turned := must(t, c, readCorpus(t, "photos", "exif-portrait-1.jpg"), variant.Spec{Width: 300, Rotate: 180, Format: variant.PNG})
	if worst, _ := unlike(decoded(t, turned.Body), first, 10); worst < 20 {
		t.Errorf("upside down it differs by %.1f only: this test cannot fail", worst)
	}
}

// TestTrap5ProfileIsConverted checks that the saturated colours of a Display-P3 picture are converted when its profile
// is dropped.
func TestTrap5ProfileIsConverted(t *testing.T) {
	c := mustNew(t, "")
	original := readCorpus(t, "photos", "p3-ring.png")
	got := decoded(t, must(t, c, original, variant.Spec{Width: 200, Format: variant.PNG}).Body)
	raw, err := png.Decode(bytes.NewReader(original))
	if err != nil {
		t.Fatal(err)
	}
	unconverted := image.NewNRGBA(image.Rect(0, 0, raw.Bounds().Dx(), raw.Bounds().Dy()))
	draw.Draw(unconverted, unconverted.Bounds(), raw, image.Point{}, draw.Src)
	if worst, _ := unlike(got, unconverted, 10); worst < 8 {
		t.Errorf("the colours moved by %.1f only, so the profile was dropped without a conversion", worst)
	}
}

// TestGreyStaysGrey checks for one component in formats that support it.
func TestGreyStaysGrey(t *testing.T) {
	c := mustNew(t, "")
	original := readCorpus(t, "photos", "flower-grey.jpg")
	for _, f := range []variant.Format{variant.JPEG, variant.PNG} {
		body := must(t, c, original, variant.Spec{Width: 100, Format: f}).Body
		img, _, err := image.Decode(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := img.(*image.Gray); !ok {
			t.Errorf("%s: %T, want grey", f, img)
		}
	}
}
