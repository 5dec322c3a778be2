package variant

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

func TestParsePath(t *testing.T) {
	const source = "http://example.com/images/curiosity.jpg"
	p := parser(t, nil, false)
	for _, test := range []struct {
		path, source string
		spec         Spec
	}{
		// The published example of the grammar.
		{"/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1w/bGUuY29tL2ltYWdl/cy9jdXJpb3NpdHku/anBn.png", source,
			Spec{Resize: Fill, Width: 300, Height: 400, Gravity: Gravity{Kind: Smart}, Format: PNG}},
		{"/aHR0cDovL2V4YW1wbGUuY29tL2ltYWdlcy9jdXJpb3NpdHkuanBn", source, Spec{}},
		{"/aHR0cDovL2V4YW1wbGUuY29tL2ltYWdlcy9jdXJpb3NpdHkuanBn.jpeg", source, Spec{Format: JPEG}},
		{"/f:png/aHR0cDovL2V4YW1wbGUuY29tL2ltYWdlcy9jdXJpb3NpdHkuanBn.webp", source, Spec{Format: WebP}},
		{"/aHR0cDovL2E=", "http://a", Spec{}},
		{"/plain/" + source, source, Spec{}},
		{"/w:5/plain/" + source + "@webp", source, Spec{Width: 5, Format: WebP}},
		{"/w:5/plain/" + source + "@AVIF", source, Spec{Width: 5, Format: AVIF}},
		{"/plain/http://example.com/a@2x.jpg", "http://example.com/a@2x.jpg", Spec{}},
		{"/plain/http://example.com/a@2x.jpg@png", "http://example.com/a@2x.jpg", Spec{Format: PNG}},
		{"/plain/http://example.com/a%40png", "http://example.com/a@png", Spec{}},
		{"/plain/http%3A%2F%2Fexample.com%2Fa.jpg%3Fx%3D1%26y%3D%252B", "http://example.com/a.jpg?x=1&y=%2B", Spec{}},
		{"/plain/http://example.com/a.jpg?sig=a%2Bb%3D", "http://example.com/a.jpg?sig=a%2Bb%3D", Spec{}},
		{"/plain/http://example.com/a%2Fb.jpg?x=1@png", "http://example.com/a%2Fb.jpg?x=1", Spec{Format: PNG}},
		{"/plain/http://example.com/a.jpg?mail=a@b.c", "http://example.com/a.jpg?mail=a@b.c", Spec{}},
		{"/plain/http://example.com/my%20caf%C3%A9.jpg", "http://example.com/my%20caf%C3%A9.jpg", Spec{}},
		{"/plain/http://example.com/trim:1/w:5/x.jpg", "http://example.com/trim:1/w:5/x.jpg", Spec{}},
		{"/plain/http://example.com//plain/x.jpg", "http://example.com//plain/x.jpg", Spec{}},
		{"/plain/HTTP://Example.COM", "HTTP://Example.COM", Spec{}},
	} {
		got, _, err := p.ParsePath(test.path)
		if want := (Ref{Source: test.source, Spec: test.spec}); err != nil || got != want {
			t.Errorf("ParsePath(%q) = %+v, %v\nwant %+v", test.path, got, err, want)
		}
	}
}

