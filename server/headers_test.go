package server

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/server/access"
	"github.com/goldcrest/goldcrest/variant"
)

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestFault32VaryFollowsTheURL(t *testing.T) {
	f := newFixture(t, nil)
	for options, want := range map[string]string{
		"": "Accept", "w:480": "Accept", "net:2g": "Accept", "net:auto": "Accept, Save-Data, ECT",
		"f:webp": "", "f:webp/net:2g": "", "f:webp/net:auto": "Save-Data, ECT",
	} {
		header(t, f.do("GET", f.url(options, photo)), "Vary", want)
	}
}

// With client hints, clients say the width and dpr that a URL leaves open, and the answer varies by them.
func TestClientHints(t *testing.T) {
	const both, dpr = "Sec-CH-DPR, DPR, Sec-CH-Width, Width", "Sec-CH-DPR, DPR"
	hinted := newFixture(t, func(_ *Config, r *access.Rules) {
		var err error
		if r.Parser, err = r.Parser.Under(variant.Policy{ClientHints: true}); err != nil {
			t.Fatal(err)
		}
	})
	plain := newFixture(t, nil)
	for _, tc := range []struct {
		options string
		headers []string
		vary    string
		width   int
		dpr     float64
	}{
		{"f:jpg", nil, both, 0, 0},
		{"f:jpg", []string{"Width: 500", "DPR: 2"}, both, 256, 2},
		{"f:jpg", []string{"Width: 500", "DPR: 2", "Sec-CH-Width: 300", "Sec-CH-DPR: 1"}, both, 320, 0},
		{"f:jpg", []string{"Sec-CH-Width: 301"}, both, 320, 0},
		{"f:jpg", []string{"Sec-CH-Width: 301", "Sec-CH-Width: 5"}, both, 0, 0},
		{"h:300", []string{"Width: 320"}, "Accept, " + both, 320, 0},
		{"f:jpg/w:100", []string{"Width: 500", "DPR: 2.5"}, dpr, 100, 3},
		{"f:jpg/w:100/dpr:1", []string{"Width: 500", "DPR: 2"}, "", 100, 0},
		{"f:jpg/dpr:3", []string{"Width: 640", "DPR: 2"}, both, 320, 3},
		{"f:jpg/net:auto", []string{"Save-Data: on"}, "Save-Data, ECT, " + both, 0, 0},
	} {
		w := hinted.do("GET", hinted.url(tc.options, photo), tc.headers...)
		header(t, w, "Vary", tc.vary)
		s := hinted.images.asked[len(hinted.images.asked)-1].Spec
		if s.Width != tc.width || s.DPR != tc.dpr {
			t.Errorf("%q with %q: width %d, dpr %v; want %d, %v",
				tc.options, tc.headers, s.Width, s.DPR, tc.width, tc.dpr)
		}
		plain.do("GET", plain.url("f:jpg", photo), tc.headers...)
		if s := plain.images.asked[len(plain.images.asked)-1].Spec; s.Width != 0 || s.DPR != 0 {
			t.Errorf("without the setting %q count: %+v", tc.headers, s)
		}
	}
}

func TestHintsChooseTheWeightClass(t *testing.T) {
	for _, tc := range []struct {
		options string
		headers []string
		want    variant.Class
	}{
		{"net:auto", nil, variant.ClassNormal},
		{"net:auto", []string{"Save-Data: on"}, variant.ClassSaver},
		{"net:auto", []string{"ECT: 3g"}, variant.ClassSaver},
		{"net:auto", []string{"ECT: slow-2g"}, variant.ClassSaver},
		{"net:auto", []string{"ECT: 4g", "Save-Data: off"}, variant.ClassNormal},
		{"", []string{"Save-Data: on", "ECT: 2g"}, variant.ClassNormal},
		{"net:wifi", []string{"Save-Data: on"}, variant.ClassHigh},
	} {
		f := newFixture(t, nil)
		f.do("GET", f.url(tc.options, photo), tc.headers...)
		if got := f.images.asked[0].Spec.Class; got != tc.want {
			t.Errorf("%q with %q: class %d, want %d", tc.options, tc.headers, got, tc.want)
		}
	}
}

