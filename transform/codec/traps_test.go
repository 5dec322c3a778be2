package codec

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/transform/codec/vips"
	"github.com/goldcrest/goldcrest/variant"
)

// TestTrap4HalfFiles expects every truncated file to be refused: libvips decodes half a JPEG without an error.
func TestTrap4HalfFiles(t *testing.T) {
	c := mustNew(t, "")
	base := pngOf(t, scene(400, 300))
	files := map[string][]byte{"jpeg": jpegOf(t, scene(400, 300), 90), "png": base, "gif": movie(t, 3)}
	for _, f := range []variant.Format{variant.WebP, variant.AVIF} {
		files[string(f)] = must(t, c, base, variant.Spec{Format: f}).Body
	}
	files["progressive"] = must(t, c, base, variant.Spec{Format: variant.JPEG}).Body
	for name, b := range files {
		for _, share := range []float64{.3, .5, .9} {
			_, err := one(t, c, b[:int(float64(len(b))*share)], variant.Spec{Width: 50, Format: variant.JPEG}, testLimits)
			if k := fault.KindOf(err); k != fault.TruncatedSource && k != fault.DecodeFailed {
				t.Errorf("%.0f %% of a %s: got %v, want truncated_source or decode_failed", 100*share, name, err)
			}
		}
	}
}

// TestTrap4OnlyTheEndMissing accepts a JPEG with all its rows, whatever is missing after them.
func TestTrap4OnlyTheEndMissing(t *testing.T) {
	c := mustNew(t, "")
	baseline := jpegOf(t, scene(400, 2000), 90)
	progressive := must(t, c, pngOf(t, scene(400, 2000)), variant.Spec{Format: variant.JPEG}).Body
	spec := variant.Spec{Width: 100, Format: variant.PNG}
	for name, b := range map[string][]byte{"baseline": baseline, "progressive": progressive} {
		want := must(t, c, b, spec)
		got, err := one(t, c, b[:len(b)-2], spec, testLimits)
		if err != nil || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("%s without its end marker: %v, want the same picture", name, err)
		}
	}
	if _, err := one(t, c, baseline[:len(baseline)-200], spec, testLimits); err != nil {
		t.Errorf("a baseline JPEG that lacks less than 1 %% of its rows: %v", err)
	}
	if _, err := one(t, c, baseline[:len(baseline)*95/100], spec, testLimits); fault.KindOf(err) != fault.TruncatedSource {
		t.Errorf("a baseline JPEG that lacks 5 %% of its rows: %v, want truncated_source", err)
	}
	if _, err := one(t, c, append(bytes.Clone(baseline), make([]byte, 1000)...), spec, testLimits); err != nil {
		t.Errorf("bytes after the end: %v", err)
	}
}

func TestTrap4ManyScans(t *testing.T) {
	c := mustNew(t, "")
	_, err := one(t, c, readCorpus(t, "hostile", "jpeg-1000-scans.jpg"), variant.Spec{Width: 100}, testLimits)
	if fault.KindOf(err) != fault.TooCostly {
		t.Errorf("got %v, want too_costly", err)
	}
}

// TestTrap6UntrustedLoadersAreOff tries formats that Debian's libvips would read with libraries that must not get
// hostile files.
func TestTrap6UntrustedLoadersAreOff(t *testing.T) {
	c := mustNew(t, "")
	if vips.LoadsSVG() {
		t.Error("libvips loads SVG")
	}
	for name, b := range map[string]string{
		"pdf": "%PDF-1.4\n", "mvg": "push graphic-context\nviewbox 0 0 8 8\n", "ppm": "P6 1 1 255\n\x00\x00\x00", "fits": "SIMPLE  =                    T",
		"exr": "\x76\x2f\x31\x01\x02\x00\x00\x00", "xcf": "gimp xcf file\x00", "hdr": "#?RADIANCE\n",
	} {
		_, err := one(t, c, []byte(b), variant.Spec{}, testLimits)
		if k := fault.KindOf(err); k != fault.UnsupportedFormat && k != fault.NotAnImage {
			t.Errorf("%s: got %v, want unsupported_format or not_an_image", name, err)
		}
	}
}

// TestTrap7HeadersAreNotBelieved uses pictures whose header alone would cost gigabytes.
func TestTrap7HeadersAreNotBelieved(t *testing.T) {
	c := mustNew(t, "")
	for _, name := range []string{"pillow-bomb.gif", "webp-16383.webp", "png-30000x30000.png", "sharp-giant-280mp.jpg", "avif-ispe-60000.avif"} {
		_, err := one(t, c, readCorpus(t, "hostile", name), variant.Spec{Width: 10}, testLimits)
		if k := fault.KindOf(err); k != fault.TooManyPixels && k != fault.DecodeFailed && k != fault.TruncatedSource {
			t.Errorf("%s: got %v, want too_many_pixels or a broken file", name, err)
		}
	}
}

// TestTrap10aNeverGuess uses a file that hangs libvips' type detection, in a separate process.
func TestTrap10aNeverGuess(t *testing.T) {
	got := runChild(t, corpus(t, "hostile", "libvips-truncated.svgz"))
	if len(got) != 1 || (got[0] != "fault unsupported_format" && got[0] != "fault not_an_image") {
		t.Errorf("got %v, want a refusal", got)
	}
}

// TestTrap11NoWarnings decodes a broken PNG, for which libvips prints hundreds of lines, and a truncated one; runChild
// expects no output.
func TestTrap11NoWarnings(t *testing.T) {
	b := pngOf(t, noise(200, 200, 5))
	copy(b[len(b)/2:], make([]byte, 64)) // Corrupts a stored block and its checksum.
	path := filepath.Join(t.TempDir(), "broken.png")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range runChild(t, path) {
		if line != "fault decode_failed" && line != "fault truncated_source" {
			t.Errorf("got %q, want decode_failed", line)
		}
	}
}

// TestBMP reads a format for which libvips must not be used.
func TestBMP(t *testing.T) {
	c := mustNew(t, "")
	header := []byte("BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00\x04\x00\x00\x00\x02\x00\x00\x00\x01\x00\x18\x00\x00\x00\x00\x00\x18\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	pixel := func(n int, bgr string) []byte { return bytes.Repeat([]byte(bgr), n) }
	file := append(append(header, pixel(4, "\x1e\x1e\xdc")...), pixel(4, "\xdc\x1e\x1e")...) // Bottom row red, top row blue.
	got := decoded(t, must(t, c, file, variant.Spec{Format: variant.PNG}).Body)
	if got.Bounds().Size() != image.Pt(4, 2) {
		t.Fatalf("size %v, want 4x2", got.Bounds().Size())
	}
	wantColour(t, got, 1, 0, blue, 0)
	wantColour(t, got, 1, 1, red, 0)
	if _, err := one(t, c, file[:60], variant.Spec{}, testLimits); err == nil {
		t.Error("a cut BMP was accepted")
	}
}
