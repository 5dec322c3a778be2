package about

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

const source = "https://example.com/a.jpg"

func parser(tb testing.TB) *variant.Parser {
	tb.Helper()
	p, err := variant.NewParser(map[string]string{"default": "f:webp/w:10", "lite": "w:20"}, true)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// The presets of pictures say nothing of a document, not even where only presets are allowed.
func TestParsePath(t *testing.T) {
	zeros := strings.Repeat("0", 32)
	for path, want := range map[string]variant.Spec{
		"/":                             {},
		"/s:1/f:true/d:0/alpha:t/pn:1/": {},
		"/cb:v2/msr:2/msfs:5/":          {CacheBuster: "v2", Limits: variant.Limits{Pixels: 2e6, Bytes: 5}},
		"/hs:md5:" + zeros + "/":        {Hash: variant.Hash{HashType: "md5", HashSum: zeros}},
	} {
		want.Format = variant.Info
		for _, image := range []string{"plain/" + source, "aHR0cHM6Ly9leGFtcGxlLmNvbS9hLmpwZw"} {
			ref, _, err := ParsePath(parser(t), path+image)
			if err != nil || ref.Spec != want || ref.Source != source {
				t.Errorf("%s: %+v, %v; want %+v", path+image, ref, err, want)
			}
		}
	}
	_, terms, err := ParsePath(parser(t), "/exp:4102444800/ct:red/plain/"+source)
	if err != nil || terms.Expires.Year() != 2100 || len(terms.CacheTags) != 1 {
		t.Errorf("%+v, %v", terms, err)
	}
}

func TestParsePathRefusals(t *testing.T) {
	for path, want := range map[string]struct {
		kind fault.Kind
		name string
	}{
		"/exif:1/plain/" + source:   {fault.UnsupportedOption, `"exif"`},
		"/w:100/plain/" + source:    {fault.UnsupportedOption, `"w"`},
		"/pr:lite/plain/" + source:  {fault.UnsupportedOption, `"pr"`},
		"/s:2/plain/" + source:      {fault.BadOption, `"s"`},
		"/plain/" + source + "@png": {fault.BadPath, "extension"},
		"/s:1/":                     {fault.BadPath, "source"},
		"/s:1":                      {fault.BadPath, "source"},
		"":                          {fault.BadPath, ""},
		"/plain/ftp://a/b":          {fault.BadSource, ""},
	} {
		_, _, err := ParsePath(parser(t), path)
		if f := fault.Of(err); err == nil || f.Kind != want.kind || !strings.Contains(f.Public, want.name) {
			t.Errorf("%s: %v, want %s about %s", path, err, want.kind, want.name)
		}
	}
}

// A document of a worker passes as it was written, and not with anything in it that was not meant to be.
func TestCheck(t *testing.T) {
	good := Document{
		Format: "jpeg", Width: 3, Height: 2, Size: 99, Orientation: 6, Frames: 1,
		Placeholder: "AAAA", Dominant: "#0a0b0c", Kind: "photo",
	}
	text, err := good.Encode()
	if err != nil || Check(text) != nil {
		t.Fatalf("%s: %v, %v", text, err, Check(text))
	}
	for name, spoil := range map[string]func(*Document){
		"format": func(d *Document) { d.Format = "<script>" }, "kind": func(d *Document) { d.Kind = "x" },
		"colour": func(d *Document) { d.Dominant = "#0a0b0c\n" }, "width": func(d *Document) { d.Width = 0 },
		"size": func(d *Document) { d.Size = -1 }, "orientation": func(d *Document) { d.Orientation = 9 },
		"frames": func(d *Document) { d.Frames = 0 }, "hash": func(d *Document) { d.Placeholder = "AAA" },
	} {
		bad := good
		spoil(&bad)
		if text, _ := bad.Encode(); Check(text) == nil {
			t.Errorf("%s: %s passes", name, text)
		}
	}
	unknown := strings.Replace(string(text), "{", `{"x":1,`, 1)
	for _, bad := range []string{"", "{}", string(text) + " ", string(text) + "{}", unknown} {
		if Check([]byte(bad)) == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{
		"/s:1/f:1/plain/" + source, "/cb:a/exp:4102444800/aHR0cHM6Ly9hL2I", "/hs:md5:0/ref/x", "//:/plain/a:b",
	} {
		f.Add(seed)
	}
	p := parser(f)
	f.Fuzz(func(t *testing.T, path string) {
		ref, _, err := ParsePath(p, path)
		if err != nil {
			return
		}
		if ref.Spec != SpecFor(ref.Spec) || ref.Source == "" || !strings.HasSuffix(ref.Key(), ".json") {
			t.Errorf("%q: %+v", path, ref)
		}
	})
}
