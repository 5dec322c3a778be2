package natsqueue

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/pipeline"
	"github.com/goldcrest/goldcrest/prewarm"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/unit"
	"github.com/goldcrest/goldcrest/variant"
)

// world is what instances share besides the queue: a store, and the origins' responses.
type world struct {
	mu     sync.Mutex
	stored map[string]cache.Meta
	warms  map[string]int // calls of Warm by source
	made   map[string]int // by key
	onWarm func(ctx context.Context, source string) error
}

func newWorld() *world {
	return &world{stored: map[string]cache.Meta{}, warms: map[string]int{}, made: map[string]int{}}
}

func (w *world) known(_ context.Context, refs []variant.Ref) []pipeline.Warmed {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]pipeline.Warmed, len(refs))
	for i, ref := range refs {
		m, ok := w.stored[ref.Key()]
		out[i] = pipeline.Warmed{Ref: ref, Key: ref.Key(), Meta: m, Present: ok}
	}
	return out
}

func (w *world) warm(ctx context.Context, refs []variant.Ref) []pipeline.Warmed {
	out := w.known(ctx, refs)
	w.mu.Lock()
	w.warms[refs[0].Source]++
	onWarm := w.onWarm
	w.mu.Unlock()
	for i := range out {
		if out[i].Present {
			continue
		}
		if onWarm != nil {
			if out[i].Err = onWarm(ctx, refs[i].Source); out[i].Err != nil {
				continue
			}
		}
		out[i].Meta = cache.Meta{
			ContentType: refs[i].Spec.Format.MediaType(), Size: 100, Created: time.Now().UTC().Truncate(time.Second),
			Attrs: map[string]string{"w": "480", "h": "320", "sb": "1000"},
		}
		w.mu.Lock()
		w.stored[out[i].Key] = out[i].Meta
		w.made[out[i].Key]++
		w.mu.Unlock()
	}
	return out
}

func (w *world) warmed(source string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.warms[source]
}

func (w *world) keys() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.made)
}

// instance is one Service with its workers.
type instance struct {
	*prewarm.Service
	ctx    context.Context // of its workers
	cancel func()
	stop   func()
}

// start starts a Service on a queue, with workers if run is set. Both end with stop, or with the test.
func start(t testing.TB, q *Queue, w *world, run bool, change func(*prewarm.Config, *prewarm.Deps)) *instance {
	t.Helper()
	parser, err := variant.NewParser(map[string]string{"lite": "rs:fit:480:0/net:2g", "std": "rs:fit:800:0"}, false)
	if err != nil {
		t.Fatal(err)
	}
	cfg := prewarm.Default()
	cfg.Presets, cfg.Formats, cfg.Workers = []string{"lite"}, []string{"webp", "jpeg"}, 8
	cfg.Retry = []time.Duration{20 * time.Millisecond, 30 * time.Millisecond}
	deps := prewarm.Deps{
		Ledger: q, Queue: q, Warm: w.warm, Known: w.known,
		Parser: func() *variant.Parser { return parser }, Negotiation: variant.Default,
		Sign: func(_, source, options string, _, _ time.Duration) (string, error) {
			return "https://img.example/sig" + variant.Path(options, source, variant.Open), nil
		},
	}
	if change != nil {
		change(&cfg, &deps)
	}
	s, err := prewarm.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if run {
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	i := &instance{Service: s, ctx: ctx, cancel: cancel, stop: sync.OnceFunc(func() { cancel(); running.Wait(); s.Close() })}
	t.Cleanup(i.stop)
	return i
}

// call is a call of n units with one image each.
func call(from, n int) unit.Call {
	c := unit.Call{}
	for i := range n {
		c.Units = append(c.Units, unitOf(i, fmt.Sprintf("https://c.example/%d.jpg", from+i)))
	}
	return c
}

func unitOf(i int, sources ...string) unit.Unit {
	u := unit.Unit{Index: i, ID: "du_" + strconv.Itoa(i)}
	for k, s := range sources {
		u.Images = append(u.Images, unit.Image{Pointer: "/images/" + strconv.Itoa(k), Source: s})
	}
	return u
}

func accept(t testing.TB, i *instance, c unit.Call) prewarm.Accepted {
	t.Helper()
	a, err := i.Accept(t.Context(), "backend", "", sha256.Sum256([]byte("body")), c)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// ended waits until a job has ended.
func ended(t testing.TB, i *instance, id string) ledger.Job {
	t.Helper()
	j, err := i.Job(t.Context(), id, 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if j.FinishedAt.IsZero() {
		t.Fatalf("the job does not end: %+v", j)
	}
	return j
}

// results returns all verdicts of a job, read page by page.
func results(t testing.TB, i *instance, id string, f ledger.ResultFilter) (all []ledger.Verdict) {
	t.Helper()
	for cursor := ""; ; {
		f.For = everyone
		page, next, err := i.Results(t.Context(), id, f, cursor, 7)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if cursor = next; next == "" {
			return all
		}
	}
}

// agree fails unless a job's counts match its verdicts.
func agree(t testing.TB, i *instance, j ledger.Job) {
	t.Helper()
	by := map[ledger.State]int{}
	rows := map[string]int{}
	stored, saved := map[string]int64{}, map[string]int64{} // by source and variant
	for _, v := range results(t, i, j.ID, ledger.ResultFilter{For: everyone}) {
		by[v.State]++
		rows[fmt.Sprintf("%d %s %s %s", v.Unit, v.Pointer, v.Name, v.Key)]++
		if v.State == ledger.Made || v.State == ledger.Present {
			stored[v.Key], saved[v.Key] = v.Bytes, v.From-v.Bytes
		}
	}
	if got, want := [2]int64{j.Bytes.Stored, j.Bytes.Saved}, [2]int64{sumOf(stored), sumOf(saved)}; got != want {
		t.Errorf("the job has stored and saved %d bytes, its verdicts come to %d", got, want)
	}
	got := fmt.Sprint(by[ledger.Made], by[ledger.Present], by[ledger.Broken], by[ledger.Failed], by[ledger.Skipped], by[ledger.Cancelled], by[ledger.Expired], by[ledger.Pending])
	c := j.Counts
	if want := fmt.Sprint(c.Made, c.Present, c.Broken, c.Failed, c.Skipped, c.Cancelled, c.Expired, c.Pending); got != want {
		t.Errorf("the verdicts come to %s, the job counts %s", got, want)
	}
	if sum := c.Made + c.Present + c.Broken + c.Failed + c.Skipped + c.Cancelled + c.Expired + c.Pending; sum != c.Variants {
		t.Errorf("the counts come to %d of %d variants: %+v", sum, c.Variants, c)
	}
	for row, n := range rows {
		if n != 1 && !strings.HasSuffix(row, " ") {
			t.Errorf("the verdict %s is there %d times", row, n)
		}
	}
}

func sumOf(all map[string]int64) (sum int64) {
	for _, n := range all {
		sum += n
	}
	return sum
}

func passing(kind fault.Kind) error { return fault.New(kind, "test", "for a test", nil) }

// toldUnit is a unit of a response with its images read.
type toldUnit struct {
	prewarm.AcceptedUnit
	Images []prewarm.AcceptedImage
}

// units reads the units of a response.
func units(a prewarm.Accepted) (all []toldUnit) {
	if a.Units == nil {
		return nil
	}
	for u := range a.Units {
		told := toldUnit{AcceptedUnit: u}
		if u.Images != nil {
			told.Images = slices.Collect(u.Images)
		}
		all = append(all, told)
	}
	return all
}
