package main

import (
	"context"
	"fmt"
	"os"

	"github.com/goldcrest/goldcrest/bench/cold"
	"github.com/goldcrest/goldcrest/bench/hits"
	"github.com/goldcrest/goldcrest/bench/jobs"
	"github.com/goldcrest/goldcrest/bench/rig"
)

const (
	againstPairs  = 4                              // of servers, see againstPair; even, so that each build is first equally often
	againstRounds = 5                              // rounds of hits for each of the others
	againstWarmed = "rs:fit:%d:0/q:70/f:jpg/cb:%d" // final at once, so that nothing is encoded during the hits
	againstSlower = 1.02
)

// versus is the cost of one of two builds: microseconds of processor time per hit, milliseconds per image.
type versus struct {
	*jobs.Prewarming
	hits                   hits.Side
	cold, first, prewarmed cold.PassCost
}

// measureAgainst compares this build with another one, such as that of an older commit, by processor time in
// alternating rounds.
func measureAgainst(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	if b.Other == "" {
		return nil, rig.Skipped("-against names no build to compare with")
	}
	var hits, cold, auto, prewarmed [2][]float64
	for n := range againstPairs {
		pair, err := againstPair(ctx, b, n%2)
		if err != nil {
			return nil, err
		}
		for i, v := range pair {
			hits[i] = append(hits[i], v.hits.Costs...)
			cold[i], auto[i] = append(cold[i], v.cold.Costs...), append(auto[i], v.first.Costs...)
			prewarmed[i] = append(prewarmed[i], v.prewarmed.Costs...)
		}
		if b.Noise {
			for i, name := range []string{"ours", "other"} {
				fmt.Fprintf(os.Stderr, "  %s: hit %.1f us, cold %.1f ms, first AVIF %.1f ms, prewarm %.1f ms\n",
					name, rig.Median(hits[i]), rig.Median(cold[i]), rig.Median(auto[i]), rig.Median(prewarmed[i]))
			}
		}
	}
	var rows []rig.Row
	for _, r := range []struct {
		what, unit string
		costs      [2][]float64
	}{
		{"hit, 30 KB, c=64", "us", hits}, {"cold, WebP q75, 800 px", "ms", cold},
		{"first answer, AVIF of automatic quality, 800 px", "ms", auto}, {"prewarm, WebP q75, 800 px", "ms", prewarmed},
	} {
		rows = append(rows, rig.Row{
			What: r.what + ": CPU, against the other build", Unit: r.unit,
			Ours: rig.Median(r.costs[0]), Reference: rig.Median(r.costs[1]), Target: againstSlower, AtMost: true,
		})
	}
	return rows, nil
}

// againstPair starts both builds, first as the first one, and measures them in turn. The same program differs by some
// percent from start to start, and the one started first takes up to 9 % more per hit.
func againstPair(ctx context.Context, b *rig.Bench, first int) (pair [2]*versus, err error) {
	for n := range pair {
		i, own := (first+n)%2, *b
		own.Binary = [2]string{b.Binary, b.Other}[i]
		v, err := startVersus(ctx, &own)
		if err != nil {
			return pair, fmt.Errorf("%s: %w", own.Binary, err)
		}
		defer v.Stop()
		pair[i] = v
	}
	for n := range 1 + max(b.Rounds/2, 1) {
		for i := range pair {
			if err := pair[(first+i+n)%2].round(ctx, b, n == 0); err != nil {
				return pair, err
			}
		}
	}
	return pair, nil
}

func startVersus(ctx context.Context, b *rig.Bench) (*versus, error) {
	c, err := cold.Start(ctx, b)
	if err != nil {
		return nil, err
	}
	v := &versus{Prewarming: &jobs.Prewarming{Cold: c}}
	v.Rig.Warmed = againstWarmed
	paths, _, _, err := hits.Warm(ctx, v.Rig)
	if err == nil {
		v.Api, err = v.Rig.Api()
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	v.hits = hits.Side{Addr: v.Rig.Addr, Pid: v.Rig.Process.Pid}
	for _, path := range paths {
		v.hits.Requests = append(v.hits.Requests, rig.RawRequest(path))
	}
	return v, nil
}

// round runs all measurements; the first round only warms up.
func (v *versus) round(ctx context.Context, b *rig.Bench, first bool) error {
	for range againstRounds {
		if err := v.hits.Round(b.Round); err != nil {
			return err
		}
	}
	made, err := v.Pass(ctx, cold.Fixed("webp"))
	if err != nil {
		return err
	}
	chosen, err := v.Pass(ctx, cold.Wanted{Options: "rs:fit:800:0", Accept: "image/avif,*/*"})
	if err != nil {
		return err
	}
	worked, err := v.Job(ctx, jobs.OneVariant("q:75/f:webp"), len(v.Photos))
	if err != nil {
		return err
	}
	if first {
		v.hits.Costs = nil
		return nil
	}
	v.cold.Add(made)
	v.first.Add(chosen)
	v.prewarmed.Add(worked)
	return ctx.Err()
}
