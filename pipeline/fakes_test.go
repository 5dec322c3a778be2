package pipeline

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/cache/cachetest"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/reach"
	"github.com/goldcrest/goldcrest/variant"
)

// fakeTiers is the real tiers over a store in a map. It counts calls. The func fields, if set, are called first.
type fakeTiers struct {
	*cache.Tiered
	memory *cache.Memory

	mu    sync.Mutex
	store map[string]cache.Entry
	gets  int
	puts  int
	reads int

	onLookup func(key string) error
	onRead   func()
	onDelete func()
	onSave   func(key string, wait bool) error
}

func newFakeTiers(purges *cache.Purges) *fakeTiers {
	t := &fakeTiers{memory: cache.NewMemory(64 << 20), store: map[string]cache.Entry{}}
	patient := cache.StoreConfig{Lookup: time.Hour, Timeout: time.Hour, Pending: 64 << 20}
	t.Tiered = cache.NewTiered(t.memory, mapStore{fakeTiers: t}, purges, patient, nil)
	return t
}

func (t *fakeTiers) Lookup(ctx context.Context, key string) (cache.Entry, string, error) {
	if e, ok := t.Recall(key); ok {
		return e, cache.TierMemory, nil
	}
	if t.onLookup != nil {
		if err := t.onLookup(key); err != nil {
			return cache.Entry{}, "", err
		}
	}
	t.mu.Lock()
	t.gets++
	t.mu.Unlock()
	return t.Tiered.Lookup(ctx, key)
}

func (t *fakeTiers) Read(ctx context.Context, key string) (cache.Entry, error) {
	if t.onRead != nil {
		t.onRead()
	}
	t.mu.Lock()
	t.reads++
	t.mu.Unlock()
	return t.Tiered.Read(ctx, key)
}

func (t *fakeTiers) Save(ctx context.Context, key string, e cache.Entry) error {
	if t.onSave != nil {
		if err := t.onSave(key, true); err != nil {
			return err
		}
	}
	return t.Tiered.Save(ctx, key, e)
}

func (t *fakeTiers) SaveBehind(ctx context.Context, key string, e cache.Entry) error {
	if t.onSave != nil {
		if err := t.onSave(key, false); err != nil {
			return err
		}
	}
	return t.Tiered.SaveBehind(ctx, key, e)
}

// remembered is the number of entries in memory; forgetAll drops them.
func (t *fakeTiers) remembered() int { return t.memory.Stats().Entries }

func (t *fakeTiers) forgetAll() { t.memory.Forget(func(string) bool { return true }) }

// mapStore is a Store in the map of a fakeTiers.
type mapStore struct {
	*fakeTiers
	onStat func() error
}

var _ cache.Store = mapStore{}

