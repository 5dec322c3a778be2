// Package allowance tells anyone who searches for a better encode whether there is time for one more try. It knows no
// pictures: a try is what happens between two questions.
package allowance

import (
	"time"

	"golang.org/x/sys/unix"
)

// Spent is time on the wall's clock and on the processor's.
type Spent struct{ Wall, CPU time.Duration }

// Allowance is the time for one piece of work, past which it is cut. It belongs to one goroutine; a nil one has no end.
type Allowance struct {
	limit      Spent // 0 = no limit
	now        func() Spent
	begun, at  Spent
	longestTry Spent
}

// New begins to count. now is Now outside of tests.
func New(limit Spent, now func() Spent) *Allowance {
	a := &Allowance{limit: limit, now: now}
	a.Restart()
	return a
}

// Restart begins the next piece of work, whose tries may take as long as those of the last one.
func (a *Allowance) Restart() {
	a.begun = a.now()
	a.at = a.begun
}

// reserve is how many times the longest try so far must still fit: the next one may be of a slower encoder.
const reserve = 2

// More reports whether there is time for another try. It is asked after each.
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

// Now is the time since some moment, and the processor time of all threads of this process.
func Now() Spent {
	return Spent{Wall: read(unix.CLOCK_MONOTONIC), CPU: read(unix.CLOCK_PROCESS_CPUTIME_ID)}
}

func read(clock int32) time.Duration {
	var at unix.Timespec
	_ = unix.ClockGettime(clock, &at) // It cannot fail for these two.
	return time.Duration(at.Nano())
}
