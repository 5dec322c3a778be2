package main

import "context"

// measureChoice compares cold pictures at the defaults, for a client that accepts AVIF, with the same server's WebP at
// q 79 named in the URL, the default of other proxies. It also measures the cost of probing each picture.
func measureChoice(ctx context.Context, b *bench) ([]row, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	const size, accept = "rs:fit:800:0", "image/avif,image/webp,*/*"
	ways := []wanted{
		{size, accept},
		{size + "/f:webp/q:79", "*/*"},
		{size + "/f:avif/q:57", "*/*"},
		{size + "/f:avif", "*/*"},
		{size + "/legible:0", accept},
	}
	passes := make([]passCost, len(ways))
	for i := range 1 + max(b.rounds/2, 1) {
		for k, w := range ways {
			pass, err := c.pass(ctx, w)
			if err != nil {
				return nil, err
			}
			if i > 0 { // The first pass warms up.
				passes[k].add(pass)
			}
		}
	}
	open, webp, fixed, chosen, photos := passes[0], passes[1], passes[2], passes[3], passes[4]
	mean := func(w passCost) float64 { return float64(w.bytes) / float64(w.images) / 1000 }
	return []row{
		{what: "cold, defaults, AVIF client, against WebP q79: images", ours: median(open.rates), reference: median(webp.rates), unit: "1/s", target: 1.4},
		{what: "the same where print is treated as photos are, by the fastest encoder: images", ours: median(photos.rates), reference: median(webp.rates), unit: "1/s"},
		{what: "the same: size, against what print costs with the encoder it gets", ours: mean(photos), reference: mean(open), unit: "KB"},
		{what: "the same of AVIF at a fixed q57, nothing chosen: images", ours: median(fixed.rates), reference: median(webp.rates), unit: "1/s"},
		{what: "cold, defaults, AVIF client, against WebP q79: CPU an image", ours: median(open.costs), reference: median(webp.costs), unit: "ms"},
		{what: "cold, defaults, AVIF client, against WebP q79: size", ours: mean(open), reference: mean(webp), unit: "KB"},
		{what: "cold AVIF, chosen q against q57: CPU an image, all of it", ours: median(chosen.costs), reference: median(fixed.costs), unit: "ms"},
	}, nil
}
