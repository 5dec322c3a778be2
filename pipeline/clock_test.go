package pipeline

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestFault22ClockJumps moves the clock by hours and by years, either way: without a TTL nothing ever expires; with one, an entry from the
// future is new, an entry that grew old in a jump is made once more, and the way back finds it good again.
func TestFault22ClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, ttl := range []time.Duration{0, 2 * time.Hour} {
		for _, jump := range []time.Duration{time.Hour, -time.Hour, 10 * year, -10 * year} {
			synctest.Test(t, func(t *testing.T) {
				var shift time.Duration
				r := newRig(t, func(c *Config, p *Parts) {
					c.TTL = ttl
					p.Now = func() time.Time { return time.Now().Add(shift) }
				})
				r.tiers.store[ref(100).Key()] = aged(time.Minute)
				remade := 0
				if ttl > 0 && jump > ttl {
					remade = 1
				}
				for step, at := range []time.Duration{0, jump, jump, 0, jump} {
					shift = at
					a, err := r.Get(t.Context(), ref(100))
					if err != nil || a.Age < 0 {
						t.Errorf("TTL %v, jump %v, step %d: age %v, %v", ttl, jump, step, a.Age, err)
					}
					synctest.Wait()
				}
				if fetches, _ := r.origin.counts(); fetches != remade {
					t.Errorf("TTL %v, jump %v: %d fetches, want %d", ttl, jump, fetches, remade)
				}
			})
		}
	}
}
