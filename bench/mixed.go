package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"
)

const (
	mixedRate     = 2000 // hits a second
	mixedDuration = 4 * time.Second
)

// measureMixed asks for hits while every core encodes: at a fixed rate, where each answer's time counts from the moment it was due,
// and as fast as they come. A bare net/http server stands beside the same encoders: what it loses is the machine's.
func measureMixed(ctx context.Context, b *bench) ([]row, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	paths, bodies, contentType, err := c.rig.warm(ctx)
	if err != nil {
		return nil, err
	}
	beside := &hits{}
	if err := beside.startBare(ctx, b, paths, bodies, contentType); err != nil {
		return nil, err
	}
	defer beside.bare.stop()
	var requests [][]byte
	for _, path := range paths {
		requests = append(requests, rawRequest(path))
	}
	var idle, busy, bareIdle, bareBusy load
	for range max(b.rounds/2, 1) { // A quiet and a loud round in turn: the machine itself may be fast or slow for seconds.
		err := errors.Join(hitsAt(c.rig.addr, requests, &idle), hitsAt(beside.bareAddr, requests, &bareIdle))
		if err != nil {
			return nil, err
		}
		made, err := c.whileEncoding(ctx, func() error {
			return errors.Join(hitsAt(c.rig.addr, requests, &busy), hitsAt(beside.bareAddr, requests, &bareBusy))
		})
		if err != nil {
			return nil, err
		}
		if b.noise {
			fmt.Fprintf(os.Stderr, "  %.0f hits/s, %.0f while pictures were made; bare %.0f and %.0f; %d pictures\n",
				last(idle.rates), last(busy.rates), last(bareIdle.rates), last(bareBusy.rates), made)
		}
	}
	slices.Sort(idle.delays)
	slices.Sort(busy.delays)
	what := fmt.Sprintf("hits at %d/s while every core encodes: ", mixedRate)
	return []row{
		{what: what + "p50", ours: quantile(busy.delays, 0.5), reference: quantile(idle.delays, 0.5), unit: "ms"},
		{what: what + "p99", ours: quantile(busy.delays, 0.99), unit: "ms", target: 10, atMost: true},
		{what: "hits at saturation while every core encodes, against idle", ours: median(busy.rates), reference: median(idle.rates), unit: "1/s", target: 0.8},
		{what: "the same of a bare net/http server beside them", ours: median(bareBusy.rates), reference: median(bareIdle.rates), unit: "1/s"},
	}, nil
}

// load is what the rounds have seen.
type load struct {
	delays []time.Duration // at the fixed rate
	rates  []float64       // at saturation
}

// whileEncoding keeps every worker at work while it calls do, and returns how many pictures were asked for meanwhile.
func (c *cold) whileEncoding(ctx context.Context, do func() error) (made int64, err error) {
	encoding, stop := context.WithCancel(ctx)
	encoded := make(chan error, 1)
	go func() {
		_, err := c.ask(encoding, fixed("webp"), 2*runtime.NumCPU(), 1<<30)
		encoded <- err
	}()
	time.Sleep(500 * time.Millisecond) // Until every worker has something to do.
	before := c.asked.Load()
	err = do()
	made = c.asked.Load() - before
	stop()
	if asked := <-encoded; err == nil && !errors.Is(asked, context.Canceled) {
		err = asked
	}
	return made, err
}

// hitsAt measures one round more at the fixed rate, and one at saturation.
func hitsAt(addr string, requests [][]byte, l *load) error {
	delays, err := openLoop(addr, requests, hitConnections, mixedRate, mixedDuration)
	if err != nil {
		return err
	}
	n, err := closedLoop(addr, requests, hitConnections, mixedDuration/2)
	l.delays, l.rates = append(l.delays, delays...), append(l.rates, float64(n)/(mixedDuration/2).Seconds())
	return err
}
