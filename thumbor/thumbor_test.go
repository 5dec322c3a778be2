package thumbor

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant"
)

// Each row of the table in docs/migrate.md, and what our parser makes of it.
func TestParse(t *testing.T) {
	p, err := variant.NewParser(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	const source = "https://example.com/a.jpg"
	for path, want := range map[string]string{
		"":                       "",
		"300x200/":               "rs:fill:300:200/el:1",
		"fit-in/300x200/":        "rs:fit:300:200",
		"stretch/300x200/":       "rs:force:300:200",
		"300x0/":                 "rs:fit:300:0/el:1",
		"0x200/":                 "rs:fit:0:200/el:1",
		"300x/":                  "rs:fit:300:0/el:1",
		"0x0/":                   "",
		"-300x200/":              "rs:fill:300:200/el:1/fl:1:0",
		"300x-200/":              "rs:fill:300:200/el:1/fl:0:1",
		"-0x-0/":                 "fl:1:1",
		"10x20:310x220/":         "c:300:200:nowe:10:20",
		"10x20:310x220/90x60/":   "rs:fill:90:60/c:300:200:nowe:10:20/el:1",
		"300x200/left/":          "rs:fill:300:200/el:1/g:we",
		"300x200/right/bottom/":  "rs:fill:300:200/el:1/g:soea",
		"300x200/center/middle/": "rs:fill:300:200/el:1",
		"300x200/top/smart/":     "rs:fill:300:200/el:1/g:sm",
		"trim/300x200/":          "rs:fill:300:200/t:1/el:1",
		"trim:top-left:10/":      "t:10",
		"filters:format(webp)/":  "f:webp",
		"300x200/filters:quality(80):no_upscale()/":     "rs:fill:300:200/q:80",
		"fit-in/300x200/filters:fill(fff):upscale()/":   "rs:fit:300:200/ex:1/bg:fff/el:1",
		"filters:max_bytes(40000):strip_exif()/":        "mb:40000",
		"filters:background_color(%23fff)/":             "",
		"filters:blur(2):sharpen(1,0.5,true)/":          "bl:2/sh:1",
		"filters:blur(4,2)/":                            "bl:2",
		"filters:rotate(90)/":                           "rot:270",
		"filters:rotate(0)/":                            "rot:0",
		"300x200/filters:focal(0.5x0.3)/":               "rs:fill:300:200/el:1/g:fp:0.5:0.3",
		"filters:background_color(f0f0f0):pixelate(8)/": "bg:f0f0f0/pix:8",
	} {
		for _, image := range []string{source, "https%3A%2F%2Fexample.com%2Fa.jpg", "example.com/a.jpg"} {
			got, err := Parse(path + image)
			if path == "filters:background_color(%23fff)/" {
				if fault.KindOf(err) != fault.BadOption {
					t.Errorf("%s: %+v, %v", path, got, err)
				}
				continue
			}
			if err != nil || got.Options != want || got.Source != source {
				t.Errorf("%s%s: %+v, %v\nwant %s", path, image, got, err, want)
				continue
			}
			if _, _, err := p.ParsePath(variant.Path(got.Options, got.Source, variant.Open)); err != nil {
				t.Errorf("%s: our parser refuses %s: %v", path, got.Options, err)
			}
		}
	}
}

// The image begins where no part can follow, and keeps its query and what looks like parts in it.
func TestParseImages(t *testing.T) {
	for path, want := range map[string]string{
		"300x200/https://example.com/300x200/smart/a.jpg?b=c%20d": "https://example.com/300x200/smart/a.jpg?b=c%20d",
		"smart/300x200/a.jpg":          "https://300x200/a.jpg",
		"filters:quality(5)/top/a.jpg": "https://top/a.jpg",
		"https%3a%2F%2Fa/b%20c":        "https://a/b c",
	} {
		if got, err := Parse(path); err != nil || got.Source != want {
			t.Errorf("%s: %+v, %v; want %s", path, got, err, want)
		}
	}
}

func TestParseRefusals(t *testing.T) {
	for path, want := range map[string]struct {
		kind fault.Kind
		name string
	}{
		"meta/300x200/a":                             {fault.UnsupportedOption, "meta"},
		"full-fit-in/300x200/a":                      {fault.UnsupportedOption, "full-fit-in"},
		"trim:bottom-right/a":                        {fault.UnsupportedOption, "trim:bottom-right"},
		"filters:grayscale()/a":                      {fault.UnsupportedOption, "grayscale()"},
		"filters:watermark(https://b/c.png,1,1,0)/a": {fault.UnsupportedOption, "watermark()"},
		"filters:watermark(x,1,1,0)/a":               {fault.UnsupportedOption, "watermark()"},
		"b64:aHR0cDovL2E":                            {fault.UnsupportedOption, "b64:"},
		"filters:quality(x)/a":                       {fault.BadOption, "quality()"},
		"filters:quality(80/a":                       {fault.BadOption, "filters"},
		"filters:rotate(45)/a":                       {fault.BadOption, "rotate()"},
		"filters:focal(10x20:30x40)/a":               {fault.BadOption, "focal()"},
		"filters:fill(blur)/a":                       {fault.BadOption, "fill()"},
		"30x20:10x10/a":                              {fault.BadOption, "crop"},
		"99999999999999999999x1:2x2/a":               {fault.BadOption, "crop"},
		"300x200/":                                   {fault.BadPath, ""},
		"":                                           {fault.BadPath, ""},
		"300x200/a%zz":                               {fault.BadPath, ""},
		"filters:" + strings.Repeat("upscale():", 40) + "/a": {fault.BadOption, "filters"},
	} {
		_, err := Parse(path)
		if f := fault.Of(err); err == nil || f.Kind != want.kind || !strings.Contains(f.Public, want.name) {
			t.Errorf("%.60s: %v, want %s about %q", path, err, want.kind, want.name)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"300x200/smart/filters:quality(80):blur(2)/https://a/b.jpg", "trim/1x2:3x4/-5x-6/left/top/a%20b", "filters:fill(fff)/x?y"} {
		f.Add(seed)
	}
	p, err := variant.NewParser(nil, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := Parse(path)
		if err != nil {
			return
		}
		// What is read is options and a source, whatever stood in it: neither may pass for the other.
		if strings.ContainsAny(got.Options, "?#% ") {
			t.Errorf("%q: the options are %q", path, got.Options)
		}
		if ref, _, err := p.ParsePath(variant.Path(got.Options, got.Source, variant.Open)); err == nil && ref.Source == "" {
			t.Errorf("%q has no source", path)
		}
	})
}
