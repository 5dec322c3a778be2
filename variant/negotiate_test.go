package variant

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/variant/accept"
)

const everything = AcceptAVIF | AcceptWebP | AcceptPNG | AcceptJPEG | AcceptGIF

func TestParseAccept(t *testing.T) {
	noAVIF := Negotiation{Formats: []string{"webp", "jpeg"}}
	android := Negotiation{Formats: []string{"avif", "webp"}, Unknown: "webp"}
	old := AcceptPNG | AcceptJPEG | AcceptGIF
	jxl := Negotiation{Formats: []string{"jxl", "avif", "webp"}}
	jxlLater := Negotiation{Formats: []string{"avif", "jxl", "webp"}}
	const safari = "image/webp,image/avif,image/jxl,image/heic,video/*;q=0.8,image/png,image/*;q=0.8,*/*;q=0.5"
	for _, test := range []struct {
		header string
		cfg    Negotiation
		best   Format
		set    FormatSet
	}{
		{"image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", Default(), AVIF, everything},
		{"image/avif", Default(), AVIF, everything},
		{"image/webp", Default(), WebP, everything &^ AcceptAVIF},
		{"IMAGE/WEBP ; Q=0.7", Default(), WebP, everything &^ AcceptAVIF},
		{"", Default(), JPEG, old},
		{"*/*", Default(), JPEG, old},
		{"*; q=.2, */*; q=.2", Default(), JPEG, old},
		{"image/*", Default(), JPEG, old},
		{"text/html", Default(), JPEG, old},
		{"image/png", Default(), JPEG, old},
		{"image/gif", Default(), JPEG, old},
		{"image/png,image/jpeg", Default(), JPEG, old},
		{"image/jpeg", Default(), JPEG, AcceptJPEG},
		{"image/jpg;q=0.5", Default(), JPEG, AcceptJPEG},
		{"image/jpeg,text/html", Default(), JPEG, AcceptJPEG},
		{"image/jpeg,*/*;q=0.1", Default(), JPEG, old},
		{"image/webp;q=0,image/*", Default(), JPEG, old},
		{"image/avif;q=0,image/webp", Default(), WebP, everything &^ AcceptAVIF},
		{"image/avif,image/webp;q=0", Default(), AVIF, everything &^ AcceptWebP},
		{"image/avif;q=0.5,image/webp;q=0.9", Default(), WebP, everything &^ AcceptAVIF},
		{"image/avif;q=0.5,image/webp;q=0.500", Default(), AVIF, everything},
		{"image/jpeg,image/webp;q=0.1", Default(), JPEG, AcceptJPEG},
		{"image/avif,image/jpeg;q=0", Default(), AVIF, everything &^ AcceptJPEG},
		{"image/jpeg;q=0,*/*", Default(), PNG, AcceptPNG | AcceptGIF},
		{"image/*;q=0,image/webp", Default(), WebP, AcceptWebP},
		{"*/*;q=0", Default(), JPEG, AcceptJPEG},
		{"image/avif;q=2,image/webp;q=x,image/*", Default(), JPEG, old},
		{"image/avif;q=1.001,image/webp;q=-1,image/*", Default(), JPEG, old},
		{"image/avif;level=1;q=0.001", Default(), AVIF, everything},
		{",,;,image/webp,", Default(), WebP, everything &^ AcceptAVIF},
		{"image/avif,image/webp", noAVIF, WebP, everything &^ AcceptAVIF},
		{"image/avif", noAVIF, JPEG, old},
		{"image/avif,image/webp", Negotiation{Formats: []string{"webp", "avif"}}, WebP, everything &^ AcceptAVIF},
		{"image/avif,image/webp", Negotiation{Formats: []string{"avif"}}, AVIF, everything &^ AcceptWebP},
		{"image/avif,image/webp", Negotiation{}, JPEG, old},
		{"*/*", android, WebP, everything &^ AcceptAVIF},
		{"", android, WebP, everything &^ AcceptAVIF},
		{"image/webp;q=0,*/*", android, JPEG, old},
		{"image/jpeg", android, JPEG, AcceptJPEG},
		{"image/png", android, JPEG, old},
		{safari, Default(), AVIF, everything},
		{safari, jxl, JXL, everything | AcceptJXL},
		{safari, jxlLater, AVIF, everything},
		{"image/jxl,image/avif;q=0.5", jxlLater, JXL, everything | AcceptJXL},
		{"image/jxl,image/avif;q=0", jxl, JXL, everything&^AcceptAVIF | AcceptJXL},
		{"image/jxl,*/*", jxl, JXL, everything&^AcceptAVIF | AcceptJXL},
		{"image/jxl;q=0,image/*", jxl, JPEG, old},
		{"image/avif,image/webp,*/*", jxl, AVIF, everything},
		{"image/jxl,image/avif,image/webp", Negotiation{Formats: []string{"jxl"}}, JXL, old | AcceptJXL},
		{"image/jxl", Default(), JPEG, old},
		{strings.Repeat("text/html,", accept.MaxElements) + "image/avif", Default(), JPEG, old},
		{strings.Repeat(" ", accept.MaxHeader) + "image/avif", Default(), JPEG, old},
	} {
		if got, want := ParseAccept(test.header, test.cfg), (Accept{Best: test.best, Formats: test.set}); got != want {
			t.Errorf("ParseAccept(%.80q, %v) = %+v, want %+v", test.header, test.cfg, got, want)
		}
	}
}

