package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// A variant is a miss once, then a hit in memory, then, after memory is cleared, a hit in the store.
func TestGetMissMemoryStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		for _, want := range []struct {
			outcome Outcome
			tier    string
		}{{Miss, ""}, {Hit, "memory"}} {
			a, err := r.Get(t.Context(), ref(100))
			if err != nil || a.Outcome != want.outcome || a.Tier != want.tier {
				t.Fatalf("got %s %s %v, want %s %s", a.Outcome, a.Tier, err, want.outcome, want.tier)
			}
		}
		synctest.Wait()
		r.tiers.forgetAll()
		a, err := r.Get(t.Context(), ref(100))
		if err != nil || a.Outcome != Hit || a.Tier != "store" {
			t.Fatalf("got %s %s %v, want a hit in the store", a.Outcome, a.Tier, err)
		}
		synctest.Wait()
		fetches, released := r.origin.counts()
		if fetches != 1 || released != 1 || r.codec.images != 1 || r.tiers.puts != 1 {
			t.Errorf("got %d fetches, %d released, %d images, %d puts; want 1 each", fetches, released,
				r.codec.images, r.tiers.puts)
		}
	})
}

// Many requests for one variant cost one fetch, one encode and one put. If the first caller leaves, the others are
// still served.
func TestFault20HerdWithLeaderLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.origin.onFetch = func(ctx context.Context, source string) (origin.Original, error) {
			select {
			case <-time.After(time.Second):
				return origin.Original{Body: []byte("x")}, nil
			case <-ctx.Done():
				return origin.Original{}, ctx.Err()
			}
		}
		leaderCtx, hangUp := context.WithCancel(t.Context())
		leader := make(chan error, 1)
		go func() {
			_, err := r.Get(leaderCtx, ref(100))
			leader <- err
		}()
		synctest.Wait()
		var wg sync.WaitGroup
		outcomes := make([]Outcome, 500)
		for i := range outcomes {
			wg.Go(func() {
				a, err := r.Get(t.Context(), ref(100))
				if err != nil {
					t.Error(err)
				}
				outcomes[i] = a.Outcome
			})
		}
		synctest.Wait()
		hangUp()
		if err := <-leader; !errors.Is(err, context.Canceled) {
			t.Errorf("the leader got %v, want its own cancellation", err)
		}
		wg.Wait()
		synctest.Wait()
		for i, o := range outcomes {
			if o != Collapsed {
				t.Fatalf("follower %d: got %s, want collapsed", i, o)
			}
		}
		if fetches, _ := r.origin.counts(); fetches != 1 || r.codec.images != 1 || r.tiers.puts != 1 || r.tiers.gets != 1 {
			t.Errorf("got %d fetches, %d images, %d puts, %d store gets; want 1 each", fetches, r.codec.images,
				r.tiers.puts, r.tiers.gets)
		}
	})
}

// Concurrent requests for several variants of one original share one download.
func TestOneFetchForSeveralVariants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
			time.Sleep(time.Second)
			return origin.Original{Body: []byte("x")}, nil
		}
		var wg sync.WaitGroup
		for w := range 5 {
			wg.Go(func() {
				if _, err := r.Get(t.Context(), ref(100+w)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		fetches, released := r.origin.counts()
		if fetches != 1 || released != 1 || r.codec.images != 5 {
			t.Errorf("got %d fetches, %d released, %d images; want 1, 1, 5", fetches, released, r.codec.images)
		}
	})
}

// A viewer gets the bytes before the store write ends.
func TestAnswerBeforeTheStoreWriteEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		stored := make(chan struct{})
		r.tiers.onSave = func(string, bool) error { <-stored; return nil }
		if _, err := r.Get(t.Context(), ref(100)); err != nil {
			t.Fatal(err)
		}
		if got := r.Load().Fills; got != 1 {
			t.Errorf("got %d fills while storing, want 1", got)
		}
		close(stored)
		synctest.Wait()
		if got := r.Load().Fills; got != 0 {
			t.Errorf("got %d fills after storing, want 0", got)
		}
	})
}

