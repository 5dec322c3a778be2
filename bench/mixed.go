package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	mixedRate     = 2000 // hits a second
	mixedDuration = 4 * time.Second
)

// measureMixed asks for hits while every core encodes: at a fixed rate, where each answer's time counts from the moment it was due,
// and as fast as they come.
func measureMixed(ctx context.Context, b *bench) ([]row, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	paths, _, _, err := c.rig.warm(ctx)
	if err != nil {
		return nil, err
	}
	var requests [][]byte
	for _, path := range paths {
		requests = append(requests, rawRequest(path))
	}
	idle, idleRate, err := c.hits(requests)
	if err != nil {
		return nil, err
	}
	encoding, stop := context.WithCancel(ctx)
	encoded := make(chan error, 1)
	go func() {
		_, err := c.ask(encoding, fixed("webp"), 2*runtime.NumCPU(), 1<<30)
		encoded <- err
	}()
	time.Sleep(500 * time.Millisecond) // Until every worker has something to do.
	before := c.asked.Load()
	busy, busyRate, err := c.hits(requests)
	made := c.asked.Load() - before
	stop()
	if asked := <-encoded; err == nil && encoding.Err() == nil {
		err = asked
	}
	if err != nil {
		return nil, err
	}
	if b.noise {
		fmt.Fprintf(os.Stderr, "  %d pictures were made meanwhile\n", made)
	}
	what := fmt.Sprintf("hits at %d/s while every core encodes: ", mixedRate)
	return []row{
		{what: what + "p50", ours: quantile(busy, 0.5), reference: quantile(idle, 0.5), unit: "ms"},
		{what: what + "p99", ours: quantile(busy, 0.99), unit: "ms", target: 10, atMost: true},
		{what: "hits at saturation while every core encodes, against idle", ours: busyRate, reference: idleRate, unit: "1/s", target: 0.8},
	}, nil
}

// hits measures once at the fixed rate and once at saturation.
func (c *cold) hits(requests [][]byte) ([]time.Duration, float64, error) {
	delays, err := openLoop(c.rig.addr, requests, hitConnections, mixedRate, mixedDuration)
	if err != nil {
		return nil, 0, err
	}
	n, err := closedLoop(c.rig.addr, requests, hitConnections, mixedDuration/2)
	return delays, float64(n) / (mixedDuration / 2).Seconds(), err
}