func TestPathRefusals(t *testing.T) {
	p := parser(t, nil, false)
	many := strings.Repeat("/w:1", maxOptions+1)
	for _, test := range []struct {
		path string
		want fault.Kind
	}{
		{"", fault.BadPath}, {"/", fault.BadPath}, {"w:1/plain/http://a", fault.BadPath}, {"/w:1", fault.BadPath}, {"/w:1/", fault.BadPath},
		{"//plain/http://a", fault.BadPath}, {"/plain", fault.BadPath}, {"/plain/", fault.BadSource}, {"/plain/http://a/%zz", fault.BadPath},
		{"/aHR0cDovL2E.", fault.BadPath}, {"/aHR0cDovL2F", fault.BadPath}, {"/aHR0cDov+2E", fault.BadPath}, {"/aHR0cDov\nL2E", fault.BadPath},
		{"/aHR0cDovL2E.jpg.png", fault.BadOption}, {"/aHR0cDovL2E.xyz", fault.BadOption}, {"/aHR0cDovL2E.svg", fault.UnsupportedOption},
		{"/plain/http://a/b@tiff", fault.UnsupportedOption}, {"/w:1/-/w:2/plain/http://a", fault.UnsupportedOption},
		{"/enc/abcd", fault.UnsupportedOption}, {"/" + strings.Repeat("A", maxPath), fault.BadPath}, {many + "/plain/http://a", fault.BadPath},
		{"/w:x/plain/http://a", fault.BadOption}, {"/plain/ftp://a/b", fault.BadSource},
		{"/plain/http://a/" + strings.Repeat("b", naming.MaxAddress), fault.BadSource},
		{"/plain/http://a/" + strings.Repeat("é", naming.MaxAddress/3), fault.BadSource},
	} {
		if _, _, err := p.ParsePath(test.path); fault.KindOf(err) != test.want {
			t.Errorf("ParsePath(%.60q): %v, want %s", test.path, err, test.want)
		}
	}
}

// An encrypted source is read as the source that it holds: split or not, with or without an extension.
func TestEncryptedSources(t *testing.T) {
	open := parser(t, nil, false).WithDecrypt(func(text []byte) (string, bool) {
		return strings.CutPrefix(string(text), "sealed:")
	})
	const sealed = "c2VhbGVkOmh0dHA6Ly9hL2IuanBn" // sealed:http://a/b.jpg
	for _, path := range []string{
		"/w:7/enc/" + sealed + ".webp", "/w:7/f:webp/enc/" + sealed,
		"/w:7/enc/" + sealed[:9] + "/" + sealed[9:] + ".webp",
	} {
		got, _, err := open.ParsePath(path)
		if want := (Ref{Source: "http://a/b.jpg", Spec: Spec{Width: 7, Format: WebP}}); err != nil || got != want {
			t.Errorf("ParsePath(%q) = %+v, %v\nwant %+v", path, got, err, want)
		}
	}
	for _, path := range []string{
		"/enc", "/enc/", "/enc/aHR0cDovL2E", "/enc/" + sealed + ".", "/enc/@", "/enc/" + encode64("sealed:ftp://a"),
	} {
		_, _, err := open.ParsePath(path)
		if k := fault.KindOf(err); k != fault.BadPath && k != fault.BadSource {
			t.Errorf("ParsePath(%q): %v, want a refusal", path, err)
		}
	}
}

func TestPresets(t *testing.T) {
	p := parser(t, map[string]string{
		"default": "q:80/el:1",
		"lite":    "rs:fit:480:0/net:2g",
		"card":    "pr:lite/h:320/rt:fill",
		"page":    "preset:card:grey/f:webp/",
		"grey":    "bg:888",
	}, false)
	lite := Spec{Width: 480, Net: Net2G, Quality: 80, Enlarge: true}
	card := Spec{Resize: Fill, Width: 480, Height: 320, Net: Net2G, Quality: 80, Enlarge: true}
	page := card
	page.Background, page.Format = Color{true, 0x88, 0x88, 0x88}, WebP
	wide := lite
	wide.Width = 640
	for _, test := range []struct {
		options, presets string
		want             Spec
	}{
		{"", "", Spec{Quality: 80, Enlarge: true}},
		{"q:0/el:0", "", Spec{}},
		{"pr:lite", "lite", lite},
		{"pr:card", "card", card},
		{"pr:page", "page", page},
		{"pr:lite/w:640", "lite", wide},
		{"w:640/pr:lite", "lite", lite},
		{"pr:lite:card", "lite,card", card},
		{"pr:default", "default", Spec{Quality: 80, Enlarge: true}},
	} {
		got, terms, err := p.ParseOptions(test.options)
		if presets := strings.Join(terms.Presets, ","); err != nil || got != test.want || presets != test.presets {
			t.Errorf("ParseOptions(%q) = %+v, %q, %v\nwant %+v, %q", test.options, got, presets, err, test.want, test.presets)
		}
	}
}