// A broken store is a miss for a viewer and an error for Warm.
func TestFault13BrokenStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("store is down")
		r := newRig(t, func(_ *Config, p *Parts) {
			p.Store = mapStore{fakeTiers: p.Tiers.(*fakeTiers), onStat: func() error { return broken }}
		})
		r.tiers.onLookup = func(string) error { return broken }
		r.tiers.onSave = func(string, bool) error { return broken }
		if a, err := r.Get(t.Context(), ref(100)); err != nil || a.Outcome != Miss {
			t.Errorf("viewer: got %s %v, want a made variant", a.Outcome, err)
		}
		got := r.Warm(t.Context(), refs(7))
		if !errors.Is(got[0].Err, broken) {
			t.Errorf("warm: got %v, want the store's error", got[0].Err)
		}
	})
}

// A panic in a transform is one internal fault; the next request is served.
func TestPanicIsOneFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.codec.onTransform = func(context.Context, []variant.Spec, func(int, variant.Image, error)) error { panic("boom") }
		_, err := r.Get(t.Context(), ref(100))
		wantKind(t, err, fault.Internal)
		r.codec.onTransform = nil
		if _, err := r.Get(t.Context(), ref(100)); err != nil {
			t.Errorf("after the panic: %v", err)
		}
	})
}

// Failures are returned as they are and are not stored.
func TestFailures(t *testing.T) {
	for _, kind := range []fault.Kind{fault.SourceNotFound, fault.ConnectFailed, fault.DecodeFailed} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
				return origin.Original{}, fault.New(kind, "test", "no", nil)
			}
			_, err := r.Get(t.Context(), ref(100))
			wantKind(t, err, kind)
			synctest.Wait()
			if r.tiers.puts != 0 || r.Load().Fills != 0 {
				t.Errorf("got %d puts, %d fills; want none", r.tiers.puts, r.Load().Fills)
			}
		})
	}
}

// A checksum or size limit in the URL is enforced on the original.
func TestHashsumAndOwnLimit(t *testing.T) {
	const abc = "a9993e364706816aba3e25717850c26c9cd0d89d" // FIPS 180: SHA-1 of "abc"
	for _, tt := range []struct {
		name string
		set  func(*variant.Spec)
		want fault.Kind
	}{
		{"right", func(s *variant.Spec) { s.HashType, s.HashSum = "sha1", abc }, ""},
		{"wrong", func(s *variant.Spec) { s.HashType, s.HashSum = "sha256", abc }, fault.HashMismatch},
		{"no such hash", func(s *variant.Spec) { s.HashType, s.HashSum = "crc", abc }, fault.HashMismatch},
		{"too large", func(s *variant.Spec) { s.Limits.Bytes = 2 }, fault.SourceTooLarge},
		{"large enough", func(s *variant.Spec) { s.Limits.Bytes = 3 }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
				return origin.Original{Body: []byte("abc")}, nil
			}
			v := ref(1)
			tt.set(&v.Spec)
			_, err := r.Get(t.Context(), v)
			wantKind(t, err, tt.want)
		})
	}
}

// Peek returns what exists and never fetches.
func TestPeek(t *testing.T) {
	r := newRig(t, nil)
	_, err := r.Peek(t.Context(), ref(100))
	wantKind(t, err, fault.NotCached)
	r.tiers.store[ref(100).Key()] = aged(0)
	if a, err := r.Peek(t.Context(), ref(100)); err != nil || a.Tier != "store" {
		t.Errorf("got %s %v, want a hit in the store", a.Tier, err)
	}
	if fetches, _ := r.origin.counts(); fetches != 0 {
		t.Errorf("got %d fetches, want 0", fetches)
	}
}

// After Close nothing new begins, and running fills are stored first.
func TestCloseWaitsForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.tiers.onSave = func(string, bool) error { time.Sleep(time.Minute); return nil }
		if _, err := r.Get(t.Context(), ref(100)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(t.Context()); err != nil || r.tiers.puts != 1 {
			t.Errorf("got %v with %d puts, want the put awaited", err, r.tiers.puts)
		}
		_, err := r.Get(t.Context(), ref(200))
		wantKind(t, err, fault.ShuttingDown)
	})
}
