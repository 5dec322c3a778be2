package cold

import (
	"context"

	"github.com/goldcrest/goldcrest/bench/rig"
)

// MeasureChoice compares cold pictures at the defaults, for a client that accepts AVIF, with the same server's WebP at
// q 79 named in the URL, the default of other proxies. It also measures the cost of probing each picture.
func MeasureChoice(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	c, err := Start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	const size, accept = "rs:fit:800:0", "image/avif,image/webp,*/*"
	ways := []Wanted{
		{size, accept},
		{size + "/f:webp/q:79", "*/*"},
		{size + "/f:avif/q:57", "*/*"},
		{size + "/f:avif", "*/*"},
		{size + "/legible:0", accept},
	}
	passes := make([]PassCost, len(ways))
	for i := range 1 + max(b.Rounds/2, 1) {
		for k, w := range ways {
			pass, err := c.Pass(ctx, w)
			if err != nil {
				return nil, err
			}
			if i > 0 { // The first pass warms up.
				passes[k].Add(pass)
			}
		}
	}
	open, webp, fixed, chosen, photos := passes[0], passes[1], passes[2], passes[3], passes[4]
	mean := func(w PassCost) float64 { return float64(w.bytes) / float64(w.Images) / 1000 }
	return []rig.Row{
		{What: "cold, defaults, AVIF client, against WebP q79: images", Ours: rig.Median(open.Rates), Reference: rig.Median(webp.Rates), Unit: "1/s", Target: 1.4},
		{What: "the same where print is treated as photos are, by the fastest encoder: images", Ours: rig.Median(photos.Rates), Reference: rig.Median(webp.Rates), Unit: "1/s"},
		{What: "the same: size, against what print costs with the encoder it gets", Ours: mean(photos), Reference: mean(open), Unit: "KB"},
		{What: "the same of AVIF at a fixed q57, nothing chosen: images", Ours: rig.Median(fixed.Rates), Reference: rig.Median(webp.Rates), Unit: "1/s"},
		{What: "cold, defaults, AVIF client, against WebP q79: CPU an image", Ours: rig.Median(open.Costs), Reference: rig.Median(webp.Costs), Unit: "ms"},
		{What: "cold, defaults, AVIF client, against WebP q79: size", Ours: mean(open), Reference: mean(webp), Unit: "KB"},
		{What: "cold AVIF, chosen q against q57: CPU an image, all of it", Ours: rig.Median(chosen.Costs), Reference: rig.Median(fixed.Costs), Unit: "ms"},
	}, nil
}
