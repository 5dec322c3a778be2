// Package trust lets things fail at random under load, and checks that every promise was kept.
package trust

import (
	"bytes"
	"context"
	"fmt"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/client"
)

const (
	chaosSources = 60
	chaosUnits   = 10 // per job
	chaosViewers = 4
	chaosPurgers = 3
	chaosSettle  = 3 * time.Minute // until all jobs have ended after the last fault
)

// chaosInstance is the configuration that all instances share. The pauses between tries are short, so that a short run
// sees the last try.
const chaosInstance = `  retry: [500ms, 1s, 2s, 2s, 5s, 5s, 10s]
roles: [%s]
`

// chaosVariants are made of each picture. Viewers request the first one.
var chaosVariants = []client.Variant{{Name: "j", Options: "rs:fit:64:0/q:90/f:jpg"}, {Name: "w", Options: "rs:fit:64:0/f:webp"}}

// Measure has two proxies and a worker share a bucket and a NATS cluster, while instances, servers, bucket and
// origin fail at random. Meanwhile Data Units are posted, and pictures are viewed, changed and purged. Then all faults
// end, and the promises are checked.
func Measure(ctx context.Context, b *rig.Bench) ([]rig.Row, error) {
	if b.Seed == 0 {
		b.Seed = rand.Uint64()
	}
	fmt.Fprintf(os.Stderr, "  seed %d, %v\n", b.Seed, b.Chaos)
	c, err := startChaos(ctx, b)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	c.run(ctx, b.Chaos)
	if err := c.heal(ctx); err != nil {
		return nil, fmt.Errorf("seed %d: after the last fault: %w", b.Seed, err)
	}
	settling, cancel := context.WithTimeout(ctx, chaosSettle)
	defer cancel()
	if err := c.check(settling, b); err != nil {
		return nil, fmt.Errorf("seed %d: %w", b.Seed, err)
	}
	return c.rows(), c.verdict(b.Seed)
}

// chaos is one run.
type chaos struct {
	*rig.Cluster
	seed      uint64
	origin    *shaky        // the pictures
	bucket    *shaky        // in front of the S3 server
	instances []*rig.Server // two proxies, then the worker
	sources   []*chaosSource
	until     time.Time

	mu         sync.Mutex
	jobs       []chaosJob
	violations []string
	wrong      int
	count      struct {
		views, viewErrors, misses, purges, refused, faults, posted       atomic.Int64
		rows, judged, unjudged, fetches, quiet, wanted, stored, verdicts atomic.Int64
	}
}

// chaosSource is one picture. Each purge changes it.
type chaosSource struct {
	n       int
	url     string
	version atomic.Int64
	floor   atomic.Int64 // the version of the last purge that was answered
	quiet   atomic.Int64 // when the last purge took effect at the latest, in Unix nanoseconds; 0 = no purge
}

// chaosJob is an acknowledged job.
type chaosJob struct {
	id    string
	units int
}

// violation records a broken promise.
func (c *chaos) violation(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong++; len(c.violations) < 20 {
		c.violations = append(c.violations, fmt.Sprintf(format, args...))
	}
}

func startChaos(ctx context.Context, b *rig.Bench) (c *chaos, err error) {
	c = &chaos{seed: b.Seed}
	if c.Cluster, err = b.StartCluster(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	if c.origin, err = startShaky(c.rand(1), http.HandlerFunc(c.picture)); err != nil {
		return nil, err
	}
	if c.bucket, err = startShaky(c.rand(2), forward(c.S3)); err != nil {
		return nil, err
	}
	c.S3 = c.bucket.url
	for i := range chaosSources {
		c.sources = append(c.sources, &chaosSource{n: i, url: fmt.Sprintf("%s/%d.jpg", c.origin.url, i)})
	}
	for i, role := range []string{"proxy", "proxy", "prewarm"} {
		r, err := b.StartInstance(ctx, c.Cluster, i%cores(), fmt.Sprintf(chaosInstance, role))
		if err != nil {
			return nil, err
		}
		c.instances = append(c.instances, r)
	}
	return c, nil
}

func (c *chaos) stop() {
	for _, r := range c.instances {
		_ = r.Process.Signal(sigCont) // It may be stopped.
		r.Stop()
	}
	for _, s := range []*shaky{c.origin, c.bucket} {
		if s != nil {
			s.stop()
		}
	}
	c.Cluster.Stop()
}

// rand returns a separate random source for each goroutine.
func (c *chaos) rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(c.seed, stream)) }

// run runs everything concurrently until d is over.
func (c *chaos) run(ctx context.Context, d time.Duration) {
	c.until = time.Now().Add(d)
	ctx, cancel := context.WithDeadline(ctx, c.until)
	defer cancel()
	var working sync.WaitGroup
	loop := func(stream uint64, least, most time.Duration, do func(context.Context, *rand.Rand)) {
		working.Go(func() {
			r := c.rand(stream)
			for rig.Rest(ctx, least+time.Duration(r.Int64N(int64(most-least)))) {
				do(ctx, r)
			}
		})
	}
	for i := range uint64(chaosViewers) {
		loop(10+i, time.Millisecond, 20*time.Millisecond, c.view)
	}
	for i := range chaosPurgers {
		loop(20+uint64(i), 200*time.Millisecond, 700*time.Millisecond, func(ctx context.Context, r *rand.Rand) {
			c.purge(ctx, r, c.sources[i+2*chaosPurgers*r.IntN(len(c.sources)/2/chaosPurgers)])
		})
	}
	for i := range uint64(3) {
		loop(30+i, 50*time.Millisecond, 300*time.Millisecond, c.post)
	}
	loop(40, time.Second, 5*time.Second, c.troublePeers)
	loop(41, time.Second, 5*time.Second, c.troubleInstances)
	loop(42, 300*time.Millisecond, time.Second, c.troubleOthers)
	working.Wait()
}

