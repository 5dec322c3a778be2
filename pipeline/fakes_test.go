package pipeline

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// fakeTiers is a memory map and a store map. The func fields, where set, come first.
type fakeTiers struct {
	mu     sync.Mutex
	memory map[string]cache.Entry
	store  map[string]cache.Entry
	gets   int
	puts   int
	reads  int

	onLookup func(key string) error
	onRead   func()
	onDelete func()
	onSave   func(key string, wait bool) error
}

func newFakeTiers() *fakeTiers {
	return &fakeTiers{memory: map[string]cache.Entry{}, store: map[string]cache.Entry{}}
}

func (t *fakeTiers) Recall(key string) (cache.Entry, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.memory[key]
	return e, ok
}

func (t *fakeTiers) Lookup(_ context.Context, key string) (cache.Entry, string, error) {
	if e, ok := t.Recall(key); ok {
		return e, "memory", nil
	}
	if t.onLookup != nil {
		if err := t.onLookup(key); err != nil {
			return cache.Entry{}, "", err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gets++
	if e, ok := t.store[key]; ok {
		return e, "store", nil
	}
	return cache.Entry{}, "", cache.ErrMiss
}

func (t *fakeTiers) Read(_ context.Context, key string) (cache.Entry, error) {
	if t.onRead != nil {
		t.onRead()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	if e, ok := t.store[key]; ok {
		return e, nil
	}
	return cache.Entry{}, cache.ErrMiss
}

func (t *fakeTiers) Remember(key string, e cache.Entry, background bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, there := t.memory[key]; there || !background {
		t.memory[key] = e
	}
}

func (t *fakeTiers) Save(_ context.Context, key string, e cache.Entry) error {
	return t.save(key, e, true)
}

func (t *fakeTiers) SaveBehind(_ context.Context, key string, e cache.Entry) error {
	return t.save(key, e, false)
}

func (t *fakeTiers) save(key string, e cache.Entry, wait bool) error {
	if t.onSave != nil {
		if err := t.onSave(key, wait); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.puts++
	t.store[key] = e
	return nil
}

func (t *fakeTiers) Stat(ctx context.Context, key string) (cache.Meta, string, error) {
	e, tier, err := t.Lookup(ctx, key)
	return e.Meta, tier, err
}

func (t *fakeTiers) Delete(_ context.Context, prefix string) (int, error) {
	if t.onDelete != nil {
		t.onDelete()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for key := range t.store {
		if strings.HasPrefix(key, prefix) {
			delete(t.store, key)
			n++
		}
	}
	for key := range t.memory {
		if strings.HasPrefix(key, prefix) {
			delete(t.memory, key)
		}
	}
	return n, nil
}

// fakeStore is the durable half of fakeTiers as Warm sees it.
type fakeStore struct {
	*fakeTiers
	onStat func() error
}

func (s fakeStore) Get(_ context.Context, key string) (cache.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.store[key]; ok {
		return e, nil
	}
	return cache.Entry{}, cache.ErrMiss
}

func (s fakeStore) Put(context.Context, string, cache.Entry) error { return nil }

func (s fakeStore) Stat(_ context.Context, key string) (cache.Meta, error) {
	if s.onStat != nil {
		if err := s.onStat(); err != nil {
			return cache.Meta{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.store[key]; ok {
		return e.Meta, nil
	}
	return cache.Meta{}, cache.ErrMiss
}

// fakeOrigin counts fetches and releases.
type fakeOrigin struct {
	mu       sync.Mutex
	fetches  int
	released int
	onFetch  func(ctx context.Context, source string) (origin.Original, error)
	onEnter  func(source string) (busy bool, wait func()) // the host has no room; nil = it always has
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
	o.mu.Unlock()
	original := origin.Original{Body: []byte("original of " + source)}
	if o.onFetch != nil {
		if original, err = o.onFetch(ctx, source); err != nil {
			return original, err
		}
	}
	original.Release = func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.released++
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
	stages      []variant.Stage // asked for, of each call
	originals   []variant.Original
	onTransform func(ctx context.Context, specs []variant.Spec, emit func(int, variant.Image, error)) error
}

func (c *fakeCodec) Transform(ctx context.Context, original variant.Original, specs []variant.Spec, stage variant.Stage, emit func(int, variant.Image, error)) error {
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
	r := &rig{tiers: newFakeTiers(), origin: &fakeOrigin{}, codec: &fakeCodec{}}
	cfg := Default()
	parts := Parts{
		Tiers: r.tiers, Keeper: r.tiers, Store: fakeStore{fakeTiers: r.tiers}, Fetcher: r.origin, Transformer: r.codec,
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

// aged is an entry made d ago.
func aged(d time.Duration) cache.Entry {
	return cache.Entry{Body: []byte("old"), Meta: cache.Meta{Created: time.Now().Add(-d), Recipe: variant.Recipe, Attrs: map[string]string{}}}
}
