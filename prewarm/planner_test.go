package prewarm

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/unit"
)

// TestCallsAreCounted: images times variants are bounded, in each format and weight class, regardless of the unit that
// requests them.
func TestCallsAreCounted(t *testing.T) {
	d := newDoor(t, func(cfg *Config, _ *Deps) { cfg.CallVariants = 100 })
	defer d.Close()
	images := func(n int) (all []unit.Image) {
		for i := range n {
			all = append(all, unit.Image{Source: fmt.Sprintf("https://c.example/%d.jpg", i)})
		}
		return all
	}
	var widths []unit.VariantAsk
	for i := range 21 {
		widths = append(widths, unit.VariantAsk{Options: fmt.Sprintf("w:%d/f:webp", 100+i)})
	}
	open := []unit.VariantAsk{{Options: "w:100"}} // avif, webp and jpeg
	for _, tt := range []struct {
		what string
		call unit.Call
		want int // 0 = refused
	}{
		{"as many as may be", unit.Call{Units: []unit.Unit{{Images: images(60)}, {Images: images(40)}}}, 100},
		{"one more", unit.Call{Units: []unit.Unit{{Images: images(60)}, {Images: images(41)}}}, 0},
		{"formats count", unit.Call{Variants: open, Units: []unit.Unit{{Images: images(33)}}}, 99},
		{"and are too many", unit.Call{Variants: open, Units: []unit.Unit{{Images: images(34)}}}, 0},
		{"widths of the call", unit.Call{Variants: widths, Units: []unit.Unit{{Images: images(5)}}}, 0},
		{"widths of one unit", unit.Call{Units: []unit.Unit{
			{Images: images(3)}, {Images: images(5), Variants: widths},
		}}, 0},
		{"units that cannot be made", unit.Call{Units: []unit.Unit{{Images: images(3)}, {Images: images(500), Err: &unit.Error{Code: fault.BadUnit}}, {Images: images(500), Variants: []unit.VariantAsk{{Name: "nobody"}}}}}, 3},
	} {
		n, err := d.Weigh(tt.call)
		if refused := fault.KindOf(err) == fault.BodyTooLarge; n != tt.want || refused != (tt.want == 0) {
			t.Errorf("%s: %d variants, %v; want %d", tt.what, n, err, tt.want)
		}
		if _, err := d.Draft(tt.call); (fault.KindOf(err) == fault.BodyTooLarge) != (tt.want == 0) {
			t.Errorf("%s: drafted with %v", tt.what, err)
		}
		var asks []CheckAsk
		for _, u := range tt.call.Units {
			variants := u.Variants
			if variants == nil {
				variants = tt.call.Variants
			}
			for _, i := range u.Images {
				asks = append(asks, CheckAsk{Source: i.Source, Variants: variants})
			}
		}
		told := 0
		err = d.Check(t.Context(), asks, func(Checked) error { told++; return nil })
		if refused := fault.KindOf(err) == fault.BodyTooLarge; !strings.Contains(tt.what, "cannot") && (refused != (tt.want == 0) || refused && told > 0) {
			t.Errorf("%s: checked with %v after %d rows", tt.what, err, told)
		}
	}
	keys := make([]CheckAsk, 101)
	for i := range keys {
		keys[i].Key = "v1/00/0123/x.webp"
	}
	if err := d.Check(t.Context(), keys, func(Checked) error { return nil }); fault.KindOf(err) != fault.BodyTooLarge {
		t.Errorf("keys: %v", err)
	}
}
