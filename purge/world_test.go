package purge_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/purge"
	"github.com/goldcrest/goldcrest/purge/purgetest"
	"github.com/goldcrest/goldcrest/variant"
)

// dice gives random times. Safe for concurrent use.
type dice struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rnd.IntN(n)
}

func (d *dice) upTo(most time.Duration) time.Duration { return time.Duration(d.n(int(most))) }

func (d *dice) chance(percent int) bool { return d.n(100) < percent }

// world is what the instances of a test share: an origin whose pictures change, a slow store, and a log.
type world struct {
	*dice
	log   *purgetest.Log
	store cache.Store
	late  int // percent of the writes that their caller gives up on and that land later

	mu       sync.Mutex
	versions map[string]int
}

func newWorld(seed uint64) *world {
	return &world{
		dice: &dice{rnd: rand.New(rand.NewPCG(seed, 1))}, log: purgetest.NewLog(), store: cache.NewMemory(256 << 20).Store(),
		versions: map[string]int{},
	}
}

// change puts another picture under a source and returns its version.
func (w *world) change(source string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[source]++
	return w.versions[source]
}

// Fetch implements pipeline.Fetcher. The origin reads the picture at the beginning and takes long to send it.
func (w *world) Fetch(ctx context.Context, source string, lim origin.Limits) (origin.Original, error) {
	release, err := lim.Admit(ctx)
	if err != nil {
		return origin.Original{}, err
	}
	defer release()
	w.mu.Lock()
	body := fmt.Sprintf("%d of %s", w.versions[source], source)
	w.mu.Unlock()
	time.Sleep(w.upTo(200 * time.Millisecond))
	return origin.Original{Body: []byte(body)}, nil
}

// Forget implements pipeline.Fetcher.
func (w *world) Forget(string) {}

// Transform implements pipeline.Transformer.
func (w *world) Transform(_ context.Context, o variant.Original, specs []variant.Spec, _ variant.Stage, emit func(int, variant.Image, error)) error {
	for i, s := range specs {
		emit(i, variant.Image{Body: o.Body, Format: s.Format}, nil)
	}
	return nil
}

// slow is the store as an instance reaches it.
type slow struct{ w *world }

func (s slow) Get(ctx context.Context, key string) (cache.Entry, error) {
	e, err := s.w.store.Get(ctx, key)
	time.Sleep(s.w.upTo(45 * time.Millisecond))
	return e, err
}

func (s slow) Stat(ctx context.Context, key string) (cache.Meta, error) {
	e, err := s.Get(ctx, key)
	return e.Meta, err
}

func (s slow) Put(ctx context.Context, key string, e cache.Entry) error {
	if s.w.chance(s.w.late) {
		time.AfterFunc(2*time.Second+s.w.upTo(10*time.Second), func() { _ = s.w.store.Put(context.Background(), key, e) })
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(s.w.upTo(45 * time.Millisecond))
	return s.w.store.Put(ctx, key, e)
}

func (s slow) Delete(ctx context.Context, prefix string) (int, error) {
	time.Sleep(s.w.upTo(45 * time.Millisecond))
	n, err := s.w.store.Delete(ctx, prefix)
	time.Sleep(s.w.upTo(45 * time.Millisecond))
	return n, err
}

// node is an instance.
type node struct {
	*pipeline.Pipeline
	*purge.Shared
	purges *cache.Purges
	way    *purgetest.Handle
	stop   func()
}

var _ purge.Instance = (*pipeline.Pipeline)(nil)

// start starts an instance.
func (w *world) start(t *testing.T, name string) *node {
	t.Helper()
	n := &node{purges: cache.NewPurges(cache.Generation{}), way: w.log.Handle()}
	n.way.Delay = func() time.Duration { return w.upTo(20 * time.Millisecond) }
	cfg := cache.DefaultStore()
	tiers := cache.NewTiered(cache.NewMemory(16<<20), slow{w}, n.purges, cfg, nil)
	var err error
	n.Pipeline, err = pipeline.New(pipeline.Default(), pipeline.Parts{
		Tiers: tiers, Keeper: tiers, Store: n.purges.Guard(slow{w}), Purges: n.purges, Fetcher: w, Transformer: w,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Shared = purge.NewShared(purge.Deps{
		Config: purge.Default(), Name: name, Log: n.way, Instance: n.Pipeline, Purges: n.purges, Out: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.Run(ctx) })
	n.stop = func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		running.Wait()
		_ = n.Leave(context.Background())
	}
	return n
}

func picture(source string) variant.Ref {
	return variant.Ref{Source: source, Spec: variant.Spec{Width: 100, Format: variant.WebP}}
}

// see asks an instance for a picture and gives its version.
func (n *node) see(t *testing.T, source string) int {
	a, err := n.Get(context.Background(), picture(source))
	if err != nil {
		t.Errorf("%s: %v", source, err)
		return 1 << 30
	}
	var version int
	if _, err := fmt.Sscanf(string(a.Entry.Body), "%d of", &version); err != nil {
		t.Errorf("%s: %q", source, a.Entry.Body)
	}
	return version
}

func (n *node) purge(source string) (int, error) {
	ref := picture(source)
	return n.Shared.Purge(context.Background(), []string{ref.SourcePrefix()}, []string{ref.Source})
}

// law is what must hold of one source.
type law struct {
	mu      sync.Mutex
	purges  int // that have begun
	running int
	floor   int       // the version that a purge which has answered was about
	unsure  time.Time // until when some instance may not have heard of a purge that was refused
}

// Law: after a purge has answered, no instance in contact serves what was made before, and nothing made after is
// deleted; what Warm says is stored is found by an instance that has just started. Viewers, prewarm and purges of three
// instances run at once; instances are cut off and come again; writes land late.
func TestLawOfPurges(t *testing.T) {
	for name, tt := range map[string]struct {
		late int
		cuts bool
	}{"slow": {}, "cut off": {cuts: true}, "late writes": {late: 5}, "late writes and cut off": {late: 5, cuts: true}} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(4) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(seed)
					w.late = tt.late
					runLaw(t, w, tt.cuts)
				})
			}
		})
	}
}

