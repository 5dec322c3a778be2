package variant

import (
	"strings"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/fault"
)

func parser(t testing.TB, presets map[string]string, only bool, canonical ...string) *Parser {
	t.Helper()
	p, err := NewParser(presets, only, canonical...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// optionTests hold every option under its full name; aliasTests below hold the other spellings.
var optionTests = []struct {
	options string
	want    Spec
}{
	{"", Spec{}},
	{"resize:fill:300:400:1:1", Spec{Resize: Fill, Width: 300, Height: 400, Enlarge: true, Extend: true}},
	{"resize:fill:300:400:1:1:no:5:7", Spec{Resize: Fill, Width: 300, Height: 400, Enlarge: true, Extend: true, ExtendGravity: Gravity{North, 5, 7}}},
	{"resize:fill", Spec{Resize: Fill}},
	{"resize::300", Spec{Width: 300}},
	{"width:7/resize:fit::9", Spec{Width: 7, Height: 9}},
	{"size:300:400:1:0", Spec{Width: 300, Height: 400, Enlarge: true}},
	{"size::400", Spec{Height: 400}},
	{"resizing_type:fill-down", Spec{Resize: FillDown}},
	{"resizing_type:force", Spec{Resize: Force}},
	{"resizing_type:auto", Spec{Resize: ResizeAuto}},
	{"resizing_type:fill/resizing_type:fit", Spec{}},
	{"width:300", Spec{Width: 300}},
	{"width:300/width:0", Spec{}},
	{"height:400", Spec{Height: 400}},
	{"min-width:30", Spec{MinWidth: 30}},
	{"min-height:40", Spec{MinHeight: 40}},
	{"zoom:0.5", Spec{ZoomX: 0.5, ZoomY: 0.5}},
	{"zoom:0.5:2", Spec{ZoomX: 0.5, ZoomY: 2}},
	{"zoom:1:2", Spec{ZoomY: 2}},
	{"zoom:1", Spec{}},
	{"dpr:2.625", Spec{DPR: 2.625}},
	{"dpr:1.0", Spec{}},
	{"dpr:1.33333333333333", Spec{DPR: 1.3333}},
	{"enlarge:true", Spec{Enlarge: true}},
	{"enlarge:0", Spec{}},
	{"extend:1", Spec{Extend: true}},
	{"extend:1:soea:0.1:3", Spec{Extend: true, ExtendGravity: Gravity{SouthEast, 0.1, 3}}},
	{"extend:0:no", Spec{}},
	{"gravity:no", Spec{Gravity: Gravity{Kind: North}}},
	{"gravity:so:-5", Spec{Gravity: Gravity{South, -5, 0}}},
	{"gravity:ea::0.25", Spec{Gravity: Gravity{East, 0, 0.25}}},
	{"gravity:we", Spec{Gravity: Gravity{Kind: West}}},
	{"gravity:noea", Spec{Gravity: Gravity{Kind: NorthEast}}},
	{"gravity:nowe", Spec{Gravity: Gravity{Kind: NorthWest}}},
	{"gravity:soea", Spec{Gravity: Gravity{Kind: SouthEast}}},
	{"gravity:sowe", Spec{Gravity: Gravity{Kind: SouthWest}}},
	{"gravity:ce:-0:1", Spec{Gravity: Gravity{Centre, 0, 1}}},
	{"gravity:sm", Spec{Gravity: Gravity{Kind: Smart}}},
	{"gravity:fp:0.5:1", Spec{Gravity: Gravity{FocusPoint, 0.5, 1}}},
	{"gravity:fp:0:0", Spec{Gravity: Gravity{FocusPoint, 0, 0}}},
	{"crop:100:0.5", Spec{Crop: Crop{Width: 100, Height: 0.5}}},
	{"crop:100:50:ce", Spec{Crop: Crop{Width: 100, Height: 50, GravitySet: true}}},
	{"crop:100:50:fp:0.2:0.3", Spec{Crop: Crop{Width: 100, Height: 50, Gravity: Gravity{FocusPoint, 0.2, 0.3}, GravitySet: true}}},
	{"crop:100", Spec{Crop: Crop{Width: 100}}},
	{"crop:0:0:no", Spec{}},
	{"trim:10", Spec{Trim: Trim{On: true, Threshold: 10}}},
	{"trim:10:ff00fe:1:0", Spec{Trim: Trim{On: true, Threshold: 10, Color: Color{true, 255, 0, 254}, EqualHor: true}}},
	{"trim:0::0:t", Spec{Trim: Trim{On: true, EqualVer: true}}},
	{"trim:10/trim:", Spec{}},
	{"padding:1:2:3:4", Spec{Padding: Padding{1, 2, 3, 4}}},
	{"padding:5", Spec{Padding: Padding{5, 5, 5, 5}}},
	{"padding:5:6", Spec{Padding: Padding{5, 6, 5, 6}}},
	{"padding::6", Spec{Padding: Padding{0, 6, 0, 6}}},
	{"auto_rotate:0", Spec{Keep: Keep{KeepOrientation: true}}},
	{"auto_rotate:1", Spec{}},
	{"rotate:270", Spec{Rotate: 270}},
	{"rotate:450", Spec{Rotate: 90}},
	{"flip:1", Spec{Flip: Flip{FlipH: true}}},
	{"flip::1", Spec{Flip: Flip{FlipV: true}}},
	{"flip:1:1", Spec{Flip: Flip{FlipH: true, FlipV: true}}},
	{"background:fff", Spec{Background: Color{true, 255, 255, 255}}},
	{"background:0A0b0c", Spec{Background: Color{true, 10, 11, 12}}},
	{"background:0:0:0", Spec{Background: Color{Set: true}}},
	{"background:fff/background:", Spec{}},
	{"blur:1.5", Spec{Blur: 1.5}},
	{"sharpen:0.7", Spec{Sharpen: 0.7}},
	{"pixelate:8", Spec{Pixelate: 8}},
	{"quality:75", Spec{Quality: 75}},
	{"quality:0", Spec{}},
	{"format_quality:jpeg:70:png:60:webp:50:avif:40:gif:30:jxl:20",
		Spec{FormatQuality: Qualities{70, 60, 50, 40, 30, 20}}},
	{"format_quality:jpg:70/format_quality:webp:50", Spec{FormatQuality: Qualities{JPEG: 70, WebP: 50}}},
	{"format:jpeg", Spec{Format: JPEG}},
	{"format:AVIF", Spec{Format: AVIF}},
	{"format:png", Spec{Format: PNG}},
	{"format:gif", Spec{Format: GIF}},
	{"format:jxl", Spec{Format: JXL}},
	{"max_bytes:20000", Spec{MaxBytes: 20000}},
	{"autoquality:size:10240", Spec{AutoSize: AutoSize{10240, 10, 90}}},
	{"autoquality:size:10240:30:60", Spec{AutoSize: AutoSize{10240, 30, 60}}},
	{"autoquality:size:10240/autoquality:none", Spec{}},
	{"cachebuster:a%20b!", Spec{CacheBuster: "a%20b!"}},
	{"fallback_image_url:aHR0cDovL2V4YW1wbGUuY29tL2YuanBn", Spec{Fallback: "http://example.com/f.jpg"}},
	{"fallback_image_url:aHR0cDovL2V4YW1wbGUuY29tL2YuanBn/fiu:", Spec{}},
	{"hashsum:md5:D41D8CD98F00B204E9800998ECF8427E", Spec{Hash: Hash{"md5", "d41d8cd98f00b204e9800998ecf8427e"}}},
	{"hashsum:sha1:" + strings.Repeat("ab", 20), Spec{Hash: Hash{"sha1", strings.Repeat("ab", 20)}}},
	{"hashsum:sha256:" + strings.Repeat("ab", 32), Spec{Hash: Hash{"sha256", strings.Repeat("ab", 32)}}},
	{"hashsum:sha512:" + strings.Repeat("ab", 64) + "/hs:none", Spec{}},
	{"max_src_resolution:16.8", Spec{Limits: Limits{Pixels: 16_800_000}}},
	{"max_src_file_size:1048576", Spec{Limits: Limits{Bytes: 1 << 20}}},
	{"max_animation_frames:12", Spec{Limits: Limits{Frames: 12}}},
	{"max_animation_frame_resolution:0.5", Spec{Limits: Limits{FramePixels: 500_000}}},
	{"max_result_dimension:300", Spec{Limits: Limits{Side: 300}}},
	{"extend_aspect_ratio:1", Spec{ExtendRatio: true}},
	{"exar:1:so:0:5", Spec{ExtendRatio: true, ExtendGravity: Gravity{South, 0, 5}}},
	{"exar:1/exar:0", Spec{}},
	{"watermark_url:aHR0cDovL2EvYi5wbmc", Spec{}},
	{"watermark:1/watermark_url:aHR0cDovL2EvYi5wbmc",
		Spec{Watermark: Watermark{Opacity: 1, Source: "http://a/b.png", Mark: hash("http://a/b.png")}}},
	{"watermark_url:aHR0cDovL2EvYi5wbmc/watermark:1/wmu:", Spec{Watermark: Watermark{Opacity: 1}}},
	{"watermark:0.5", Spec{Watermark: Watermark{Opacity: 0.5}}},
	{"wm:1:soea:9:-0.1:0.25",
		Spec{Watermark: Watermark{Opacity: 1, Place: Gravity{SouthEast, 9, -0.1}, Width: .25, Height: .25}}},
	{"wm:1:ce:0:0:0.5:0", Spec{Watermark: Watermark{Opacity: 1, Width: 0.5}}},
	{"wm:1:ce:0:0:0:0.5", Spec{Watermark: Watermark{Opacity: 1, Height: 0.5}}},
	{"wm:1:re:20:30", Spec{Watermark: Watermark{Opacity: 1, Place: Gravity{Centre, 20, 30}, Tiled: true}}},
	{"wm:1/wm:0", Spec{}},
	{"strip_metadata:1", Spec{}},
	{"strip_metadata:0", Spec{Keep: Keep{KeepCopyright: true}}},
	{"strip_metadata:0/keep_copyright:0", Spec{Keep: Keep{KeepCopyright: true}}},
	{"strip_metadata:0/strip_metadata:1", Spec{}},
	{"strip_color_profile:0", Spec{Keep: Keep{KeepProfile: true}}},
	{"keep_copyright:1", Spec{Keep: Keep{KeepCopyright: true}}},
	{"skip_processing:jpeg:PNG", Spec{Keep: Keep{Unprocessed: AcceptJPEG | AcceptPNG}}},
	{"raw:1/width:9/f:webp", Spec{Format: Raw, Keep: Keep{Raw: true}}},
	{"raw:1/raw:0/width:9", Spec{Width: 9}},
	{"keep_copyright:0", Spec{}},
	{"strip_color_profile:t", Spec{}},
	{"net:auto", Spec{Net: NetAuto}},
	{"net:2g", Spec{Net: Net2G}},
	{"net:3g", Spec{Net: Net3G}},
	{"net:4g", Spec{Net: Net4G}},
	{"net:wifi", Spec{Net: NetWifi}},
	{"legible:1", Spec{Legible: LegibleYes}},
	{"legible:0", Spec{Legible: LegibleNo}},
	{"legible:1/legible:auto", Spec{}},
}

func TestOptions(t *testing.T) {
	p := parser(t, nil, false)
	for _, test := range optionTests {
		got, terms, err := p.ParseOptions(test.options)
		if err != nil || got != test.want {
			t.Errorf("ParseOptions(%q) = %+v, %v\nwant %+v", test.options, got, err, test.want)
		}
		if want := test.options != ""; terms.Free != want {
			t.Errorf("ParseOptions(%q): Free = %t, want %t", test.options, terms.Free, want)
		}
	}
}

// TestOptionPath checks that each option survives the way through the canonical path.
func TestOptionPath(t *testing.T) {
	p := parser(t, nil, false)
	for _, test := range optionTests {
		ref := Ref{Source: "http://example.com/a.jpg", Spec: test.want}
		got, _, err := p.ParsePath(ref.Path())
		if err != nil || got != ref {
			t.Errorf("ParsePath(%q) = %+v, %v\nwant %+v", ref.Path(), got, err, ref)
		}
	}
}

func TestOptionAliases(t *testing.T) {
	p := parser(t, map[string]string{"lite": "w:9"}, false)
	for _, test := range []struct{ alias, full string }{
		{"rs:fill:3:4:1:1", "resize:fill:3:4:1:1"}, {"s:3:4:1", "size:3:4:1"}, {"rt:force", "resizing_type:force"},
		{"w:3", "width:3"}, {"h:3", "height:3"}, {"mw:3", "min-width:3"}, {"min_width:3", "min-width:3"}, {"mh:3", "min-height:3"},
		{"min_height:3", "min-height:3"}, {"z:2:3", "zoom:2:3"}, {"el:1", "enlarge:1"}, {"ex:1:no", "extend:1:no"},
		{"g:sm", "gravity:sm"}, {"c:3:4:no", "crop:3:4:no"}, {"t:5", "trim:5"}, {"pd:5", "padding:5"}, {"ar:0", "auto_rotate:0"},
		{"rot:90", "rotate:90"}, {"fl:1:1", "flip:1:1"}, {"bg:f00", "background:255:0:0"}, {"bl:2", "blur:2"}, {"sh:2", "sharpen:2"},
		{"pix:2", "pixelate:2"}, {"q:5", "quality:5"}, {"fq:jpg:5", "format_quality:jpg:5"}, {"f:png", "format:png"},
		{"ext:png", "format:png"}, {"mb:5", "max_bytes:5"}, {"aq:size:5", "autoquality:size:5"}, {"cb:x", "cachebuster:x"},
		{"exp:99", "expires:99"}, {"fn:a", "filename:a"}, {"att:1", "return_attachment:1"}, {"pr:lite", "preset:lite"},
		{"fiu:aHR0cDovL2E", "fallback_image_url:aHR0cDovL2E"}, {"hs:none", "hashsum:none"}, {"msr:5", "max_src_resolution:5"},
		{"msfs:5", "max_src_file_size:5"}, {"maf:5", "max_animation_frames:5"}, {"sm:1", "strip_metadata:1"},
		{"skp:gif", "skip_processing:gif"},
		{"kcr:0", "keep_copyright:0"}, {"scp:1", "strip_color_profile:1"}, {"ct:a:b", "cache_tag:a:b"},
	} {
		short, shortTerms, err1 := p.ParseOptions(test.alias)
		long, longTerms, err2 := p.ParseOptions(test.full)
		if err1 != nil || err2 != nil || short != long || !equalTerms(shortTerms, longTerms) {
			t.Errorf("%q reads %+v %+v (%v), %q reads %+v %+v (%v)", test.alias, short, shortTerms, err1, test.full, long, longTerms, err2)
		}
	}
}

func equalTerms(a, b Terms) bool {
	join := func(t Terms) string { return strings.Join(t.CacheTags, ",") + ";" + strings.Join(t.Presets, ",") }
	return a.Expires.Equal(b.Expires) && a.Filename == b.Filename && a.Attachment == b.Attachment && join(a) == join(b) && a.Free == b.Free
}

func TestTerms(t *testing.T) {
	p := parser(t, map[string]string{"lite": "w:9", "std": "w:10"}, false)
	for _, test := range []struct {
		options string
		want    Terms
	}{
		{"exp:1700000000", Terms{Expires: time.Unix(1700000000, 0)}},
		{"fn:my%20cat.jpg", Terms{Filename: "my cat.jpg"}},
		{"fn:b2zDqS5qcGc:1", Terms{Filename: "olé.jpg"}},
		{"fn:a/fn:", Terms{}},
		{"att:1", Terms{Attachment: true}},
		{"ct:a:b-c_d.9", Terms{CacheTags: []string{"a", "b-c_d.9"}}},
		{"pr:lite:std", Terms{Presets: []string{"lite", "std"}}},
		{"pr:lite/pr:std/w:3", Terms{Presets: []string{"lite", "std"}, Free: true}},
	} {
		spec, got, err := p.ParseOptions(test.options)
		if err != nil || !equalTerms(got, test.want) {
			t.Errorf("ParseOptions(%q) = %+v, %v, want %+v", test.options, got, err, test.want)
		}
		if len(test.want.Presets) == 0 && spec != (Spec{}) {
			t.Errorf("ParseOptions(%q): a term changed the Spec: %+v", test.options, spec)
		}
	}
}

func TestExpired(t *testing.T) {
	at := time.Unix(1700000000, 0)
	for _, test := range []struct {
		terms Terms
		now   time.Time
		want  bool
	}{
		{Terms{}, at, false},
		{Terms{Expires: at}, at.Add(-time.Nanosecond), false},
		{Terms{Expires: at}, at, true},
		{Terms{Expires: at}, at.Add(time.Second), true},
	} {
		if got := test.terms.Expired(test.now); got != test.want {
			t.Errorf("%v at %v: expired = %t, want %t", test.terms.Expires, test.now, got, test.want)
		}
	}
}

func TestOptionRefusals(t *testing.T) {
	p := parser(t, map[string]string{"lite": "w:9"}, false)
	long := strings.Repeat("a", 30_000)
	for kind, list := range map[fault.Kind][]string{
		fault.BadOption: {
			"w:", "w:-1", "w:1.5", "w:1e3", "w:+1", "w:0x10", "w:1_000", "w:1000001", "w:99999999999999999999", "w:1:2", "w", "w: 1",
			"h:x", "mw:x", "mh:x", "rs:cover", "rs:fit:x", "rs:fit:1:1:2", "rs:fit:1:1:1:1:sm", "rs:fit:1:1:1:1:no:1:1:1", "s:1:1:1::no",
			"rt:", "z:0", "z:-1", "z:NaN", "z:inf", "z:1:0", "z:0.00001", "z:101", "dpr:0", "dpr:x", "dpr:1e1", "dpr:101", "dpr:.5", "dpr:",
			"el:2", "el:", "el:yes", "ex:maybe", "ex:1:sm", "ex:1:xx", "g:", "g:xx", "g:sm:1", "g:fp", "g:fp:0.5", "g:fp:1.1:0", "g:fp:-0.1:0",
			"g:no:x", "g:no:0:x", "g:no:100001", "g:no:1:1:1", "c:", "c:-1:1", "c:x", "c:1:x", "c:1:1:xx", "c:0.00001:1", "c:1:1:no:1:1:1",
			"t:x", "t:256", "t:10:xyz", "t:10:ff:1", "t:10:fff:2", "t::fff", "pd:", "pd:::", "pd:-1", "pd:1:x", "pd:10001", "pd:1:2:3:4:5",
			"ar:2", "rot:45", "rot:-90", "rot:3690", "fl:", "fl:2", "fl:1:2", "bg:ff", "bg:gggggg", "bg:1:2", "bg:256:0:0", "bg:+12345",
			"bl:-1", "bl:x", "bl:101", "sh:-1", "pix:x", "q:101", "q:-1", "q:x", "q:", "fq:jpg", "fq:jpg:101", "fq:xyz:5", "f:", "f:xyz",
			"mb:x", "mb:-1", "aq:size", "aq:size:0", "aq:size:5:60:30", "aq:size:5:0:30", "aq:size:5:101", "aq:x", "aq:none:1", "aq:size:5:1:2:3",
			"cb:" + strings.Repeat("a", 257), "cb:a b", "cb:a?b", "cb:é", "cb:a\x00", "exp:0", "exp:", "exp:x", "exp:-1", "exp:1.5",
			"exp:253402300800", "fn:a%2Fb", "fn:a%5Cb", "fn:..", "fn:%0d%0a", "fn:%zz", "fn:%ff", "fn:" + strings.Repeat("a", 201), "fn:a:2",
			"fn:***:1", "fn:%E2%80%A8", "att:2", "fiu:***", "fiu:ZmlsZTovLy9ldGMvcGFzc3dk", "fiu:" + long, "hs:crc:aa", "hs:md5", "hs:md5:zz",
			"hs:md5:" + strings.Repeat("a", 31), "msr:-1", "msr:x", "msr:10001", "msfs:x", "msfs:1.5", "maf:x", "sm:x",
			"kcr:2", "scp:x", "raw:x", "skp:", "skp:nothing",
			"wm:2", "wm:x", "wm:1:sm", "wm:1:fp", "wm:1:xx", "wm:1:ce:x", "wm:1:ce:0:0:2", "exar:1:sm", "mrd:x",
			"mafr:x",
			"ct:", "ct:a b", "ct:a::b", "ct:é", "ct:" + strings.Repeat("a", 65), "net:5g", "net:", "legible:2", "legible:", "pr:", "pr:nope",
			"pr:lite:nope",
		},
		fault.UnsupportedOption: {
			"skp:svg", "skp:jpg:heic", "wm:1:ch", "adjust:1", "unsharp_masking:1", "page:1", "pg:1",
			"dpi:1", "ra:cubic",
			"g:obj:face", "c:1:1:obj:face", "aq:dssim:0.02", "aq:ml", "f:best", "f:tiff", "f:heic", "f:SVG", "fq:heic:5", "enforce_thumbnail:1",
			"W:1", "nonsense:1", ":1", "disable_animation:1", long + ":1",
		},
	} {
		for _, options := range list {
			_, _, err := p.ParseOptions(options)
			f := fault.Of(err)
			name, _, _ := strings.Cut(options, ":")
			if err == nil || f.Kind != kind {
				t.Errorf("ParseOptions(%.60q): %v, want %s", options, err, kind)
			} else if len(name) < 40 && !strings.Contains(f.Public, `"`+name+`"`) {
				t.Errorf("ParseOptions(%.60q): %q does not name the option", options, f.Public)
			} else if len(f.Public) > 200 {
				t.Errorf("ParseOptions(%.60q): a sentence of %d bytes", options, len(f.Public))
			}
		}
	}
}