func TestFault32CORS(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *access.Rules) { c.CORS = []string{"https://shop.example", "https://app.example"} })
	for _, target := range []string{f.url("", photo), "/broken"} {
		w := f.do("GET", target, "Origin: https://shop.example")
		header(t, w, "Access-Control-Allow-Origin", "https://shop.example")
		header(t, w, "Vary", "Accept, Origin")
		w = f.do("GET", target, "Origin: https://evil.example")
		header(t, w, "Access-Control-Allow-Origin", "")
		header(t, w, "Vary", "Accept, Origin")
	}
	header(t, f.do("GET", f.url("f:webp", photo)), "Vary", "Origin")

	w := f.do("OPTIONS", f.url("", photo), "Origin: https://app.example", "Access-Control-Request-Method: GET")
	if w.Code != 204 || f.images.gets != 3 {
		t.Errorf("preflight: status %d, %d gets in all", w.Code, f.images.gets)
	}
	header(t, w, "Access-Control-Allow-Origin", "https://app.example")
	header(t, w, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
	header(t, w, "Access-Control-Max-Age", "86400")
	header(t, w, "Vary", "Origin")
	w = f.do("OPTIONS", "/anything", "Origin: https://evil.example", "Access-Control-Request-Method: GET")
	header(t, w, "Access-Control-Allow-Methods", "")
	header(t, w, "Allow", "GET, HEAD, OPTIONS")
}

func TestFirstStageIsKeptShortly(t *testing.T) {
	f := newFixture(t, nil)
	f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		e := testEntry(ref)
		e.Attrs["stage"] = "1"
		return pipeline.Answer{Entry: e, Outcome: pipeline.Miss}, nil
	}
	header(t, f.do("GET", f.url("", photo)), "Cache-Control", "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400")
}

func TestImmutableOnlyWithoutTTL(t *testing.T) {
	f := newFixture(t, func(_ *Config, r *access.Rules) { r.Lifetimes.TTL, r.Lifetimes.SWR, r.Lifetimes.SIE = 1, 0, 0 })
	header(t, f.do("GET", f.url("", photo)), "Cache-Control", "public, max-age=2592000")
}

func TestStillOfAnAnimationSaysSo(t *testing.T) {
	for frames, want := range map[string]string{"1 24": "1/24", "24 24": "", "1 1": "", "x y": "", " ": ""} {
		f := newFixture(t, nil)
		f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
			e := testEntry(ref)
			e.Attrs["fr"], e.Attrs["sfr"], _ = strings.Cut(frames, " ")
			return pipeline.Answer{Entry: e, Outcome: pipeline.Hit, Tier: "memory"}, nil
		}
		header(t, f.do("GET", f.url("", photo)), "Goldcrest-Frames", want)
	}
}

func TestReducedVariantSaysSo(t *testing.T) {
	f := newFixture(t, nil)
	f.images.onGet = func(_ context.Context, ref variant.Ref) (pipeline.Answer, error) {
		e := testEntry(ref)
		e.Attrs["w"], e.Attrs["h"], e.Attrs["aw"], e.Attrs["ah"] = "655", "16383", "800", "20000"
		return pipeline.Answer{Entry: e, Outcome: pipeline.Hit, Tier: "memory"}, nil
	}
	header(t, f.do("GET", f.url("", photo)), "Goldcrest-Reduced", "655x16383/800x20000")
}

func TestAttachmentIsNamedAfterItsSource(t *testing.T) {
	f := newFixture(t, nil)
	header(t, f.do("GET", f.url("att:1", photo+"?token=s3cret")), "Content-Disposition", `attachment; filename="cat.jpg"`)
	header(t, f.do("GET", f.url("att:1/f:webp", "http://photos.example/")), "Content-Disposition", `attachment; filename="image.webp"`)
}
