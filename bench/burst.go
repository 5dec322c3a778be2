package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"
)

const (
	burstSize    = 200
	burstRate    = 20_000 // per second: all at once
	burstRepeats = 100    // of refused requests
	burstAlone   = 64     // pictures that are requested one after another
)

// measureBurst requests many new pictures at once, and repeats refused requests after their Retry-After, until all are
// there. The reference is as many requested one after another.
func measureBurst(ctx context.Context, b *bench) ([]row, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if _, err := c.ask(ctx, fixed("webp"), coldConnections, len(c.photos)); err != nil { // Warms up.
		return nil, err
	}
	var burst, alone, shed, unhinted, lost []float64
	client := stormClient()
	for range max(b.rounds/2, 1) {
		began := time.Now()
		if _, err := c.ask(ctx, fixed("webp"), 1, burstAlone); err != nil {
			return nil, err
		}
		alone = append(alone, burstAlone/time.Since(began).Seconds())
		all, err := storm(ctx, client, "http://"+c.rig.addr, burstRate, burstSize*time.Second/burstRate, burstRepeats, func(int) (ask, error) {
			path, err := c.next(fixed("webp").options)
			return ask{path: path}, err
		})
		if err != nil {
			return nil, err
		}
		var done time.Duration
		for _, t := range all {
			done = max(done, t.due+t.took)
		}
		burst = append(burst, float64(len(all))/done.Seconds())
		shed = append(shed, count(all, func(t told) bool { return t.refused > 0 }))
		unhinted = append(unhinted, count(all, func(t told) bool { return t.unhinted > 0 }))
		lost = append(lost, count(all, func(t told) bool { return t.status != http.StatusOK }))
		if b.noise {
			first := delays(all, func(t told) bool { return t.refused == 0 }, lastOf)
			fmt.Fprintf(os.Stderr, "  burst: all after %v, %.0f of them refused at first, the others after %.0f ms (p50), %.0f ms (p99); alone %.1f/s\n",
				done.Round(time.Millisecond), last(shed), quantile(first, 0.5), quantile(first, 0.99), last(alone))
		}
	}
	what := fmt.Sprintf("%d new pictures at once: ", burstSize)
	return []row{
		{what: what + "refused without Retry-After", ours: median(unhinted), target: 0.5, atMost: true},
		{what: what + "neither served nor refused", ours: median(lost), target: 0.5, atMost: true},
		{what: what + "until all are there, against one after the other", ours: median(burst), reference: median(alone), unit: "1/s", target: 1},
		{what: what + "refused at first", ours: median(shed), unit: ""},
	}, nil
}
