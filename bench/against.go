package main

import (
	"context"
	"fmt"
	"os"
)

const (
	againstPairs  = 4                              // of servers, see againstPair; even, so that each build is first equally often
	againstRounds = 5                              // rounds of hits for each of the others
	againstWarmed = "rs:fit:%d:0/q:70/f:jpg/cb:%d" // final at once, so that nothing is encoded during the hits
	againstSlower = 1.02
)

// versus is the cost of one of two builds: microseconds of processor time per hit, milliseconds per image.
type versus struct {
	*prewarming
	hits                   side
	cold, first, prewarmed passCost
}

// measureAgainst compares this build with another one, such as that of an older commit, by processor time in
// alternating rounds.
func measureAgainst(ctx context.Context, b *bench) ([]row, error) {
	if b.other == "" {
		return nil, skipped("-against names no build to compare with")
	}
	var hits, cold, auto, prewarmed [2][]float64
	for n := range againstPairs {
		pair, err := b.againstPair(ctx, n%2)
		if err != nil {
			return nil, err
		}
		for i, v := range pair {
			hits[i] = append(hits[i], v.hits.costs...)
			cold[i], auto[i] = append(cold[i], v.cold.costs...), append(auto[i], v.first.costs...)
			prewarmed[i] = append(prewarmed[i], v.prewarmed.costs...)
		}
		if b.noise {
			for i, name := range []string{"ours", "other"} {
				fmt.Fprintf(os.Stderr, "  %s: hit %.1f us, cold %.1f ms, first AVIF %.1f ms, prewarm %.1f ms\n",
					name, median(hits[i]), median(cold[i]), median(auto[i]), median(prewarmed[i]))
			}
		}
	}
	var rows []row
	for _, r := range []struct {
		what, unit string
		costs      [2][]float64
	}{
		{"hit, 30 KB, c=64", "us", hits}, {"cold, WebP q75, 800 px", "ms", cold},
		{"first answer, AVIF of automatic quality, 800 px", "ms", auto}, {"prewarm, WebP q75, 800 px", "ms", prewarmed},
	} {
		rows = append(rows, row{
			what: r.what + ": CPU, against the other build", unit: r.unit,
			ours: median(r.costs[0]), reference: median(r.costs[1]), target: againstSlower, atMost: true,
		})
	}
	return rows, nil
}

// againstPair starts both builds, first as the first one, and measures them in turn. The same program differs by some
// percent from start to start, and the one started first takes up to 9 % more per hit.
func (b *bench) againstPair(ctx context.Context, first int) (pair [2]*versus, err error) {
	for n := range pair {
		i, own := (first+n)%2, *b
		own.binary = [2]string{b.binary, b.other}[i]
		v, err := own.startVersus(ctx)
		if err != nil {
			return pair, fmt.Errorf("%s: %w", own.binary, err)
		}
		defer v.stop()
		pair[i] = v
	}
	for n := range 1 + max(b.rounds/2, 1) {
		for i := range pair {
			if err := pair[(first+i+n)%2].round(ctx, b, n == 0); err != nil {
				return pair, err
			}
		}
	}
	return pair, nil
}

func (b *bench) startVersus(ctx context.Context) (*versus, error) {
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	v := &versus{prewarming: &prewarming{cold: c}}
	v.rig.warmed = againstWarmed
	paths, _, _, err := v.rig.warm(ctx)
	if err == nil {
		v.api, err = v.rig.api()
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	v.hits = side{addr: v.rig.addr, pid: v.rig.Process.Pid}
	for _, path := range paths {
		v.hits.requests = append(v.hits.requests, rawRequest(path))
	}
	return v, nil
}

// round runs all measurements; the first round only warms up.
func (v *versus) round(ctx context.Context, b *bench, first bool) error {
	for range againstRounds {
		if err := v.hits.round(b.round); err != nil {
			return err
		}
	}
	made, err := v.pass(ctx, fixed("webp"))
	if err != nil {
		return err
	}
	chosen, err := v.pass(ctx, wanted{"rs:fit:800:0", "image/avif,*/*"})
	if err != nil {
		return err
	}
	worked, err := v.job(ctx, oneVariant("q:75/f:webp"), len(v.photos))
	if err != nil {
		return err
	}
	if first {
		v.hits.costs = nil
		return nil
	}
	v.cold.add(made)
	v.first.add(chosen)
	v.prewarmed.add(worked)
	return ctx.Err()
}
