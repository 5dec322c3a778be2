package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	pssConnections = 8
	pssInterval    = 50 * time.Millisecond
	pssPasses      = 3
)

// measurePSS finds the peak memory of server and workers while eight new pictures are made at a time, minus what the
// memory tier holds by then.
func measurePSS(ctx context.Context, b *bench) ([]row, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	idle := familyPSS(c.rig.Process.Pid)
	done := make(chan error, 1)
	go func() {
		_, err := c.ask(ctx, fixed("webp"), pssConnections, pssPasses*len(c.photos))
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
			peak = max(peak, familyPSS(c.rig.Process.Pid))
		}
	}
	tier, err := c.rig.metric(ctx, "goldcrest_memory_bytes")
	if err != nil {
		return nil, err
	}
	const mb = 1e6
	return []row{
		{what: "peak PSS, 8 cold WebP at a time, less the memory tier", ours: (float64(peak) - tier) / mb, unit: "MB", target: 160, atMost: true},
		{what: "PSS at rest after start", ours: float64(idle) / mb, unit: "MB"},
	}, nil
}

// metric reads a sample without labels from the private listener.
func (r *rig) metric(ctx context.Context, name string) (float64, error) {
	found := false
	value, err := r.metrics(ctx, func(sample string) bool {
		found = found || sample == name
		return sample == name
	})
	if err == nil && !found {
		err = fmt.Errorf("there is no metric %s", name)
	}
	return value, err
}

// metrics sums the samples of the private listener for which wanted is true; it gets the name with its labels.
func (r *rig) metrics(ctx context.Context, wanted func(name string) bool) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	sc := bufio.NewScanner(res.Body)
	for sc.Scan() {
		at := strings.LastIndexByte(sc.Text(), ' ')
		if at < 0 || !wanted(sc.Text()[:at]) {
			continue
		}
		value, err := strconv.ParseFloat(sc.Text()[at+1:], 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, sc.Err()
}
