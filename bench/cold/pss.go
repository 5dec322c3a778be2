package cold

import (
	"context"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
)

const (
	pssConnections = 8
	pssInterval    = 50 * time.Millisecond
	pssPasses      = 3
)

// MeasurePSS finds the peak memory of server and workers while eight new pictures are made at a time, minus what the
// memory tier holds by then.
func MeasurePSS(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	c, err := Start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	idle := rig.FamilyPSS(c.Rig.Process.Pid)
	done := make(chan error, 1)
	go func() {
		_, err := c.Ask(ctx, Fixed("webp"), pssConnections, pssPasses*len(c.Photos))
		done <- err
	}()
	var peak int64
	tick := time.NewTicker(pssInterval)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				return nil, err
			}
			running = false
		case <-tick.C:
			peak = max(peak, rig.FamilyPSS(c.Rig.Process.Pid))
		}
	}
	tier, err := c.Rig.Metric(ctx, "goldcrest_memory_bytes")
	if err != nil {
		return nil, err
	}
	const mb = 1e6
	return []rig.Row{
		{What: "peak PSS, 8 cold WebP at a time, less the memory tier", Ours: (float64(peak) - tier) / mb, Unit: "MB", Target: 160, AtMost: true},
		{What: "PSS at rest after start", Ours: float64(idle) / mb, Unit: "MB"},
	}, nil
}

// PeakPSS is the peak memory of a process and its children until ctx ends.
func PeakPSS(ctx context.Context, pid int) (peak int64) {
	tick := time.NewTicker(pssInterval)
	defer tick.Stop()
	for {
		peak = max(peak, rig.FamilyPSS(pid))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return peak
		}
	}
}
