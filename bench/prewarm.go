package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

const (
	acceptBatch   = 100 // units per call
	acceptCalls   = 30
	acceptPosters = 4
	workPasses    = 2    // over all photos, in one job
	loadUnits     = 4000 // more than can be done while viewers are measured
)

// measurePrewarm measures how fast units are accepted and done, and the effect on viewers.
func measurePrewarm(ctx context.Context, b *bench) ([]row, error) {
	accepted, err := b.measureAccept(ctx)
	if err != nil {
		return nil, err
	}
	c, err := b.startCold(ctx)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	p := &prewarming{cold: c}
	if p.api, err = c.rig.api(); err != nil {
		return nil, err
	}
	worked, err := p.measureWork(ctx, b)
	if err != nil {
		return nil, err
	}
	felt, err := p.measureViewers(ctx, b)
	return slices.Concat(accepted, worked, felt), err
}

// prewarming is a server that gets units, and the program of the reference.
type prewarming struct {
	*cold
	api   *client.API
	given int // images so far
}

// api returns a client for the rig's private listener.
func (r *rig) api() (*client.API, error) {
	return client.NewAPI(client.APIConfig{URL: "http://" + r.admin, Token: token, Attempts: 1000, MaxPause: 100 * time.Millisecond})
}

// unitOf is a Data Unit with one picture, as a backend sends it.
func unitOf(n int, source string) client.Unit {
	text, _ := json.Marshal(map[string]any{ // Strings and numbers can be marshalled.
		"id": fmt.Sprint("du-", n), "title": "Red shoe, hardly worn", "price": 25, "seller": map[string]any{"name": "A. Seller", "since": 2019},
		"images": []any{map[string]any{"url": source, "caption": "from the left"}},
	})
	return client.Unit{Data: text}
}

// measureAccept posts units whose origin is unreachable, so accepting takes most of the time.
func (b *bench) measureAccept(ctx context.Context) ([]row, error) {
	r, err := b.startServer(ctx, memoryTier)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	silent, _, err := freeAddrs() // Nothing listens there.
	if err != nil {
		return nil, err
	}
	api, err := r.api()
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
						call.Units = append(call.Units, unitOf(unit, fmt.Sprintf("http://%s/%d.jpg", silent, unit)))
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
	syncs, err := b.syncRate()
	what := fmt.Sprintf("prewarm: accepted units, on disk, %d a call, c=", acceptBatch)
	return []row{
		{what: what + "1", ours: rates[0], unit: "1/s", target: 1000},
		{what: fmt.Sprint(what, acceptPosters), ours: rates[1], unit: "1/s", target: 1000},
		{what: "synced writes of 4 KB on the same disk", ours: syncs, unit: "1/s"},
	}, err
}