// TestAcceptVectors checks what negotiation can decide before the picture is seen: the first format, and that a picture
// with alpha or motion keeps a way out that the row names.
func TestAcceptVectors(t *testing.T) {
	for _, row := range vectors(t, "accept.tsv") {
		header := row["accept"]
		if header == "(absent)" {
			header = ""
		}
		got := Spec{}.Resolve(ParseAccept(header, Default()))
		alternatives := strings.Split(strings.TrimSuffix(row["expected_media_type"], ", animation kept (or first frame by policy)"), " or ")
		first, fits := false, false
		for _, media := range alternatives {
			f, ok := ParseFormat(strings.TrimPrefix(media, "image/"))
			if !ok {
				t.Fatalf("%s: %q names no format", row["id"], media)
			}
			first = first || got.Format == f
			fits = fits || got.Accepts.Has(f)
		}
		if strings.Contains(row["source"], "alpha") && got.Format == JPEG {
			first = got.Accepts.Has(PNG) // the codec leaves jpeg for png where there is alpha
		}
		if !first || !fits {
			t.Errorf("%s: %q resolves to %s of %s, want %s", row["id"], row["accept"], got.Format, got.Accepts.letters(), row["expected_media_type"])
		}
	}
}

func TestResolve(t *testing.T) {
	bound := func(s Spec, dpr float64) Spec { s.DPRMost = dpr; return s }
	chrome := Accept{Best: AVIF, Formats: everything}
	slow := Accept{Best: AVIF, Formats: everything, Slow: true}
	open := func(s Spec) Spec { s.Format, s.Accepts = AVIF, everything; return s }
	for _, test := range []struct {
		name         string
		accept       Accept
		before, want Spec
	}{
		{"open", chrome, Spec{Width: 5}, open(Spec{Width: 5})},
		{"no client", Accept{}, Spec{}, Spec{Format: JPEG, Accepts: AcceptPNG | AcceptJPEG | AcceptGIF}},
		{"concrete", chrome, Spec{Format: PNG}, Spec{Format: PNG}},
		{"hints without auto", slow, Spec{DPR: 2}, open(Spec{DPR: 2})},
		{"auto, fast", chrome, Spec{Net: NetAuto, DPR: 2}, open(Spec{DPR: 2})},
		{"auto, slow", slow, Spec{Net: NetAuto, DPR: 2}, open(bound(Spec{Class: ClassSaver, DPR: 2}, 1))},
		{"2g", chrome, Spec{Net: Net2G, DPR: 3}, open(bound(Spec{Class: ClassSaver, DPR: 3}, 1))},
		{"2g, no document", chrome, Spec{Net: Net2G, DPR: 3, Legible: LegibleNo}, open(Spec{Class: ClassSaver, Legible: LegibleNo})},
		{"2g, a document", chrome, Spec{Net: Net2G, DPR: 3, Legible: LegibleYes}, open(Spec{Class: ClassSaver, DPR: 3, Legible: LegibleYes})},
		{"2g, half", chrome, Spec{Net: Net2G, DPR: 0.5}, open(Spec{Class: ClassSaver, DPR: 0.5})},
		{"3g", chrome, Spec{Net: Net3G, DPR: 3}, open(bound(Spec{DPR: 3}, 1.5))},
		{"3g, q as asked", chrome, Spec{Net: Net3G, DPR: 3, Quality: 60}, open(Spec{DPR: 1.5, Quality: 60})},
		{"3g, one", chrome, Spec{Net: Net3G}, open(Spec{})},
		{"4g", slow, Spec{Net: Net4G, DPR: 3}, open(Spec{DPR: 3})},
		{"wifi", slow, Spec{Net: NetWifi, DPR: 3}, open(Spec{Class: ClassHigh, DPR: 3})},
		{"quality beats the class", chrome, Spec{Net: Net2G, DPR: 3, Quality: 70}, open(Spec{Quality: 70})},
		{"quality beats format_quality", chrome, Spec{Quality: 70, FormatQuality: Qualities{AVIF: 9}}, open(Spec{Quality: 70})},
		{"format_quality, open", chrome, Spec{FormatQuality: Qualities{AVIF: 9}}, open(Spec{FormatQuality: Qualities{AVIF: 9}})},
		{"format_quality, concrete", chrome, Spec{Format: WebP, FormatQuality: Qualities{WebP: 9, AVIF: 8}}, Spec{Format: WebP, Quality: 9}},
		{"format_quality of others", chrome, Spec{Format: PNG, FormatQuality: Qualities{AVIF: 8}}, Spec{Format: PNG}},
	} {
		got := test.before.Resolve(test.accept)
		if got != test.want {
			t.Errorf("%s: %+v\nwant %+v", test.name, got, test.want)
		}
		if again := got.Resolve(test.accept); again != got {
			t.Errorf("%s: resolved twice: %+v", test.name, again)
		}
		if got.IsOpen() != test.before.IsOpen() {
			t.Errorf("%s: IsOpen changed", test.name)
		}
	}
	if !(Spec{Net: NetAuto}).VariesByHints() || (Spec{Net: Net2G}).VariesByHints() {
		t.Error("only net:auto varies by hints")
	}
}

