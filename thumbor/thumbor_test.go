package thumbor

import (
	"os"
	"regexp"
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
		"10x20:310x220/-90x60/left/filters:rotate(90)/": "rs:fill:60:90/c:200:300:sowe:20:10/rot:270/el:1/g:so/fl:0:1",
		"1x2:3x9/9x6/right/top/filters:rotate(180)/":    "rs:fill:9:6/c:2:7:soea:1:2/rot:180/el:1/g:sowe",
		"1x2:3x9/9x6/top/filters:rotate(270)/":          "rs:fill:6:9/c:7:2:noea:2:1/rot:90/el:1/g:ea",
		"9x6/filters:focal(0.1x0.2):rotate(90)/":        "rs:fill:6:9/rot:270/el:1/g:fp:0.2:0.9",
		"filters:rotate(90):rotate(270)/":               "",
		"filters:rotate(0)/":                            "",
		"300x200/filters:focal(0.5x0.3)/":               "rs:fill:300:200/el:1/g:fp:0.5:0.3",
		"300x200/filters:focal(0.5,0.3)/":               "rs:fill:300:200/el:1/g:fp:0.5:0.3",
		"300x200/filters:focal(0.1x0.2:0.5x1)/":         "rs:fill:300:200/el:1/g:fp:0.3:0.6",
		"filters:background_color(f0f0f0):pixelate(8)/": "bg:f0f0f0/pix:8",
		"fit-in/300x200/filters:fill(Yellow)/":          "rs:fit:300:200/ex:1/bg:ffff00",
		"fit-in/300x200/filters:fill(none)/":            "rs:fit:300:200/ex:1",
		"fit-in/30x20/10x5/filters:fill(red)/":          "rs:fit:30:20/ex:1/bg:ff0000/pd:5:10:5:10",
		"fit-in/30x20/1x2:3x4/filters:fill(red)/":       "rs:fit:30:20/ex:1/bg:ff0000/pd:2:3:4:1",
		"0.1x0:0.6x1/":                             "c:0.5:0:nowe:0.1:0",
		"0.00001x0.2:0.99999x1.0/":                 "c:0:0.8:nowe:0:0.2",
		"300x200/filters:stretch()/":               "rs:force:300:200/el:1",
		"300x200/filters:proportion(0.5)/":         "rs:fill:300:200/z:0.5/el:1",
		"filters:expire(4102444800123)/":           "exp:4102444800",
		"filters:attachment(red%20shoe.png)/":      "att:1/fn:cmVkIHNob2UucG5n:1",
		"filters:attachment():raw()/":              "att:1/raw:1",
		"filters:page(1):to_colorspace()/":         "",
		"filters:orient(90)/":                      "rot:270",
		"10x20:310x220/90x60/filters:orient(270)/": "rs:fill:90:60/c:300:200:nowe:10:20/rot:90/el:1",
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
		"meta/300x200/a":                          {fault.UnsupportedOption, "meta"},
		"full-fit-in/300x200/a":                   {fault.UnsupportedOption, "full-fit-in"},
		"trim:bottom-right/a":                     {fault.UnsupportedOption, "trim:bottom-right"},
		"filters:grayscale()/a":                   {fault.UnsupportedOption, "grayscale()"},
		"color:red":                               {fault.UnsupportedOption, "color:"},
		"b64:!":                                   {fault.BadPath, "base64"},
		"origx200/a":                              {fault.UnsupportedOption, "orig"},
		"300x200/10x10/a":                         {fault.UnsupportedOption, "padding without fill()"},
		"0.5x0.5:1.5x1/a":                         {fault.BadOption, "crop"},
		"0.5x0:0.50001x1/a":                       {fault.BadOption, "crop"},
		"filters:focal(10x20:30x40)/a":            {fault.UnsupportedOption, "focal() in pixels"},
		"filters:fill(blur)/a":                    {fault.UnsupportedOption, "fill(blur)"},
		"filters:page(2)/a":                       {fault.UnsupportedOption, "page()"},
		"filters:blur(2):blur(3)/a":               {fault.UnsupportedOption, "blur() twice"},
		"filters:proportion(2)/a":                 {fault.BadOption, "proportion()"},
		"filters:watermark(https://b/c.png,1,1)/": {fault.BadPath, ""},
		"filters:quality(x)/a":                    {fault.BadOption, "quality()"},
		"filters:quality(80/a":                    {fault.BadOption, "filters"},
		"filters:rotate(45)/a":                    {fault.BadOption, "rotate()"},
		"30x20:10x10/a":                           {fault.BadOption, "crop"},
		"99999999999999999999x1:2x2/a":            {fault.BadOption, "crop"},
		"300x200/":                                {fault.BadPath, ""},
		"":                                        {fault.BadPath, ""},
		"300x200/a%zz":                            {fault.BadPath, ""},
		"filters:" + strings.Repeat("upscale():", 40) + "/a": {fault.BadOption, "filters"},
	} {
		_, err := Parse(path)
		if f := fault.Of(err); err == nil || f.Kind != want.kind || !strings.Contains(f.Public, want.name) {
			t.Errorf("%.60s: %v, want %s about %q", path, err, want.kind, want.name)
		}
	}
}

