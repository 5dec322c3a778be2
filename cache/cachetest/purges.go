package cachetest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/goldcrest/goldcrest/cache"
)

// RunPurges tests a Store behind cache.Purges against the contract of purges. open returns an empty Store; each test
// calls it once.
func RunPurges(t *testing.T, open func(t *testing.T) cache.Store) {
	for name, test := range map[string]func(*testing.T, cache.Store){
		"the guard keeps the law of Store": func(t *testing.T, s cache.Store) {
			Run(t, func(t *testing.T) cache.Store { return cache.NewPurges(cache.Generation{Epoch: 1}).Guard(open(t)) })
		},
		"a generation comes back": generationComesBack,
		"a write lands late":      lateWrite,
		"a delete spares the new": deleteSparesTheNew,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Of sets the generation in which work on the entry began.
func Of(g cache.Generation, e cache.Entry) cache.Entry {
	e.Attrs = maps.Clone(e.Attrs)
	e.Attrs[cache.GenerationAttr] = g.String()
	return e
}

func generationComesBack(t *testing.T, s cache.Store) {
	want := cache.Generation{Epoch: 1796000000123, Seq: 987654321}
	put(t, s, "v1/ab/hash/a", Of(want, Entry("one", 10)))
	if m, err := s.Stat(t.Context(), "v1/ab/hash/a"); err != nil || m.Generation() != want {
		t.Errorf("got %v, %v, want %v", m.Generation(), err, want)
	}
}

// lateWrite is the schedule of a write whose caller has given up:
//  1. Work on the old entry begins. Its write is sent and its caller gives up.
//  2. A purge begins, deletes, and ends.
//  3. The write arrives. It is a miss, for this instance and for one that has just started and knows the purge.
//  4. The entry is made again, and replaces it.
func lateWrite(t *testing.T, s cache.Store) {
	const key = "v1/ab/hash/late"
	p := cache.NewPurges(cache.Generation{Epoch: 1})
	guarded, before := p.Guard(s), p.Now()
	g := p.Next()
	p.Begin(g, []string{"v1/ab/hash/"}, 0)
	if _, err := s.Delete(t.Context(), "v1/ab/hash/"); err != nil {
		t.Fatal(err)
	}
	put(t, s, key, Of(before, Entry("old", 10)))
	expectMiss(t, guarded, key)
	other := cache.NewPurges(cache.Generation{Epoch: 2})
	other.Begin(g, []string{"v1/ab/hash/"}, 0)
	expectMiss(t, other.Guard(s), key)
	if err := guarded.Put(t.Context(), key, Of(before, Entry("old", 10))); !errors.Is(err, cache.ErrPurged) {
		t.Errorf("Put of the old entry = %v, want ErrPurged", err)
	}
	if err := guarded.Put(t.Context(), key, Entry("of an older version", 10)); !errors.Is(err, cache.ErrPurged) {
		t.Errorf("Put without a generation = %v, want ErrPurged", err)
	}
	want := Of(p.Now(), Entry("new", 20))
	put(t, guarded, key, want)
	expect(t, guarded, key, want)
	expect(t, other.Guard(s), key, want)
}

// deleteSparesTheNew is the schedule of a purge and a concurrent write of an entry that is newer than the purge:
//  1. A purge begins. The new entry's write waits.
//  2. The store deletes by prefix. No new entry is there yet.
//  3. The purge ends and the write continues. The entry is in the store.
func deleteSparesTheNew(t *testing.T, s cache.Store) {
	const key = "v1/ab/hash/new"
	p := cache.NewPurges(cache.Generation{Epoch: 1})
	tiers := cache.NewTiered(cache.NewMemory(1<<20), s, p, cache.DefaultStore(), nil)
	put(t, s, key, Of(p.Now(), Entry("old", 10)))
	g := p.Next()
	idle := p.Begin(g, []string{"v1/ab/hash/"}, time.Hour)
	want := Of(p.Now(), Entry("new", 20))
	saved := make(chan error, 1)
	go func() { saved <- tiers.Save(context.WithoutCancel(t.Context()), key, want) }()
	if err := idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Delete(t.Context(), "v1/ab/hash/"); n != 1 || err != nil {
		t.Errorf("Delete = %d, %v, want the old entry alone", n, err)
	}
	select {
	case err := <-saved:
		t.Fatalf("the new entry was written while the purge deleted: %v", err)
	default:
	}
	p.End(g)
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	expect(t, p.Guard(s), key, want)
}
