package hits

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/goldcrest/goldcrest/bench/cold"
	"github.com/goldcrest/goldcrest/bench/rig"
)

// The load of hits while every core encodes.
const (
	MixedRate     = 2000 // hits per second
	MixedDuration = 4 * time.Second
)

// MeasureMixed requests hits while every core encodes: at a fixed rate, where each delay counts from the moment the
// request was due, and as fast as possible. A bare net/http server runs under the same load: what it loses is due to
// the machine.
func MeasureMixed(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	c, err := cold.Start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	paths, bodies, contentType, err := Warm(ctx, c.Rig)
	if err != nil {
		return nil, err
	}
	beside := &hits{}
	if err := beside.startBare(ctx, b, paths, bodies, contentType); err != nil {
		return nil, err
	}
	defer beside.bare.Stop()
	var requests [][]byte
	for _, path := range paths {
		requests = append(requests, rig.RawRequest(path))
	}
	ours := Side{Addr: c.Rig.Addr, Pid: c.Rig.Process.Pid, Requests: requests}
	bare := Side{Addr: beside.bareAddr, Pid: beside.bare.Process.Pid, Requests: requests}
	busy, bareBusy := ours, bare
	var delays, busyDelays []time.Duration // of ours, at the fixed rate
	measure := func(delays *[]time.Duration, ours, bare *Side) error {
		d, err := rig.OpenLoop(ours.Addr, requests, HitConnections, MixedRate, MixedDuration)
		if err != nil {
			return err
		}
		*delays = append(*delays, d...)
		return errors.Join(ours.Round(MixedDuration/2), bare.Round(MixedDuration/2))
	}
	for range max(b.Rounds/2, 1) { // Idle and busy rounds alternate: the machine itself may be fast or slow for seconds.
		if err := measure(&delays, &ours, &bare); err != nil {
			return nil, err
		}
		made, err := whileEncoding(ctx, c, func() error { return measure(&busyDelays, &busy, &bareBusy) })
		if err != nil {
			return nil, err
		}
		if b.Noise {
			fmt.Fprintf(os.Stderr, "  %.0f hits/s, %.0f while pictures were made; bare %.0f and %.0f; %d pictures\n",
				rig.Last(ours.rates), rig.Last(busy.rates), rig.Last(bare.rates), rig.Last(bareBusy.rates), made)
		}
	}
	slices.Sort(delays)
	slices.Sort(busyDelays)
	what := fmt.Sprintf("hits at %d/s while every core encodes: ", MixedRate)
	return []rig.Row{
		{What: what + "p50", Ours: rig.Quantile(busyDelays, 0.5), Reference: rig.Quantile(delays, 0.5), Unit: "ms"},
		{What: what + "p99", Ours: rig.Quantile(busyDelays, 0.99), Unit: "ms", Target: 10, AtMost: true},
		{What: "hits at saturation while every core encodes, against idle", Ours: rig.Median(busy.rates), Reference: rig.Median(ours.rates), Unit: "1/s", Target: 0.8},
		{What: "the same of a bare net/http server beside them", Ours: rig.Median(bareBusy.rates), Reference: rig.Median(bare.rates), Unit: "1/s"},
	}, nil
}

// whileEncoding keeps every worker busy while it calls do, and returns how many pictures were requested meanwhile.
func whileEncoding(ctx context.Context, c *cold.Cold, do func() error) (made int64, err error) {
	encoding, stop := context.WithCancel(ctx)
	encoded := make(chan error, 1)
	go func() {
		_, err := c.Ask(encoding, cold.Fixed("webp"), 2*runtime.NumCPU(), 1<<30)
		encoded <- err
	}()
	time.Sleep(500 * time.Millisecond) // Until every worker is busy.
	before := c.Asked.Load()
	err = do()
	made = c.Asked.Load() - before
	stop()
	if asked := <-encoded; err == nil && !errors.Is(asked, context.Canceled) {
		err = asked
	}
	return made, err
}
