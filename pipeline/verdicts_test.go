package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// costlyRig is a pipeline whose workers fail with kind.
func costlyRig(t *testing.T, kind fault.Kind) *rig {
	r := newRig(t, nil)
	r.origin.onFetch = func(context.Context, string) (origin.Original, error) {
		return origin.Original{Body: []byte("the same bytes everywhere")}, nil
	}
	r.codec.onTransform = func(context.Context, []variant.Spec, func(int, variant.Image, error)) error {
		return fault.New(kind, "test", "it costs too much", nil)
	}
	return r
}

// TestCostlyVerdictsAreRemembered: an original from which nothing could be made is not fetched or tried again, for any
// variant or under another URL. It is tried again after a while, and at once after a purge.
func TestCostlyVerdictsAreRemembered(t *testing.T) {
	for _, kind := range []fault.Kind{fault.TooCostly, fault.TransformTimeout, fault.DecodeFailed} {
		synctest.Test(t, func(t *testing.T) {
			r := costlyRig(t, kind)
			ask := func(what, source string, width, fetches, calls int) {
				t.Helper()
				synctest.Wait() // a download whose batch has answered, but not ended, is shared with the next fill
				x := ref(width)
				x.Source = source
				_, err := r.Get(t.Context(), x)
				wantKind(t, err, kind)
				if r.origin.fetches != fetches || r.codec.calls != calls {
					t.Errorf("%s: %s: %d fetches and %d transforms, want %d and %d", kind, what, r.origin.fetches,
						r.codec.calls, fetches, calls)
				}
			}
			ask("first", "https://c.example/a.tif", 100, 1, 1)
			for width := range 20 {
				ask("other variants", "https://c.example/a.tif", 200+width, 1, 1)
			}
			ask("other URL", "https://c.example/b.tif", 100, 2, 1)
			ask("that again", "https://c.example/b.tif", 101, 2, 1)
			time.Sleep(time.Minute)
			ask("a minute later", "https://c.example/a.tif", 100, 3, 2)
			time.Sleep(time.Minute)
			ask("which lasts twice as long", "https://c.example/a.tif", 100, 3, 2)
			r.ForgetSource("https://c.example/a.tif")
			ask("mended", "https://c.example/a.tif", 100, 4, 3)
			r.BeginPurge(cache.Generation{Epoch: 1, Seq: 1}, nil, []string{"https://c.example/a.tif"}, time.Second)
			ask("purged", "https://c.example/a.tif", 100, 5, 4)
			r.codec.onTransform = nil
			r.ForgetSource("https://c.example/a.tif")
			if _, err := r.Get(t.Context(), ref(100)); err != nil {
				t.Errorf("%s: another source: %v", kind, err)
			}
		})
	}
}

// TestSlowFinalStageGivesNoVerdictForViewers: a final stage that takes too long says nothing about what viewers ask
// for.
func TestSlowFinalStageGivesNoVerdictForViewers(t *testing.T) {
	r := costlyRig(t, fault.TooCostly)
	wantKind(t, r.Warm(t.Context(), []variant.Ref{ref(100)})[0].Err, fault.TooCostly)
	r.codec.onTransform = nil
	if _, err := r.Get(t.Context(), ref(200)); err != nil {
		t.Errorf("a viewer: %v", err)
	}
}
