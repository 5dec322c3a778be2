package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// An SVG is served as pixels in the requested size, with its text and its filters, for which librsvg starts threads,
// drawn in the sandbox; one that refers to a file is refused.
func TestSVGLeavesAsPixels(t *testing.T) {
	s, o := start(t), startOrigin(t)
	drawing := func(inside string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/svg+xml")
			_, _ = w.Write([]byte(`<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20">` + inside + `</svg>`))
		}
	}
	o.on("/good.svg", drawing(`<rect width="15" height="20" fill="red"/><text y="15">a</text>`))
	o.on("/filters.svg", drawing(`<filter id="f"><feGaussianBlur stdDeviation="1"/><feDiffuseLighting>`+
		`<feDistantLight elevation="45"/></feDiffuseLighting></filter><rect width="30" height="20" filter="url(#f)"/>`))
	o.on("/bad.svg", drawing(`<image href="file:///etc/passwd"/>`))
	for _, f := range []string{"webp", "avif", "png", "jpg"} {
		a := s.get(signed("w:600/f:"+f, o.URL+"/good.svg"))
		if a.StatusCode != 200 || strings.Contains(string(a.body), "<svg") {
			t.Errorf("%s: %d %s", f, a.StatusCode, a.Header.Get("X-Error"))
		}
	}
	if a := s.get(signed("w:1200/f:webp", o.URL+"/filters.svg")); a.StatusCode != 200 {
		t.Errorf("filters: %d %s", a.StatusCode, a.Header.Get("X-Error"))
	}
	if a := s.get(signed("w:600", o.URL+"/bad.svg")); a.StatusCode != 415 || a.Header.Get("X-Error") != "unsupported_format" {
		t.Errorf("%d %s", a.StatusCode, a.Header.Get("X-Error"))
	}
	if n := s.metric("goldcrest_workers_ended_total"); n != 0 {
		t.Errorf("%.0f workers ended", n)
	}
}
