package variant

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// What the configuration forbids is refused in URLs, whatever the order of options, and in presets. What cannot be
// written in the format of the URL is refused too.
func TestForbiddenOptionsAreRefusedInURLsAndPresets(t *testing.T) {
	strict, err := parser(t, nil, false).Under(Policy{NoWatermark: true, NoMetadata: true, NoRaw: true})
	if err != nil {
		t.Fatal(err)
	}
	lax := parser(t, nil, false)
	for options, kind := range map[string]fault.Kind{
		"sm:0": fault.BadOption, "kcr:1": fault.BadOption, "scp:0": fault.BadOption, "raw:1": fault.UnsupportedOption,
		"w:9/skp:jpg": fault.UnsupportedOption, "wm:1": fault.UnsupportedOption,
	} {
		if _, _, err := strict.ParseOptions(options); fault.KindOf(err) != kind {
			t.Errorf("%s: %v, want %s", options, err, kind)
		}
		if _, _, err := strict.ParsePath("/" + options + "/plain/http://a/b.jpg@jpg"); fault.KindOf(err) != kind {
			t.Errorf("the path with %s: %v, want %s", options, err, kind)
		}
		if _, _, err := lax.ParsePath("/" + options + "/plain/http://a/b.jpg@jpg"); err != nil {
			t.Errorf("%s where it is allowed: %v", options, err)
		}
		preset := parser(t, map[string]string{"p": options}, false)
		if _, err := preset.Under(Policy{NoWatermark: true, NoMetadata: true, NoRaw: true}); err == nil ||
			!strings.HasPrefix(err.Error(), `preset "p": `) {
			t.Errorf("%s in a preset: %v", options, err)
		}
	}
	for _, options := range []string{"sm:1", "kcr:0", "scp:1", "raw:0", "wm:0", "raw:1/raw:0"} {
		if _, _, err := strict.ParseOptions(options); err != nil {
			t.Errorf("%s: %v", options, err)
		}
	}
	for _, path := range []string{
		"/kcr:1/plain/http://a/b.jpg@avif", "/f:gif/scp:0/aHR0cDovL2EvYi5qcGc", "/sm:0/aHR0cDovL2EvYi5qcGc.avif",
	} {
		if _, _, err := lax.ParsePath(path); fault.KindOf(err) != fault.BadOption {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// An original that is sent as it is has one key, whatever else the URL says and the client accepts.
func TestUnprocessedOriginalHasOneKey(t *testing.T) {
	p := parser(t, nil, false)
	keys := map[string]bool{}
	for _, path := range []string{
		"/raw:1/plain/http://a/b.jpg", "/w:9/net:auto/raw:1/f:webp/plain/http://a/b.jpg@avif",
	} {
		for _, accept := range []string{"image/avif", "*/*"} {
			ref, _, err := p.ParsePath(path)
			if err != nil || ref.Spec.IsOpen() || ref.Spec.VariesByHints() {
				t.Fatalf("%s: %+v, %v", path, ref.Spec, err)
			}
			ref.Spec = ref.Spec.Resolve(ParseAccept(accept, Default()))
			keys[ref.Key()] = true
			again, _, err := p.ParsePath(ref.Path())
			if err != nil || again != ref {
				t.Errorf("%s: read again %+v, %v", ref.Path(), again, err)
			}
		}
	}
	if len(keys) != 1 {
		t.Errorf("%v", keys)
	}
}

// Each set of formats that are not processed has its own path and key.
func TestUnprocessedFormatsAreInPathAndKey(t *testing.T) {
	p := parser(t, nil, false)
	all := []Format{JPEG, PNG, WebP, AVIF, GIF, JXL}
	keys := map[string]bool{}
	for set := range 1 << len(all) {
		options := "w:9"
		for i, f := range all {
			if set>>i&1 == 1 {
				options += map[bool]string{true: "/skp", false: ""}[!strings.Contains(options, "skp")] + ":" + string(f)
			}
		}
		ref, _, err := p.ParsePath("/" + options + "/f:jxl/plain/http://a/b.jpg")
		if err != nil {
			t.Fatal(options, err)
		}
		if again, _, err := p.ParsePath(ref.Path()); err != nil || again != ref {
			t.Errorf("%s: read again %+v, %v", ref.Path(), again, err)
		}
		ref.Spec.Format, ref.Spec.Accepts = Open, AcceptJPEG|AcceptPNG|AcceptWebP|AcceptAVIF|AcceptGIF|AcceptJXL
		keys[ref.Key()] = true
	}
	if len(keys) != 1<<len(all) {
		t.Errorf("%d keys of %d sets", len(keys), 1<<len(all))
	}
}

// Formats that cannot hold what is kept are not negotiated, and only formats that may be sent are sent unprocessed.
func TestResolveOfWhatIsKept(t *testing.T) {
	avif := ParseAccept("image/avif,image/webp", Default())
	onlyAVIF := Accept{Best: AVIF, Formats: AcceptAVIF}
	for options, want := range map[string]struct {
		accept Accept
		format Format
		sets   [2]FormatSet // accepted; unprocessed
	}{
		"kcr:1":               {avif, WebP, [2]FormatSet{AcceptWebP | AcceptPNG | AcceptJPEG, 0}},
		"scp:0":               {onlyAVIF, JPEG, [2]FormatSet{AcceptJPEG, 0}},
		"skp:jpg:avif:webp":   {onlyAVIF, AVIF, [2]FormatSet{AcceptAVIF, AcceptAVIF}},
		"skp:jpg:webp/f:webp": {avif, WebP, [2]FormatSet{0, AcceptWebP}},
		"skp:gif/f:webp":      {avif, WebP, [2]FormatSet{}},
	} {
		s, _, err := parser(t, nil, false).ParseOptions(options)
		if err != nil {
			t.Fatal(err)
		}
		s = s.Resolve(want.accept)
		if got := [2]FormatSet{s.Accepts, s.Unprocessed}; s.Format != want.format || got != want.sets {
			t.Errorf("%s: %s, %v; want %+v", options, s.Format, got, want)
		}
		if again := s.Resolve(want.accept); again != s {
			t.Errorf("%s: resolved twice %+v", options, again)
		}
	}
}
