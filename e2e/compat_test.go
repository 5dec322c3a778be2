package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// legacy is the bucket for the predecessor's call; the store has another one.
const legacy = "legacy"

// compatEnv configures a server on the bucket that accepts the predecessor's call.
func (s *s3) compatEnv(t *testing.T) []string {
	t.Helper()
	if err := os.MkdirAll(s.legacyDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	return append(s.env(),
		"GOLDCREST_API_TOKENS=[{name: old, token: "+backendToken+", scopes: [compat]}]",
		"GOLDCREST_COMPAT_BUCKETS=[{name: "+legacy+", prefix: pics}]",
		"GOLDCREST_PREWARM_RETRY=[200ms, 400ms]")
}

func (s *s3) legacyDir() string { return filepath.Join(filepath.Dir(s.dir), legacy) }

// ends reports the end state of a key: as a picture, or as a marker. Both at once is an error.
func (s *s3) ends(key string) (picture, marker bool) {
	_, err := os.Stat(filepath.Join(s.legacyDir(), key))
	_, none := os.Stat(filepath.Join(s.legacyDir(), key+".broken"))
	return err == nil, none == nil
}

// postLambda sends the predecessor's call for keys of sources.
func (s *server) postLambda(urls map[string]string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"key_urls_map": urls, "quality": 90, "bucket_name": legacy})
	if err != nil {
		s.t.Fatal(err)
	}
	a := s.call("POST", "/v1/compat/lambda", string(body), "Content-Type", "application/json")
	if a.StatusCode != 202 || strings.TrimSpace(string(a.body)) != "true" {
		s.t.Fatalf("got %d %s, want 202 true", a.StatusCode, a.body)
	}
}

// spot is a position in a picture, from 0 to 1, and its colour.
type spot struct {
	x, y float64
	want color.NRGBA
}

// The corners of quarters(), also on a white background.
var (
	upright = []spot{{0.2, 0.2, red}, {0.8, 0.2, green}, {0.2, 0.8, blue}, {0.8, 0.8, yellow}}
	turned  = []spot{{0.2, 0.2, blue}, {0.8, 0.2, red}, {0.2, 0.8, yellow}, {0.8, 0.8, green}} // by a quarter turn clockwise
	holed   = []spot{{0.2, 0.2, red}, {0.8, 0.2, green}, {0.2, 0.8, blue}, {0.8, 0.8, white}}
	greys   = []spot{{0.2, 0.5, color.NRGBA{60, 60, 60, 255}}, {0.8, 0.5, white}}
)

