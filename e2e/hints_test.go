package e2e

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// With client hints, a URL or a preset that names no width gets the width of the client, rounded up. Clients of one
// rounded width share a variant, with and without a memory of it. What the URL or the preset names is kept.
func TestClientHints(t *testing.T) {
	o := startOrigin(t)
	o.on("/a.png", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(pngOf(t, image.NewNRGBA(image.Rect(0, 0, 1000, 500))))
	})
	dir := t.TempDir()
	more := "presets:\n  open: \"f:png\"\n  fixed: \"w:100/f:png\"\nnegotiation: {client_hints: true}\n"
	config := bytes.Replace([]byte(configText(dir, "")), []byte("presets: {std: \"rs:fit:800:0\"}\n"), []byte(more), 1)
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	s := startIn(t, dir)
	const both, ratio = "Sec-CH-DPR, DPR, Sec-CH-Width, Width", "Sec-CH-DPR, DPR"
	for _, tt := range []struct {
		options      string
		hints        []string
		width        int
		vary, status string
	}{
		{"f:png", nil, 1000, both, "goldcrest; fwd=miss"},
		{"f:png", []string{"Sec-CH-Width", "321"}, 384, both, "goldcrest; fwd=miss"},
		{"f:png", []string{"Sec-CH-Width", "380"}, 384, both, "goldcrest; hit; detail=memory"},
		{"f:png", []string{"Width", "384"}, 384, both, "goldcrest; hit; detail=memory"},
		{"pr:open", []string{"Width", "350"}, 384, both, "goldcrest; hit; detail=memory"},
		{"f:png/w:384", nil, 384, ratio, "goldcrest; hit; detail=memory"},
		{"f:png", []string{"Sec-CH-Width", "385"}, 448, both, "goldcrest; fwd=miss"},
		{"pr:fixed", []string{"Sec-CH-Width", "380"}, 100, ratio, "goldcrest; fwd=miss"},
		{"pr:fixed", []string{"Sec-CH-DPR", "1.8"}, 200, ratio, "goldcrest; fwd=miss"},
		{"pr:fixed/dpr:2", []string{"Sec-CH-DPR", "3"}, 200, "", "goldcrest; hit; detail=memory"},
	} {
		a := s.get(signed(tt.options, o.URL+"/a.png"), tt.hints...)
		got, err := png.DecodeConfig(bytes.NewReader(a.body))
		if err != nil || got.Width != tt.width {
			t.Fatalf("%s with %q: %d, %v, %+v; want %d wide", tt.options, tt.hints, a.StatusCode, err, got, tt.width)
		}
		a.want(t, "Vary", tt.vary)
		a.want(t, "Cache-Status", tt.status)
	}
	s.stop()
	s = startIn(t, dir)
	a := s.get(signed("f:png", o.URL+"/a.png"), "Sec-CH-Width", "377")
	a.want(t, "Cache-Status", "goldcrest; hit; detail=store")
}
