package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/sniff"
)

const (
	overloadTimes  = 5 // times the capacity
	overloadFor    = 20 * time.Second
	overloadHits   = 0.7                   // share of the requests
	overloadOrigin = 50 * time.Millisecond // until it responds
	overloadMemory = 64 << 20              // the memory tier
	overloadPSS    = 64 + 160 + 256        // MB: the memory tier, the allowance for cold pictures, origin.memory
	normalShare    = 0.5                   // of the capacity, before and after
	normalFor      = 8 * time.Second       // before
	afterFor       = 12 * time.Second      // after; its first part, recovery, does not count
	recovery       = 5 * time.Second       // that first part
	settleFor      = time.Second           // until a load is steady, or over
	capacityFor    = 6 * time.Second       // time to measure the capacity
	capacityOf     = "rs:fit:800:0/q:75/f:webp"
	repeats        = 3 // of refused requests, in a retry storm
)

// overload is a server with a slow origin, and its capacity.
type overload struct {
	*cold
	client   *http.Client
	capacity float64 // new pictures per second
	warm     []string
	peak     float64 // PSS of server and workers in MB
}

// startOverload starts a server, warms some variants up and measures how many new ones it makes per second.
func (b *bench) startOverload(ctx context.Context) (*overload, error) {
	photos, err := b.photos()
	if err != nil {
		return nil, err
	}
	base, stopOrigin, err := serveSlowOrigin(originals(photos), overloadOrigin)
	if err != nil {
		return nil, err
	}
	r, err := b.startServer(ctx, overloadMemory)
	if err != nil {
		stopOrigin()
		return nil, err
	}
	o := &overload{cold: &cold{rig: r, photos: photos, origin: base}, client: stormClient()}
	o.stop = func() { r.stop(); stopOrigin() }
	for range 32 {
		path, err := o.next(capacityOf)
		if err == nil {
			_, _, err = r.get(ctx, path, "*/*")
		}
		if err != nil {
			o.stop()
			return nil, err
		}
		o.warm = append(o.warm, path)
	}
	if o.capacity, err = o.most(ctx); err != nil {
		o.stop()
		return nil, err
	}
	return o, nil
}

