package server

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// /info is signed as a picture's URL is, answers one document whatever the client takes, and is kept as pictures are.
func TestInfo(t *testing.T) {
	f := newFixture(t, nil)
	url := "/info" + f.url("s:1/cb:v2", photo)
	for _, accept := range []string{"image/avif,*/*", "application/json", ""} {
		w := f.do("GET", url, "Accept: "+accept, "Save-Data: on")
		if w.Code != 200 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Vary": "", "ETag": testETag, "Cache-Control": finalControl,
			"X-Content-Type-Options": "nosniff",
		} {
			header(t, w, name, want)
		}
	}
	want := variant.Spec{Format: variant.Info, CacheBuster: "v2"}
	for _, ref := range f.images.asked {
		if ref.Spec != want || ref.Source != photo {
			t.Errorf("asked for %+v", ref)
		}
	}
	if w := f.do("GET", url, "If-None-Match: "+testETag); w.Code != 304 {
		t.Errorf("status %d, want 304", w.Code)
	}
	if !strings.Contains(f.log.String(), `"options":"s:1/cb:..."`) {
		t.Errorf("the log does not say what was asked for: %s", f.log)
	}
}

func TestInfoRefusals(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) {
		*r = testRules(t, func() time.Time { return testNow },
			signing.Key{Key: testKey, Salt: "5a17"},
			signing.Key{ID: "lite", Key: otherKey, Salt: "5a17", Presets: []string{"lite"}})
	})
	bound, err := f.keys.Sign("lite", variant.Path("", photo, variant.Open))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fault.Kind{
		"/info" + f.url("w:100", photo):                    fault.UnsupportedOption,
		"/info" + f.url("s:1", photo) + "x":                fault.BadSignature,
		"/info" + f.url("exp:1", photo):                    fault.URLExpired,
		"/info" + bound:                                    fault.SourceNotAllowed,
		"/info/unsafe/plain/" + photo:                      fault.BadSignature,
		"/info/info" + f.url("s:1", photo):                 fault.BadSignature,
		"/info":                                            fault.BadSignature,
		"/info/" + hex.EncodeToString([]byte("signature")): fault.BadSignature,
	} {
		if w := f.do("GET", path); code(t, w) != want {
			t.Errorf("%s: %d %s, want %s", path, w.Code, code(t, w), want)
		}
	}
}
