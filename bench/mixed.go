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
	mixedRate     = 2000 // hits per second
	mixedDuration = 4 * time.Second
)

// measureMixed requests hits while every core encodes: at a fixed rate, where each delay counts from the moment the
// request was due, and as fast as possible. A bare net/http server runs under the same load: what it loses is due to
// the machine.
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
	ours := side{addr: c.rig.addr, pid: c.rig.Process.Pid, requests: requests}
	bare := side{addr: beside.bareAddr, pid: beside.bare.Process.Pid, requests: requests}
	busy, bareBusy := ours, bare
	var delays, busyDelays []time.Duration // of ours, at the fixed rate
	measure := func(delays *[]time.Duration, ours, bare *side) error {
		d, err := openLoop(ours.addr, requests, hitConnections, mixedRate, mixedDuration)
		if err != nil {
			return err
		}
		*delays = append(*delays, d...)
		return errors.Join(ours.round(mixedDuration/2), bare.round(mixedDuration/2))
	}
	for range max(b.rounds/2, 1) { // Idle and busy rounds alternate: the machine itself may be fast or slow for seconds.
		if err := measure(&delays, &ours, &bare); err != nil {
			return nil, err
		}
		made, err := c.whileEncoding(ctx, func() error { return measure(&busyDelays, &busy, &bareBusy) })
		if err != nil {
			return nil, err
		}
		if b.noise {
			fmt.Fprintf(os.Stderr, "  %.0f hits/s, %.0f while pictures were made; bare %.0f and %.0f; %d pictures\n",
				last(ours.rates), last(busy.rates), last(bare.rates), last(bareBusy.rates), made)
		}
	}
	slices.Sort(delays)
	slices.Sort(busyDelays)
	what := fmt.Sprintf("hits at %d/s while every core encodes: ", mixedRate)
	return []row{
		{what: what + "p50", ours: quantile(busyDelays, 0.5), reference: quantile(delays, 0.5), unit: "ms"},
		{what: what + "p99", ours: quantile(busyDelays, 0.99), unit: "ms", target: 10, atMost: true},
		{what: "hits at saturation while every core encodes, against idle", ours: median(busy.rates), reference: median(ours.rates), unit: "1/s", target: 0.8},
		{what: "the same of a bare net/http server beside them", ours: median(bareBusy.rates), reference: median(bare.rates), unit: "1/s"},
	}, nil
}

// whileEncoding keeps every worker busy while it calls do, and returns how many pictures were requested meanwhile.
func (c *cold) whileEncoding(ctx context.Context, do func() error) (made int64, err error) {
	encoding, stop := context.WithCancel(ctx)
	encoded := make(chan error, 1)
	go func() {
		_, err := c.ask(encoding, fixed("webp"), 2*runtime.NumCPU(), 1<<30)
		encoded <- err
	}()
	time.Sleep(500 * time.Millisecond) // Until every worker is busy.
	before := c.asked.Load()
	err = do()
	made = c.asked.Load() - before
	stop()
	if asked := <-encoded; err == nil && !errors.Is(asked, context.Canceled) {
		err = asked
	}
	return made, err
}
