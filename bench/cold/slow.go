package cold

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
)

const (
	slowPause       = 200 * time.Millisecond // until the origin responds
	slowConnections = 32
	slowPasses      = 4         // over all photos, in one round
	slowPSS         = 160 + 256 // MB: the allowance for cold pictures, origin.memory
)

// MeasureSlow compares new pictures from a slow origin with those from a fast one, and finds the peak memory of server
// and workers meanwhile.
func MeasureSlow(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	c, err := Start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	prompt := c.Origin
	slow, stop, err := rig.ServeSlowOrigin(rig.Originals(c.Photos), slowPause)
	if err != nil {
		return nil, err
	}
	defer stop()
	var peak, refused float64
	rates := map[string][]float64{}
	for i := range 1 + max(b.Rounds/2, 1) {
		for _, c.Origin = range []string{prompt, slow} {
			watched, stop := context.WithCancel(ctx)
			pss := make(chan int64, 1)
			go func() { pss <- PeakPSS(watched, c.Rig.Process.Pid) }()
			began, n := time.Now(), slowPasses*len(c.Photos)
			again, err := c.insist(ctx, Fixed("webp").Options, slowConnections, n)
			took := time.Since(began)
			stop()
			if most := <-pss; c.Origin == slow {
				tier, err := c.Rig.Metric(ctx, "goldcrest_memory_bytes")
				if err != nil {
					return nil, err
				}
				peak = max(peak, (float64(most)-tier)/1e6)
			}
			if err != nil {
				return nil, err
			}
			if i > 0 { // The first round warms up.
				refused += float64(again)
				rates[c.Origin] = append(rates[c.Origin], float64(n)/took.Seconds())
			}
		}
		if b.Noise && i > 0 {
			fmt.Fprintf(os.Stderr, "  slow %.1f/s, prompt %.1f/s\n", rig.Last(rates[slow]), rig.Last(rates[prompt]))
		}
	}
	what := fmt.Sprintf("cold WebP, c=%d, origin of %v: ", slowConnections, slowPause)
	return []rig.Row{
		{What: what + "images, against one without a pause", Ours: rig.Median(rates[slow]), Reference: rig.Median(rates[prompt]), Unit: "1/s", Target: 0.93},
		{What: what + "peak PSS less the memory tier", Ours: peak, Unit: "MB", Target: slowPSS, AtMost: true},
		{What: what + "refused at first, with either origin", Ours: refused, Unit: ""},
	}, nil
}

// insist requests n new variants over some connections, and repeats those that may be retried later. It returns the
// number of refusals.
func (c *Cold) insist(ctx context.Context, options string, connections, n int) (refused int64, err error) {
	var taken, again atomic.Int64
	var wg sync.WaitGroup
	client, errs := rig.StormClient(), make([]error, connections)
	for i := range connections {
		wg.Go(func() {
			for taken.Add(1) <= int64(n) && errs[i] == nil {
				var path string
				if path, errs[i] = c.Next(options); errs[i] != nil {
					return
				}
				status, pause := rig.Once(ctx, client, "http://"+c.Rig.Addr+path)
				for ; status == http.StatusServiceUnavailable && pause > 0 && ctx.Err() == nil; status, pause = rig.Once(ctx, client, "http://"+c.Rig.Addr+path) {
					again.Add(1)
					time.Sleep(pause)
				}
				if status != http.StatusOK {
					errs[i] = fmt.Errorf("%s: status %d", path, status)
				}
			}
		})
	}
	wg.Wait()
	return again.Load(), errors.Join(errs...)
}
