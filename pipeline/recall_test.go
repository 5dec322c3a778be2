package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/variant"
)

// Recall answers only if no work has to follow, and reads only memory.
func TestRecall(t *testing.T) {
	for _, tt := range []struct {
		name    string
		age     time.Duration
		outdate bool
		want    bool
	}{
		{"fresh", time.Minute, false, true},
		{"stale", 90 * time.Minute, false, false},
		{"too old", 5 * time.Hour, false, false},
		{"of an older recipe", time.Minute, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate = time.Hour, time.Hour })
				key := ref(100).Key()
				e := aged(tt.age)
				e.Recipe = variant.Recipe
				if tt.outdate {
					e.Recipe--
				}
				r.tiers.store[key] = e
				if _, ok := r.Recall(key, ""); ok {
					t.Error("an entry of the store alone was answered")
				}
				r.tiers.memory.Put(key, e, false)
				a, ok := r.Recall(key, "")
				if ok != tt.want {
					t.Fatalf("answered: %v, want %v", ok, tt.want)
				}
				if ok && (string(a.Entry.Body) != "old" || a.Outcome != Hit || a.Tier != cache.TierMemory || a.Age != tt.age) {
					t.Errorf("got %+v", a)
				}
				if fetches, _ := r.origin.counts(); fetches != 0 || r.tiers.gets != 0 {
					t.Errorf("%d fetches, %d look-ups in the store", fetches, r.tiers.gets)
				}
			})
		})
	}
}
