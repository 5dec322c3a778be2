// Package allowance tells a search for a better encode whether there is time for one more try. A try is the work
// between two calls of More.
package allowance

import (
	"time"

	"golang.org/x/sys/unix"
)

// Spent is wall-clock time and processor time.
type Spent struct{ Wall, CPU time.Duration }

// Allowance limits the time for one piece of work. It belongs to one goroutine; a nil Allowance has no limit.
type Allowance struct {
	limit      Spent // 0 = no limit
	now        func() Spent
	begun, at  Spent
	longestTry Spent
}

// New starts the clock. now is Now except in tests.
func New(limit Spent, now func() Spent) *Allowance {
	a := &Allowance{limit: limit, now: now}
	a.Restart()
	return a
}

// Restart begins the next piece of work. Its tries are expected to take as long as those of the last one.
func (a *Allowance) Restart() {
	a.begun = a.now()
	a.at = a.begun
}

// reserve is how many times the longest try so far must still fit: the next one may use a slower encoder.
const reserve = 2

// More reports whether there is time for another try. It must be called after each try.
func (a *Allowance) More() bool {
	if a == nil {
		return true
	}
	now := a.now()
	a.longestTry.Wall = max(a.longestTry.Wall, now.Wall-a.at.Wall)
	a.longestTry.CPU = max(a.longestTry.CPU, now.CPU-a.at.CPU)
	a.at = now
	return fits(now.Wall-a.begun.Wall, a.longestTry.Wall, a.limit.Wall) &&
		fits(now.CPU-a.begun.CPU, a.longestTry.CPU, a.limit.CPU)
}

func fits(spent, try, limit time.Duration) bool { return limit == 0 || spent+reserve*try <= limit }

// Now returns the monotonic clock and the processor time of all threads of this process.
func Now() Spent {
	return Spent{Wall: read(unix.CLOCK_MONOTONIC), CPU: read(unix.CLOCK_PROCESS_CPUTIME_ID)}
}

func read(clock int32) time.Duration {
	var at unix.Timespec
	_ = unix.ClockGettime(clock, &at) // It cannot fail for these two clocks.
	return time.Duration(at.Nano())
}
