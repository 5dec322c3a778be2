package naming

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

func names(t *testing.T, cfg Config, schemes ...string) *Names {
	t.Helper()
	n, err := New(cfg, schemes...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSource(t *testing.T) {
	n := names(t, Config{
		Aliases: map[string]string{"shop": "https://cdn.shop.example/img/", "m": "s3://media", "disk": "local:///"},
		BaseURL: "https://base.example",
		Replace: []Replacement{{"mys3://", "s3://bucket/images/"}, {"https://*.old.example/*/",
			"https://new.example/${2}/${1}/"}},
	})
	for name, want := range map[string]string{
		"shop:/a.jpg": "https://cdn.shop.example/img/a.jpg", "shop://a.jpg": "https://cdn.shop.example/img/a.jpg",
		"m:/k/a.jpg":  "s3://media/k/a.jpg",
		"disk:/a.jpg": "local:///a.jpg",
		"a/b.jpg":     "https://base.example/a/b.jpg", "/a/b.jpg": "https://base.example/a/b.jpg",
		".evil.example/x":                  "https://base.example/.evil.example/x",
		"@evil.example/x":                  "https://base.example/@evil.example/x",
		"//evil.example/x":                 "https://base.example//evil.example/x",
		"mys3://a.jpg":                     "s3://bucket/images/a.jpg",
		"https://w1.old.example/x/a.jpg?q": "https://new.example/x/w1/a.jpg?q",
		"https://a.example/shop:/x":        "https://a.example/shop:/x",
		"http://a.example/mys3://x":        "http://a.example/mys3://x",
		"ftp://a":                          "ftp://a", "shop:a.jpg": "shop:a.jpg", "other:/a.jpg": "other:/a.jpg",
		"": "",
	} {
		got, err := n.Source(name)
		if got != want || err != nil {
			t.Errorf("Source(%q) = %q, %v, want %q", name, got, err, want)
		}
		if again, err := n.Source(got); again != got || err != nil { // What is stored of a source is read again.
			t.Errorf("Source(%q) = %q, %v: not itself", got, again, err)
		}
	}
	var none *Names
	if got, err := none.Source("a/b.jpg"); got != "a/b.jpg" || err != nil {
		t.Errorf("nil: %q, %v", got, err)
	}
}

// What a second reading would take for something else is refused: URLs that the server gives out are read again.
func TestReplacementsThatDoNotSettle(t *testing.T) {
	n := names(t, Config{Replace: []Replacement{{"https://a.example/", "https://a.example/img/"}}})
	if got, err := n.Source("https://a.example/x"); fault.KindOf(err) != fault.BadSource {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := n.Source("https://b.example/x"); got != "https://b.example/x" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTextThatBeginsASource(t *testing.T) {
	n := names(t, Config{Aliases: map[string]string{"shop": "https://a.example/"},
		Replace: []Replacement{{"mys3://*/", "s3://"}, {"*.jpg", "x"}}}, "s3")
	for text, want := range map[string]bool{
		"http://a": true, "HTTPS://a": true, "s3://a/b": true, "S3://a/b": true, "shop:/a": true, "mys3://a/b": true,
		"gs://a/b": false, "local:///a": false, "shop:a": false, "a.jpg": false, "": false, "ftp://x": false,
	} {
		if got := n.Begins(text); got != want {
			t.Errorf("Begins(%q) = %t", text, got)
		}
		if want && !n.MayBegin(text[0]) {
			t.Errorf("%q may not begin a source", text)
		}
	}
	if none := (*Names)(nil); !none.Begins("https://a") || none.Begins("s3://a/b") || !none.MayBegin('H') ||
		none.MayBegin('s') {
		t.Error("without names http and https alone are sources")
	}
}

func TestNewRefusals(t *testing.T) {
	for _, cfg := range []Config{
		{Aliases: map[string]string{"Shop": "https://a.example/"}},
		{Aliases: map[string]string{"http": "https://a.example/"}},
		{Aliases: map[string]string{"a/b": "https://a.example/"}}, {Aliases: map[string]string{"a": "a.example"}},
		{Aliases: map[string]string{"a": "https://hidden:secret@a.example/"}},
		{Aliases: map[string]string{"a": "ftp://a.example/"}},
		{BaseURL: "https://a.example/?x="}, {BaseURL: "/srv"}, {BaseURL: "https:"}, {Replace: []Replacement{{"",
			"x"}}}, {Replace: []Replacement{{"**", "x"}}},
	} {
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestIsAlias(t *testing.T) {
	for text, want := range map[string]bool{
		"shop:/a.jpg": true, "a.b+c-1:/x": true, "https://a": false, "s3://a/b": false, "Shop:/a": false,
		"shop:a": false, "/a:/b": false, "": false, "ftp://a/b": false, "shop://a": false,
	} {
		if got := IsAlias(text); got != want {
			t.Errorf("IsAlias(%q) = %t", text, got)
		}
	}
}
