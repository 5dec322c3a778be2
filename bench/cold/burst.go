package cold

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
)

const (
	burstSize    = 200
	burstRate    = 20_000 // per second: all at once
	burstRepeats = 100    // of refused requests
	burstAlone   = 64     // pictures that are requested one after another
)

// MeasureBurst requests many new pictures at once, and repeats refused requests after their Retry-After, until all are
// there. The reference is as many requested one after another.
func MeasureBurst(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	c, err := Start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	if _, err := c.Ask(ctx, Fixed("webp"), coldConnections, len(c.Photos)); err != nil { // Warms up.
		return nil, err
	}
	var burst, alone, shed, unhinted, lost []float64
	client := rig.StormClient()
	for range max(b.Rounds/2, 1) {
		began := time.Now()
		if _, err := c.Ask(ctx, Fixed("webp"), 1, burstAlone); err != nil {
			return nil, err
		}
		alone = append(alone, burstAlone/time.Since(began).Seconds())
		pace := rig.Pace{Rate: burstRate, For: burstSize * time.Second / burstRate, Repeats: burstRepeats}
		all, err := rig.Storm(ctx, client, "http://"+c.Rig.Addr, pace, func(int) (rig.Ask, error) {
			path, err := c.Next(Fixed("webp").Options)
			return rig.Ask{Path: path}, err
		})
		if err != nil {
			return nil, err
		}
		var done time.Duration
		for _, t := range all {
			done = max(done, t.Due+t.Took)
		}
		burst = append(burst, float64(len(all))/done.Seconds())
		shed = append(shed, rig.Count(all, func(t rig.Told) bool { return t.Refused > 0 }))
		unhinted = append(unhinted, rig.Count(all, func(t rig.Told) bool { return t.Unhinted > 0 }))
		lost = append(lost, rig.Count(all, func(t rig.Told) bool { return t.Status != http.StatusOK }))
		if b.Noise {
			first := rig.Delays(all, func(t rig.Told) bool { return t.Refused == 0 }, rig.LastOf)
			fmt.Fprintf(os.Stderr, "  burst: all after %v, %.0f of them refused at first, the others after %.0f ms (p50), %.0f ms (p99); alone %.1f/s\n",
				done.Round(time.Millisecond), rig.Last(shed), rig.Quantile(first, 0.5), rig.Quantile(first, 0.99), rig.Last(alone))
		}
	}
	what := fmt.Sprintf("%d new pictures at once: ", burstSize)
	return []rig.Row{
		{What: what + "refused without Retry-After", Ours: rig.Median(unhinted), Target: 0.5, AtMost: true},
		{What: what + "neither served nor refused", Ours: rig.Median(lost), Target: 0.5, AtMost: true},
		{What: what + "until all are there, against one after the other", Ours: rig.Median(burst), Reference: rig.Median(alone), Unit: "1/s", Target: 1},
		{What: what + "refused at first", Ours: rig.Median(shed), Unit: ""},
	}, nil
}
