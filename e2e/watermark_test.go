package e2e

import (
	"bytes"
	"encoding/base64"
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

// The watermark of the configuration, or of the URL, is drawn on pictures that request it. A URL without either is
// refused before anything is fetched. Another picture in the configured file makes new variants after a restart.
func TestWatermarks(t *testing.T) {
	plain := func(side int, c color.Color) []byte {
		img := image.NewNRGBA(image.Rect(0, 0, side, side))
		draw.Draw(img, img.Bounds(), image.NewUniform(c), image.Point{}, draw.Src)
		return pngOf(t, img)
	}
	blue := color.NRGBA{0, 0, 255, 255}
	o := startOrigin(t)
	fetched := map[string]int{}
	for path, body := range map[string][]byte{"/white.png": plain(100, color.White), "/blue.png": plain(10, blue)} {
		o.on(path, func(w http.ResponseWriter, _ *http.Request) {
			fetched[path]++
			_, _ = w.Write(body)
		})
	}
	source := o.URL + "/white.png"
	markAt := func(path string) string { return "/wmu:" + base64.RawURLEncoding.EncodeToString([]byte(o.URL+path)) }
	dir := t.TempDir()
	s := startIn(t, dir)
	drawn := func(options string, want color.NRGBA) {
		t.Helper()
		a := s.get(signed(options, source))
		img, err := png.Decode(bytes.NewReader(a.body))
		if err != nil {
			t.Fatalf("%s: %d %s", options, a.StatusCode, a.body)
		}
		at := func(x, y int) color.NRGBA { return color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA) }
		if got := at(95, 95); !near(got, want, 2) || !near(at(80, 80), white, 2) {
			t.Errorf("%s: %v in the corner, %v beside it", options, got, at(80, 80))
		}
	}
	refused := func(options, code, why string) {
		t.Helper()
		a := s.get(signed(options, source))
		if a.StatusCode != 400 || a.Header.Get("X-Error") != code || !strings.Contains(string(a.body), why) {
			t.Errorf("%s: %d %s", options, a.StatusCode, a.body)
		}
	}
	refused("wm:1:soea/f:png", "unsupported_option", "transform.watermark is not set")
	if len(fetched) != 0 {
		t.Errorf("fetched %v", fetched)
	}
	drawn("wm:1:soea/f:png"+markAt("/blue.png"), blue)
	drawn("q:9/wm:1:soea/f:png"+markAt("/blue.png"), blue)
	drawn("f:png"+markAt("/blue.png"), white)
	refused("wm:1:soea/f:png"+markAt("/none.png"), "bad_option", "the watermark: ")
	if fetched["/blue.png"] != 1 {
		t.Errorf("fetched %v", fetched)
	}
	if strings.Contains(s.log.String(), markAt("/blue.png")[5:]) {
		t.Error("the log has the URL of a watermark")
	}
	file := filepath.Join(dir, "mark.png")
	for _, c := range []color.NRGBA{red, blue} {
		s.stop()
		if err := os.WriteFile(file, plain(10, c), 0o600); err != nil {
			t.Fatal(err)
		}
		s = startIn(t, dir, "GOLDCREST_TRANSFORM_WATERMARK="+file)
		drawn("wm:1:soea/f:png", c)
		drawn("w:100/f:png", white)
	}
}
