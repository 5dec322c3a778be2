package origin

import (
	"errors"
	"time"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/reach"
)

// The circuit of a host opens after a number of consecutive failures and lets one probe pass after each pause; the
// pause doubles while probes fail.
const (
	breakerRun   = 5
	firstPause   = time.Second
	lastPause    = 15 * time.Second
	maxHostPause = time.Minute // the longest Retry-After that is honoured
)

// circuit stops requests to a failing host. It is guarded by the lock of its table.
type circuit struct {
	failures int           // in a row
	pause    time.Duration // 0 = closed
	since    time.Time     // when the pause began
	probing  bool
}

// blocked is how long a caller has to wait; 0 = it may pass. If the clock was set back, the pause ends.
func (c *circuit) blocked(now time.Time) time.Duration {
	if c.pause == 0 {
		return 0
	}
	age := now.Sub(c.since)
	if age >= 0 && age < c.pause {
		return c.pause - age
	}
	if c.probing {
		return firstPause
	}
	return 0
}

// pass lets a caller through, as the probe if the circuit is open.
func (c *circuit) pass() (probe bool) {
	c.probing = c.pause > 0
	return c.probing
}

// learn records the result of a fetch that passed.
func (c *circuit) learn(now time.Time, probe bool, err error) {
	if probe {
		c.probing = false
	}
	f := fault.Of(err)
	switch {
	case f == nil || answered(err):
		*c = circuit{probing: c.probing}
	case f.RetryAfter > 0 && f.Kind == fault.SourceError:
		c.open(now, min(f.RetryAfter, maxHostPause))
	case failing(f.Kind):
		c.failures++
		if probe {
			c.open(now, min(2*c.pause, lastPause))
		} else if c.pause == 0 && c.failures >= breakerRun {
			c.open(now, firstPause)
		}
	case probe:
		c.open(now, c.pause) // The probe was cancelled and says nothing: the next one waits a full pause.
	}
}

func (c *circuit) open(now time.Time, pause time.Duration) { c.pause, c.since = pause, now }

// failing reports whether a fault counts against the host.
func failing(k fault.Kind) bool {
	switch k {
	case fault.SourceError, fault.ConnectFailed, fault.TLSFailed, fault.DNSFailed, fault.SourceTimeout:
		return true
	}
	return false
}

// answered reports whether a fault proves that the host works. It never counts against it.
func answered(err error) bool {
	k := fault.KindOf(err)
	return permanent(k) || k == fault.SourceForbidden || k == fault.TooManyRedirects || errors.Is(err, fault.ErrThisFile) || errors.Is(err, reach.ErrBeyond)
}