func TestOnlyPresets(t *testing.T) {
	p := parser(t, map[string]string{"lite": "w:480", "exp": "h:7"}, true)
	for _, test := range []struct {
		path string
		want Spec
		kind fault.Kind
	}{
		{"/lite/plain/http://a/@png", Spec{Width: 480, Format: PNG}, ""},
		{"/lite:exp/aHR0cDovL2Ev", Spec{Width: 480, Height: 7}, ""},
		{"/lite/exp:99/fn:a/att:1/ct:t/aHR0cDovL2Ev", Spec{Width: 480}, ""},
		{"/exp/aHR0cDovL2Ev", Spec{Height: 7}, ""},
		{"/w:480/aHR0cDovL2Ev", Spec{}, fault.BadOption},
		{"/lite/w:5/aHR0cDovL2Ev", Spec{}, fault.UnsupportedOption},
		{"/lite/cb:5/aHR0cDovL2Ev", Spec{}, fault.UnsupportedOption},
		{"/lite/pr:exp/aHR0cDovL2Ev", Spec{}, fault.UnsupportedOption},
		{"/plain/http://a/", Spec{}, fault.BadOption},
		{"/none/aHR0cDovL2Ev", Spec{}, fault.BadOption},
		{"/aHR0cDovL2Ev", Spec{}, fault.BadOption},
	} {
		got, terms, err := p.ParsePath(test.path)
		if fault.KindOf(err) != test.kind || err == nil && (got != Ref{Source: "http://a/", Spec: test.want}) {
			t.Errorf("ParsePath(%q) = %+v, %v, want %+v, %q", test.path, got, err, test.want, test.kind)
		}
		if terms.Free {
			t.Errorf("ParsePath(%q): Free", test.path)
		}
	}
	if spec, _, err := p.ParseOptions("lite:exp"); err != nil || spec != (Spec{Width: 480, Height: 7}) {
		t.Errorf("ParseOptions in the mode of presets = %+v, %v", spec, err)
	}
}

func TestPresetRefusals(t *testing.T) {
	deep := map[string]string{"a": strings.Repeat("pr:b/", 9), "b": strings.Repeat("w:1/", 9)}
	for _, test := range []struct {
		presets map[string]string
		want    string
	}{
		{map[string]string{"a": "w:x"}, `preset "a": option "w"`},
		{map[string]string{"a": "page:1"}, `preset "a": option "page"`},
		{map[string]string{"a": "pr:b"}, `it uses "b", which does not exist`},
		{map[string]string{"a": "pr:a"}, "it uses itself: a -> a"},
		{map[string]string{"a": "pr:b", "b": "w:1/pr:c", "c": "pr:b"}, "it uses itself: "},
		{deep, "more than 64 options"},
		{map[string]string{"a:b": "w:1"}, "a name holds none of"},
		{map[string]string{"": "w:1"}, "a name holds none of"},
	} {
		if _, err := NewParser(test.presets, false); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("NewParser(%v): %v, want %q", test.presets, err, test.want)
		}
	}
}

func TestPath(t *testing.T) {
	for _, test := range []struct {
		options, source string
		format          Format
		want            string
	}{
		{"", "http://a/", Open, "/aHR0cDovL2Ev"},
		{"/pr:lite/exp:9/", "http://a/", WebP, "/pr:lite/exp:9/aHR0cDovL2Ev.webp"},
	} {
		if got := Path(test.options, test.source, test.format); got != test.want {
			t.Errorf("Path(%q, %q, %q) = %q, want %q", test.options, test.source, test.format, got, test.want)
		}
	}
}

