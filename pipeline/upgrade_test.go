package pipeline

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/variant"
)

// A viewer who waits gets the fast encoder, everything that nobody waits for the good one.
func TestStageByDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate = time.Hour, 24*time.Hour })
		if _, err := r.Get(t.Context(), ref(1)); err != nil {
			t.Fatal(err)
		}
		if w := r.Warm(t.Context(), refs(2)); w[0].Err != nil {
			t.Fatal(w[0].Err)
		}
		time.Sleep(2 * time.Hour) // What is stale is remade behind its answer.
		if a, err := r.Get(t.Context(), ref(1)); err != nil || a.Outcome != Stale {
			t.Fatalf("got %s %v, want stale", a.Outcome, err)
		}
		synctest.Wait()
		if want := []variant.Stage{variant.StageFirst, variant.StageFinal, variant.StageFinal}; !slices.Equal(r.codec.stages, want) {
			t.Errorf("got stages %v, want %v", r.codec.stages, want)
		}
	})
}
