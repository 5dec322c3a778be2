// Package calm is the clock for the age of entries.
package calm

import (
	"sync"
	"time"
)

// Clock is the wall clock, but after a jump ahead it follows at no more than
// twice the pace of time. So a clock that is set wrong, or corrected, does not make the whole store stale at once. A
// restart of the process ends that. When the wall clock jumps back, so does it: an entry from the future counts as
// new. Safe for concurrent use.
type Clock struct {
	wall func() time.Time

	mu   sync.Mutex
	at   time.Time // monotonic time of the last call
	told time.Time // result of the last call
}

// New returns a Clock over a wall clock.
func New(wall func() time.Time) *Clock {
	return &Clock{wall: wall, at: time.Now(), told: wall().Round(0)}
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, told := time.Now(), c.wall().Round(0)
	if most := c.told.Add(2 * at.Sub(c.at)); told.After(most) {
		told = most
	}
	c.at, c.told = at, told
	return told
}