func TestNegotiationValidate(t *testing.T) {
	for _, test := range []struct {
		cfg Negotiation
		ok  bool
	}{
		{Default(), true}, {Negotiation{}, true}, {Negotiation{Formats: []string{"JPG"}, Unknown: "webp"}, true},
		{Negotiation{Formats: []string{"avif", "jxl", "webp", "jpeg"}}, true}, {Negotiation{Unknown: "jxl"}, false},
		{Negotiation{Formats: []string{"png"}}, false}, {Negotiation{Formats: []string{"heic"}}, false}, {Negotiation{Formats: []string{""}}, false},
		{Negotiation{Unknown: "avif"}, false}, {Negotiation{Unknown: "x"}, false},
	} {
		if err := test.cfg.Validate(); (err == nil) != test.ok {
			t.Errorf("%+v: %v, want ok %t", test.cfg, err, test.ok)
		}
	}
}

// FuzzParseAccept holds that every header folds to a few values that can be answered, and that naming what was chosen
// keeps it.
func FuzzParseAccept(f *testing.F) {
	for _, header := range []string{"", "*/*", "image/avif,image/webp;q=0.5,*/*;q=0", "image/*;q=.5;x", "image/jpeg;q=0",
		"image/jxl,image/avif;q=.5"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, cfg := range []Negotiation{Default(), {}, {Formats: []string{"webp"}, Unknown: "webp"},
			{Formats: []string{"jxl", "avif"}}} {
			a := ParseAccept(header, cfg)
			if !a.Formats.Has(a.Best) || a.Slow || a.Formats&^(everything|AcceptJXL) != 0 {
				t.Fatalf("%q: %+v", header, a)
			}
			if (Spec{}).Resolve(a).Resolve(a) != (Spec{}).Resolve(a) {
				t.Fatalf("%q: %+v resolves twice", header, a)
			}
			if len(header) < accept.MaxHeader && strings.Count(header, ",") < accept.MaxElements-3 {
				if b := ParseAccept(header+","+header, cfg); b != a {
					t.Fatalf("%q: %+v, said twice %+v", header, a, b)
				}
			}
		}
	})
}
