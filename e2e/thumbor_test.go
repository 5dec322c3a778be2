package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"net/http"
	"strings"
	"testing"
)

// URLs of thumbor and imagor are served as they are signed there; what has no counterpart is refused by name.
func TestThumborMount(t *testing.T) {
	corpus(t)
	o := startOrigin(t)
	s := start(t, "GOLDCREST_SIGNING_THUMBOR_KEY=the key of thumbor", "GOLDCREST_SIGNING_ALLOW_SHORT_KEYS=true")
	source := o.URL + "/photos/product-saw.jpg"
	o.on("/mark.png", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(pngOf(t, image.NewNRGBA(image.Rect(0, 0, 10, 10))))
	})
	mark := "watermark(" + o.URL + "/mark.png,-10p,center,50,20)"
	sign := func(path string) string {
		mac := hmac.New(sha1.New, []byte("the key of thumbor"))
		mac.Write([]byte(path))
		return "/thumbor/" + base64.URLEncoding.EncodeToString(mac.Sum(nil)) + "/" + path
	}
	for path, size := range map[string][2]int{
		"300x200/smart/filters:format(jpeg)/" + source:     {300, 200},
		"fit-in/300x300/filters:format(jpeg)/" + source:    {300, 0},
		"120x0/filters:quality(60):format(png)/" + source:  {120, 0},
		"90x60/filters:" + mark + ":format(png)/" + source: {90, 60},
	} {
		a := s.get(sign(path), "Accept", "image/webp,*/*")
		if a.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
			continue
		}
		got, _, err := image.DecodeConfig(bytes.NewReader(a.body))
		if err != nil {
			t.Fatal(err)
		}
		if got.Width != size[0] || size[1] > 0 && got.Height != size[1] {
			t.Errorf("%s: %d x %d, want %v", path, got.Width, got.Height, size)
		}
		s.get(sign(path), "Accept", "image/webp,*/*").want(t, "Cache-Status", "goldcrest; hit; detail=memory")
	}
	for path, want := range map[string][2]string{
		"/thumbor/unsafe/300x200/" + source:               {"403", "bad_signature"},
		sign("300x200/" + source)[len("/thumbor"):]:       {"403", "bad_signature"},
		sign("300x200/filters:saturation(1.5)/" + source): {"400", "unsupported_option"},
		sign("filters:" + mark + ":blur(2)/" + source):    {"400", "watermark() before blur()"},
	} {
		a := s.get(path)
		if !strings.HasPrefix(a.Status, want[0]) || !strings.Contains(string(a.body), want[1]) {
			t.Errorf("%s: %s %s, want %v", path, a.Status, a.body, want)
		}
	}
	if got := o.count("/photos/product-saw.jpg"); got > 4 {
		t.Errorf("%d fetches, want 4 at most", got)
	}
	if got := o.count("/mark.png"); got != 1 || strings.Contains(s.log.String(), "/mark.png") {
		t.Errorf("%d fetches of the watermark, want 1 and none in the log", got)
	}
}
