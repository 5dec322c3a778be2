// Package jobs measures prewarm: what its calls and its work cost, on several instances, and what a killed process loses.
package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/bench/cold"
	"github.com/goldcrest/goldcrest/bench/hits"
	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/client"
)

const (
	acceptBatch   = 100 // units per call
	acceptCalls   = 30
	acceptPosters = 4
	workPasses    = 2    // over all photos, in one job
	loadUnits     = 4000 // more than can be done while viewers are measured
)

// MeasurePrewarm measures how fast units are accepted and done, and the effect on viewers.
func MeasurePrewarm(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	accepted, err := measureAccept(ctx, b)
	if err != nil {
		return nil, err
	}
	c, err := cold.Start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.Stop()
	p := &Prewarming{Cold: c}
	if p.Api, err = c.Rig.Api(); err != nil {
		return nil, err
	}
	worked, err := p.measureWork(ctx, b)
	if err != nil {
		return nil, err
	}
	felt, err := p.measureViewers(ctx, b)
	return slices.Concat(accepted, worked, felt), err
}

// Prewarming is a server that gets units, and the program of the reference.
type Prewarming struct {
	*cold.Cold
	Api   *client.API
	given int // images so far
}

// measureAccept posts units whose origin is unreachable, so accepting takes most of the time.
func measureAccept(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	r, err := b.StartServer(ctx, rig.MemoryTier)
	if err != nil {
		return nil, err
	}
	defer r.Stop()
	silent, _, err := rig.FreeAddrs() // Nothing listens there.
	if err != nil {
		return nil, err
	}
	api, err := r.Api()
	if err != nil {
		return nil, err
	}
	var rates []float64
	for _, posters := range []int{1, acceptPosters} {
		began := time.Now()
		var wg sync.WaitGroup
		errs := make([]error, posters)
		for i := range posters {
			wg.Go(func() {
				for n := i; n < acceptCalls && errs[i] == nil; n += posters {
					call := client.Call{Variants: []client.Variant{{Name: "w", Options: "rs:fit:800:0/f:webp"}}}
					for k := range acceptBatch {
						unit := (posters*acceptCalls+n)*acceptBatch + k
						call.Units = append(call.Units, rig.UnitOf(unit, fmt.Sprintf("http://%s/%d.jpg", silent, unit)))
					}
					_, errs[i] = api.Prewarm(ctx, call)
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		rates = append(rates, acceptCalls*acceptBatch/time.Since(began).Seconds())
	}
	syncs, err := syncRate(b)
	what := fmt.Sprintf("prewarm: accepted units, on disk, %d a call, c=", acceptBatch)
	return []rig.Row{
		{What: what + "1", Ours: rates[0], Unit: "1/s", Target: 1000},
		{What: fmt.Sprint(what, acceptPosters), Ours: rates[1], Unit: "1/s", Target: 1000},
		{What: "synced writes of 4 KB on the same disk", Ours: syncs, Unit: "1/s"},
	}, err
}

// syncRate is how many small synced writes per second the disk does.
func syncRate(b *rig.Bench) (float64, error) {
	f, err := os.Create(filepath.Join(b.Work, "syncs"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	began, n := time.Now(), 0
	for ; time.Since(began) < 500*time.Millisecond; n++ {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}

// OneVariant is the call for the comparison with libvips.
func OneVariant(options string) client.Call {
	return client.Call{Return: "none", Variants: []client.Variant{{Name: "w", Options: "rs:fit:800:0/" + options}}}
}

// post posts n units, each with a photo under a name that is new to the server.
func (p *Prewarming) post(ctx context.Context, call client.Call, n int) (client.Accepted, error) {
	for range n {
		p.given++
		source := fmt.Sprintf("%s/%s?v=%d", p.Origin, p.Photos[p.given%len(p.Photos)].Name, p.given)
		call.Units = append(call.Units, rig.UnitOf(p.given, source))
	}
	return p.Api.Prewarm(ctx, call)
}

// Job makes the variants of a call for n photos, and measures from the call to the end of its Job.
func (p *Prewarming) Job(ctx context.Context, call client.Call, n int) (cold.PassCost, error) {
	before, began := rig.FamilyCPU(p.Rig.Process.Pid), time.Now()
	a, err := p.post(ctx, call, n)
	if err != nil {
		return cold.PassCost{}, err
	}
	j, err := p.Api.Wait(ctx, a.Job, nil)
	if err != nil {
		return cold.PassCost{}, err
	}
	pass := cold.PassCost{Images: j.Counts.Made, Wall: time.Since(began).Seconds()}
	if pass.Images != n*len(call.Variants) {
		return cold.PassCost{}, fmt.Errorf("the job ended %s: %+v", j.State, j.Counts)
	}
	time.Sleep(cold.Settling)
	pass.Cpu = (rig.FamilyCPU(p.Rig.Process.Pid) - before).Seconds()
	return pass, nil
}

// measureWork compares the time from a call to the end of its job with that of raw libvips for the same photos: with q
// given, and with q chosen, where each variant is encoded, scored, and encoded again until it keeps its target.
func (p *Prewarming) measureWork(ctx context.Context, b *rig.Bench) (rows []rig.Row, err error) {
	for _, f := range []struct {
		options, raw string
		target       float64
	}{{"q:75/f:webp", "webp", 0.9}, {"f:webp", "webp", 0}, {"q:57/f:avif", "avif", 0}, {"f:avif", "avif", 0}} {
		var ours cold.PassCost
		raw := make([]cold.PassCost, len(cold.Modes))
		for i := range 1 + max(b.Rounds/2, 1) {
			pass, err := p.Job(ctx, OneVariant(f.options), workPasses*len(p.Photos))
			if err != nil {
				return nil, err
			}
			for k, mode := range cold.Modes {
				reference, err := p.Raw(ctx, mode, f.raw)
				if err != nil {
					return nil, err
				}
				if i > 0 { // The first round warms up.
					raw[k].Add(reference)
				}
			}
			if i > 0 {
				ours.Add(pass)
			}
			if b.Noise && i > 0 {
				fmt.Fprintf(os.Stderr, "  prewarm, %s: ours %.1f/s %.1f ms, %s %.1f/s, %s %.1f/s\n", f.options,
					rig.Last(ours.Rates), rig.Last(ours.Costs), cold.Modes[0], rig.Last(raw[0].Rates), cold.Modes[1], rig.Last(raw[1].Rates))
			}
		}
		best := slices.MaxFunc(raw, func(a, b cold.PassCost) int { return cmp.Compare(rig.Median(a.Rates), rig.Median(b.Rates)) })
		what := "prewarm: units of one image, 800 px, " + f.options + " against raw libvips: "
		rows = append(rows, rig.Row{What: what + "images", Ours: rig.Median(ours.Rates), Reference: rig.Median(best.Rates), Unit: "1/s", Target: f.target},
			rig.Row{What: what + "CPU an image", Ours: rig.Median(ours.Costs), Reference: rig.Median(best.Costs), Unit: "ms"})
	}
	return rows, nil
}

// view is what a viewer experiences.
type view struct {
	hits []time.Duration // in order
	cold []float64       // by photo, in milliseconds
}

// measureViewers compares an idle server with one that has more units than it can do, as viewers experience them.
func (p *Prewarming) measureViewers(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	paths, _, _, err := hits.Warm(ctx, p.Rig)
	if err != nil {
		return nil, err
	}
	var requests [][]byte
	for _, path := range paths {
		requests = append(requests, rig.RawRequest(path))
	}
	idle, err := p.look(ctx, requests)
	if err != nil {
		return nil, err
	}
	job, err := p.post(ctx, OneVariant("q:75/f:webp"), loadUnits)
	if err != nil {
		return nil, err
	}
	sampling, stop := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() { peak <- cold.PeakPSS(sampling, p.Rig.Process.Pid) }()
	time.Sleep(500 * time.Millisecond) // Until every worker is busy.
	busy, err := p.look(ctx, requests)
	stop()
	pss := <-peak
	if err != nil {
		return nil, err
	}
	tier, err := p.Rig.Metric(ctx, "goldcrest_memory_bytes")
	if err != nil {
		return nil, err
	}
	j, err := p.Api.Cancel(ctx, job.Job)
	if err != nil {
		return nil, err
	}
	if j.Ended() && j.Counts.Cancelled == 0 {
		return nil, errors.New("the load was worked off before the viewers had seen enough of it")
	}
	if b.Noise {
		fmt.Fprintf(os.Stderr, "  %d of %d units were worked off meanwhile, on %d cores\n", j.Counts.Made, loadUnits, runtime.NumCPU())
	}
	var slower []float64 // Photos differ more from each other than by load, so each is compared only with itself.
	for i := range idle.cold {
		slower = append(slower, busy.cold[i]/idle.cold[i])
	}
	return []rig.Row{
		{What: fmt.Sprintf("hits at %d/s under full prewarm: p50", hits.MixedRate), Ours: rig.Quantile(busy.hits, 0.5), Reference: rig.Quantile(idle.hits, 0.5), Unit: "ms"},
		{What: fmt.Sprintf("hits at %d/s under full prewarm: p99", hits.MixedRate), Ours: rig.Quantile(busy.hits, 0.99), Unit: "ms", Target: 10, AtMost: true},
		{What: "a viewer's cold WebP under full prewarm: p50", Ours: rig.Median(busy.cold), Reference: rig.Median(idle.cold), Unit: "ms", Target: 1.5, AtMost: true},
		{What: "the same, times as long for the same photo: p50", Ours: rig.Median(slower), Unit: "x"},
		{What: "peak PSS under full prewarm, less the memory tier", Ours: (float64(pss) - tier) / 1e6, Unit: "MB"},
	}, nil
}

// look measures hits, and then new pictures for one viewer.
func (p *Prewarming) look(ctx context.Context, requests [][]byte) (v view, err error) {
	if v.hits, err = rig.OpenLoop(p.Rig.Addr, requests, hits.HitConnections, hits.MixedRate, hits.MixedDuration); err != nil {
		return v, err
	}
	for range p.Photos { // Each once, always in the same order.
		path, err := p.Next(cold.Fixed("webp").Options)
		if err != nil {
			return v, err
		}
		began := time.Now()
		if _, _, err := p.Rig.Get(ctx, path, "*/*"); err != nil {
			return v, err
		}
		v.cold = append(v.cold, time.Since(began).Seconds()*1000)
	}
	return v, nil
}