// most is how many new pictures per second a closed loop gets.
func (o *overload) most(ctx context.Context) (float64, error) {
	measured, cancel := context.WithTimeout(ctx, settleFor+capacityFor)
	defer cancel()
	var wg sync.WaitGroup
	var made atomic.Int64
	errs := make([]error, 4*runtime.NumCPU())
	began := time.Now()
	for i := range errs {
		wg.Go(func() {
			for {
				path, err := o.next(capacityOf)
				if err == nil {
					_, _, err = o.rig.get(measured, path, "*/*")
				}
				if measured.Err() != nil {
					return
				}
				if err != nil {
					errs[i] = err
					return
				}
				if time.Since(began) > settleFor {
					made.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	time.Sleep(settleFor) // Let running work end.
	return float64(made.Load()) / capacityFor.Seconds(), nil
}

// mostBesideHits is most while hits are requested as often as in the overload: the most that can be made under it.
func (o *overload) mostBesideHits(ctx context.Context) (peak float64, err error) {
	ended := make(chan error)
	go func() {
		rate := overloadTimes * o.capacity * overloadHits / (1 - overloadHits)
		_, err := storm(ctx, o.client, "http://"+o.rig.addr, rate, settleFor+capacityFor, 0, func(n int) (ask, error) {
			return ask{path: o.warm[n%len(o.warm)], hit: true}, nil
		})
		ended <- err
	}()
	peak, err = o.most(ctx)
	return peak, errors.Join(err, <-ended)
}

// mix returns hits and new pictures in the proportion of the fault.
func (o *overload) mix(n int) (ask, error) {
	if n*7%10 < int(10*overloadHits) { // Spread evenly.
		return ask{path: o.warm[n%len(o.warm)], hit: true}, nil
	}
	path, err := o.next(capacityOf)
	return ask{path: path}, err
}

// run is a storm of the mix with misses new pictures per second, while the memory is sampled.
func (o *overload) run(ctx context.Context, misses float64, d time.Duration, repeats int) ([]told, error) {
	watched, stop := context.WithCancel(ctx)
	gone := make(chan float64)
	go func() {
		peak := 0.0
		for watched.Err() == nil {
			peak = max(peak, float64(familyPSS(o.rig.Process.Pid))/1e6)
			select {
			case <-watched.Done():
			case <-time.After(time.Second): // Reading it costs milliseconds of the measured cores.
			}
		}
		gone <- peak
	}()
	all, err := storm(ctx, o.client, "http://"+o.rig.addr, misses/(1-overloadHits), d, repeats, o.mix)
	stop()
	o.peak = max(o.peak, <-gone)
	return all, err
}

func isHit(t told) bool           { return t.hit }
func isMade(t told) bool          { return !t.hit && t.status == http.StatusOK }
func lastOf(t told) time.Duration { return t.took }

// measureOverload is fault 1: an open loop at five times the capacity.
func measureOverload(ctx context.Context, b *bench) ([]row, error) {
	o, err := b.startOverload(ctx)
	if err != nil {
		return nil, err
	}
	defer o.stop()
	peak, err := o.mostBesideHits(ctx)
	if err != nil {
		return nil, err
	}
	all, err := o.run(ctx, overloadTimes*o.capacity, overloadFor, 0)
	if err != nil {
		return nil, err
	}
	o.tell(b, "overload", all)
	refused := func(t told) bool { return t.refused > 0 }
	good := count(all, func(t told) bool { return isMade(t) && t.due+t.took <= overloadFor }) / overloadFor.Seconds()
	what := fmt.Sprintf("%d times the capacity (%.0f new pictures/s) for %v: ", overloadTimes, o.capacity, overloadFor)
	return []row{
		{what: what + "hits p99", ours: quantile(delays(all, isHit, lastOf), 0.99), unit: "ms", target: 20, atMost: true},
		{what: what + "hits that failed", ours: count(all, func(t told) bool { return t.hit && t.status != 200 }), unit: "", target: 0.5, atMost: true},
		{what: what + "refusals p99", ours: quantile(delays(all, refused, lastOf), 0.99), unit: "ms", target: 50, atMost: true},
		{what: what + "refusals without Retry-After", ours: count(all, func(t told) bool { return t.unhinted > 0 }), target: 0.5, atMost: true},
		{what: what + "neither served nor refused", ours: count(all, func(t told) bool { return t.status != 200 && t.status != 503 }), target: 0.5, atMost: true},
		{what: what + "goodput, against the peak beside as many hits", ours: good, reference: peak, unit: "1/s", target: 0.9},
		{what: what + "goodput, against the peak without any", ours: good, reference: o.capacity, unit: "1/s"},
		{what: what + "pictures made p99", ours: quantile(delays(all, isMade, lastOf), 0.99), unit: "ms"},
		{what: what + "peak PSS", ours: o.peak, unit: "MB", target: overloadPSS, atMost: true},
	}, nil
}

// measureStorm is fault 2: the same, and every refused request is repeated three times.
func measureStorm(ctx context.Context, b *bench) ([]row, error) {
	o, err := b.startOverload(ctx)
	if err != nil {
		return nil, err
	}
	defer o.stop()
	before, err := o.run(ctx, normalShare*o.capacity, normalFor, 0)
	if err != nil {
		return nil, err
	}
	o.tell(b, "before", before)
	type end struct {
		all []told
		err error
	}
	ended := make(chan end, 1)
	go func() { // It continues during the normal load until its last repeat is answered.
		all, err := o.run(ctx, overloadTimes*o.capacity, overloadFor, repeats)
		ended <- end{all, err}
	}()
	time.Sleep(overloadFor)
	after, err := storm(ctx, stormClient(), "http://"+o.rig.addr, normalShare*o.capacity/(1-overloadHits), afterFor, 0, o.mix)
	if err != nil {
		return nil, err
	}
	o.tell(b, "after", after)
	e := <-ended
	if e.err != nil {
		return nil, e.err
	}
	o.tell(b, "storm", e.all)
	late := func(t told) bool { return !t.hit && t.due >= recovery }
	what := fmt.Sprintf("a retry storm (%d repeats) ended %v ago: ", repeats, recovery)
	return []row{
		{what: what + "normal load, new pictures p99", ours: quantile(delays(after, late, lastOf), 0.99),
			reference: quantile(delays(before, func(t told) bool { return !t.hit }, lastOf), 0.99), unit: "ms", target: 1.5, atMost: true},
		{what: what + "refused", ours: count(after, func(t told) bool { return late(t) && t.status != 200 }), target: 0.5, atMost: true},
	}, nil
}

// tell prints the results of a run if -noise is set.
func (o *overload) tell(b *bench, name string, all []told) {
	if !b.noise {
		return
	}
	made := delays(all, isMade, lastOf)
	fmt.Fprintf(os.Stderr, "  %s: %d asked, %.0f hits (p99 %.1f ms), %d made (p50 %.0f, p99 %.0f ms), %.0f refused, %.0f else\n", name, len(all),
		count(all, isHit), quantile(delays(all, isHit, lastOf), 0.99), len(made), quantile(made, 0.5), quantile(made, 0.99),
		count(all, func(t told) bool { return t.status == 503 || t.status == 429 }),
		count(all, func(t told) bool { return t.status != 200 && t.status != 503 && t.status != 429 }))
	var line strings.Builder
	for s := range int(overloadFor.Seconds()) {
		in := func(t told) bool { return !t.hit && int(t.due.Seconds()) == s }
		fmt.Fprintf(&line, " %.0f/%.0f", count(all, func(t told) bool { return in(t) && t.status == 200 }), count(all, in))
	}
	fmt.Fprintln(os.Stderr, "   made of asked by second:"+line.String())
}

const (
	starveFor    = 12 * time.Second
	starveLight  = "rs:fit:800:0/q:75/f:jpg"
	starveHeavy  = "rs:fit:1920:0/q:60/f:avif"
	starvePixels = 11_500_000 // the originals of heavy pictures
)

// starveShares are the loads of light pictures, as shares of the capacity. The heavy ones are added: in the last case
// the total is twice the capacity.
var starveShares = []float64{0.125, 0.25, 0.5}

// measureStarve is fault 3: a fifth of the requests are for large AVIFs of 12 MP photos.
func measureStarve(ctx context.Context, b *bench) ([]row, error) {
	o, err := b.startOverload(ctx)
	if err != nil {
		return nil, err
	}
	defer o.stop()
	var large []photo
	for _, p := range o.photos {
		if info, err := sniff.Inspect(p.body); err == nil && info.Pixels() >= starvePixels {
			large = append(large, p)
		}
	}
	if len(large) == 0 {
		return nil, skipped("there is no photo of 12 MP")
	}
	var rows []row
	for _, share := range starveShares {
		got, err := o.starve(ctx, b, large, share)
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// starve requests light pictures at a share of the capacity, first alone and then mixed with heavy ones.
func (o *overload) starve(ctx context.Context, b *bench, large []photo, share float64) ([]row, error) {
	rate := share * o.capacity
	light := func(int) (ask, error) {
		path, err := o.next(starveLight)
		return ask{path: path, tag: "light"}, err
	}
	base := "http://" + o.rig.addr
	alone, err := storm(ctx, o.client, base, rate, starveFor, 0, light)
	if err != nil {
		return nil, err
	}
	o.tell(b, "alone", alone)
	mixed, err := storm(ctx, o.client, base, rate/0.8, starveFor, 0, func(n int) (ask, error) {
		if n%5 != 0 {
			return light(n)
		}
		path, err := o.rig.path(o.origin+"/"+large[n/5%len(large)].name, fmt.Sprintf("%s/cb:h%d", starveHeavy, o.asked.Add(1)))
		return ask{path: path, tag: "heavy"}, err
	})
	if err != nil {
		return nil, err
	}
	o.tell(b, "mixed", mixed)
	isLight := func(t told) bool { return t.tag == "light" }
	what := fmt.Sprintf("a fifth large AVIFs of 12 MP photos, JPEGs at %.0f %% of the capacity: ", 100*share)
	return []row{
		{what: what + "JPEGs p95, against JPEGs alone", ours: quantile(delays(mixed, isLight, lastOf), 0.95),
			reference: quantile(delays(alone, isLight, lastOf), 0.95), unit: "ms", target: 2, atMost: true},
		{what: what + "JPEGs not served", ours: count(mixed, func(t told) bool { return isLight(t) && t.status != 200 }), target: 0.5, atMost: true},
		{what: what + "AVIFs made", ours: count(mixed, func(t told) bool { return t.tag == "heavy" && t.status == 200 }),
			reference: count(mixed, func(t told) bool { return t.tag == "heavy" }), unit: ""},
	}, nil
}
