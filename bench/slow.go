package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	slowPause       = 200 * time.Millisecond // until the origin responds
	slowConnections = 32
	slowPasses      = 4         // over all photos, in one round
	slowPSS         = 160 + 256 // MB: the allowance for cold pictures, origin.memory
)

// measureSlow compares new pictures from a slow origin with those from a fast one, and finds the peak memory of server
// and workers meanwhile.
func measureSlow(ctx context.Context, b *bench) ([]row, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	prompt := c.origin
	slow, stop, err := serveSlowOrigin(originals(c.photos), slowPause)
	if err != nil {
		return nil, err
	}
	defer stop()
	var peak, refused float64
	rates := map[string][]float64{}
	for i := range 1 + max(b.rounds/2, 1) {
		for _, c.origin = range []string{prompt, slow} {
			watched, stop := context.WithCancel(ctx)
			pss := make(chan int64, 1)
			go func() { pss <- peakPSS(watched, c.rig.Process.Pid) }()
			began, n := time.Now(), slowPasses*len(c.photos)
			again, err := c.insist(ctx, fixed("webp").options, slowConnections, n)
			took := time.Since(began)
			stop()
			if most := <-pss; c.origin == slow {
				tier, err := c.rig.metric(ctx, "goldcrest_memory_bytes")
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
				rates[c.origin] = append(rates[c.origin], float64(n)/took.Seconds())
			}
		}
		if b.noise && i > 0 {
			fmt.Fprintf(os.Stderr, "  slow %.1f/s, prompt %.1f/s\n", last(rates[slow]), last(rates[prompt]))
		}
	}
	what := fmt.Sprintf("cold WebP, c=%d, origin of %v: ", slowConnections, slowPause)
	return []row{
		{what: what + "images, against one without a pause", ours: median(rates[slow]), reference: median(rates[prompt]), unit: "1/s", target: 0.93},
		{what: what + "peak PSS less the memory tier", ours: peak, unit: "MB", target: slowPSS, atMost: true},
		{what: what + "refused at first, with either origin", ours: refused, unit: ""},
	}, nil
}

// insist requests n new variants over some connections, and repeats those that may be retried later. It returns the
// number of refusals.
func (c *cold) insist(ctx context.Context, options string, connections, n int) (refused int64, err error) {
	var taken, again atomic.Int64
	var wg sync.WaitGroup
	client, errs := stormClient(), make([]error, connections)
	for i := range connections {
		wg.Go(func() {
			for taken.Add(1) <= int64(n) && errs[i] == nil {
				var path string
				if path, errs[i] = c.next(options); errs[i] != nil {
					return
				}
				status, pause := once(ctx, client, "http://"+c.rig.addr+path)
				for ; status == http.StatusServiceUnavailable && pause > 0 && ctx.Err() == nil; status, pause = once(ctx, client, "http://"+c.rig.addr+path) {
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
