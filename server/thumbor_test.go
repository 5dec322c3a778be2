package server

import (
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/signing"
	"github.com/goldcrest/goldcrest/variant"
)

// thumborFixture is a server that has a key of thumbor's, for one host.
func thumborFixture(t *testing.T) (*fixture, func(path string) string) {
	t.Helper()
	var keys *signing.Keyring
	f := newFixture(t, func(_ *Config, r *access.Rules) {
		var err error
		keys, err = signing.New(signing.Config{
			Keys: []signing.Key{{Key: testKey, Salt: "5a17"}},
			Thumbor: signing.Thumbor{
				Key: "a-secret-of-20-chars", Algorithm: "sha1", Sources: []string{"photos.example"},
			},
		}, func() time.Time { return testNow })
		if err != nil {
			t.Fatal(err)
		}
		r.Keys = keys
	})
	return f, func(path string) string {
		signed, err := keys.SignThumbor(path)
		if err != nil {
			t.Fatal(err)
		}
		return "/thumbor" + signed
	}
}

// A URL of thumbor's is answered as its counterpart is: the same variant, negotiated, kept and charged as any.
func TestThumbor(t *testing.T) {
	f, sign := thumborFixture(t)
	f.images.onMake = func(key string) {
		if key != signing.ThumborID {
			t.Errorf("charged to %q", key)
		}
	}
	url := sign("300x200/smart/filters:quality(80)/photos.example%2Fa%2Fcat.jpg")
	for _, accept := range []string{"image/webp", "*/*"} {
		w := f.do("GET", url, "Accept: "+accept)
		if w.Code != 200 {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		header(t, w, "Vary", "Accept")
		header(t, w, "Cache-Control", finalControl)
	}
	for i, format := range []variant.Format{variant.WebP, variant.JPEG} {
		got, spec := f.images.asked[i], f.images.asked[i].Spec
		if got.Source != "https://photos.example/a/cat.jpg" || spec.Width != 300 || spec.Quality != 80 || spec.Format != format {
			t.Errorf("asked for %+v", got)
		}
	}
}

func TestThumborRefusals(t *testing.T) {
	f, sign := thumborFixture(t)
	const image = "photos.example/a/cat.jpg"
	for path, want := range map[string]fault.Kind{
		sign("filters:grayscale()/" + image):       fault.UnsupportedOption,
		sign("filters:quality(500)/" + image):      fault.BadOption,
		sign("300x200/elsewhere.example/a.jpg"):    fault.SourceNotAllowed,
		sign("300x200/"+image) + "x":               fault.BadSignature,
		"/thumbor/unsafe/300x200/" + image:         fault.BadSignature,
		"/thumbor" + f.url("w:5", photo):           fault.BadSignature,
		sign("300x200/" + image)[len("/thumbor"):]: fault.BadSignature,
	} {
		if w := f.do("GET", path); code(t, w) != want {
			t.Errorf("%s: %d %s, want %s", path, w.Code, code(t, w), want)
		}
	}
	off := newFixture(t, nil)
	if w := off.do("GET", sign("300x200/"+image)); code(t, w) != fault.BadSignature {
		t.Errorf("without a key: %d %s", w.Code, code(t, w))
	}
}

func TestExplainOfThumbor(t *testing.T) {
	f, sign := thumborFixture(t)
	good := sign("300x200/photos.example%2Fa.jpg")
	for target, want := range map[string]string{
		good: `"signature":"valid"`,
		"/thumbor/wrong/" + strings.SplitN(good, "/", 4)[3]: `"signature":"bad_signature"`,
		sign("300x200/elsewhere.example%2Fa.jpg"):           `"refused":"source_not_allowed"`,
	} {
		w := f.private("GET", "/v1/explain"+target, "", bearer)
		body := w.Body.String()
		if w.Code != 200 || !strings.Contains(body, want) || !strings.Contains(body, `"options":"rs:fill:300:200/el:1"`) {
			t.Errorf("%s: status %d: %s", target, w.Code, body)
		}
	}
}
