package e2e

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The configured watermark is read before the worker is sandboxed, and is drawn on pictures that request it. Without
// one the option is refused before anything is fetched.
func TestWatermarkOfTheConfiguration(t *testing.T) {
	plain := func(side int, c color.Color) []byte {
		img := image.NewNRGBA(image.Rect(0, 0, side, side))
		draw.Draw(img, img.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
		return pngOf(t, img)
	}
	o := startOrigin(t)
	fetched := 0
	o.on("/white.png", func(w http.ResponseWriter, _ *http.Request) {
		fetched++
		_, _ = w.Write(plain(100, color.White))
	})
	source := o.URL + "/white.png"
	bare := start(t)
	a := bare.get(signed("wm:1:soea/f:png", source))
	if a.StatusCode != 400 || a.Header.Get("X-Error") != "unsupported_option" || fetched != 0 ||
		!strings.Contains(string(a.body), "transform.watermark is not set") {
		t.Errorf("without a mark: %d %s after %d fetches", a.StatusCode, a.body, fetched)
	}
	file := filepath.Join(t.TempDir(), "mark.png")
	if err := os.WriteFile(file, plain(10, red), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "GOLDCREST_TRANSFORM_WATERMARK="+file)
	for options, want := range map[string]color.NRGBA{"wm:1:soea/f:png": red, "w:100/f:png": white} {
		a := s.get(signed(options, source))
		img, err := png.Decode(bytes.NewReader(a.body))
		if err != nil {
			t.Fatalf("%s: %d %v", options, a.StatusCode, err)
		}
		at := func(x, y int) color.NRGBA { return color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA) }
		if got := at(95, 95); !near(got, want, 2) || !near(at(80, 80), white, 2) {
			t.Errorf("%s: %v in the corner, %v beside it", options, got, at(80, 80))
		}
	}
}
