// Package load measures more work than the machine can do, and work that goes on for long.
package load

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

	"github.com/goldcrest/goldcrest/bench/cold"
	"github.com/goldcrest/goldcrest/bench/rig"
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
	*cold.Cold
	client   *http.Client
	capacity float64 // new pictures per second
	warm     []string
	peak     float64 // PSS of server and workers in MB
}

// startOverload starts a server, warms some variants up and measures how many new ones it makes per second.
func startOverload(ctx context.Context, b *rig.Bench) (*overload, error) {
	photos, err := b.Photos()
	if err != nil {
		return nil, err
	}
	base, stopOrigin, err := rig.ServeSlowOrigin(rig.Originals(photos), overloadOrigin)
	if err != nil {
		return nil, err
	}
	r, err := b.StartServer(ctx, overloadMemory)
	if err != nil {
		stopOrigin()
		return nil, err
	}
	o := &overload{Cold: &cold.Cold{Rig: r, Photos: photos, Origin: base}, client: rig.StormClient()}
	o.Stop = func() { r.Stop(); stopOrigin() }
	for range 32 {
		path, err := o.Next(capacityOf)
		if err == nil {
			_, _, err = r.Get(ctx, path, "*/*")
		}
		if err != nil {
			o.Stop()
			return nil, err
		}
		o.warm = append(o.warm, path)
	}
	if o.capacity, err = o.most(ctx); err != nil {
		o.Stop()
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
				path, err := o.Next(capacityOf)
				if err == nil {
					_, _, err = o.Rig.Get(measured, path, "*/*")
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
		_, err := rig.Storm(ctx, o.client, "http://"+o.Rig.Addr, rig.Pace{Rate: rate, For: settleFor + capacityFor}, func(n int) (rig.Ask, error) {
			return rig.Ask{Path: o.warm[n%len(o.warm)], Hit: true}, nil
		})
		ended <- err
	}()
	peak, err = o.most(ctx)
	return peak, errors.Join(err, <-ended)
}

// mix returns hits and new pictures in the proportion of the fault.
func (o *overload) mix(n int) (rig.Ask, error) {
	if n*7%10 < int(10*overloadHits) { // Spread evenly.
		return rig.Ask{Path: o.warm[n%len(o.warm)], Hit: true}, nil
	}
	path, err := o.Next(capacityOf)
	return rig.Ask{Path: path}, err
}

// run is a storm of the mix with misses new pictures per second, while the memory is sampled.
func (o *overload) run(ctx context.Context, misses float64, d time.Duration, repeats int) ([]rig.Told, error) {
	watched, stop := context.WithCancel(ctx)
	gone := make(chan float64)
	go func() {
		peak := 0.0
		for watched.Err() == nil {
			peak = max(peak, float64(rig.FamilyPSS(o.Rig.Process.Pid))/1e6)
			select {
			case <-watched.Done():
			case <-time.After(time.Second): // Reading it costs milliseconds of the measured cores.
			}
		}
		gone <- peak
	}()
	all, err := rig.Storm(ctx, o.client, "http://"+o.Rig.Addr, rig.Pace{Rate: misses / (1 - overloadHits), For: d, Repeats: repeats}, o.mix)
	stop()
	o.peak = max(o.peak, <-gone)
	return all, err
}

// MeasureOverload is fault 1: an open loop at five times the capacity.
func MeasureOverload(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	o, err := startOverload(ctx, b)
	if err != nil {
		return nil, err
	}
	defer o.Stop()
	peak, err := o.mostBesideHits(ctx)
	if err != nil {
		return nil, err
	}
	all, err := o.run(ctx, overloadTimes*o.capacity, overloadFor, 0)
	if err != nil {
		return nil, err
	}
	o.tell(b, "overload", all)
	refused := func(t rig.Told) bool { return t.Refused > 0 }
	good := rig.Count(all, func(t rig.Told) bool { return rig.IsMade(t) && t.Due+t.Took <= overloadFor }) / overloadFor.Seconds()
	what := fmt.Sprintf("%d times the capacity (%.0f new pictures/s) for %v: ", overloadTimes, o.capacity, overloadFor)
	return []rig.Row{
		{What: what + "hits p99", Ours: rig.Quantile(rig.Delays(all, rig.IsHit, rig.LastOf), 0.99), Unit: "ms", Target: 20, AtMost: true},
		{What: what + "hits that failed", Ours: rig.Count(all, func(t rig.Told) bool { return t.Hit && t.Status != 200 }), Unit: "", Target: 0.5, AtMost: true},
		{What: what + "refusals p99", Ours: rig.Quantile(rig.Delays(all, refused, rig.LastOf), 0.99), Unit: "ms", Target: 50, AtMost: true},
		{What: what + "refusals without Retry-After", Ours: rig.Count(all, func(t rig.Told) bool { return t.Unhinted > 0 }), Target: 0.5, AtMost: true},
		{What: what + "neither served nor refused", Ours: rig.Count(all, func(t rig.Told) bool { return t.Status != 200 && t.Status != 503 }), Target: 0.5, AtMost: true},
		{What: what + "goodput, against the peak beside as many hits", Ours: good, Reference: peak, Unit: "1/s", Target: 0.9},
		{What: what + "goodput, against the peak without any", Ours: good, Reference: o.capacity, Unit: "1/s"},
		{What: what + "pictures made p99", Ours: rig.Quantile(rig.Delays(all, rig.IsMade, rig.LastOf), 0.99), Unit: "ms"},
		{What: what + "peak PSS", Ours: o.peak, Unit: "MB", Target: overloadPSS, AtMost: true},
	}, nil
}

// MeasureStorm is fault 2: the same, and every refused request is repeated three times.
func MeasureStorm(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	o, err := startOverload(ctx, b)
	if err != nil {
		return nil, err
	}
	defer o.Stop()
	before, err := o.run(ctx, normalShare*o.capacity, normalFor, 0)
	if err != nil {
		return nil, err
	}
	o.tell(b, "before", before)
	type end struct {
		all []rig.Told
		err error
	}
	ended := make(chan end, 1)
	go func() { // It continues during the normal load until its last repeat is answered.
		all, err := o.run(ctx, overloadTimes*o.capacity, overloadFor, repeats)
		ended <- end{all, err}
	}()
	time.Sleep(overloadFor)
	normal := rig.Pace{Rate: normalShare * o.capacity / (1 - overloadHits), For: afterFor}
	after, err := rig.Storm(ctx, rig.StormClient(), "http://"+o.Rig.Addr, normal, o.mix)
	if err != nil {
		return nil, err
	}
	o.tell(b, "after", after)
	e := <-ended
	if e.err != nil {
		return nil, e.err
	}
	o.tell(b, "storm", e.all)
	late := func(t rig.Told) bool { return !t.Hit && t.Due >= recovery }
	what := fmt.Sprintf("a retry storm (%d repeats) ended %v ago: ", repeats, recovery)
	return []rig.Row{
		{What: what + "normal load, new pictures p99", Ours: rig.Quantile(rig.Delays(after, late, rig.LastOf), 0.99),
			Reference: rig.Quantile(rig.Delays(before, func(t rig.Told) bool { return !t.Hit }, rig.LastOf), 0.99), Unit: "ms", Target: 1.5, AtMost: true},
		{What: what + "refused", Ours: rig.Count(after, func(t rig.Told) bool { return late(t) && t.Status != 200 }), Target: 0.5, AtMost: true},
	}, nil
}

// tell prints the results of a run if -noise is set.
func (o *overload) tell(b *rig.Bench, name string, all []rig.Told) {
	if !b.Noise {
		return
	}
	made := rig.Delays(all, rig.IsMade, rig.LastOf)
	fmt.Fprintf(os.Stderr, "  %s: %d asked, %.0f hits (p99 %.1f ms), %d made (p50 %.0f, p99 %.0f ms), %.0f refused, %.0f else\n", name, len(all),
		rig.Count(all, rig.IsHit), rig.Quantile(rig.Delays(all, rig.IsHit, rig.LastOf), 0.99), len(made), rig.Quantile(made, 0.5), rig.Quantile(made, 0.99),
		rig.Count(all, func(t rig.Told) bool { return t.Status == 503 || t.Status == 429 }),
		rig.Count(all, func(t rig.Told) bool { return t.Status != 200 && t.Status != 503 && t.Status != 429 }))
	var line strings.Builder
	for s := range int(overloadFor.Seconds()) {
		in := func(t rig.Told) bool { return !t.Hit && int(t.Due.Seconds()) == s }
		fmt.Fprintf(&line, " %.0f/%.0f", rig.Count(all, func(t rig.Told) bool { return in(t) && t.Status == 200 }), rig.Count(all, in))
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

// MeasureStarve is fault 3: a fifth of the requests are for large AVIFs of 12 MP photos.
func MeasureStarve(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	o, err := startOverload(ctx, b)
	if err != nil {
		return nil, err
	}
	defer o.Stop()
	var large []rig.Photo
	for _, p := range o.Photos {
		if info, err := sniff.Inspect(p.Body); err == nil && info.Pixels() >= starvePixels {
			large = append(large, p)
		}
	}
	if len(large) == 0 {
		return nil, rig.Skipped("there is no photo of 12 MP")
	}
	var rows []rig.Row
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
func (o *overload) starve(ctx context.Context, b *rig.Bench, large []rig.Photo, share float64) ([]rig.Row, error) {
	rate := share * o.capacity
	light := func(int) (rig.Ask, error) {
		path, err := o.Next(starveLight)
		return rig.Ask{Path: path, Tag: "light"}, err
	}
	base := "http://" + o.Rig.Addr
	alone, err := rig.Storm(ctx, o.client, base, rig.Pace{Rate: rate, For: starveFor}, light)
	if err != nil {
		return nil, err
	}
	o.tell(b, "alone", alone)
	mixed, err := rig.Storm(ctx, o.client, base, rig.Pace{Rate: rate / 0.8, For: starveFor}, func(n int) (rig.Ask, error) {
		if n%5 != 0 {
			return light(n)
		}
		path, err := o.Rig.Path(o.Origin+"/"+large[n/5%len(large)].Name, fmt.Sprintf("%s/cb:h%d", starveHeavy, o.Asked.Add(1)))
		return rig.Ask{Path: path, Tag: "heavy"}, err
	})
	if err != nil {
		return nil, err
	}
	o.tell(b, "mixed", mixed)
	isLight := func(t rig.Told) bool { return t.Tag == "light" }
	what := fmt.Sprintf("a fifth large AVIFs of 12 MP photos, JPEGs at %.0f %% of the capacity: ", 100*share)
	return []rig.Row{
		{What: what + "JPEGs p95, against JPEGs alone", Ours: rig.Quantile(rig.Delays(mixed, isLight, rig.LastOf), 0.95),
			Reference: rig.Quantile(rig.Delays(alone, isLight, rig.LastOf), 0.95), Unit: "ms", Target: 2, AtMost: true},
		{What: what + "JPEGs not served", Ours: rig.Count(mixed, func(t rig.Told) bool { return isLight(t) && t.Status != 200 }), Target: 0.5, AtMost: true},
		{What: what + "AVIFs made", Ours: rig.Count(mixed, func(t rig.Told) bool { return t.Tag == "heavy" && t.Status == 200 }),
			Reference: rig.Count(mixed, func(t rig.Told) bool { return t.Tag == "heavy" }), Unit: ""},
	}, nil
}
