package prewarm

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// keeping is a door that stores links that expire by their parameter sig; if fail is set, storing fails.
func keeping(t *testing.T, kept map[string]string, fail error) *door {
	t.Helper()
	return newDoor(t, func(_ *Config, deps *Deps) {
		parser, err := variant.NewParser(map[string]string{"lite": "w:480/f:webp", "bust": "w:9/f:webp/cb:2"}, false, "sig")
		if err != nil {
			t.Fatal(err)
		}
		deps.Parser = func() *variant.Parser { return parser }
		deps.Keep = func(_ context.Context, links map[string]string) error {
			if fail == nil {
				maps.Copy(kept, links)
			}
			return fail
		}
	})
}

func linked(links ...string) (c unit.Call) {
	c.Variants = []unit.VariantAsk{{Name: "bust"}, {Name: "lite"}}
	for i, link := range links {
		c.Units = append(c.Units, unit.Unit{Index: i, ID: "u", Images: []unit.Image{{Pointer: "/a", Source: link}}})
	}
	return c
}

// The ledger contains an id in place of a link that expires. Two links to one picture are one image, and the last link
// is stored. A source that does not expire is unchanged.
func TestDraftConcealsLinks(t *testing.T) {
	d := keeping(t, nil, nil)
	defer d.Close()
	const (
		first  = "https://c.example/a.jpg?sig=1"
		second = "https://c.example/a.jpg?sig=2"
		lasts  = "https://c.example/b.jpg?v=1"
	)
	got, err := d.Draft(linked(first, second, lasts))
	if err != nil || len(got.Works) != 2 || len(got.Links) != 1 {
		t.Fatalf("%d images, links %v, %v", len(got.Works), got.Links, err)
	}
	a, b := got.Works[0].Work, got.Works[1].Work
	id, ok := variant.OpaqueID(a.Source)
	if !ok || got.Links[id] != second || a.Told() != "https://c.example/a.jpg" || len(a.Spots) != 2 {
		t.Errorf("%+v, links %v", a, got.Links)
	}
	if b.Source != lasts || b.Told() != b.Source {
		t.Errorf("%+v", b)
	}
	for _, task := range got.Tasks {
		r, err := task.Record("job", 0)
		if err != nil || strings.Contains(string(r.Body), "sig=") {
			t.Errorf("the record holds a link: %s, %v", r.Body, err)
		}
	}
}

// A call whose links cannot be stored is refused before anything is recorded.
func TestAcceptNeedsItsLinks(t *testing.T) {
	d := keeping(t, nil, fault.New(fault.Overloaded, "test", "down", nil))
	defer d.Close()
	call := linked("https://c.example/a.jpg?sig=1")
	a, err := d.Accept(t.Context(), "one", "", [32]byte{}, call)
	if fault.KindOf(err) != fault.Overloaded {
		t.Errorf("%+v, %v", a, err)
	}
	err = d.deps.Ledger.List(t.Context(), ledger.Scan{Prefix: "job"}, func(r ledger.Record) bool {
		t.Errorf("%s was written", r.Key)
		return true
	})
	if err != nil {
		t.Error(err)
	}
	kept := map[string]string{}
	d = keeping(t, kept, nil)
	defer d.Close()
	if _, err := d.Accept(t.Context(), "one", "", [32]byte{}, call); err != nil || len(kept) != 1 {
		t.Errorf("%v, kept %v", err, kept)
	}
}