func (s mapStore) Get(ctx context.Context, key string) (cache.Entry, error) {
	if err := errors.Join(ctx.Err(), cache.CheckKey(key)); err != nil {
		return cache.Entry{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.store[key]; ok {
		return e, nil
	}
	return cache.Entry{}, cache.ErrMiss
}

func (s mapStore) Put(ctx context.Context, key string, e cache.Entry) error {
	e, err := cache.Check(key, e)
	if err = errors.Join(ctx.Err(), err); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts++
	s.store[key] = e
	return nil
}

func (s mapStore) Stat(ctx context.Context, key string) (cache.Meta, error) {
	if s.onStat != nil {
		if err := s.onStat(); err != nil {
			return cache.Meta{}, err
		}
	}
	e, err := s.Get(ctx, key)
	return e.Meta, err
}

func (s mapStore) Delete(ctx context.Context, prefix string) (int, error) {
	if err := errors.Join(ctx.Err(), cache.CheckPrefix(prefix)); err != nil {
		return 0, err
	}
	if s.onDelete != nil {
		s.onDelete()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.store)
	maps.DeleteFunc(s.store, func(key string, _ cache.Entry) bool { return strings.HasPrefix(key, prefix) })
	return before - len(s.store), nil
}

// A fake must not be more lenient than the real store: it passes the same suite.
func TestFakeStoreConforms(t *testing.T) {
	cachetest.Run(t, func(*testing.T) cache.Store {
		return mapStore{fakeTiers: newFakeTiers(cache.NewPurges(cache.Generation{Epoch: 1}))}
	})
}

// fakeOrigin counts fetches and releases.
type fakeOrigin struct {
	mu       sync.Mutex
	fetches  int
	released int
	onFetch  func(ctx context.Context, source string) (origin.Original, error)
	version  string // an ETag of all originals; "" = they have none
	asked    []origin.Validators
	fresh    origin.Freshness                             // of the response that nothing has changed
	onEnter  func(source string) (busy bool, wait func()) // busy = the host is at its limit
	room     chan struct{}                                // memory for so many originals; nil = no limit
}

func (o *fakeOrigin) Fetch(ctx context.Context, source string, lim origin.Limits) (origin.Original, error) {
	if o.onEnter != nil {
		if busy, wait := o.onEnter(source); busy {
			lim.Waits()
			wait()
		}
	}
	release, err := lim.Admit(ctx)
	if err != nil {
		return origin.Original{}, err
	}
	defer release()
	o.mu.Lock()
	o.fetches++
	o.asked = append(o.asked, lim.Unless)
	original := origin.Original{Body: []byte("original of " + source), Version: origin.Validators{ETag: o.version}}
	if o.version != "" && lim.Unless.ETag == o.version {
		original = origin.Original{Same: true, Version: lim.Unless, Fresh: o.fresh}
	}
	o.mu.Unlock()
	if o.onFetch != nil && !original.Same {
		if original, err = o.onFetch(ctx, source); err != nil {
			return original, err
		}
	}
	u, err := url.Parse(source)
	if err != nil || !lim.Within.Allows(u.Hostname()) || !lim.Within.AllowsAll(original.Via) {
		return origin.Original{}, reach.Refused("fake")
	}
	if o.room != nil {
		select {
		case o.room <- struct{}{}:
		case <-ctx.Done():
			return origin.Original{}, ctx.Err()
		}
	}
	original.Release = func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.released++
		if o.room != nil {
			<-o.room
		}
	}
	return original, nil
}

func (o *fakeOrigin) Forget(string) {}

func (o *fakeOrigin) counts() (fetches, released int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fetches, o.released
}

// fakeCodec counts calls and images.
type fakeCodec struct {
	mu          sync.Mutex
	calls       int
	images      int
	stages      []variant.Stage // requested, one for each call
	originals   []variant.Original
	onTransform func(ctx context.Context, specs []variant.Spec, emit emitFunc) error
}

func (c *fakeCodec) Transform(ctx context.Context, original variant.Original, specs []variant.Spec, stage variant.Stage, emit emitFunc) error {
	c.mu.Lock()
	c.calls++
	c.images += len(specs)
	c.stages = append(c.stages, stage)
	c.originals = append(c.originals, original)
	c.mu.Unlock()
	if c.onTransform != nil {
		return c.onTransform(ctx, specs, emit)
	}
	for i, s := range specs {
		if s.Master {
			emit(i, masterImage(s.Width, original.Body), nil)
			continue
		}
		emit(i, variant.Image{Body: append([]byte(s.Format+" of "), original.Body...), Format: s.Format, Width: s.Width, Placeholder: "AAgC+/8="}, nil)
	}
	return nil
}

// masterImage is the master of a landscape picture of 12 MP.
func masterImage(side int, original []byte) variant.Image {
	return variant.Image{
		Body: append([]byte("master of "), original...), Format: variant.JPEG, Width: side, Height: side * 3 / 4, Quality: 90, Frames: 1,
		SourceWidth: 4000, SourceHeight: 3000, SourceFormat: "jpeg", SourceFrames: 1,
	}
}

// rig is a pipeline on fakes.
type rig struct {
	*Pipeline
	tiers  *fakeTiers
	origin *fakeOrigin
	codec  *fakeCodec
}

func newRig(t *testing.T, change func(*Config, *Parts)) *rig {
	t.Helper()
	purges := cache.NewPurges(cache.Generation{Epoch: 1})
	r := &rig{tiers: newFakeTiers(purges), origin: &fakeOrigin{}, codec: &fakeCodec{}}
	cfg := Default()
	parts := Parts{
		Tiers: r.tiers, Keeper: r.tiers, Store: purges.Guard(mapStore{fakeTiers: r.tiers}), Purges: purges,
		Fetcher: r.origin, Transformer: r.codec,
	}
	if change != nil {
		change(&cfg, &parts)
	}
	p, err := New(cfg, parts)
	if err != nil {
		t.Fatal(err)
	}
	r.Pipeline = p
	return r
}

// ref is a resolved Ref of one width.
func ref(width int) variant.Ref {
	return variant.Ref{Source: "https://c.example/a.jpg", Spec: variant.Spec{Width: width, Format: variant.WebP}}
}

// wantKind fails unless err is a fault of kind.
func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if got := fault.KindOf(err); got != kind {
		t.Fatalf("got %q (%v), want %q", got, err, kind)
	}
}

// aged is an entry that was made d ago.
func aged(d time.Duration) cache.Entry {
	return cache.Entry{Body: []byte("old"), Meta: cache.Meta{Created: time.Now().Add(-d), Recipe: variant.Recipe, Attrs: map[string]string{}}}
}

// The attribute names of an entry in the store, as the tests write them.
const (
	stageAttr  = "stage"
	viaAttr    = "via"
	sinceAttr  = "since"
	scoreAttr  = "score"
	framesAttr = "fr"
	targetAttr = "target"
	hotStage   = "2"
)

// mastersBehind is the number of originals for which masters may be pending at a time.
const mastersBehind = 8

// emitFunc receives the results of a Transformer.
type emitFunc = func(i int, img variant.Image, err error)
