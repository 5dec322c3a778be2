package variant

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/variant/naming"
)

// under is a parser under a policy.
func under(t *testing.T, p *Parser, policy Policy) *Parser {
	t.Helper()
	p, err := p.Under(policy)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What identifies a watermark is part of the key: the fingerprint of the configured one, or the canonical URL. It is
// not, where there is no watermark.
func TestKeyHasTheWatermark(t *testing.T) {
	names, err := naming.New(naming.Config{Aliases: map[string]string{"shop": "https://cdn.example/"}})
	if err != nil {
		t.Fatal(err)
	}
	strip := parser(t, nil, false, "X-Amz-*").Naming(names)
	one, two := under(t, strip, Policy{Mark: "fingerprint1"}), under(t, strip, Policy{Mark: "fingerprint2"})
	key := func(p *Parser, options, mark string) string {
		t.Helper()
		if mark != "" {
			options += "/wmu:" + encode64(mark)
		}
		ref, _, err := p.ParsePath("/" + options + "/f:png/plain/http://a/b.jpg")
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := p.ParsePath(ref.Path())
		if err != nil || again != ref {
			t.Errorf("%s: read again %+v, %v", ref.Path(), again, err)
		}
		if spec, _, err := p.ParseOptions(options + "/f:png"); err != nil || spec != ref.Spec {
			t.Errorf("%s: the options alone %+v, %v", options, spec, err)
		}
		return ref.Key()
	}
	for name, tt := range map[string]struct {
		a, b string
		same bool
	}{
		"the file":           {key(one, "wm:1", ""), key(two, "wm:1", ""), false},
		"no mark, file":      {key(one, "w:9", ""), key(two, "w:9", ""), true},
		"opacity 0, file":    {key(one, "wm:0", ""), key(two, "wm:0", ""), true},
		"a URL, file":        {key(one, "wm:1", "http://a/m"), key(two, "wm:1", "http://a/m"), true},
		"the URL":            {key(one, "wm:1", "http://a/m"), key(one, "wm:1", "http://a/n"), false},
		"a URL without mark": {key(one, "w:9", "http://a/m"), key(one, "w:9", ""), true},
		"a link, newly given": {
			key(one, "wm:1", "http://a/m?X-Amz-Date=1"), key(one, "wm:1", "http://a/m?X-Amz-Date=2"), true},
		"an alias":     {key(one, "wm:1", "shop:/m.png"), key(one, "wm:1", "https://cdn.example/m.png"), true},
		"file and URL": {key(one, "wm:1", ""), key(one, "wm:1", "http://a/m"), false},
	} {
		if (tt.a == tt.b) != tt.same {
			t.Errorf("%s: %s and %s", name, tt.a, tt.b)
		}
	}
	if k := key(one, "wm:1:soea", ""); !strings.HasSuffix(k, "/wm_1_soea_0_0_0,mark_fingerprint1.png") {
		t.Error(k)
	}
}

// The URL of a watermark is checked as that of an original. It needs no configured watermark.
func TestWatermarkURL(t *testing.T) {
	p := under(t, parser(t, nil, false), Policy{NoWatermark: true})
	for mark, kind := range map[string]fault.Kind{
		encode64("https://a/m.png"): "", "": fault.UnsupportedOption, "!": fault.BadOption,
		encode64("m.png"): fault.BadOption, encode64("ftp://a/m.png"): fault.BadOption,
		encode64("ref:" + strings.Repeat("a", 32)): fault.BadOption,
		encode64("https://u:secret@a/m.png"):       fault.BadOption,
	} {
		for _, options := range []string{"wm:1/wmu:" + mark, "wmu:" + mark + "/wm:1"} {
			_, _, err := p.ParseOptions(options)
			if fault.KindOf(err) != kind || err != nil && strings.Contains(fault.Of(err).Public, "secret") {
				t.Errorf("%s: %v, want %q", options, err, kind)
			}
		}
	}
}