// FuzzParsePath holds that what is accepted has one canonical form, which is read back to the same ref and key.
func FuzzParsePath(f *testing.F) {
	for _, test := range optionTests {
		f.Add("/" + test.options + "/plain/http://example.com/a%20b.jpg@webp")
	}
	f.Add("/lite/plain/http://h?X-Amz-Date=1&b=2")
	f.Add("/pr:lite/exp:9/aHR0cDovL2V4YW1w/bGUuY29tL2ltYWdl/cy9jdXJpb3NpdHku/anBn.png")
	f.Add("/plain/hTTps://[::1]:443?a=%zz#f")
	f.Add("/fn:" + base64.RawURLEncoding.EncodeToString([]byte("a b.jpg")) + ":1/att:1/ct:a:b/plain/http://a/100%25@avif")
	f.Add("/wmu:" + encode64("http://h/m.png?X-Amz-Date=1") + "/wm:1:soea/plain/http://h/a")
	presets := map[string]string{"lite": "rs:fit:480:0/net:auto", "two": "pr:lite/q:5"}
	only := parser(f, presets, true)
	p, err := parser(f, presets, false, "X-Amz-*", "utm").Under(Policy{Mark: "0123", ClientHints: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if ref, _, err := only.ParsePath(path); err == nil {
			checkKey(t, ref)
		} else if f := fault.Of(err); f.Kind == fault.Internal || len(f.Public) > 300 {
			t.Fatalf("%q: %v", path, err)
		}
		ref, _, err := p.ParsePath(path)
		if err != nil {
			return
		}
		again, _, err := p.ParsePath(ref.Path())
		if err != nil || again != ref || again.Key() != ref.Key() || again.Path() != ref.Path() {
			t.Fatalf("%q reads %+v\nwhose path %q reads %+v, %v", path, ref, ref.Path(), again, err)
		}
		checkKey(t, ref)
		for _, slow := range []bool{false, true} {
			a := Accept{Best: WebP, Formats: AcceptWebP | AcceptJPEG, Slow: slow}
			resolved := Ref{Source: ref.Source, Spec: ref.Spec.Resolve(a)}
			checkKey(t, resolved)
			if resolved.Spec.Resolve(a) != resolved.Spec {
				t.Fatalf("%+v resolves twice", resolved.Spec)
			}
			open, _, err := p.ParsePath(resolved.Path())
			if err != nil || open.Spec.Resolve(a) != resolved.Spec {
				t.Fatalf("path %q of the resolved %+v reads %+v, %v", resolved.Path(), resolved.Spec, open.Spec.Resolve(a), err)
			}
			a.Width, a.DPR = 320, 3
			hinted := Ref{Source: ref.Source, Spec: ref.Spec.Resolve(a)}
			checkKey(t, hinted)
			if hinted.Spec.Resolve(a) != hinted.Spec {
				t.Fatalf("%+v resolves twice with hints", hinted.Spec)
			}
		}
	})
}

func checkKey(t *testing.T, r Ref) {
	t.Helper()
	key := r.Key()
	odd := func(c rune) bool {
		return c > '~' || !naming.Alphanumeric(byte(c)) && !strings.ContainsRune("._,-/", c)
	}
	readable := strings.TrimPrefix(key, r.SourcePrefix())
	if strings.ContainsFunc(key, odd) || len(readable) > 160 || readable == key || strings.Contains(readable, "/") || strings.HasPrefix(readable, ".") {
		t.Fatalf("%+v has the key %q", r, key)
	}
}

// BenchmarkParsePath is the way from a verified text to a key.
func BenchmarkParsePath(b *testing.B) {
	p := parser(b, nil, false)
	for b.Loop() {
		r, _, err := p.ParsePath("/rs:fill:300:400:0/g:sm/aHR0cDovL2V4YW1wbGUuY29tL2ltYWdlcy9jdXJpb3NpdHkuanBn")
		if err != nil {
			b.Fatal(err)
		}
		r.Spec = r.Spec.Resolve(ParseAccept("image/avif,image/webp,image/apng,*/*;q=0.8", Default()))
		_ = r.Key()
	}
}
