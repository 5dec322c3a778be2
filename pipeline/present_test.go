package pipeline

import (
	"context"
	"errors"
	"testing"

	"github.com/goldcrest/goldcrest/cache"
)

// Known only reads the store.
func TestKnown(t *testing.T) {
	r := newRig(t, nil)
	r.tiers.store[ref(2).Key()] = aged(0)
	got := r.Known(t.Context(), refs(1, 2))
	if got[0].Present || got[0].Err != nil || !got[1].Present || got[1].Meta.Created.IsZero() || got[1].Key != ref(2).Key() || got[1].Ref != ref(2) {
		t.Errorf("got %+v", got)
	}
	for key, want := range map[string]bool{ref(1).Key(): false, ref(2).Key(): true, "../etc/passwd": false, "": false} {
		if present, err := r.KnownKey(t.Context(), key, ""); present != want || err != nil {
			t.Errorf("%q: got %v, %v, want %v", key, present, err, want)
		}
	}
	if fetches, _ := r.origin.counts(); fetches != 0 || r.codec.calls != 0 {
		t.Errorf("got %d fetches, %d calls, want none", fetches, r.codec.calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.parts.Store = failing{r.parts.Store}
	if got := r.Known(ctx, refs(2)); got[0].Present || got[0].Err == nil {
		t.Errorf("a store that does not answer: got %+v", got[0])
	}
}

// failing is a store that returns errors.
type failing struct{ cache.Store }

func (failing) Stat(context.Context, string) (cache.Meta, error) {
	return cache.Meta{}, errors.New("timeout")
}
