package cache_test

import (
	"context"
	"errors"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
)

// Load returns the bytes that wait to be written, and reports a store that failed repeatedly as not called.
func TestLoad(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	store := fakeStore{
		get: func(context.Context, string) (cache.Entry, error) { return cache.Entry{}, errors.New("down") },
		put: func(context.Context, string, cache.Entry) error { close(begun); <-end; return nil },
	}
	tiers := cache.NewTiered(cache.NewMemory(1<<20), store, cache.NewPurges(cache.Generation{Epoch: 1}), cache.DefaultStore(), nil)
	saved := make(chan error)
	go func() { saved <- tiers.Save(t.Context(), "v1/ab/c", cache.Entry{Body: make([]byte, 1000)}) }()
	<-begun
	if pending, resting := tiers.Load(); pending < 1000 || resting {
		t.Errorf("%d bytes wait, resting %v; want at least 1000, and not", pending, resting)
	}
	close(end)
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
	for range 10 {
		_, _, _ = tiers.Lookup(t.Context(), "v1/ab/d") // It fails; that is the point.
	}
	if pending, resting := tiers.Load(); pending != 0 || !resting {
		t.Errorf("%d bytes wait, resting %v; want none, and yes", pending, resting)
	}
}
