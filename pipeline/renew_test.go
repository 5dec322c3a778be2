package pipeline

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/goldcrest/goldcrest/cache"
	"github.com/goldcrest/goldcrest/origin"
	"github.com/goldcrest/goldcrest/variant"
)

// versioned is an old entry made from a version of its original.
func versioned(age time.Duration, version string, more map[string]string) cache.Entry {
	e := aged(age)
	e.Attrs = variant.Facts{Provenance: variant.Provenance{ViaKnown: true}}.Encode()
	origin.Validators{ETag: version}.Keep(e.Attrs)
	for name, value := range more {
		e.Attrs[name] = value
	}
	return e
}

// An entry past its lifetime is not made again if its origin says that the original is unchanged, both in the
// background and while a caller waits.
func TestRenewal(t *testing.T) {
	for _, tt := range []struct {
		name    string
		age     time.Duration
		version string // that the entry was made from
		change  func(*cache.Entry)
		outcome Outcome
		images  int
	}{
		{"stale, the same", 90 * time.Minute, `"v1"`, nil, Stale, 0},
		{"stale, another", 90 * time.Minute, `"v0"`, nil, Stale, 1},
		{"stale, of an unknown version", 90 * time.Minute, "", nil, Stale, 1},
		{"too old, the same", 5 * time.Hour, `"v1"`, nil, Hit, 0},
		{"too old, another", 5 * time.Hour, `"v0"`, nil, Miss, 1},
		{"of an older recipe", 90 * time.Minute, `"v1"`, func(e *cache.Entry) { e.Recipe-- }, Stale, 1},
		{"of the first stage", 90 * time.Minute, `"v1"`, func(e *cache.Entry) { e.Attrs["stage"] = "1" }, Stale, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate, c.Upgrades = time.Hour, time.Hour, 0 })
				r.origin.version = `"v1"`
				key := ref(100).Key()
				e := versioned(tt.age, tt.version, nil)
				if tt.change != nil {
					tt.change(&e)
				}
				r.tiers.store[key] = e
				a, err := r.Get(t.Context(), ref(100))
				if err != nil || a.Outcome != tt.outcome {
					t.Errorf("got %s, %v, want %s", a.Outcome, err, tt.outcome)
				}
				synctest.Wait()
				if fetches, released := r.origin.counts(); fetches != 1 || released != 1 ||
					r.codec.images != tt.images {
					t.Errorf("%d fetches, %d released, %d images, want %d", fetches, released, r.codec.images,
						tt.images)
				}
				stored := r.tiers.store[key]
				if now := time.Now().UTC(); now.Sub(stored.Created) > time.Second ||
					(string(stored.Body) == "old") != (tt.images == 0) {
					t.Errorf("stored is %q, made %s ago", stored.Body, now.Sub(stored.Created))
				}
				if a, err := r.Get(t.Context(), ref(100)); err != nil || a.Outcome != Hit || a.Age > time.Second {
					t.Errorf("the next one gets %s of age %s, %v", a.Outcome, a.Age, err)
				}
			})
		})
	}
}

// A variant keeps the version of its original. The response that it is unchanged sets its new lifetime. If that
// response forbids storing, the entry stays in the cache but is not stored again.
func TestRenewalTakesTheOriginsWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.HonourOrigin, c.Revalidate, c.Upgrades = true, time.Hour, 0 })
		r.origin.version = `"v1"`
		r.origin.fresh = origin.Freshness{Said: true, TTL: 10 * time.Minute}
		key := ref(100).Key()
		r.tiers.store[key] = versioned(30*time.Minute, `"v1"`, map[string]string{"life": "60", "since": "5"})
		if a, err := r.Get(t.Context(), ref(100)); err != nil || a.Outcome != Stale {
			t.Fatalf("%s, %v", a.Outcome, err)
		}
		synctest.Wait()
		if got := r.tiers.store[key].Attrs; got["life"] != "600" || got["since"] != "" || got["ov"] != `"v1"` {
			t.Errorf("renewed with %v", got)
		}
		time.Sleep(5 * time.Minute)
		if a, err := r.Get(t.Context(), ref(100)); err != nil || a.Outcome != Hit {
			t.Errorf("%s, %v", a.Outcome, err)
		}
		time.Sleep(30 * time.Minute)
		r.origin.fresh = origin.Freshness{Said: true, NoStore: true}
		before := r.tiers.puts
		if a, err := r.Get(t.Context(), ref(100)); err != nil || a.Outcome != Stale {
			t.Errorf("%s, %v", a.Outcome, err)
		}
		synctest.Wait()
		if r.tiers.puts != before || r.codec.images != 0 {
			t.Error("stored against the origin's word")
		}
	})
}

// A new variant keeps the version of its original; after a change it is made again.
func TestVersionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate, c.Upgrades = time.Hour, time.Hour, 0 })
		r.origin.version = `"v1"`
		for i, want := range []struct{ fetches, images int }{{1, 1}, {2, 1}, {3, 2}} {
			if i == 2 {
				r.origin.version = `"v2"`
			}
			if _, err := r.Get(t.Context(), ref(100)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if fetches, _ := r.origin.counts(); fetches != want.fetches || r.codec.images != want.images {
				t.Errorf("%d: %d fetches, %d images", i, fetches, r.codec.images)
			}
			time.Sleep(90 * time.Minute)
		}
		if got := r.tiers.store[ref(100).Key()].Attrs["ov"]; got != `"v2"` {
			t.Errorf("made of %s", got)
		}
	})
}

// A purge between the revalidation request and its response wins: the entry is not restored.
func TestRenewalAfterAPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config, _ *Parts) { c.TTL, c.Revalidate, c.Upgrades = time.Hour, time.Hour, 0 })
		r.origin.version = `"v1"`
		key := ref(100).Key()
		if _, err := r.Get(t.Context(), ref(100)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(90 * time.Minute)
		r.origin.onEnter = func(string) (bool, func()) {
			return true, func() {
				if _, err := r.Purge(t.Context(), Selector{Refs: refs(100)}); err != nil {
					t.Error(err)
				}
			}
		}
		if a, err := r.Get(t.Context(), ref(100)); err != nil || a.Outcome != Stale {
			t.Fatalf("%s, %v", a.Outcome, err)
		}
		synctest.Wait()
		r.origin.onEnter = nil
		if e, ok := r.tiers.store[key]; ok {
			t.Errorf("the store has %q again", e.Body)
		}
		if _, ok := r.tiers.Recall(key); ok {
			t.Error("memory has it again")
		}
	})
}