// The predecessor's call, end to end: the results in the bucket for its formats, its old defects and its failures.
func TestCompatCall(t *testing.T) {
	b, o := startS3(t), startOrigin(t)
	s := start(t, b.compatEnv(t)...)
	var refusals atomic.Int32
	small := jpegOf(t, quarters(300, 200, yellow), 10)
	for _, tt := range []struct {
		name   string
		body   []byte
		spots  []spot
		width  int
		height int
	}{
		{"gif", gifOf(t, quarters(800, 600, yellow)), upright, 500, 375},
		{"palette", paletteOf(t, quarters(800, 600, yellow)), upright, 500, 375},
		{"la", laOf(t, 800, 600, 60), greys, 500, 375},
		{"16bit", deepOf(t, quarters(800, 600, color.NRGBA{})), holed, 500, 375},
		{"rgba", pngOf(t, quarters(800, 600, color.NRGBA{})), holed, 500, 375},
		{"rgba-small", pngOf(t, quarters(100, 80, color.NRGBA{})), holed, 100, 80},
		{"exif", withOrientation(jpegOf(t, quarters(800, 600, yellow), 90), 6), turned, 500, 667},
		{"strip", pngOf(t, quarters(6000, 12, yellow)), nil, 500, 1},
		{"light", small, upright, 300, 200},
		{"later", jpegOf(t, quarters(800, 600, yellow), 90), upright, 500, 375},
		{"corrupt", pngOf(t, noise(800, 600))[:9000], nil, 0, 0},
		{"garbage", append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00"), bytes.Repeat([]byte{7}, 5000)...), nil, 0, 0},
		{"tall", pngOf(t, quarters(4, 20_000, yellow)), nil, 3, 16383},
		{"missing", nil, nil, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.on("/"+tt.name, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case tt.body == nil:
					http.NotFound(w, r)
				case tt.name == "later" && refusals.Add(1) <= 2:
					w.WriteHeader(http.StatusServiceUnavailable)
				default:
					w.Write(tt.body)
				}
			})
			key := "pics/" + tt.name + ".jpg"
			s.postLambda(map[string]string{key: o.URL + "/" + tt.name})
			var picture, marker bool
			eventually(t, key+" has come to its end", func() bool {
				picture, marker = b.ends(key)
				return picture || marker
			})
			if picture == marker || picture != (tt.width > 0) {
				t.Fatalf("a picture: %v, a marker: %v", picture, marker)
			}
			if marker {
				a := b.object(t, legacy, key+".broken")
				if len(a.body) != 0 || a.Header.Get("Cache-Control") == "" || a.Header.Get("Content-Type") == "" {
					t.Errorf("a marker of %d bytes with %v", len(a.body), a.Header)
				}
				return
			}
			a := b.object(t, legacy, key)
			a.want(t, "Content-Type", "image/jpeg")
			if c := a.Header.Get("Cache-Control"); !strings.Contains(c, "public, max-age=") {
				t.Errorf("Cache-Control: %q", c)
			}
			wantPicture(t, a.body, tt.width, tt.height, tt.spots)
			if tt.name == "light" && len(a.body) > len(tt.body) {
				t.Errorf("%d bytes of an original of %d", len(a.body), len(tt.body))
			}
		})
	}
	if n := refusals.Load(); n != 3 {
		t.Errorf("the origin that refused twice was asked %d times, want 3", n)
	}
	if n := o.count("/missing"); n != 1 {
		t.Errorf("what is not there was asked for %d times, want once", n)
	}
}

// wantPicture decodes a JPEG and checks its size and its spots.
func wantPicture(t *testing.T, body []byte, width, height int, spots []spot) {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Size(); got != image.Pt(width, height) {
		t.Errorf("got a picture of %v, want %d x %d", got, width, height)
	}
	for _, at := range spots {
		x, y := int(at.x*float64(width)), int(at.y*float64(height))
		if got := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA); !near(got, at.want, 20) {
			t.Errorf("at %d, %d: got %v, want %v", x, y, got, at.want)
		}
	}
}

// After a kill in the middle and a restart, every key of the call reaches its correct end state.
func TestFault16KillDuringCompat(t *testing.T) {
	const n = 40
	b, o, dir := startS3(t), startOrigin(t), t.TempDir()
	env := b.compatEnv(t)
	urls := map[string]string{}
	for i := range n {
		path, body := fmt.Sprintf("/k%d", i), jpegOf(t, quarters(600+i, 400, yellow), 90)
		o.on(path, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(60 * time.Millisecond)
			switch i % 8 {
			case 6:
				http.NotFound(w, r)
			case 7:
				w.Write(body[:len(body)/3])
			default:
				w.Write(body)
			}
		})
		urls[fmt.Sprintf("pics/k%d.jpg", i)] = o.URL + path
	}
	ended := func() (all int) {
		for key := range urls {
			if picture, marker := b.ends(key); picture || marker {
				all++
			}
		}
		return all
	}
	s := startIn(t, dir, env...)
	s.postLambda(urls)
	some := 1 + rand.N(n/2)
	within(t, time.Minute, "some keys have come to their end", func() bool { return ended() >= some })
	s.kill()
	before := ended()
	startIn(t, dir, env...)
	within(t, 2*time.Minute, "every key has come to its end", func() bool { return ended() == n })
	t.Logf("%d of %d keys had ended at the kill", before, n)
	if before == n {
		t.Error("the kill came when all was done")
	}
	for i := range n {
		key := fmt.Sprintf("pics/k%d.jpg", i)
		picture, marker := b.ends(key)
		if good := i%8 < 6; picture != good || marker == good {
			t.Errorf("%s: a picture: %v, a marker: %v", key, picture, marker)
		} else if good {
			wantPicture(t, b.object(t, legacy, key).body, 500, (400*500+(600+i)/2)/(600+i), upright)
		}
	}
}
