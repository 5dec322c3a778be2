package e2e

import (
	"bytes"
	"image/color"
	"image/png"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// What is sent as it is and JPEG XL pass through the whole server: the response, HEAD, and the store after a restart.
// The JPEG XL is a picture: the server reads it back.
func TestUntouchedAndJPEGXL(t *testing.T) {
	original := jpegOf(t, quarters(64, 64, yellow), 90)
	original = append(original[:2:2], append([]byte("\xff\xfe\x00\x06hush"), original[2:]...)...) // a comment
	drawing := pngOf(t, quarters(64, 64, white))
	bodies := map[string][]byte{"/a.jpg": original, "/a.png": drawing}
	o := startOrigin(t)
	for path, body := range bodies {
		o.on(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	}
	env := []string{"GOLDCREST_TRANSFORM_RAW=true", "GOLDCREST_NEGOTIATION_FORMATS=[jxl, avif, webp, jpeg]"}
	requests := map[string]struct {
		options, source, accept, contentType string
		want                                 []byte // nil = what the first response has
	}{
		"raw":        {"raw:1/w:30", "/a.jpg", "image/webp", "image/jpeg", original},
		"skipped":    {"skp:png/f:png/w:30", "/a.png", "image/webp", "image/png", drawing},
		"f:jxl":      {"f:jxl/w:32/q:95", "/a.jpg", "image/jpeg", "image/jxl", nil},
		"negotiated": {"w:32", "/a.jpg", "image/jxl,image/avif", "image/jxl", nil},
	}
	if says, err := exec.Command(binary, "version").Output(); err != nil || bytes.Contains(says, []byte("no encoder")) {
		t.Logf("%v: JPEG XL is left out:\n%s", err, says)
		delete(requests, "f:jxl")
		delete(requests, "negotiated")
	}
	first, dir := map[string]answer{}, t.TempDir()
	s := startIn(t, dir, env...)
	get := func(method, name string) answer {
		q := requests[name]
		a := s.do(method, s.public+signed(q.options, o.URL+q.source), "Accept", q.accept)
		if a.StatusCode != 200 || a.Header.Get("Content-Type") != q.contentType {
			t.Fatalf("%s %s: %d %s %s", method, name, a.StatusCode, a.Header.Get("Content-Type"), a.body)
		}
		return a
	}
	for name, q := range requests {
		a := get("GET", name)
		if q.want != nil && !bytes.Equal(a.body, q.want) {
			t.Errorf("%s: %d bytes are not the %d of the original", name, len(a.body), len(q.want))
		}
		first[name] = a
		if name == "f:jxl" {
			o.on("/a.jxl", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(a.body) })
		}
	}
	s.stop()
	s = startIn(t, dir, env...)
	for name := range requests {
		was, head, again := first[name], get("HEAD", name), get("GET", name)
		if len(head.body) != 0 || head.ContentLength != int64(len(was.body)) || !bytes.Equal(again.body, was.body) {
			t.Errorf("%s: HEAD has %d bytes of %d, GET %d of %d", name, len(head.body), head.ContentLength,
				len(again.body), len(was.body))
		}
		for _, a := range []answer{head, again} {
			if a.Header.Get("ETag") != was.Header.Get("ETag") || !strings.Contains(a.Header.Get("Cache-Status"), "hit") {
				t.Errorf("%s: %s %s after %s", name, a.Header.Get("ETag"), a.Header.Get("Cache-Status"),
					was.Header.Get("ETag"))
			}
		}
	}
	if first["f:jxl"].Response == nil {
		return
	}
	img, err := png.Decode(bytes.NewReader(s.get(signed("f:png", o.URL+"/a.jxl")).body))
	if err != nil {
		t.Fatal(err)
	}
	if got := color.NRGBAModel.Convert(img.At(8, 8)).(color.NRGBA); img.Bounds().Dx() != 32 || !near(got, red, 24) {
		t.Errorf("the JPEG XL is %v with %v in its first corner", img.Bounds(), got)
	}
}
