package unit

import (
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/variant/naming"
)

// Auto-detection finds the configured kinds of sources, and nothing else. Values of selectors are parsed by the same
// names.
func TestSourcesOfEveryKind(t *testing.T) {
	names, err := naming.New(naming.Config{
		Aliases: map[string]string{"shop": "https://cdn.shop.example/img"}, BaseURL: "s3://media",
		Replace: []naming.Replacement{{From: "old3://", To: "s3://"}},
	}, "s3", "local")
	if err != nil {
		t.Fatal(err)
	}
	const call = `{"data_units":[{"data":{
		"a":"s3://media/a b.jpg","b":"gs://media/b.jpg","c":"local:///c.jpg","d":"shop:/d.jpg",
		"e":"old3://media/e.jpg","image":"S3://media/f",
		"g":"s3://media/g","text":"shop:/a.jpg and shop:/b.jpg","h":"s3:",
		"i":"s3://","j":"shop:/","photo":"shop:/",
		"k":"https://a.example/k.jpg","l":"l/l.jpg"}}%s]}`
	found := func(rules Rules, more string) []string {
		t.Helper()
		c, err := parseCall(strings.NewReader(strings.Replace(call, "%s", more, 1)), "", "", nil, rules)
		if err != nil {
			t.Fatal(err)
		}
		var sources []string
		for _, u := range c.Units {
			for _, img := range u.Images {
				sources = append(sources, img.Source+" "+string(img.Bad))
			}
		}
		return sources
	}
	want := "s3://media/a%20b.jpg |local:///c.jpg |https://cdn.shop.example/img/d.jpg |s3://media/e.jpg " +
		"|S3://media/f |https://cdn.shop.example/img/ " +
		"|https://a.example/k.jpg "
	if got := strings.Join(found(Rules{Names: names}, ""), "|"); got != want {
		t.Errorf("found %s\nwant  %s", got, want)
	}
	if got := strings.Join(found(Rules{}, ""), "|"); got != "https://a.example/k.jpg " {
		t.Errorf("without names found %s", got)
	}
	const urls = `{"urls":["shop:/d.jpg","l/l.jpg","s3://media/x"]}`
	c, err := parseCall(strings.NewReader(urls), "", "", nil, Rules{Names: names})
	if err != nil || len(c.Units) != 3 {
		t.Fatalf("%+v, %v", c, err)
	}
	for i, want := range []string{"https://cdn.shop.example/img/d.jpg", "s3://media/l/l.jpg", "s3://media/x"} {
		if got := c.Units[i].Images[0]; got.Source != want || got.Bad != "" {
			t.Errorf("URL %d is %+v, want %s", i, got, want)
		}
	}
	chosen := found(Rules{Names: names, Select: []string{"/l", "/d"}}, "")
	if got := strings.Join(chosen, "|"); got != "https://cdn.shop.example/img/d.jpg |s3://media/l/l.jpg " {
		t.Errorf("chosen: %s", got)
	}
}
