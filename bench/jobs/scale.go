package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goldcrest/goldcrest/bench/cold"
	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/client"
)

const (
	scaleRounds = 3
	scalePasses = 3 // over all photos, in a job
)

// scaleCall is heavy for the instances and light for the shared servers, which use the same cores here.
func scaleCall() client.Call {
	return client.Call{Return: "none", Variants: []client.Variant{{Name: "a", Options: "rs:fit:1280:0/q:57/f:avif"}}}
}

// scaling is a cluster with an origin that records its requests.
type scaling struct {
	*rig.Bench
	*rig.Cluster
	photos []rig.Photo
	origin string
	given  int

	mu    sync.Mutex
	asked []time.Time    // each request to the origin
	times map[string]int // requests by path and query
}

// MeasureScale measures how prewarm scales with the number of instances. The S3 server and the NATS cluster are real,
// and run on this machine too.
func MeasureScale(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	return scale(ctx, b, (*scaling).measureCores)
}

// MeasureTwins measures how often two instances make the same picture, the cost of a picture that the other has stored,
// and how soon a purge has reached both.
func MeasureTwins(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	return scale(ctx, b, (*scaling).measureTwice, (*scaling).measureStored, (*scaling).measurePurges)
}

// scale runs some series on a separate cluster.
func scale(ctx context.Context, b *rig.Bench, series ...func(*scaling, context.Context) ([]rig.Row, error)) ([]rig.Row, error) {
	s := &scaling{Bench: b, times: map[string]int{}}
	var err error
	if s.photos, err = b.Photos(); err != nil {
		return nil, err
	}
	base, stopOrigin, err := rig.ServeWatchedOrigin(rig.Originals(s.photos), 0, s.note)
	if err != nil {
		return nil, err
	}
	defer stopOrigin()
	s.origin = base
	if s.Cluster, err = b.StartCluster(ctx); err != nil {
		return nil, err
	}
	defer s.Cluster.Stop()
	var rows []rig.Row
	for _, measure := range series {
		got, err := measure(s, ctx)
		if errors.Is(err, rig.ErrSkipped) {
			fmt.Fprintf(os.Stderr, "  a part of it was %v\n", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

// note records a request to the origin.
func (s *scaling) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, time.Now())
	s.times[r.URL.RequestURI()]++
}

// source is a photo under a name that is new to all instances.
func (s *scaling) source() string {
	s.given++
	return fmt.Sprintf("%s/%s?v=%d", s.origin, s.photos[s.given%len(s.photos)].Name, s.given)
}

// fetched is how often a source was requested from the origin.
func (s *scaling) fetched(source string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times[strings.TrimPrefix(source, s.origin)]
}

// launch starts some instances, each on its own core as long as there are enough.
func (s *scaling) launch(ctx context.Context, n int) (instances []*rig.Server, end func(), err error) {
	end = func() {
		for _, r := range instances {
			r.Stop()
		}
	}
	for i := range n {
		r, err := s.StartInstance(ctx, s.Cluster, i%runtime.NumCPU())
		if err != nil {
			end()
			return nil, nil, err
		}
		instances = append(instances, r)
	}
	return instances, end, nil
}

// pace is the result of one job.
type pace struct {
	rate                      float64 // images per second, in the middle of the job
	wall                      float64 // images per second, from the call to the job's end
	ours, store, nats, others float64 // milliseconds of processor time per image: of the instances, S3, NATS, origin and this program
	requests                  float64 // to S3, per image
}

// job has the instances process n photos.
func (s *scaling) job(ctx context.Context, instances []*rig.Server, call client.Call, n int) (p pace, err error) {
	api, err := instances[0].Api()
	if err != nil {
		return p, err
	}
	call.Units = nil
	for range n {
		source := s.source()
		call.Units = append(call.Units, rig.UnitOf(s.given, source))
	}
	cpu := func() [4]time.Duration {
		store, nats := s.Cluster.Cpu()
		var ours time.Duration
		for _, r := range instances {
			ours += rig.FamilyCPU(r.Process.Pid)
		}
		return [4]time.Duration{ours, store, nats, rig.OwnCPU()}
	}
	s.mu.Lock()
	s.asked = nil
	s.mu.Unlock()
	requests, err := storeRequests(ctx, instances)
	if err != nil {
		return p, err
	}
	before, began := cpu(), time.Now()
	a, err := api.Prewarm(ctx, call)
	if err != nil {
		return p, err
	}
	j, err := api.Wait(ctx, a.Job, nil)
	if err != nil {
		return p, err
	}
	if j.Counts.Made != n {
		return p, fmt.Errorf("the job ended %s: %+v", j.State, j.Counts)
	}
	p.wall = float64(n) / time.Since(began).Seconds()
	after := cpu()
	all, err := storeRequests(ctx, instances)
	if err != nil {
		return p, err
	}
	p.requests = (all - requests) / float64(n)
	per := func(i int) float64 { return (after[i] - before[i]).Seconds() * 1000 / float64(n) }
	p.ours, p.store, p.nats, p.others = per(0), per(1), per(2), per(3)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.rate = middle(s.asked)
	return p, nil
}

// storeRequests is how many requests the instances have sent to S3.
func storeRequests(ctx context.Context, instances []*rig.Server) (sum float64, err error) {
	for _, r := range instances {
		n, err := r.Metrics(ctx, func(name string) bool {
			return strings.HasPrefix(name, "goldcrest_store_operations_total{") && strings.Contains(name, `tier="s3"`)
		})
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// middle is the rate of events between the first and the last fifth. A job begins with a rush into empty slots, and at
// its end some instances have nothing left to do.
func middle(times []time.Time) float64 {
	from, to := len(times)/5, len(times)*4/5
	if to <= from {
		return 0
	}
	return float64(to-from) / times[to].Sub(times[from]).Seconds()
}

// grow measures a job on each number of instances, in turn, and returns the results with the median rate.
func (s *scaling) grow(ctx context.Context, counts []int) (map[int]pace, error) {
	all := map[int][]pace{}
	for range scaleRounds {
		for _, n := range counts {
			p, err := s.measure(ctx, n)
			if err != nil {
				return nil, err
			}
			all[n] = append(all[n], p)
			if s.Noise {
				fmt.Fprintf(os.Stderr, "  %d instances: %.2f images/s (%.2f with begin and end); CPU an image: instances %.1f ms, S3 %.1f, NATS %.1f, origin and load %.1f\n",
					n, p.rate, p.wall, p.ours, p.store, p.nats, p.others)
			}
		}
	}
	typical := map[int]pace{}
	for n, list := range all {
		slices.SortFunc(list, func(a, b pace) int { return cmp.Compare(a.rate, b.rate) })
		typical[n] = list[len(list)/2]
	}
	return typical, nil
}

// measure has n instances process a job.
func (s *scaling) measure(ctx context.Context, n int) (pace, error) {
	instances, end, err := s.launch(ctx, n)
	if err != nil {
		return pace{}, err
	}
	defer end()
	if _, err := s.job(ctx, instances, scaleCall(), 8*n); err != nil { // Warms up.
		return pace{}, err
	}
	return s.job(ctx, instances, scaleCall(), scalePasses*len(s.photos))
}

// measureCores gives each instance a whole core. The shared servers use the same cores, which is part of the result.
// The limit is what raw libvips gains from more cores in the same run.
func (s *scaling) measureCores(ctx context.Context) ([]rig.Row, error) {
	cores, counts := runtime.NumCPU(), []int{1}
	for _, n := range []int{2, 4} {
		if n > cores {
			fmt.Fprintf(os.Stderr, "  %d instances of a whole core need as many; there are %d\n", n, cores)
			continue
		}
		counts = append(counts, n)
	}
	got, err := s.grow(ctx, counts)
	if err != nil {
		return nil, err
	}
	raw, err := s.rawGain(ctx, counts)
	if err != nil {
		return nil, err
	}
	var rows []rig.Row
	for _, n := range counts[1:] {
		p := got[n]
		rows = append(rows,
			rig.Row{What: fmt.Sprintf("prewarm, AVIF 1280 px: %d instances of a whole core against one", n), Ours: p.rate, Reference: got[1].rate, Unit: "1/s", Target: 0.95 * float64(n)},
			rig.Row{What: "the same, of what raw libvips gains", Ours: p.rate / got[1].rate, Reference: raw[n], Target: 0.95},
			rig.Row{What: "the same: share of the processor time that S3, NATS, origin and load took", Ours: 100 * (1 - p.ours/(p.ours+p.store+p.nats+p.others)), Unit: "%"})
	}
	return append(rows, rig.Row{What: "the same: requests to S3 an image", Ours: got[1].requests, Unit: ""}), nil
}

// rawGain is the speedup of raw libvips on more threads, each on its own core, over one thread.
func (s *scaling) rawGain(ctx context.Context, counts []int) (map[int]float64, error) {
	c := &cold.Cold{Photos: s.photos}
	var err error
	if c.Reference, err = cold.BuildReference(ctx, s.Bench); err != nil {
		return nil, err
	}
	rates := map[int][]float64{}
	for range 1 + scaleRounds {
		for _, n := range counts {
			pass, err := c.RawOn(ctx, "exact", "webp", n)
			if err != nil {
				return nil, err
			}
			rates[n] = append(rates[n], float64(pass.Images)/pass.Wall)
		}
	}
	gain := map[int]float64{}
	for n, list := range rates {
		gain[n] = rig.Median(list) / rig.Median(rates[1])
	}
	if s.Noise {
		fmt.Fprintf(os.Stderr, "  raw libvips, images/s by threads: %v\n", rates)
	}
	return gain, nil
}
