package pipeline

import (
	"sync"
	"time"
)

// calm tells the time by which entries age. It is the wall clock, but where that jumps ahead it follows at no more than
// twice the pace of time, so that a clock set wrong, or set right, does not make a whole store old at once; the restart
// of the process ends that. Where the wall clock jumps back, so does this one: an entry from the future counts as new.
// Safe for concurrent use.
type calm struct {
	wall func() time.Time

	mu   sync.Mutex
	at   time.Time // when it was last asked, by the monotonic clock
	told time.Time // what it said
}

func newCalm(wall func() time.Time) *calm {
	return &calm{wall: wall, at: time.Now(), told: wall().Round(0)}
}

func (c *calm) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, told := time.Now(), c.wall().Round(0)
	if most := c.told.Add(2 * at.Sub(c.at)); told.After(most) {
		told = most
	}
	c.at, c.told = at, told
	return told
}