// view requests a picture from a proxy. It must not be older than the last answered purge.
func (c *chaos) view(ctx context.Context, r *rand.Rand) {
	s, i := c.sources[r.IntN(len(c.sources))], r.IntN(2)
	floor := s.floor.Load()
	version, status, err := c.look(ctx, c.instances[i], s)
	c.count.views.Add(1)
	switch {
	case err != nil:
		c.count.viewErrors.Add(1)
	case version < floor:
		c.violation("picture %d, proxy %d: version %d after the purge of %d had answered (%s)", s.n, i, version, floor, status)
	}
	if status != hitInMemory && status != hitInStore {
		c.count.misses.Add(1)
	}
}

const (
	hitInMemory = "goldcrest; hit; detail=memory"
	hitInStore  = "goldcrest; hit; detail=store"
)

// look requests a picture from an instance and reads its version.
func (c *chaos) look(ctx context.Context, r *rig.Server, s *chaosSource) (version int64, status string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	path, err := r.Path(s.url, chaosVariants[0].Options)
	if err != nil {
		return 0, "", err
	}
	body, status, err := r.Ask(ctx, path)
	if err != nil {
		return 0, status, err
	}
	img, err := jpeg.Decode(bytes.NewReader(body))
	if err != nil {
		return 0, status, err // An error response.
	}
	return versionOf(img), status, nil
}

// purge changes a picture and purges it, with retries until that is answered. No other goroutine purges this picture,
// and half of all are never purged.
func (c *chaos) purge(ctx context.Context, r *rand.Rand, s *chaosSource) {
	if s.version.Load() == maxVersion {
		return
	}
	version := s.version.Add(1)
	s.quiet.Store(c.until.Add(time.Hour).UnixNano()) // A refused purge may still take effect at any time.
	for rig.Rest(ctx, 100*time.Millisecond) {
		api, err := c.api(r.IntN(3), 1)
		if err == nil {
			_, err = api.Purge(ctx, client.PurgeCall{Source: s.url})
		}
		if err == nil {
			c.count.purges.Add(1)
			s.floor.Store(version)
			s.quiet.Store(time.Now().UnixNano())
			return
		}
		c.count.refused.Add(1)
	}
}

// post posts Data Units and records the job if it is acknowledged.
func (c *chaos) post(ctx context.Context, r *rand.Rand) {
	call := client.Call{Return: "none", Variants: chaosVariants}
	for _, i := range r.Perm(len(c.sources))[:chaosUnits] {
		call.Units = append(call.Units, rig.UnitOf(i, c.sources[i].url))
	}
	api, err := c.api(r.IntN(3), 1000)
	if err != nil {
		return
	}
	a, err := api.Prewarm(ctx, call)
	if err != nil {
		return
	}
	c.count.posted.Add(int64(len(call.Units)))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = append(c.jobs, chaosJob{id: a.Job, units: len(call.Units)})
}

func (c *chaos) api(i, attempts int) (*client.API, error) {
	return client.NewAPI(client.APIConfig{
		URL: "http://" + c.instances[i].Admin, Token: rig.Token, Attempts: attempts, MaxPause: time.Second, HTTP: &http.Client{Timeout: 40 * time.Second},
	})
}

// rows returns the counts of a run.
func (c *chaos) rows() []rig.Row {
	n := &c.count
	figure := func(what string, v *atomic.Int64) rig.Row {
		return rig.Row{What: "chaos: " + what, Ours: float64(v.Load())}
	}
	return []rig.Row{
		figure("faults", &n.faults), figure("views", &n.views), figure("of those, answered with an error", &n.viewErrors),
		figure("purges answered", &n.purges), figure("purges refused", &n.refused), figure("Data Units acknowledged", &n.posted),
		figure("variants with one verdict each", &n.rows), figure("of those, made or present and hits of a new instance", &n.judged),
		figure("of those, purged since", &n.unjudged), figure("fetches", &n.fetches),
		figure("variants asked for once more at the end", &n.wanted), figure("fetches for them, each of a picture that was not stored", &n.quiet),
		figure("of those variants, hits of another new instance", &n.stored),
	}
}

// verdict is an error that names the broken promises.
func (c *chaos) verdict(seed uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong == 0 {
		return nil
	}
	rig.PrintTable(os.Stderr, c.rows())
	slices.Sort(c.violations)
	text := ""
	for _, v := range c.violations {
		text += "\n  " + v
	}
	return fmt.Errorf("seed %d: %d promises were not kept:%s", seed, c.wrong, text)
}