// syncRate is how many small synced writes per second the disk does.
func (b *bench) syncRate() (float64, error) {
	f, err := os.Create(filepath.Join(b.work, "syncs"))
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

// oneVariant is the call for the comparison with libvips.
func oneVariant(options string) client.Call {
	return client.Call{Return: "none", Variants: []client.Variant{{Name: "w", Options: "rs:fit:800:0/" + options}}}
}

// post posts n units, each with a photo under a name that is new to the server.
func (p *prewarming) post(ctx context.Context, call client.Call, n int) (client.Accepted, error) {
	for range n {
		p.given++
		source := fmt.Sprintf("%s/%s?v=%d", p.origin, p.photos[p.given%len(p.photos)].name, p.given)
		call.Units = append(call.Units, unitOf(p.given, source))
	}
	return p.api.Prewarm(ctx, call)
}

// job makes the variants of a call for n photos, and measures from the call to the end of its job.
func (p *prewarming) job(ctx context.Context, call client.Call, n int) (passCost, error) {
	before, began := familyCPU(p.rig.Process.Pid), time.Now()
	a, err := p.post(ctx, call, n)
	if err != nil {
		return passCost{}, err
	}
	j, err := p.api.Wait(ctx, a.Job, nil)
	if err != nil {
		return passCost{}, err
	}
	pass := passCost{images: j.Counts.Made, wall: time.Since(began).Seconds()}
	if pass.images != n*len(call.Variants) {
		return passCost{}, fmt.Errorf("the job ended %s: %+v", j.State, j.Counts)
	}
	time.Sleep(settling)
	pass.cpu = (familyCPU(p.rig.Process.Pid) - before).Seconds()
	return pass, nil
}

// measureWork compares the time from a call to the end of its job with that of raw libvips for the same photos: with q
// given, and with q chosen, where each variant is encoded, scored, and encoded again until it keeps its target.
func (p *prewarming) measureWork(ctx context.Context, b *bench) (rows []row, err error) {
	for _, f := range []struct {
		options, raw string
		target       float64
	}{{"q:75/f:webp", "webp", 0.9}, {"f:webp", "webp", 0}, {"q:57/f:avif", "avif", 0}, {"f:avif", "avif", 0}} {
		var ours passCost
		raw := make([]passCost, len(modes))
		for i := range 1 + max(b.rounds/2, 1) {
			pass, err := p.job(ctx, oneVariant(f.options), workPasses*len(p.photos))
			if err != nil {
				return nil, err
			}
			for k, mode := range modes {
				reference, err := p.raw(ctx, mode, f.raw)
				if err != nil {
					return nil, err
				}
				if i > 0 { // The first round warms up.
					raw[k].add(reference)
				}
			}
			if i > 0 {
				ours.add(pass)
			}
			if b.noise && i > 0 {
				fmt.Fprintf(os.Stderr, "  prewarm, %s: ours %.1f/s %.1f ms, %s %.1f/s, %s %.1f/s\n", f.options,
					last(ours.rates), last(ours.costs), modes[0], last(raw[0].rates), modes[1], last(raw[1].rates))
			}
		}
		best := slices.MaxFunc(raw, func(a, b passCost) int { return cmp.Compare(median(a.rates), median(b.rates)) })
		what := "prewarm: units of one image, 800 px, " + f.options + " against raw libvips: "
		rows = append(rows, row{what: what + "images", ours: median(ours.rates), reference: median(best.rates), unit: "1/s", target: f.target},
			row{what: what + "CPU an image", ours: median(ours.costs), reference: median(best.costs), unit: "ms"})
	}
	return rows, nil
}

// view is what a viewer experiences.
type view struct {
	hits []time.Duration // in order
	cold []float64       // by photo, in milliseconds
}

// measureViewers compares an idle server with one that has more units than it can do, as viewers experience them.
func (p *prewarming) measureViewers(ctx context.Context, b *bench) ([]row, error) {
	paths, _, _, err := p.rig.warm(ctx)
	if err != nil {
		return nil, err
	}
	var requests [][]byte
	for _, path := range paths {
		requests = append(requests, rawRequest(path))
	}
	idle, err := p.look(ctx, requests)
	if err != nil {
		return nil, err
	}
	job, err := p.post(ctx, oneVariant("q:75/f:webp"), loadUnits)
	if err != nil {
		return nil, err
	}
	sampling, stop := context.WithCancel(ctx)
	peak := make(chan int64, 1)
	go func() { peak <- peakPSS(sampling, p.rig.Process.Pid) }()
	time.Sleep(500 * time.Millisecond) // Until every worker is busy.
	busy, err := p.look(ctx, requests)
	stop()
	pss := <-peak
	if err != nil {
		return nil, err
	}
	tier, err := p.rig.metric(ctx, "goldcrest_memory_bytes")
	if err != nil {
		return nil, err
	}
	j, err := p.api.Cancel(ctx, job.Job)
	if err != nil {
		return nil, err
	}
	if j.Ended() && j.Counts.Cancelled == 0 {
		return nil, errors.New("the load was worked off before the viewers had seen enough of it")
	}
	if b.noise {
		fmt.Fprintf(os.Stderr, "  %d of %d units were worked off meanwhile, on %d cores\n", j.Counts.Made, loadUnits, runtime.NumCPU())
	}
	var slower []float64 // Photos differ more from each other than by load, so each is compared only with itself.
	for i := range idle.cold {
		slower = append(slower, busy.cold[i]/idle.cold[i])
	}
	return []row{
		{what: fmt.Sprintf("hits at %d/s under full prewarm: p50", mixedRate), ours: quantile(busy.hits, 0.5), reference: quantile(idle.hits, 0.5), unit: "ms"},
		{what: fmt.Sprintf("hits at %d/s under full prewarm: p99", mixedRate), ours: quantile(busy.hits, 0.99), unit: "ms", target: 10, atMost: true},
		{what: "a viewer's cold WebP under full prewarm: p50", ours: median(busy.cold), reference: median(idle.cold), unit: "ms", target: 1.5, atMost: true},
		{what: "the same, times as long for the same photo: p50", ours: median(slower), unit: "x"},
		{what: "peak PSS under full prewarm, less the memory tier", ours: (float64(pss) - tier) / 1e6, unit: "MB"},
	}, nil
}

// look measures hits, and then new pictures for one viewer.
func (p *prewarming) look(ctx context.Context, requests [][]byte) (v view, err error) {
	if v.hits, err = openLoop(p.rig.addr, requests, hitConnections, mixedRate, mixedDuration); err != nil {
		return v, err
	}
	for range p.photos { // Each once, always in the same order.
		path, err := p.next(fixed("webp").options)
		if err != nil {
			return v, err
		}
		began := time.Now()
		if _, _, err := p.rig.get(ctx, path, "*/*"); err != nil {
			return v, err
		}
		v.cold = append(v.cold, time.Since(began).Seconds()*1000)
	}
	return v, nil
}

// peakPSS is the peak memory of a process and its children until ctx ends.
func peakPSS(ctx context.Context, pid int) (peak int64) {
	tick := time.NewTicker(pssInterval)
	defer tick.Stop()
	for {
		peak = max(peak, familyPSS(pid))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return peak
		}
	}
}
