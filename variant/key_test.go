package variant

import (
	"strings"
	"testing"
)

func TestKey(t *testing.T) {
	p := parser(t, nil, false)
	chrome := ParseAccept("image/avif,image/webp,*/*", Default())
	for _, test := range []struct {
		options string
		accept  Accept
		want    string
	}{
		{"rs:fit:480:0/f:webp", chrome, "rs_fit_480_0.webp"},
		{"rs:fit:480:0/net:2g", chrome, "rs_fit_480_0,net_2g,any_awpjg.avif"},
		{"rs:fit:480:0", Accept{Best: JXL, Formats: AcceptJXL | everything}, "rs_fit_480_0,any_xawpjg.jxl"},
		{"f:jxl/fq:jxl:80", Accept{}, "q_80.jxl"},
		{"rs:fit:480:0/net:4g", Accept{}, "rs_fit_480_0,any_pjg.jpg"},
		{"f:jpg", chrome, "full.jpg"},
		{"rs:fill:300:400/g:fp:0.25:0.5/q:70/f:jpg", chrome, "rs_fill_300_400,g_fp_0.25_0.5,q_70.jpg"},
		{"hs:md5:d41d8cd98f00b204e9800998ecf8427e/f:jpg", chrome, "hs_md5_" + hash("d41d8cd98f00b204e9800998ecf8427e") + ".jpg"},
	} {
		spec, _, err := p.ParseOptions(test.options)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Ref("http://example.com/a.jpg", spec.Resolve(test.accept))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := r.Key(), r.SourcePrefix()+test.want; got != want {
			t.Errorf("%s: Key() = %q, want %q", test.options, got, want)
		}
	}
	// The key grammar is a promise to every bucket that exists.
	r, _ := p.Ref("http://example.com/a.jpg", Spec{Format: JPEG})
	if got, want := r.Key(), "v1/4f/4fd63207a70baba7076795ee9c335785/full.jpg"; got != want {
		t.Errorf("Key() = %q, want %q", got, want)
	}
}

// TestKeyTellsApart checks that any two different Specs of one source have different keys.
func TestKeyTellsApart(t *testing.T) {
	seen := map[string]Spec{}
	var specs []Spec
	for _, test := range optionTests {
		specs = append(specs, test.want)
	}
	for _, a := range []string{"", "image/avif", "image/webp", "image/jpeg", "image/avif,image/jpeg;q=0", "image/webp,image/png;q=0"} {
		accept := ParseAccept(a, Default())
		for _, s := range specs {
			s = s.Resolve(accept)
			key := Ref{Source: "http://a/", Spec: s}.Key()
			if other, ok := seen[key]; ok && other != s {
				t.Errorf("%q is the key of %+v\nand of %+v", key, other, s)
			}
			seen[key] = s
		}
	}
}

func TestKeyOfLongSpec(t *testing.T) {
	s := Spec{Resize: FillDown, Width: 123456, Height: 123456, MinWidth: 123456, MinHeight: 123456, ZoomX: 1.2345, ZoomY: 2.3456, DPR: 1.2345,
		Gravity: Gravity{FocusPoint, 0.1234, 0.5678}, Crop: Crop{0.1234, 0.5678, Gravity{NorthWest, 12345, 12345}, true}, Format: AVIF,
		Padding: Padding{1234, 1234, 1234, 1234}, Background: Color{true, 1, 2, 3}, Blur: 1.2345, Sharpen: 2.3456, Quality: 55}
	one := Ref{Source: "http://a/", Spec: s}
	two := one
	two.Spec.Quality = 56
	checkKey(t, one)
	if one.Key() == two.Key() || !strings.Contains(one.Key(), "/spec-") {
		t.Errorf("keys %q and %q", one.Key(), two.Key())
	}
}

func TestSourceIdentity(t *testing.T) {
	p := parser(t, nil, false, "X-Amz-*", "utm")
	ref := func(source, cb string) Ref {
		t.Helper()
		r, err := p.Ref(source, Spec{Format: JPEG, CacheBuster: cb})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"http://example.com/a", "HTTP://Example.COM:80/a#x", true},
		{"https://example.com", "https://example.com:443/", true},
		{"http://example.com?x=1", "http://example.com/?x=1", true},
		{"http://example.com:/a", "http://example.com/a", true},
		{"http://[FE80::1]:80/a", "http://[fe80::1]/a", true},
		{"http://example.com/a?X-Amz-Date=1&x=2&X-Amz-Signature=3", "http://example.com/a?x=2", true},
		{"http://example.com/a?X%2DAmz-Date=1", "http://example.com/a", true},
		{"http://example.com/a?utm=1", "http://example.com/a", true},
		{"http://example.com/a?utm_source=1", "http://example.com/a", false},
		{"http://example.com/a", "https://example.com/a", false},
		{"http://example.com:443/a", "http://example.com/a", false},
		{"http://example.com/A", "http://example.com/a", false},
		{"http://example.com/a%2Fb", "http://example.com/a/b", false},
		{"http://example.com/a?", "http://example.com/a", false},
		{"http://example.com/a?x=1&y=2", "http://example.com/a?y=2&x=1", false},
	} {
		if got := ref(test.a, "").Key() == ref(test.b, "").Key(); got != test.same {
			t.Errorf("%q and %q: same key %t, want %t", test.a, test.b, got, test.same)
		}
	}
	if a, b := ref("http://a/", ""), ref("http://a/", "x"); a.SourceHash() == b.SourceHash() {
		t.Error("the cachebuster is no part of the source's identity")
	}
	// The fetch uses the parameters that the key forgets, and a ref made by hand is the parser's where none were
	// stripped.
	if r := ref("http://a/?X-Amz-Date=1", ""); r.Source != "http://a/?X-Amz-Date=1" {
		t.Errorf("the source became %q", r.Source)
	}
	if r := ref("http://a/", ""); r != (Ref{Source: "http://a/", Spec: Spec{Format: JPEG}}) {
		t.Errorf("got %+v", r)
	}
}