// A watermark is that of our options, wherever there is one at the same place in the same size.
func TestParseWatermarks(t *testing.T) {
	p, err := variant.NewParser(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	const mark, wmu = "https://b/c.png", "/wmu:aHR0cHM6Ly9iL2MucG5n"
	for args, want := range map[string]string{
		"0,0,0":              "wm:1:nowe:0:0:0:0",
		"10,-20,50":          "wm:0.5:sowe:10:20:0:0",
		"-0,-0,100":          "wm:0:soea:0:0:0:0",
		"center,center,0":    "wm:1:ce:0:0:0:0",
		"center,-5,0":        "wm:1:so:0:5:0:0",
		"10p,-20p,0":         "wm:1:sowe:0.1:0.2:0:0",
		"right,bottom,7":     "wm:0.93:soea:0:0:0:0",
		"left,center,12.5":   "wm:0.875:we:0:0:0:0",
		"repeat,repeat,0":    "wm:1:re:0:0:0:0",
		"1,1":                "wm:1:nowe:1:1:0:0",
		"1,1,0,20":           "wm:1:nowe:1:1:0.2:0",
		"1,1,0,none,9.5":     "wm:1:nowe:1:1:0:0.095",
		"1, 1, 0, 30, 30":    "wm:1:nowe:1:1:0.3:0.3",
		"1,1,0,none,none":    "wm:1:nowe:1:1:0:0",
		"x,1,0":              "bad_option",
		"1,100p,0":           "bad_option",
		"1,1,101":            "bad_option",
		"1,1,-1":             "bad_option",
		"1,1,0,120":          "bad_option",
		"1,1,0,-5":           "bad_option",
		"1":                  "bad_option",
		"1,1,0,1,1,1":        "bad_option",
		"repeat,bottom,0":    "unsupported_option",
		"1,1,0):blur(2":      "unsupported_option",
		"1,1,0):rotate(90":   "unsupported_option",
		"1,1,0):watermark(x": "unsupported_option",
		"1,1,0):quality(80":  "wm:1:nowe:1:1:0:0" + wmu + "/q:80",
	} {
		for _, image := range []string{mark, "b/c.png", "https%3A%2F%2Fb%2Fc.png", "b64:aHR0cHM6Ly9iL2MucG5n"} {
			got, err := Parse("fit-in/300x200/filters:watermark(" + image + "," + args + ")/a/b.jpg")
			want := want
			if kind := string(fault.KindOf(err)); kind != "" {
				got.Options = kind
			} else if want = "rs:fit:300:200/" + want; !strings.Contains(want, wmu) {
				want += wmu
			}
			if got.Options != want {
				t.Errorf("%s: %+v, %v\nwant %s", args, got, err, want)
			} else if _, _, err := p.ParseOptions(want); fault.KindOf(err) == fault.BadOption {
				t.Errorf("our parser refuses %s: %v", want, err)
			}
		}
	}
}

// ofThumbor and ofImagor are the filters that their documentation lists.
const (
	ofThumbor = `autojpg background_color blur brightness contrast convolution cover equalize extract_focal fill focal
		format grayscale max_bytes no_upscale noise proportion quality red_eye redeye rgb rotate round_corner saturation
		sharpen stretch strip_exif strip_icc upscale watermark`
	ofImagor = `background_color blur brightness contrast crop fill focal format grayscale hue image max_bytes
		max_frames no_upscale orient page dpi proportion quality rgb rotate round_corner saturation sharpen strip_exif
		strip_icc text to_colorspace upscale watermark attachment expire preview raw`
)

// Each filter of thumbor and imagor is read, or refused by its name. docs/migrate.md names each, and says "refused"
// beside those that are not read.
func TestDocsSayWhatBecomesOfFilters(t *testing.T) {
	text, err := os.ReadFile("../docs/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## From thumbor or imagor\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := map[string]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for _, m := range regexp.MustCompile(`\b([a-z_]+)\(`).FindAllStringSubmatch(cells[1], -1) {
				rows[m[1]] = cells[2]
			}
		}
	}
	for _, name := range strings.Fields(ofThumbor + " " + ofImagor) {
		row, told := rows[name]
		_, err := Parse("filters:" + name + "(?)/a")
		if refused := fault.KindOf(err) == fault.UnsupportedOption && known[name] == nil; !told ||
			refused != strings.HasPrefix(row, " refused") {
			t.Errorf("docs/migrate.md says of %s: %q; %v", name, row, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"300x200/smart/filters:quality(80):blur(2)/https://a/b.jpg", "trim/1x2:3x4/-5x-6/left/top/a%20b", "filters:fill(fff)/x?y",
		"9x6/left/filters:watermark(https://b/c.png,-10p,center,50,none,20):rotate(90)/a",
		"0.1x0:0.6x1/fit-in/3x2/1x2:3x4/filters:fill(red):orient(90)/b64:aHR0cDovL2E",
	} {
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
