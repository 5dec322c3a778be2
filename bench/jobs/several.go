package jobs

import (
	"context"
	"fmt"
	"os"

	"github.com/goldcrest/goldcrest/bench/cold"
	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/client"
)

// severalMore is twice as many, for more kinds of screens.
var severalMore = []int{1080, 800, 640, 480, 320, 160}

// MeasureSeveral compares the variants of new originals made in one call, as prewarm makes them, with the same variants
// of as many new originals requested separately. It does so for all photos, and for those of phone size, where reading
// the original is most of the work. The comparison is what raw libvips gains by the same: one decode, and each width
// from the pixels of the one before.
func MeasureSeveral(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	all, err := cold.Start(ctx, b)
	if err != nil {
		return nil, err
	}
	rows, err := several(ctx, b, all, "an original")
	all.Stop()
	if err != nil {
		return nil, err
	}
	large, err := cold.StartMaster(ctx, b)
	if err != nil {
		return nil, err
	}
	defer large.Stop()
	more, err := several(ctx, b, large, "an original of 8 to 12 MP")
	return append(rows, more...), err
}

// several is measureSeveral for the photos of c.
func several(ctx context.Context, b *rig.Bench, c *cold.Cold, original string) (rows []rig.Row, err error) {
	p := &Prewarming{Cold: c}
	if p.Api, err = c.Rig.Api(); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		options, raw string
		widths       []int
		target       float64
	}{
		{"q:75/f:webp", "webp", cold.SeveralWidths, 1.25}, {"q:75/f:jpg", "jpeg-progressive", cold.SeveralWidths, 1.5}, {"q:57/f:avif", "avif", cold.SeveralWidths, 1.3},
		{"q:75/f:webp", "webp", severalMore, 1.25}, {"q:75/f:jpg", "jpeg-progressive", severalMore, 1.5}, {"q:57/f:avif", "avif", severalMore, 1.3},
	} {
		var together, alone cold.PassCost
		for i := range 1 + max(b.Rounds/2, 1) {
			one, err := p.several(ctx, f.options, f.widths)
			if err != nil {
				return nil, err
			}
			var each cold.PassCost
			for _, w := range f.widths {
				pass, err := p.several(ctx, f.options, []int{w})
				if err != nil {
					return nil, err
				}
				each = each.And(pass)
			}
			if i > 0 { // The first round warms up.
				together.Add(one)
				alone.Add(each)
			}
			if b.Noise {
				fmt.Fprintf(os.Stderr, "  %s: together %.1f/s, alone %.1f/s\n", f.options, float64(one.Images)/one.Wall, float64(each.Images)/each.Wall)
			}
		}
		chain, err := p.Raw(ctx, "chain", f.raw, f.widths...)
		if err != nil {
			return nil, err
		}
		exact, err := p.Raw(ctx, "exact", f.raw, f.widths...)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("%d variants of %s in one go, %s, against alone: ", len(f.widths), original, f.options)
		rows = append(rows,
			rig.Row{What: what + "images", Ours: rig.Median(together.Rates), Reference: rig.Median(alone.Rates), Unit: "1/s", Target: f.target},
			rig.Row{What: what + "CPU an image", Ours: rig.Median(together.Costs), Reference: rig.Median(alone.Costs), Unit: "ms"},
			rig.Row{What: what + "images of bare libvips", Ours: float64(chain.Images) / chain.Wall, Reference: float64(exact.Images) / exact.Wall, Unit: "1/s"})
	}
	return rows, nil
}

// several makes each photo, under a name that is new to the server, in some widths.
func (p *Prewarming) several(ctx context.Context, options string, widths []int) (cold.PassCost, error) {
	call := client.Call{Return: "none"}
	for _, w := range widths {
		call.Variants = append(call.Variants, client.Variant{Name: fmt.Sprint("w", w), Options: fmt.Sprintf("rs:fit:%d:0/%s", w, options)})
	}
	return p.Job(ctx, call, len(p.Photos))
}
