package main

import (
	"context"
	"fmt"
	"os"

	"github.com/goldcrest/goldcrest/client"
)

// severalWidths are the variants of one original that apps request: a large view, a list, a thumbnail.
var severalWidths = []int{1080, 640, 320}

// severalMore is twice as many, for more kinds of screens.
var severalMore = []int{1080, 800, 640, 480, 320, 160}

// measureSeveral compares the variants of new originals made in one call, as prewarm makes them, with the same variants
// of as many new originals requested separately. It does so for all photos, and for those of phone size, where reading
// the original is most of the work. The comparison is what raw libvips gains by the same: one decode, and each width
// from the pixels of the one before.
func measureSeveral(ctx context.Context, b *bench) ([]row, error) {
	all, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := b.several(ctx, all, "an original")
	all.stop()
	if err != nil {
		return nil, err
	}
	large, err := b.startMaster(ctx)
	if err != nil {
		return nil, err
	}
	defer large.stop()
	more, err := b.several(ctx, large, "an original of 8 to 12 MP")
	return append(rows, more...), err
}

// several is measureSeveral for the photos of c.
func (b *bench) several(ctx context.Context, c *cold, original string) (rows []row, err error) {
	p := &prewarming{cold: c}
	if p.api, err = c.rig.api(); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		options, raw string
		widths       []int
		target       float64
	}{
		{"q:75/f:webp", "webp", severalWidths, 1.25}, {"q:75/f:jpg", "jpeg-progressive", severalWidths, 1.5}, {"q:57/f:avif", "avif", severalWidths, 1.3},
		{"q:75/f:webp", "webp", severalMore, 1.25}, {"q:75/f:jpg", "jpeg-progressive", severalMore, 1.5}, {"q:57/f:avif", "avif", severalMore, 1.3},
	} {
		var together, alone passCost
		for i := range 1 + max(b.rounds/2, 1) {
			one, err := p.several(ctx, f.options, f.widths)
			if err != nil {
				return nil, err
			}
			var each passCost
			for _, w := range f.widths {
				pass, err := p.several(ctx, f.options, []int{w})
				if err != nil {
					return nil, err
				}
				each = each.and(pass)
			}
			if i > 0 { // The first round warms up.
				together.add(one)
				alone.add(each)
			}
			if b.noise {
				fmt.Fprintf(os.Stderr, "  %s: together %.1f/s, alone %.1f/s\n", f.options, float64(one.images)/one.wall, float64(each.images)/each.wall)
			}
		}
		chain, err := p.raw(ctx, "chain", f.raw, f.widths...)
		if err != nil {
			return nil, err
		}
		exact, err := p.raw(ctx, "exact", f.raw, f.widths...)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("%d variants of %s in one go, %s, against alone: ", len(f.widths), original, f.options)
		rows = append(rows,
			row{what: what + "images", ours: median(together.rates), reference: median(alone.rates), unit: "1/s", target: f.target},
			row{what: what + "CPU an image", ours: median(together.costs), reference: median(alone.costs), unit: "ms"},
			row{what: what + "images of bare libvips", ours: float64(chain.images) / chain.wall, reference: float64(exact.images) / exact.wall, unit: "1/s"})
	}
	return rows, nil
}

// several makes each photo, under a name that is new to the server, in some widths.
func (p *prewarming) several(ctx context.Context, options string, widths []int) (passCost, error) {
	call := client.Call{Return: "none"}
	for _, w := range widths {
		call.Variants = append(call.Variants, client.Variant{Name: fmt.Sprint("w", w), Options: fmt.Sprintf("rs:fit:%d:0/%s", w, options)})
	}
	return p.job(ctx, call, len(p.photos))
}