// trial is one run of a world.
type trial struct {
	*world
	nodes []*node
	laws  []law
	until time.Time

	working                       sync.WaitGroup
	seen, purged, refused, warmed atomic.Int64
}

func runLaw(t *testing.T, w *world, cuts bool) {
	r := &trial{world: w, laws: make([]law, 6)}
	for i := range 3 {
		r.nodes = append(r.nodes, w.start(t, fmt.Sprint("n", i)))
	}
	time.Sleep(time.Second)
	r.until = time.Now().Add(2 * time.Minute)
	for range 6 {
		r.loop(t, 60*time.Millisecond, r.view)
	}
	r.loop(t, 2*time.Second, r.purge)
	r.loop(t, time.Second, r.warm)
	if cuts {
		r.working.Go(r.cut)
	}
	r.working.Wait()
	for _, n := range r.nodes {
		n.stop()
	}
	time.Sleep(2 * time.Minute) // Holds end, late writes land.
	seen, purged, refused, warmed := r.seen.Load(), r.purged.Load(), r.refused.Load(), r.warmed.Load()
	if seen < 1000 || purged < 10 || warmed < 20 || cuts == (refused == 0) {
		t.Errorf("%d views, %d purges, %d refused, %d warmed: the test shows nothing", seen, purged, refused, warmed)
	}
}

// loop does something with a random source at a random instance, again and again.
func (r *trial) loop(t *testing.T, most time.Duration, do func(t *testing.T, n *node, l *law, source string)) {
	r.working.Go(func() {
		for time.Now().Before(r.until) {
			time.Sleep(r.upTo(most))
			i := r.n(len(r.laws))
			do(t, r.nodes[r.n(len(r.nodes))], &r.laws[i], fmt.Sprintf("https://c.example/%d.jpg", i))
		}
	})
}

// view asks for a picture that must not be older than the last purge that has answered.
func (r *trial) view(t *testing.T, n *node, l *law, source string) {
	l.mu.Lock()
	floor := l.floor
	l.mu.Unlock()
	trusted := n.purges.Trusted()
	if got := n.see(t, source); got < floor && trusted && n.purges.Trusted() {
		t.Errorf("%s: version %d after the purge of %d had answered", source, got, floor)
	}
	r.seen.Add(1)
}

// purge changes a picture and purges it.
func (r *trial) purge(t *testing.T, n *node, l *law, source string) {
	l.mu.Lock()
	l.purges, l.running = l.purges+1, l.running+1
	l.mu.Unlock()
	version := r.change(source)
	_, err := n.purge(source)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	switch {
	case err == nil:
		l.floor = max(l.floor, version)
		r.purged.Add(1)
	case errors.Is(err, purge.ErrAway), errors.Is(err, purge.ErrLog):
		l.unsure = time.Now().Add(purge.Default().Lease)
		r.refused.Add(1)
	default:
		t.Errorf("the purge said %v", err)
	}
}

// warm has a variant made, which an instance that has just started must find if nobody has purged it meanwhile.
func (r *trial) warm(t *testing.T, n *node, l *law, source string) {
	l.mu.Lock()
	before, quiet := l.purges, l.running == 0 && time.Now().After(l.unsure)
	l.mu.Unlock()
	for _, other := range r.nodes { // One that is out of contact may write what is older in the same moment.
		quiet = quiet && other.purges.Trusted()
	}
	got := n.Warm(context.Background(), []variant.Ref{picture(source)})[0]
	_, err := r.fresh().Stat(context.Background(), got.Key)
	l.mu.Lock()
	defer l.mu.Unlock()
	// A write that its caller gave up on may replace what was made after it.
	if quiet && l.purges == before && got.Err == nil && err != nil && r.late == 0 {
		t.Errorf("%s: Warm says made (present %v), the store %v", source, got.Present, err)
	}
	r.warmed.Add(1)
}

// cut cuts instances off from the log, one at a time.
func (r *trial) cut() {
	for time.Now().Before(r.until) {
		time.Sleep(r.upTo(10 * time.Second))
		n := r.nodes[r.n(len(r.nodes))]
		n.way.Cut(true)
		time.Sleep(r.upTo(20 * time.Second))
		n.way.Cut(false)
	}
}

// fresh is the store as an instance sees it that has just read the log.
func (w *world) fresh() cache.Store {
	p := cache.NewPurges(cache.Generation{})
	for _, r := range w.log.Records() {
		if id, ok := strings.CutPrefix(r.Name, "purge."); ok && id != "" {
			p.Begin(cache.Generation(r.Place), purge.PrefixesOf(r), 0)
		}
	}
	return p.Guard(w.store)
}
