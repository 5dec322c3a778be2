package pipeline

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestFault22ClockJumps moves the clock by hours and by years in both directions. Without a TTL nothing expires. With
// one, entries are as fresh after the jump as before it, and entries whose lifetime has really passed are made once
// more.
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
				look := func(when string, want int) {
					t.Helper()
					a, err := r.Get(t.Context(), ref(100))
					synctest.Wait()
					if fetches, _ := r.origin.counts(); err != nil || a.Age < 0 || fetches != want {
						t.Errorf("TTL %v, jump %v, %s: age %v, %d fetches, want %d, %v", ttl, jump, when, a.Age,
							fetches, want, err)
					}
				}
				for _, shift = range []time.Duration{0, jump, jump, 0, jump} {
					look("in jumps", 0)
				}
				time.Sleep(3 * time.Hour) // of the test's own clock
				remade := 0
				if ttl > 0 && jump > -3*time.Hour { // with the others, the clock is still before the entry's creation
					remade = 1
				}
				look("long after", remade)
				look("and again", remade)
			})
		}
	}
}
